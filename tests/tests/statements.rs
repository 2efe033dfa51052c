//! How many statements a flush sends to a database. The numbers are exact, so a change that adds
//! one is noticed.
#![allow(clippy::unwrap_used, reason = "tests report failures by panicking")]

use std::sync::atomic::{AtomicU64, Ordering};

use progress_core::{Delta, NewEntry, NewProgress, ProgressStore, ProgressUpdate, Stamp};
use progress_test_support::{Database, Kind};
use tracing::Event;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use uuid::Uuid;

/// BEGIN, a SELECT that locks, an UPDATE, COMMIT.
const TRANSACTION: u64 = 4;
/// A SELECT, and an UPDATE if nothing has changed since.
const COMPARE_AND_SET: u64 = 2;
const JOBS: u32 = 100;

/// The statements that a hundred jobs take more than one, for each kind of row. Servers get them in
/// parts that fit into one TLS record, because sqlx 0.9.0 loses 40 ms with longer statements.
fn parts_more(kind: Kind) -> u64 {
    u64::from(kind != Kind::Sqlite)
}

/// The statements that sqlx has logged, on all threads.
static STATEMENTS: AtomicU64 = AtomicU64::new(0);

struct Counter;

impl<S: tracing::Subscriber> Layer<S> for Counter {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            STATEMENTS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One test, because the counter is one for the process.
#[test]
fn a_flush_takes_few_statements_however_many_jobs_it_writes() {
    tracing_subscriber::registry().with(Counter).init();
    for kind in [Kind::Sqlite, Kind::Postgres, Kind::MySql] {
        let Some(database) = Database::or_say_so(kind) else { continue };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(count(kind, database.url()));
    }
}

async fn count(kind: Kind, url: &str) {
    let store = progress_sqlx::connect_any(url).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..JOBS {
        let job = store.create(&NewProgress::new("export").with_total(10)).await.unwrap();
        store.update(job.id, &ProgressUpdate::start()).await.unwrap();
        ids.push(job.id);
    }
    let advance = || Delta::new().with_succeeded(1).with_message("Sent");
    let entry = || advance().with_entry(NewEntry::error("550 no mailbox"));
    let all = &*ids;
    let more = parts_more(kind);
    let one = &ids[..1];
    for (what, ids, delta, expected) in [
        // The SELECT says that another writer was the last one.
        ("first counts of a writer", one, advance(), 1 + TRANSACTION),
        ("counts of one job", one, advance(), COMPARE_AND_SET),
        ("a heartbeat of one job", one, Delta::new(), COMPARE_AND_SET),
        ("counts of all jobs", all, advance(), TRANSACTION + more),
        ("heartbeats of all jobs", all, Delta::new(), TRANSACTION + more),
        ("an entry of one job", one, entry(), TRANSACTION + 1),
        ("entries of all jobs", all, entry(), TRANSACTION + more + 1),
    ] {
        let updates: Vec<_> = ids.iter().map(|id| (*id, update(delta.clone()))).collect();
        let before = STATEMENTS.load(Ordering::Relaxed);
        for outcome in store.update_many(&updates).await {
            outcome.unwrap();
        }
        let statements = STATEMENTS.load(Ordering::Relaxed) - before;
        println!("{kind:?}: {what}: {statements} statements");
        assert_eq!(statements, expected, "{kind:?}: {what}");
    }
}

/// The next update of the only writer.
fn update(delta: Delta) -> ProgressUpdate {
    static SEQ: AtomicU64 = AtomicU64::new(1);
    let seq = SEQ.fetch_add(1, Ordering::Relaxed);
    ProgressUpdate::advance(delta).with_stamp(Stamp { writer: Uuid::from_u128(1), seq })
}
