//! A mail server for trying things out: it accepts real SMTP on this machine, keeps the newest mails and delivers
//! nothing.
//!
//! It speaks enough of RFC 5321 for any client, with PIPELINING (RFC 2920), 8BITMIME (RFC 6152), SIZE (RFC 1870) and
//! enhanced status codes (RFC 2034). Two kinds of recipients are refused, because a demonstration in which every mail
//! arrives shows nothing of what happens to the others:
//!
//! | local part starts with | reply |
//! |---|---|
//! | `gone` | `550 5.1.1 <address>: no such mailbox here` |
//! | `later` | `451 4.2.1 <address>: mailbox busy, try again later` |
//!
//! Memory is bounded: the newest 200 mails, fewer when they are large. So is what one client can do: lines, messages,
//! recipients, errors and silence have limits, and each connection is a task of its own whose end ends nothing else.

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

/// A running mail catcher; dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Catcher {
    address: SocketAddr,
    mailbox: Arc<Mailbox>,
    server: AbortHandle,
}

impl Catcher {
    /// Listens on a free port of 127.0.0.1; must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the system gives no port to listen on.
    pub async fn start() -> io::Result<Catcher> {
        Catcher::start_with((Ipv4Addr::LOCALHOST, 0), Limits::default()).await
    }

    /// Listens where it is told, such as `127.0.0.1:2525`; must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the system does not let it listen there.
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where to send mail to, as a mailer is told.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// How many mails were accepted since the start, kept or not.
    pub fn total(&self) -> u64 {
        self.mailbox.total()
    }

    /// What is known about the mails still kept, newest first.
    pub fn messages(&self) -> Vec<Caught> {
        self.mailbox.messages()
    }

    /// One mail with its raw text, or `None` when it never came or had to make room for newer ones.
    pub fn message(&self, id: u64) -> Option<CaughtMessage> {
        self.mailbox.message(id)
    }
}

impl Drop for Catcher {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// How much one catcher and one of its clients may use.
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
            // More than any sender here opens, and few enough that messages in transit cannot fill the memory.
            connections: 64,
            // What RFC 5321, section 4.5.3.2.7, asks a server to wait.
            idle: Duration::from_secs(5 * 60),
        }
    }
}

async fn serve(listener: TcpListener, mailbox: Arc<Mailbox>, limits: Limits) {
    // The set belongs to this task: when the task is aborted, so are the connections.
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
                    // Out of file descriptors, most likely: going on at once would only burn the processor.
                    tracing::warn!(%error, "the mail catcher cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
}

async fn turn_away(mut stream: TcpStream) {
    // A fresh connection has room for one line, so this does not wait; whether it arrives is the client's affair.
    let _ = stream.write_all(b"421 4.7.0 too many connections, try again later\r\n").await;
}

#[cfg(test)]
mod tests;
