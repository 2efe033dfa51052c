//! A mail server for demonstrations: it accepts real SMTP on this machine, keeps the newest mails
//! and delivers none.
//!
//! It implements enough of RFC 5321 for any client, with PIPELINING (RFC 2920), 8BITMIME (RFC
//! 6152), SIZE (RFC 1870) and enhanced status codes (RFC 2034). It refuses two kinds of recipients,
//! so that a demonstration also shows failures:
//!
//! | local part starts with | reply |
//! |---|---|
//! | `gone` | `550 5.1.1 <address>: no such mailbox here` |
//! | `later` | `451 4.2.1 <address>: mailbox busy, try again later` |
//!
//! Memory is bounded: it keeps the newest 200 mails, or fewer if they are large. Lines, messages,
//! recipients, errors and silence of a client have limits. Each connection has its own task, so
//! that its failure does not affect others.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::{AbortHandle, JoinSet};

mod command;
mod mailbox;
mod session;
mod wire;

use mailbox::Mailbox;
pub use mailbox::{Attachment, Caught, CaughtMessage};

/// A running mail catcher. Dropping it closes the port and all connections.
#[derive(Debug)]
pub struct Catcher {
    address: SocketAddr,
    mailbox: Arc<Mailbox>,
    server: AbortHandle,
}

impl Catcher {
    /// Listens on a free port of 127.0.0.1. Needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// If no port can be bound.
    pub async fn start() -> io::Result<Catcher> {
        Catcher::start_with((Ipv4Addr::LOCALHOST, 0), Limits::default()).await
    }

    /// Listens on an address such as `127.0.0.1:2525`. Needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn start_at(address: &str) -> io::Result<Catcher> {
        Catcher::start_with(address, Limits::default()).await
    }

    async fn start_with(address: impl ToSocketAddrs, limits: Limits) -> io::Result<Catcher> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let mailbox = Arc::new(Mailbox::new(limits.kept_messages, limits.kept_bytes));
        let server = tokio::spawn(serve(listener, Arc::clone(&mailbox), limits)).abort_handle();
        Ok(Catcher { address, mailbox, server })
    }

    /// Returns the address on which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the `smtp://` URL at which a mailer reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Returns how many mails it has accepted since its start, kept or not.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.mailbox.total()
    }

    /// Returns summaries of the kept mails, newest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Caught> {
        self.mailbox.messages()
    }

    /// Returns a mail with its raw text, or `None` if there is no such mail or it is no longer
    /// kept.
    #[must_use]
    pub fn message(&self, id: u64) -> Option<CaughtMessage> {
        self.mailbox.message(id)
    }
}

impl Drop for Catcher {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What one catcher, and one of its clients, may use at most.
#[derive(Debug, Clone, Copy)]
struct Limits {
    kept_messages: usize,
    kept_bytes: usize,
    message_bytes: usize,
    connections: usize,
    idle: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            kept_messages: 200,
            kept_bytes: 64 << 20,
            message_bytes: 10 << 20,
            // More than a sender here opens. Few enough for messages in transit to fit in memory.
            connections: 64,
            // What RFC 5321, section 4.5.3.2.7, requires of a server.
            idle: Duration::from_secs(5 * 60),
        }
    }
}

async fn serve(listener: TcpListener, mailbox: Arc<Mailbox>, limits: Limits) {
    // Aborting this task drops the set, which aborts the connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < limits.connections => {
                    connections.spawn(session::run(stream, Arc::clone(&mailbox), limits));
                }
                Ok((stream, _)) => turn_away(stream).await,
                Err(error) => {
                    // Probably out of file descriptors. Without a pause this would be a busy loop.
                    tracing::warn!(%error, "the mail catcher cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
}

async fn turn_away(mut stream: TcpStream) {
    // The buffer of a new connection has room for this line, so the write does not wait. A failure
    // concerns only the client.
    let _ = stream.write_all(b"421 4.7.0 too many connections, try again later\r\n").await;
}

#[cfg(test)]
mod tests;
