//! Connections that a network drops without a word.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{on_every_database, running};
use crate::database::Database;
use crate::one;

on_every_database!(@on postgres, Postgres, dropped_connections_are_replaced, nobody_waits_longer_than_told);
on_every_database!(@on mysql, MySql, dropped_connections_are_replaced, nobody_waits_longer_than_told);

/// Stands between a store and its server.
struct Network {
    url: String,
    /// Each new value is the end of all connections there are, unknown to both sides.
    drops: watch::Sender<()>,
}

impl Network {
    async fn before(database: &Database) -> Self {
        let (scheme, rest) = database.url().split_once("://").unwrap();
        let (user, rest) = rest.split_once('@').unwrap();
        let (server, name) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let drops = watch::Sender::new(());
        tokio::spawn({
            let (drops, server) = (drops.clone(), server.to_owned());
            async move {
                while let Ok((mut client, _)) = listener.accept().await {
                    let mut dropped = drops.subscribe();
                    let mut server = TcpStream::connect(&server).await.unwrap();
                    tokio::spawn(async move {
                        tokio::select! {
                            _ = copy_bidirectional(&mut client, &mut server) => {}
                            _ = dropped.changed() => std::future::pending().await,
                        }
                    });
                }
            }
        });
        Self { url: format!("{scheme}://{user}@127.0.0.1:{port}/{name}"), drops }
    }
}

impl Network {
    async fn drop_all(&self) {
        self.drops.send_replace(());
        // Both directions of every connection have to notice.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn dropped_connections_are_replaced(database: Database) {
    let network = Network::before(&database).await;
    let store = progress_sqlx::connect_any(&network.url).await.unwrap();
    // Enough to have every connection in the middle of something.
    let mut workers = JoinSet::new();
    let dropped_at = Arc::new(OnceLock::new());
    for _ in 0..20 {
        let job = running(&store).await.id;
        let (store, dropped_at) = (Arc::clone(&store), Arc::clone(&dropped_at));
        workers.spawn(async move {
            loop {
                let begun = Instant::now();
                let outcome = store.update(job, &one()).await;
                let dropped_at: Option<&Instant> = dropped_at.get();
                match (outcome, dropped_at) {
                    (Ok(_), Some(dropped_at)) if begun > *dropped_at => return dropped_at.elapsed(),
                    (Ok(_), _) => {}
                    (Err(error), Some(dropped_at)) => {
                        assert!(error.is_transient(), "{error:?}");
                        assert!(dropped_at.elapsed() < Duration::from_secs(30), "the pool did not heal");
                    }
                    (Err(error), None) => panic!("{error:?}"),
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    network.drop_all().await;
    dropped_at.set(Instant::now()).unwrap();
    let slowest = workers.join_all().await.into_iter().max().unwrap();
    println!("20 of 20 healed after {:.1} s", slowest.as_secs_f64());
}

async fn nobody_waits_longer_than_told(database: Database) {
    let network = Network::before(&database).await;
    let store = progress_sqlx::connect_any(&network.url).await.unwrap();
    let job = running(&store).await.id;
    network.drop_all().await;
    for _ in 0..3 {
        let begun = Instant::now();
        let read = store.get(job).await.map(|_| ());
        assert!(read.is_ok() || read.is_err_and(|error| error.is_transient()));
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        network.drop_all().await;
        let begun = Instant::now();
        let written = store.update(job, &one()).await.map(|_| ());
        assert!(written.is_ok() || written.is_err_and(|error| error.is_transient()));
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    }
}
