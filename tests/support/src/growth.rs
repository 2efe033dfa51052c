//! The calls of a store beside a growing number of finished records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use progress_core::{
    Completion, Cursor, Delta, NewProgress, ProgressId, ProgressQuery, ProgressStore,
    ProgressUpdate, Stamp, Status,
};
use sqlx::{AssertSqlSafe, Connection as _};
use uuid::Uuid;

const SIZES: [u64; 2] = [1_000, 1_000_000];
/// Calls of each kind; their median is printed.
const CALLS: usize = 41;
/// The first calls prepare statements and fill caches.
const WARM_UP: usize = 6;
/// Calls of at least this duration are repeated less often.
const SLOW: Duration = Duration::from_millis(100);
/// The time between two records. A million of them is younger than the retention.
pub const SPACING: Duration = Duration::from_secs(2);
const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const RUNNING: usize = 100;
const OLD: u32 = 500;
/// Records are inserted in transactions of this size.
const CHUNK: u64 = 100_000;

/// Fills a store with finished records faster than by its calls.
#[allow(async_fn_in_trait, reason = "benchmarks await it where they call it")]
pub trait Fill {
    /// Adds the records with the numbers from `from` to below `to`, each [`SPACING`] older than the
    /// one before; number 0 has this age. Each has one owner of ten (`owner 7`) and one type of ten
    /// (`type 7`), an entry, and a stamp. One of seven has failed, and none was cancelled.
    async fn fill(&mut self, from: u64, to: u64, age: Duration);

    /// Does at once what a server does by itself after a while.
    async fn settle(&mut self);
}

/// Measures the calls of a store that contains nothing else. Prints for each call
/// `figure | value | limit | ratio | aim`: the median beside the largest number of records, that
/// beside the smallest, and their ratio. Returns the largest number.
///
/// # Panics
///
/// If a call fails, or finds other records than it should.
pub async fn measure_growth(
    name: &str,
    store: Arc<dyn ProgressStore>,
    filler: &mut impl Fill,
    sizes: &[u64],
) -> u64 {
    let sizes = if sizes.is_empty() { &SIZES[..] } else { sizes };
    let (mut columns, mut filled) = (Vec::new(), 0);
    for size in sizes {
        filler.fill(filled, *size, Duration::from_secs(3_600)).await;
        filled = *size;
        filler.settle().await;
        columns.push(measure(&store, filler, *size).await);
        println!("{name}: measured beside {size} records");
    }
    let (Some(few), Some(many)) = (columns.first(), columns.last()) else { return filled };
    for ((call, few), (_, many)) in few.0.iter().zip(&many.0) {
        let (few, many) = (few.as_secs_f64() * 1e3, many.as_secs_f64() * 1e3);
        println!("{call}, {name} | {many:.3} ms | {few:.3} ms | {:.2} | <= 2", many / few);
    }
    filled
}

/// A connection that fills the tables of a database.
#[derive(Debug)]
pub struct SqlFiller {
    connection: Connection,
    /// When it was opened, so that the records of several calls follow one another.
    opened_at: DateTime<Utc>,
}

#[derive(Debug)]
enum Connection {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
    MySql(sqlx::MySqlConnection),
}

impl SqlFiller {
    /// Connects to a database that has the tables of the store.
    ///
    /// # Panics
    ///
    /// If it cannot connect.
    pub async fn open(url: &str) -> Self {
        let connection = match url.split_once(':').map_or("", |(scheme, _)| scheme) {
            "sqlite" => Connection::Sqlite(sqlx::SqliteConnection::connect(url).await.unwrap()),
            "mysql" => Connection::MySql(sqlx::MySqlConnection::connect(url).await.unwrap()),
            _ => Connection::Postgres(sqlx::PgConnection::connect(url).await.unwrap()),
        };
        Self { connection, opened_at: Utc::now() }
    }

    /// Runs statements.
    ///
    /// # Panics
    ///
    /// If one of them fails.
    pub async fn execute(&mut self, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match &mut self.connection {
            Connection::Sqlite(connection) => drop(sql.execute(connection).await.unwrap()),
            Connection::Postgres(connection) => drop(sql.execute(connection).await.unwrap()),
            Connection::MySql(connection) => drop(sql.execute(connection).await.unwrap()),
        }
    }
}

