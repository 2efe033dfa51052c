//! Settings that an operator may choose for a server or a database: a store works as with the
//! defaults, also when a table is altered meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use progress_core::testing::conformance;
use progress_core::{Delta, Jobs, NewProgress, ProgressId, ProgressStore, ProgressUpdate};
use progress_sqlx::{MySqlStore, PostgresStore};
use sqlx::Executor;
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use sqlx::postgres::PgPool;

use crate::place::{Place, runtime};
use crate::report::{Finding, Report, Waiting};
use crate::session::Session;
use crate::worker::running;

/// Settings of a PostgreSQL database.
const POSTGRES: [&str; 16] = [
    "default_transaction_isolation = 'serializable'",
    "default_transaction_deferrable = on",
    "default_transaction_read_only = on",
    "statement_timeout = '5s'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '1ms'",
    "idle_session_timeout = '300ms'",
    "datestyle = 'German, DMY'",
    "timezone = 'Pacific/Chatham'",
    "search_path = elsewhere, public",
    "bytea_output = 'escape'",
    "extra_float_digits = -15",
    "client_min_messages = 'debug5'",
    "standard_conforming_strings = off",
    "plan_cache_mode = 'force_generic_plan'",
    "enable_seqscan = off",
];

/// Settings of a MariaDB server.
const MYSQL: [&str; 11] = [
    "autocommit = 0",
    "sql_mode = ''",
    "sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'",
    "sql_safe_updates = 1",
    "tx_isolation = 'SERIALIZABLE'",
    "tx_read_only = 1",
    "wait_timeout = 2",
    "interactive_timeout = 2",
    "innodb_lock_wait_timeout = 1",
    "time_zone = '+13:00'",
    "max_statement_time = 5",
];

/// How many reads are compared with the acknowledged counts.
const COUNTS: u64 = 50;
/// How often a table is altered while a job runs.
const ALTERATIONS: u32 = 4;

pub(crate) fn run(report: &mut Report) {
    let sequences = report.rounds(100, 10);
    for place in Place::servers() {
        let settings: &[&str] = if place.name == "postgres" { &POSTGRES } else { &MYSQL };
        // At quick scale, all settings together.
        let together = report.rounds(1, 100) as usize;
        for settings in settings.chunks(together) {
            let name = match settings {
                [one] => one.replace(' ', ""),
                _ => format!("all-{}", settings.len()),
            };
            let place = place.another();
            report.check(&format!("{}-{name}", place.name), || under(&place, settings, sequences));
        }
        if place.name == "postgres" {
            let other = place.another();
            let checks: [(&str, Waiting); 2] = [
                ("postgres-altered", Box::new(move || altered(&place, false))),
                ("postgres-control", Box::new(move || altered(&other, true).must_fail())),
            ];
            report.at_once(checks.map(|(name, check)| (name.to_owned(), check)));
        } else {
            report.check("mysql-control", || snapshots(&place).must_fail());
        }
    }
}

type Store = Arc<dyn ProgressStore>;

/// A store with connections of its own, and one that was given the application's pool.
async fn stores(place: &Place) -> [Store; 2] {
    let beside: Store = if place.name == "postgres" {
        Arc::new(PostgresStore::new(PgPool::connect(place.url()).await.unwrap()))
    } else {
        Arc::new(MySqlStore::new(MySqlPool::connect(place.url()).await.unwrap()))
    };
    [place.open().await, beside]
}

/// Runs the conformance suite, and reads what another store has just written.
fn under(place: &Place, settings: &[&str], sequences: u32) -> Finding {
    let runtime = runtime();
    let mut set = Set::new(place);
    runtime.block_on(set.apply(settings));
    runtime.block_on(async {
        for store in stores(place).await {
            conformance(store, sequences).await;
        }
        let [writer, beside] = stores(place).await;
        let mut behind = 0;
        for reader in stores(place).await.into_iter().chain([Arc::clone(&beside)]) {
            behind +=
                reads_behind(&writer, async |id| reader.get(id).await.unwrap().unwrap().succeeded)
                    .await;
        }
        Finding::new(
            behind == 0,
            format_args!(
                "0 differences in {sequences} sequences, {behind} of {} reads behind",
                3 * COUNTS
            ),
            "0, 0",
        )
    })
}

