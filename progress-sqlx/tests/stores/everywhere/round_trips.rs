//! The number of round trips, which matters if the server is far away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use progress_core::{Delta, NewEntry, ProgressUpdate, Stamp};
use progress_test_support::Network;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

use super::{on_every_database, running};
use crate::database::Database;

on_every_database!(@on postgres, Postgres, an_update_takes_three_round_trips_and_a_batch_five);
on_every_database!(@on mysql, MySql, an_update_takes_three_round_trips_and_a_batch_five);

async fn an_update_takes_three_round_trips_and_a_batch_five(database: Database) {
    let requests = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&requests);
    let network = Network::carrying(database.url(), move |client, server| {
        let counter = Arc::clone(&counter);
        async move {
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let forth = async {
                let mut buffer = vec![0; 1 << 20];
                while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                    counter.fetch_add(1, Ordering::Relaxed);
                    if to_server.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            };
            // Closes both directions as soon as one of them is closed.
            tokio::select! {
                () = forth => {}
                _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
            }
        }
    })
    .await;
    let store = progress_sqlx::connect_any(network.url()).await.unwrap();
    let mut jobs = Vec::new();
    for _ in 0..100 {
        jobs.push(running(&store).await.id);
    }
    let mut seq = 0;
    let mut round_trips = async |jobs: &[_], entries: bool| {
        let mut fewest = u32::MAX;
        // The smallest number counts, because each connection has to prepare its statements, and a
        // large request may arrive in pieces.
        for _ in 0..15 {
            seq += 1;
            let mut delta = Delta::new().with_succeeded(1);
            if entries {
                delta = delta.with_entry(NewEntry::info("line"));
            }
            let stamp = Stamp { writer: Uuid::from_u128(1), seq };
            let update = ProgressUpdate::advance(delta).with_stamp(stamp);
            let updates: Vec<_> = jobs.iter().map(|id| (*id, update.clone())).collect();
            // Waits until the pool has tested the connection of the previous call.
            tokio::time::sleep(Duration::from_millis(30)).await;
            let before = requests.load(Ordering::Relaxed);
            for outcome in store.update_many(&updates).await {
                outcome.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
            fewest = fewest.min(requests.load(Ordering::Relaxed) - before);
        }
        fewest
    };
    // The pool tests the connection after each call.
    // Read, and write back if nothing has changed.
    assert_eq!(round_trips(&jobs[..1], false).await, 3);
    // Begin, lock, write back, commit.
    assert_eq!(round_trips(&jobs[..10], false).await, 5);
    assert!(round_trips(&jobs, false).await <= 6);
    assert_eq!(round_trips(&jobs[..10], true).await, 6);
}
