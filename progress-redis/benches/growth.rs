//! Measures the calls of the store beside 1,000 and 1,000,000 finished records on a Redis server of
//! its own. Prints for each call the median beside many records, that beside few, and the ratio;
//! and the server's memory per record.
//!
//! `cargo bench -p progress-redis --bench growth -- [SIZE ...]`
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use progress_core::{
    Completion, Delta, NewEntry, NewProgress, ProgressId, ProgressStore, ProgressUpdate, Record,
    Stamp,
};
use progress_redis::RedisStore;
use progress_test_support::{Fill, RedisServer, SPACING, measure_growth};
use redis::aio::MultiplexedConnection;
use uuid::Uuid;

/// After so many records, owner, type and ending are the same again.
const KINDS: u64 = 700;
/// Records are copied in pipelines of this size.
const CHUNK: u64 = 500;

/// A finished record that was created by the store, and its members of sorted sets.
struct Template {
    record: Record,
    entry: String,
    /// The key, and whether the member is a place in a list or an id.
    members: Vec<(String, bool)>,
}

/// Copies records of the store, in all keys that name them.
struct Copies {
    connection: MultiplexedConnection,
    templates: Vec<Template>,
}

fn place(at: DateTime<Utc>, id: ProgressId) -> String {
    format!("{:016}{id}", at.timestamp_millis())
}

impl Copies {
    async fn new(store: &RedisStore, mut connection: MultiplexedConnection) -> Self {
        let mut records = HashMap::new();
        for number in 0..KINDS {
            let job = NewProgress::new(format!("type {}", number / 10 % 10))
                .with_owner(format!("owner {}", number % 10))
                .with_total(1_000);
            let id = store.create(&job).await.unwrap().id;
            store.update(id, &ProgressUpdate::start()).await.unwrap();
            let stamp = |seq| Stamp { writer: Uuid::new_v4(), seq };
            let delta = Delta::new().with_succeeded(1_000).with_entry(NewEntry::info("line"));
            store.update(id, &ProgressUpdate::advance(delta).with_stamp(stamp(1))).await.unwrap();
            let ending = if number % 7 == 0 {
                ProgressUpdate::fail(Delta::new(), "over")
            } else {
                ProgressUpdate::complete(Delta::new(), Completion::new())
            };
            store.update(id, &ending.with_stamp(stamp(2))).await.unwrap();
            let key = format!("{{progress}}:record:{id}");
            let mut read = redis::pipe();
            read.cmd("HGET").arg(&key).arg("document");
            read.cmd("ZRANGE").arg(format!("{{progress}}:log:{id}")).arg(0).arg(0);
            let (document, entries): (String, Vec<String>) =
                read.query_async(&mut connection).await.unwrap();
            let record: Record = serde_json::from_str(&document).unwrap();
            records.insert(number, Template { record, entry: entries[0].clone(), members: vec![] });
        }
        let keys: Vec<String> =
            redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
        let mut found: HashMap<String, Vec<(String, bool)>> = HashMap::new();
        for key in keys {
            let kind: String =
                redis::cmd("TYPE").arg(&key).query_async(&mut connection).await.unwrap();
            if kind == "zset" && !key.contains(":log:") {
                let members: Vec<String> = redis::cmd("ZRANGE")
                    .arg(&key)
                    .arg(0)
                    .arg(-1)
                    .query_async(&mut connection)
                    .await
                    .unwrap();
                for member in members {
                    let is_place = member.len() > 36;
                    let id = member[member.len() - 36..].to_owned();
                    found.entry(id).or_default().push((key.clone(), is_place));
                }
            }
        }
        let mut templates = Vec::new();
        for number in 0..KINDS {
            let mut template = records.remove(&number).unwrap();
            let id = template.record.progress.id;
            template.members = found.remove(&id.to_string()).unwrap();
            store.delete(id).await.unwrap();
            templates.push(template);
        }
        Self { connection, templates }
    }

    async fn memory(&mut self) -> u64 {
        let info: String =
            redis::cmd("INFO").arg("memory").query_async(&mut self.connection).await.unwrap();
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        used.unwrap().trim().parse().unwrap()
    }
}

impl Fill for Copies {
    async fn fill(&mut self, from: u64, to: u64, age: Duration) {
        let newest = Utc::now() - age;
        for begin in (from..to).step_by(usize::try_from(CHUNK).unwrap()) {
            let mut copy = redis::pipe();
            for number in begin..to.min(begin + CHUNK) {
                let template = &self.templates[usize::try_from(number % KINDS).unwrap()];
                let id = ProgressId::new();
                let at = newest - SPACING * u32::try_from(number).unwrap();
                let at = DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap();
                let mut record = template.record.clone();
                let progress = &mut record.progress;
                (progress.id, progress.created_at, progress.updated_at) = (id, at, at);
                progress.started_at = Some(at);
                progress.heartbeat_at = progress.heartbeat_at.map(|_| at);
                progress.finished_at = Some(at);
                copy.cmd("HSET")
                    .arg(format!("{{progress}}:record:{id}"))
                    .arg("revision")
                    .arg(Uuid::new_v4().to_string())
                    .arg("document")
                    .arg(serde_json::to_string(&record).unwrap())
                    .ignore();
                copy.cmd("ZADD")
                    .arg(format!("{{progress}}:log:{id}"))
                    .arg(1)
                    .arg(&template.entry)
                    .ignore();
                for (key, is_place) in &template.members {
                    let (score, member) = if *is_place {
                        (0, place(at, id))
                    } else {
                        (at.timestamp_millis(), id.to_string())
                    };
                    copy.cmd("ZADD").arg(key).arg(score).arg(member).ignore();
                }
            }
            copy.query_async::<()>(&mut self.connection).await.unwrap();
        }
    }

    async fn settle(&mut self) {}
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let sizes: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let Some(server) = RedisServer::or_say_so(&[]) else { return };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut copies = Copies::new(&store, connection).await;
    let before = copies.memory().await;
    let records = measure_growth("Redis", Arc::new(store), &mut copies, &sizes).await;
    let each = (copies.memory().await - before) / records;
    println!("memory of the server per finished record, Redis | {each} B | - | -");
}