/// Returns how many reads did not find a count that had been acknowledged before.
async fn reads_behind(writer: &Store, read: impl AsyncFn(ProgressId) -> u64) -> u64 {
    let id = running(writer).await;
    let mut behind = 0;
    for count in 1..=COUNTS {
        let one = ProgressUpdate::advance(Delta::new().with_succeeded(1));
        writer.update(id, &one).await.unwrap();
        behind += u64::from(read(id).await != count);
    }
    behind
}

/// Control: reads like a program that relies on default session settings.
fn snapshots(place: &Place) -> Finding {
    runtime().block_on(async {
        let writer = place.open().await;
        let pool = MySqlPoolOptions::new().after_connect(|connection, _| {
            Box::pin(async move { connection.execute("SET autocommit = 0").await.map(|_| ()) })
        });
        let pool = pool.connect(place.url()).await.unwrap();
        let behind = reads_behind(&writer, async |id| {
            let read = sqlx::query_scalar("SELECT succeeded FROM progress_records WHERE id = ?");
            let count: i64 = read.bind(id.to_string()).fetch_one(&pool).await.unwrap();
            count.cast_unsigned()
        })
        .await;
        Finding::new(behind == 0, format_args!("{behind} of {COUNTS} reads behind"), "0")
    })
}

/// Settings that are reset when this is dropped, also after a panic.
struct Set {
    url: String,
    names: Vec<String>,
}

impl Set {
    fn new(place: &Place) -> Self {
        Self { url: place.url().to_owned(), names: Vec::new() }
    }

    async fn apply(&mut self, settings: &[&str]) {
        let mut session = Session::open(&self.url).await;
        let database = self.url.rsplit_once('/').expect("a database").1;
        for setting in settings {
            if self.url.starts_with("postgres") {
                // Dropped with the database, which belongs to the check.
                session.run(&format!("ALTER DATABASE {database} SET {setting}")).await;
            } else {
                self.names.push(setting.split(' ').next().unwrap_or_default().to_owned());
                session.run(&format!("SET GLOBAL {setting}")).await;
            }
        }
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        runtime().block_on(async {
            let mut session = Session::open(&self.url).await;
            for name in &self.names {
                // The server was started with the defaults.
                session.run(&format!("SET GLOBAL {name} = DEFAULT")).await;
            }
        });
    }
}

/// A job runs, pages poll and jobs are created while a column gets another type, which invalidates
/// prepared statements.
fn altered(place: &Place, is_control: bool) -> Finding {
    runtime().block_on(async {
        let store = place.open().await;
        let reader = place.open().await;
        let pool = is_control.then(|| PgPool::connect_lazy(place.url()).unwrap());
        let jobs = Jobs::new(Arc::clone(&store));
        let id = jobs.create(NewProgress::new("prove")).await.unwrap().id;
        let mut operator = Session::open(place.url()).await;
        let time = Duration::from_millis(1_200) * ALTERATIONS;
        let tracker = jobs.tracker(id).await.unwrap();
        let working = tokio::spawn(async move {
            let begun = Instant::now();
            let mut counted = 0;
            while begun.elapsed() < time {
                tracker.handle().inc(1);
                counted += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (counted, tracker.complete(()).await)
        });
        let polling = tokio::spawn(async move {
            let (begun, mut polls, mut refused) = (Instant::now(), 0, 0);
            while begun.elapsed() < time {
                let is_answered = match &pool {
                    Some(pool) => {
                        let read = sqlx::query("SELECT * FROM progress_records WHERE id = $1");
                        read.bind(id.to_string()).fetch_one(pool).await.is_ok()
                    }
                    None => {
                        let new = reader.create(&NewProgress::new("another")).await;
                        new.is_ok() && reader.get(id).await.is_ok()
                    }
                };
                polls += 1;
                refused += u32::from(!is_answered);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            (polls, refused)
        });
        for alteration in 0..ALTERATIONS {
            tokio::time::sleep(Duration::from_millis(1_100)).await;
            let length = 300 + alteration;
            let alter = "ALTER TABLE progress_records ALTER COLUMN title TYPE";
            operator.run(&format!("{alter} varchar({length})")).await;
        }
        let (counted, ended) = working.await.unwrap();
        let (polls, refused) = polling.await.unwrap();
        let kept = ended.map_or(0, |job| job.succeeded);
        Finding::new(
            kept == counted && refused == 0,
            format_args!(
                "completed with {kept} of {counted} counts, {refused} of {polls} polls failed, \
                 {ALTERATIONS} alterations"
            ),
            "all, 0",
        )
    })
}
