//! Measures the cost of a flush on a Redis server of its own. Compares one stamped update with a
//! bare SET, a batch of 100 with a single update, and the script that writes a record back with
//! WATCH, MULTI and EXEC, which would do the same. Rounds are interleaved, because speed drifts
//! over time. Prints the medians of the rounds and their ratios.
//!
//! Run it with `cargo xtask bench redis`, on one processor.
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]

use std::time::{Duration, Instant};

use chrono::Utc;
use progress_core::{Delta, NewProgress, ProgressId, ProgressStore, ProgressUpdate, Record, Stamp};
use progress_redis::RedisStore;
use progress_test_support::RedisServer;
use redis::aio::MultiplexedConnection;
use uuid::Uuid;

const ROUNDS: u32 = 15;
/// Calls of each kind in a round.
const CALLS: u32 = 500;
const BATCH: u32 = 100;

fn one(writer: Uuid, seq: u32) -> ProgressUpdate {
    let delta = Delta::new().with_succeeded(1).with_message("line 4,711 of 10,000");
    ProgressUpdate::advance(delta).with_stamp(Stamp { writer, seq: u64::from(seq) })
}

async fn bare(connection: &mut MultiplexedConnection, document: &str) -> Duration {
    let begun = Instant::now();
    for _ in 0..CALLS {
        let mut set = redis::cmd("SET");
        set.arg("bare").arg(document).query_async::<()>(connection).await.unwrap();
    }
    begun.elapsed()
}

/// What the store would do without a script: three round trips, on a connection of its own.
async fn watched(
    connection: &mut MultiplexedConnection,
    id: ProgressId,
    writer: Uuid,
    first: u32,
) -> Duration {
    let key = format!("{{progress}}:record:{id}");
    let begun = Instant::now();
    for call in 0..CALLS {
        let mut read = redis::pipe();
        read.cmd("WATCH").arg(&key).ignore().cmd("TIME").ignore();
        read.cmd("HGET").arg(&key).arg("document");
        let (document,): (String,) = read.query_async(connection).await.unwrap();
        let mut record: Record = serde_json::from_str(&document).unwrap();
        record.update(&one(writer, first + call), Utc::now()).unwrap();
        let document = serde_json::to_string(&record).unwrap();
        let mut write = redis::pipe();
        write.atomic().cmd("HSET").arg(&key).arg("document").arg(document).ignore();
        write.cmd("HSET").arg("{progress}:running").arg(id.to_string()).arg("0 45000").ignore();
        write.query_async::<()>(connection).await.unwrap();
    }
    begun.elapsed()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Some(server) = RedisServer::or_say_so(&[]) else { return };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut jobs: Vec<ProgressId> = Vec::new();
    for _ in 0..BATCH + 2 {
        let job = store.create(&NewProgress::new("bench").with_total(1_000_000)).await.unwrap();
        store.update(job.id, &ProgressUpdate::start()).await.unwrap();
        jobs.push(job.id);
    }
    let (single, other) = (jobs.pop().unwrap(), jobs.pop().unwrap());
    let document = serde_json::to_string(&store.get(single).await.unwrap().unwrap()).unwrap();
    let writer = Uuid::new_v4();
    let mut rounds = [const { Vec::new() }; 4];
    let quick = std::env::args().any(|word| word == "--quick");
    for round in 0..if quick { 5 } else { ROUNDS } {
        let first = round * CALLS + 1;
        rounds[0].push(bare(&mut connection, &document).await);
        rounds[1].push(watched(&mut connection, other, writer, first).await);
        let begun = Instant::now();
        for call in 0..CALLS {
            store.update(single, &one(writer, first + call)).await.unwrap();
        }
        rounds[2].push(begun.elapsed());
        let begun = Instant::now();
        for call in 0..CALLS / 10 {
            let update = one(writer, first + call);
            let updates: Vec<_> = jobs.iter().map(|id| (*id, update.clone())).collect();
            for outcome in store.update_many(&updates).await {
                outcome.unwrap();
            }
        }
        rounds[3].push(begun.elapsed());
    }
    let [bare, watched, single, batch] = rounds;
    let (bare, watched, single) =
        (micros(bare, CALLS), micros(watched, CALLS), micros(single, CALLS));
    let batch = micros(batch, CALLS / 10 * BATCH);
    println!("one flush, Redis | {single:.1} us | {bare:.1} us | {:.2} | - | <= 6", single / bare);
    println!(
        "the same with WATCH instead of a script | {watched:.1} us | {bare:.1} us | {:.2}",
        watched / bare
    );
    println!(
        "a job in a batch of {BATCH}, Redis | {batch:.2} us | {single:.1} us | {:.3} | <= 0.2 | \
         <= 0.35",
        batch / single
    );
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await.unwrap();
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
    println!("version | Redis | {}", version.unwrap());
}

fn micros(mut rounds: Vec<Duration>, calls: u32) -> f64 {
    rounds.sort_unstable();
    rounds[rounds.len() / 2].as_secs_f64() * 1e6 / f64::from(calls)
}
