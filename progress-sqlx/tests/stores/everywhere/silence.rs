//! Connections that the network drops without an error.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use progress_test_support::Network;
use tokio::task::JoinSet;

use super::{on_every_database, running};
use crate::database::Database;
use crate::one;

on_every_database!(@on postgres, Postgres,
    dropped_connections_are_replaced,
    no_call_takes_longer_than_its_deadline
);
on_every_database!(@on mysql, MySql,
    dropped_connections_are_replaced,
    no_call_takes_longer_than_its_deadline
);

async fn dropped_connections_are_replaced(database: Database) {
    connections_are_replaced(&database, str::to_owned).await;
}

/// Checks the recovery. `address` turns the network's address into the one that the client uses.
pub(super) async fn connections_are_replaced(
    database: &Database,
    address: impl Fn(&str) -> String,
) {
    let network = Network::before(database.url()).await;
    let store = progress_sqlx::connect_any(&address(network.url())).await.unwrap();
    // Enough workers to keep every connection busy.
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
                    (Ok(_), Some(dropped_at)) if begun > *dropped_at => {
                        return dropped_at.elapsed();
                    }
                    (Ok(_), _) => {}
                    (Err(error), Some(dropped_at)) => {
                        assert!(error.is_transient(), "{error:?}");
                        assert!(
                            dropped_at.elapsed() < Duration::from_secs(30),
                            "the pool did not recover"
                        );
                    }
                    (Err(error), None) => panic!("{error:?}"),
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    network.lose_all();
    dropped_at.set(Instant::now()).unwrap();
    let slowest = workers.join_all().await.into_iter().max().unwrap();
    println!("20 of 20 workers recovered after {:.1} s", slowest.as_secs_f64());
}

async fn no_call_takes_longer_than_its_deadline(database: Database) {
    let network = Network::before(database.url()).await;
    let store = progress_sqlx::connect_any(network.url()).await.unwrap();
    let job = running(&store).await.id;
    network.lose_all();
    for _ in 0..3 {
        let begun = Instant::now();
        let read = store.get(job).await.map(|_| ());
        assert!(read.is_ok() || read.is_err_and(|error| error.is_transient()));
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        network.lose_all();
        let begun = Instant::now();
        let written = store.update(job, &one()).await.map(|_| ());
        assert!(written.is_ok() || written.is_err_and(|error| error.is_transient()));
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    }
}
