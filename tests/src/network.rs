//! A network between a client and its server that fails as networks do.

use std::io;
use std::pin::pin;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Stands between a database and those who know it by [`url`](Self::url).
#[derive(Debug)]
pub struct Network {
    url: String,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// How often all connections were lost.
    losses: u64,
    /// Whether new connections are lost as well.
    is_silent: bool,
}

impl Network {
    /// Carries what both sides say to the server of an address such as `postgres://user@host:port/database`.
    ///
    /// # Panics
    ///
    /// When that is no such address, or there is no port to listen on.
    pub async fn before(url: &str) -> Self {
        Self::carrying(url, |mut client, mut server| async move {
            // How a connection ends is its ends' business.
            let _ = copy_bidirectional(&mut client, &mut server).await;
        })
        .await
    }

    /// Carries what both sides say in a way of the caller's own: from the client, the first stream, to the server, the
    /// second, and back. Both are closed when it returns.
    ///
    /// # Panics
    ///
    /// As [`before`](Self::before).
    pub async fn carrying<C, F>(url: &str, carry: C) -> Self
    where
        C: Fn(TcpStream, TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (scheme, rest) = url.split_once("://").expect("a scheme");
        let (user, rest) = rest.split_once('@').expect("a user");
        let (server, name) = rest.split_once('/').expect("a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let state = watch::Sender::new(State::default());
        tokio::spawn(serve(listener, server.to_owned(), state.clone(), carry));
        Self { url: format!("{scheme}://{user}@127.0.0.1:{port}/{name}"), state }
    }

    /// The address of the database by way of this network.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Loses all connections there are, for ever and unknown to both sides. New ones are carried.
    pub fn lose_all(&self) {
        self.state.send_modify(|state| state.losses += 1);
    }

    /// Loses all connections there are, and those that are made until [`heal`](Self::heal): they are accepted, and nothing
    /// that is said on them arrives, nor the news of their end.
    pub fn fall_silent(&self) {
        self.state
            .send_modify(|state| *state = State { losses: state.losses + 1, is_silent: true });
    }

    /// Carries new connections again. Those that were lost stay so.
    pub fn heal(&self) {
        self.state.send_modify(|state| state.is_silent = false);
    }
}

async fn serve<C, F>(listener: TcpListener, server: String, state: watch::Sender<State>, carry: C)
where
    C: Fn(TcpStream, TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    while let Ok((client, _)) = listener.accept().await {
        let state = state.subscribe();
        let State { losses, is_silent } = *state.borrow();
        if is_silent {
            tokio::spawn(keep(client));
            continue;
        }
        // A server that is away refuses connections, and so do we: by closing ours.
        let Ok(server) = connect(&client, &server).await else { continue };
        let carrying = carry(client, server);
        tokio::spawn(async move {
            // Its streams stay open when it is no longer driven.
            let mut carrying = pin!(carrying);
            tokio::select! {
                biased;
                () = loss(state, losses) => std::future::pending().await,
                () = &mut carrying => {}
            }
        });
    }
}

/// Returns when there have been more losses than so many.
async fn loss(mut state: watch::Receiver<State>, losses: u64) {
    if state.wait_for(|state| state.losses > losses).await.is_err() {
        // The network is gone, and what it carries goes on.
        std::future::pending::<()>().await;
    }
}

async fn connect(client: &TcpStream, server: &str) -> io::Result<TcpStream> {
    client.set_nodelay(true)?;
    let server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    Ok(server)
}

/// Holds a connection, and does nothing with it.
async fn keep(_client: TcpStream) {
    std::future::pending::<()>().await;
}
