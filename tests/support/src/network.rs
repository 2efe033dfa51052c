//! A network between a client and its database server that can fail as networks do.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// A proxy between a database and the clients that use [`url`](Self::url).
#[derive(Debug)]
pub struct Network {
    url: String,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// How often all connections have been lost.
    losses: u64,
    weather: Weather,
}

/// What happens to lost connections and to new ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Weather {
    /// New connections are forwarded.
    #[default]
    Fine,
    /// Connections stay open, and no data arrives.
    Silent,
    /// Connections are closed.
    Refusing,
}

impl Network {
    /// Starts a proxy to the server of an address such as `postgres://user@host:port/database`.
    ///
    /// # Panics
    ///
    /// If the address has another form, or there is no port to listen on.
    pub async fn before(url: &str) -> Self {
        Self::carrying(url, |mut client, mut server| async move {
            // The end of a connection concerns only the client and the server.
            let _ = copy_bidirectional(&mut client, &mut server).await;
        })
        .await
    }

    /// Starts a proxy that delays all data by this time in each direction. Later data does not wait
    /// for earlier data to arrive.
    ///
    /// # Panics
    ///
    /// As [`before`](Self::before).
    pub async fn delaying(url: &str, each_way: Duration) -> Self {
        Self::carrying(url, move |client, server| async move {
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                () = delay(from_client, to_server, each_way) => {}
                () = delay(from_server, to_client, each_way) => {}
            }
        })
        .await
    }

    /// Starts a proxy that forwards data with the caller's function, from the client, the first
    /// stream, to the server, the second, and back. Both are closed when the function returns.
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
        let (user, rest) = match rest.split_once('@') {
            Some((user, rest)) => (format!("{user}@"), rest),
            None => (String::new(), rest),
        };
        let (server, name) = rest.split_once('/').expect("a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let state = watch::Sender::new(State::default());
        tokio::spawn(serve(listener, server.to_owned(), state.clone(), carry));
        Self { url: format!("{scheme}://{user}127.0.0.1:{port}/{name}"), state }
    }

    /// Returns the address of the database behind this network.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Loses all existing connections for good, without notifying either side. New ones are
    /// forwarded.
    pub fn lose_all(&self) {
        self.state.send_modify(|state| state.losses += 1);
    }

    /// Loses all existing connections for good, and the new ones until [`heal`](Self::heal): these
    /// are accepted, but no data arrives on them, nor does their end.
    pub fn fall_silent(&self) {
        self.turn(Weather::Silent);
    }

    /// Closes all existing connections, and until [`heal`](Self::heal) each new one as soon as it
    /// is accepted, as if the server had ended.
    pub fn refuse(&self) {
        self.turn(Weather::Refusing);
    }

    fn turn(&self, weather: Weather) {
        self.state.send_modify(|state| *state = State { losses: state.losses + 1, weather });
    }

    /// Forwards new connections again. Lost ones stay lost.
    pub fn heal(&self) {
        self.state.send_modify(|state| state.weather = Weather::Fine);
    }
}

async fn serve<C, F>(listener: TcpListener, server: String, state: watch::Sender<State>, carry: C)
where
    C: Fn(TcpStream, TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    while let Ok((client, _)) = listener.accept().await {
        let state = state.subscribe();
        let State { losses, weather } = *state.borrow();
        match weather {
            Weather::Fine => {}
            Weather::Silent => {
                tokio::spawn(keep(client));
                continue;
            }
            Weather::Refusing => continue,
        }
        // A server that is away refuses connections. The proxy does so by closing the client's.
        let Ok(server) = connect(&client, &server).await else { continue };
        let carrying = carry(client, server);
        tokio::spawn(async move {
            // Pinned here, because its streams must stay open when it is no longer polled.
            let mut carrying = pin!(carrying);
            tokio::select! {
                biased;
                weather = loss(state, losses) => {
                    if weather != Weather::Refusing {
                        std::future::pending::<()>().await;
                    }
                }
                () = &mut carrying => {}
            }
        });
    }
}

/// Waits until there have been more losses than this, and returns the state of the network then.
async fn loss(mut state: watch::Receiver<State>, losses: u64) -> Weather {
    let weather = state.wait_for(|state| state.losses > losses).await.map(|state| state.weather);
    match weather {
        Ok(weather) => weather,
        // The network was dropped, and its connections go on.
        Err(_) => std::future::pending().await,
    }
}

/// Forwards data from one side, each part delayed by this time, until either side ends.
async fn delay(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    time: Duration,
) {
    // The capacity of the network: a sender of more waits.
    let (parts, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(64);
    let read = async move {
        let mut buffer = vec![0; 1 << 14];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            if parts.send((Instant::now() + time, buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((at, part)) = arriving.recv().await {
            sleep_until(at).await;
            if to.write_all(&part).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}

async fn connect(client: &TcpStream, server: &str) -> io::Result<TcpStream> {
    client.set_nodelay(true)?;
    let server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    Ok(server)
}

/// Holds a connection without using it.
async fn keep(_client: TcpStream) {
    std::future::pending::<()>().await;
}