impl Fill for SqlFiller {
    async fn fill(&mut self, from: u64, to: u64, age: Duration) {
        let (id, joined) = match self.connection {
            Connection::Sqlite(_) => (
                "lower(printf('%s-%s-4%s-8%s-%s', hex(randomblob(4)), hex(randomblob(2)), \
                 substr(hex(randomblob(2)), 2), substr(hex(randomblob(2)), 2), \
                 hex(randomblob(6))))",
                "'owner ' || (n % 10), 'type ' || (n / 10 % 10)",
            ),
            Connection::Postgres(_) => {
                ("gen_random_uuid()::text", "'owner ' || (n % 10), 'type ' || (n / 10 % 10)")
            }
            Connection::MySql(_) => (
                "insert(insert(insert(insert(md5(concat(n, rand())), 9, 0, '-'), 14, 1, '-4'), \
                 19, 1, '-8'), 24, 0, '-')",
                "concat('owner ', n % 10), concat('type ', n DIV 10 % 10)",
            ),
        };
        let digits = "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 \
            UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 \
            UNION ALL SELECT 8 UNION ALL SELECT 9)";
        let age = i64::try_from(age.as_millis()).unwrap();
        let newest = self.opened_at.timestamp_millis() - age;
        for begin in (from..to).step_by(usize::try_from(CHUNK).unwrap()) {
            let count = CHUNK.min(to - begin);
            let numbers = format!(
                "(SELECT {begin} + a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d AS n \
                 FROM {digits} a, {digits} b, {digits} c, {digits} d, {digits} e) numbers \
                 WHERE n < {begin} + {count}"
            );
            let at = format!("{newest} - n * {}", SPACING.as_millis());
            self.execute(&format!(
                "BEGIN; \
                 INSERT INTO progress_records (id, owner, task_type, status, total, succeeded, \
                 failed, cancel_requested, auto_complete, lease, workers, pace, last_entry, \
                 version, created_at, started_at, updated_at, heartbeat_at, finished_at, writer, \
                 seq) SELECT {id}, {joined}, CASE WHEN n % 7 = 0 THEN 'failed' ELSE 'completed' \
                 END, 1000, 1000, 0, 0, 0, 45000, 0, 0, 1, 9, {at}, {at}, {at}, {at}, {at}, \
                 'ffffffff-ffff-4fff-8fff-ffffffffffff', 9 FROM {numbers}; \
                 INSERT INTO progress_entries (progress_id, seq, at, level, item, message) \
                 SELECT id, 1, created_at, 'info', NULL, 'line' FROM progress_records \
                 WHERE created_at > {newest} - ({begin} + {count}) * {spacing} \
                 AND created_at <= {newest} - {begin} * {spacing} AND finished_at IS NOT NULL; \
                 INSERT INTO progress_writers (progress_id, writer, seq) \
                 SELECT id, 'eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee', 1 FROM progress_records \
                 WHERE created_at > {newest} - ({begin} + {count}) * {spacing} \
                 AND created_at <= {newest} - {begin} * {spacing} AND finished_at IS NOT NULL; \
                 COMMIT",
                spacing = SPACING.as_millis(),
            ))
            .await;
        }
    }

    async fn settle(&mut self) {
        match self.connection {
            Connection::Sqlite(_) => self.execute("PRAGMA wal_checkpoint(TRUNCATE)").await,
            Connection::Postgres(_) => {
                // VACUUM has to be alone.
                self.execute("VACUUM ANALYZE").await;
                self.execute("CHECKPOINT").await;
            }
            Connection::MySql(_) => {
                self.execute("ANALYZE TABLE progress_records, progress_entries, progress_writers")
                    .await;
            }
        }
    }
}

/// The medians of one size, by the name of the call.
struct Column(Vec<(&'static str, Duration)>);

impl Column {
    /// Measures a call several times.
    async fn time(&mut self, name: &'static str, mut call: impl AsyncFnMut()) {
        let mut times = Vec::with_capacity(CALLS);
        for round in 0..CALLS + WARM_UP {
            let begun = Instant::now();
            call().await;
            let is_slow = begun.elapsed() > SLOW;
            if round >= WARM_UP || is_slow {
                times.push(begun.elapsed());
            }
            // More calls would say no more.
            if is_slow && times.len() >= 3 {
                break;
            }
        }
        self.0.push((name, median(times)));
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

async fn measure(store: &Arc<dyn ProgressStore>, filler: &mut impl Fill, size: u64) -> Column {
    let mut column = Column(Vec::new());
    let page = || ProgressQuery::new().with_limit(50);
    let mut place = store.list(&page()).await.unwrap().items.remove(0);
    let middle = TimeDelta::seconds(i64::try_from(size * SPACING.as_secs() / 2).unwrap());
    place.created_at -= middle;
    let cursor = Cursor::of(&place);
    let list = async |query: &ProgressQuery, expected: Option<usize>| {
        let found = store.list(query).await.unwrap().items.len();
        assert!(expected.is_none_or(|expected| found == expected), "{found} found by {query:?}");
    };
    let owned = || page().with_owner("owner 7");
    let (unknown, none) = ("unknown type", Status::Cancelled);
    for (name, query, expected) in [
        ("list", page(), Some(50)),
        ("list, cursor in the middle", page().with_cursor(cursor), Some(50)),
        ("list of an owner", owned(), Some(50)),
        ("list of an unknown owner", page().with_owner("unknown owner"), Some(0)),
        ("completed", page().with_status(Status::Completed), Some(50)),
        (
            "failed, cursor in the middle",
            page().with_status(Status::Failed).with_cursor(cursor),
            Some(50),
        ),
        ("finished", page().with_finished(), Some(50)),
        ("a status nothing has", page().with_status(none), Some(0)),
        ("active, nothing is", page().with_active(), Some(0)),
        ("active of an owner, nothing is", owned().with_active(), Some(0)),
        ("one type of ten", page().with_task_type("type 7"), Some(50)),
        ("an unknown type", page().with_task_type(unknown), Some(0)),
        (
            "a type and a status nothing has",
            page().with_task_type("type 7").with_status(none),
            Some(0),
        ),
        ("an owner and a status nothing has", owned().with_status(none), Some(0)),
        ("an owner and an unknown type", owned().with_task_type(unknown), Some(0)),
        (
            "an owner, a type and no status",
            owned().with_task_type("type 7").with_status(none),
            Some(0),
        ),
    ] {
        column.time(name, async || list(&query, expected).await).await;
    }

    let mut jobs: Vec<ProgressId> = Vec::new();
    column
        .time("create", async || {
            let job = NewProgress::new("type 7").with_owner("owner 7").with_total(1_000);
            jobs.push(store.create(&job).await.unwrap().id);
        })
        .await;
    while jobs.len() < RUNNING {
        jobs.push(store.create(&NewProgress::new("type 7")).await.unwrap().id);
    }
    let mut next = jobs.iter();
    column
        .time("start", async || {
            drop(store.update(*next.next().unwrap(), &ProgressUpdate::start()).await.unwrap());
        })
        .await;
    for id in next {
        store.update(*id, &ProgressUpdate::start()).await.unwrap();
    }
    let active = jobs.len().min(50);
    column.time("active, 100 are", async || list(&page().with_active(), Some(active)).await).await;
    column
        .time("heartbeats of 100", async || {
            assert_eq!(store.heartbeats().await.unwrap().len(), jobs.len());
        })
        .await;
    column.time("get", async || assert!(store.get(jobs[0]).await.unwrap().is_some())).await;
    let mut seq = 0;
    column
        .time("update", async || {
            seq += 1;
            let delta = Delta::new().with_succeeded(1).with_message("line 4,711 of 10,000");
            let stamp = Stamp { writer: Uuid::from_u128(1), seq };
            let update = ProgressUpdate::advance(delta).with_stamp(stamp);
            drop(store.update(jobs[0], &update).await.unwrap());
        })
        .await;
    let mut next = jobs.iter();
    column
        .time("complete", async || {
            let ending = ProgressUpdate::complete(Delta::new(), Completion::new());
            drop(store.update(*next.next().unwrap(), &ending).await.unwrap());
        })
        .await;
    for id in next {
        store.update(*id, &ProgressUpdate::cancel(Delta::new())).await.unwrap();
    }
    column
        .time("unannounced, nothing is", async || {
            assert!(store.unannounced(100).await.unwrap().is_empty());
        })
        .await;
    column
        .time("delete_finished, nothing is old", async || {
            assert_eq!(store.delete_finished(RETENTION, OLD).await.unwrap(), 0);
        })
        .await;
    let mut times = Vec::new();
    for _ in 0..5 {
        filler.fill(0, u64::from(OLD), RETENTION * 2).await;
        let begun = Instant::now();
        assert_eq!(store.delete_finished(RETENTION, OLD).await.unwrap(), u64::from(OLD));
        times.push(begun.elapsed());
    }
    column.0.push(("delete_finished, 500 are old", median(times)));
    // The next size must find nothing active, and no cancelled record.
    for id in jobs {
        store.delete(id).await.unwrap();
    }
    column
}
