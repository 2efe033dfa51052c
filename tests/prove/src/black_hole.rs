//! A network that drops all traffic for a while, and that of its existing connections for good,
//! without notifying either side. Stores recover by themselves. A bare sqlx pool, the control, does
//! not (sqlx issue 4349).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use progress_core::{Delta, ProgressId, ProgressStore, ProgressUpdate, Stamp};
use progress_test_support::Network;
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Connection, MySqlConnection, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::place::{Place, open, runtime};
use crate::report::{Finding, Report, Waiting};
use crate::worker::{join_all, running};

const FINE_WITHIN: Duration = Duration::from_secs(10);
/// Twice the number of a pool's connections.
const CLIENTS: usize = 20;
/// Concurrent rounds. Each leaves dead connections on the server, which has few to spare.
const TOGETHER: usize = 5;
/// How long clients send requests before the loss.
const ALL_IS_WELL: Duration = Duration::from_millis(600);

pub(crate) fn run(report: &mut Report) {
    let rounds = report.rounds(20, 1);
    let patience = Duration::from_secs(report.rounds(30, 10).into());
    let mut checks: Vec<(String, Waiting)> = Vec::new();
    for place in Place::remote() {
        let (name, other) = (place.name.to_owned(), place.another());
        let control = format!("{name}-control");
        checks.push((name, Box::new(move || stores(&other, rounds))));
        if place.name == "redis" {
            // It has no pool. The controls are those of the databases.
            continue;
        }
        checks.push((control, Box::new(move || runtime().block_on(bare_pool(&place, patience)))));
    }
    report.at_once(checks);
}

/// Cuts off stores, a few at a time, each on its own database.
fn stores(place: &Place, count: u32) -> Finding {
    let numbers: Vec<_> = (0..count).collect();
    let mut outcomes = Vec::new();
    for numbers in numbers.chunks(TOGETHER) {
        let mut rounds = JoinSet::new();
        // Dead connections end with their runtime.
        let runtime = runtime();
        for number in numbers {
            // From one that ends before any write times out to one that outlasts the first pool.
            let outage = Duration::from_secs(2 + u64::from(number * 7 % 12));
            rounds.spawn_on(store(place.another(), outage), runtime.handle());
        }
        outcomes.append(&mut runtime.block_on(join_all(rounds)));
    }
    let is_in_time = |after: &Option<Duration>| after.is_some_and(|after| after <= FINE_WITHIN);
    let in_time = outcomes.iter().filter(|(after, _)| is_in_time(after)).count();
    let slowest = outcomes.iter().filter_map(|(after, _)| *after).max().unwrap_or(Duration::MAX);
    let difference: i128 = outcomes.iter().map(|(_, difference)| difference).sum();
    Finding::new(
        in_time == outcomes.len() && difference == 0,
        format_args!(
            "{in_time} of {count} recovered in time, after {slowest:.1?} at most, \
             {difference:+} counts compared with those acknowledged"
        ),
        format_args!("all within {FINE_WITHIN:?}, 0"),
    )
}

/// Returns how long all of a store's clients took to recover, and the difference between its counts
/// and the acknowledged ones.
async fn store(place: Place, outage: Duration) -> (Option<Duration>, i128) {
    let network = Network::before(place.url()).await;
    let store = open(network.url()).await;
    let direct = place.open().await;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let (store, job) = (Arc::clone(&store), running(&direct).await);
        let stamp = Stamp { writer: Uuid::new_v4(), seq: 1 };
        clients.push(if number % 4 == 0 {
            Client::Reader(store, job)
        } else {
            Client::Writer { store, job, stamp }
        });
    }
    // All writers, and so all connections, are lost inside a transaction, so that none recovers.
    let waiting = tokio::spawn(lock_all(place.name, place.url().to_owned()));
    let (after, clients) = survive(clients, &network, outage, 2 * FINE_WITHIN).await;
    waiting.await.unwrap();
    let mut difference = 0;
    for client in clients {
        if let Client::Writer { job, stamp, .. } = client {
            let kept = direct.get(job).await.unwrap().unwrap().succeeded;
            difference += i128::from(kept) - i128::from(stamp.seq - 1);
        }
    }
    (after, difference)
}

/// Locks all records, so that writers wait from just before the loss until after it.
async fn lock_all(database: &str, url: String) {
    tokio::time::sleep(ALL_IS_WELL / 2).await;
    if database == "postgres" {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let script =
            "BEGIN; SELECT id FROM progress_records FOR UPDATE; SELECT pg_sleep(0.5); COMMIT";
        sqlx::raw_sql(script).execute(&mut connection).await.unwrap();
    } else if database == "mysql" {
        let mut connection = MySqlConnection::connect(&url).await.unwrap();
        let script = "BEGIN; SELECT id FROM progress_records FOR UPDATE; DO sleep(0.5); COMMIT";
        sqlx::raw_sql(script).execute(&mut connection).await.unwrap();
    }
}

/// Control: the same with a bare pool and a deadline.
async fn bare_pool(place: &Place, patience: Duration) -> Finding {
    const CONNECTIONS: u32 = 10;
    let network = Network::before(place.url()).await;
    let client = if place.name == "postgres" {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(Duration::from_secs(5));
        Client::Postgres(pool.connect(network.url()).await.unwrap())
    } else {
        let pool = MySqlPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(Duration::from_secs(5));
        Client::MySql(pool.connect(network.url()).await.unwrap())
    };
    let clients = vec![client; CLIENTS];
    let (after, _) = survive(clients, &network, Duration::from_secs(2), patience).await;
    let figure = after.map_or_else(
        || format!("a bare sqlx pool has not recovered after {patience:?}"),
        |after| format!("a bare sqlx pool recovers after {after:.1?}"),
    );
    Finding::new(after.is_none(), figure, format_args!("not recovered after {FINE_WITHIN:?}"))
}

/// A client that sends one request after the other.
#[derive(Clone)]
enum Client {
    Reader(Arc<dyn ProgressStore>, ProgressId),
    /// Counts one by one; `stamp` is that of the next update.
    Writer {
        store: Arc<dyn ProgressStore>,
        job: ProgressId,
        stamp: Stamp,
    },
    Postgres(PgPool),
    MySql(MySqlPool),
}

impl Client {
    /// Sends one request; returns whether it succeeded.
    async fn ask(&mut self) -> bool {
        match self {
            Self::Reader(store, job) => store.get(*job).await.is_ok(),
            Self::Writer { store, job, stamp } => {
                let one =
                    ProgressUpdate::advance(Delta::new().with_succeeded(1)).with_stamp(*stamp);
                let is_fine = store.update(*job, &one).await.is_ok();
                stamp.seq += u64::from(is_fine);
                is_fine
            }
            Self::Postgres(pool) => {
                in_time(sqlx::query("SELECT pg_sleep(0.1)").execute(&*pool)).await
            }
            Self::MySql(pool) => in_time(sqlx::query("SELECT sleep(0.1)").execute(&*pool)).await,
        }
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, sqlx::Error>>) -> bool {
    tokio::time::timeout(Duration::from_secs(1), call).await.is_ok_and(|outcome| outcome.is_ok())
}

/// Runs clients over a network that drops all traffic for a while. Returns how long after the end
/// of the outage all of them had recovered for good; `None` if they did not within `patience`.
async fn survive(
    clients: Vec<Client>,
    network: &Network,
    outage: Duration,
    patience: Duration,
) -> (Option<Duration>, Vec<Client>) {
    let course = Arc::new(Course::new(clients.len()));
    let mut asking = JoinSet::new();
    for (number, client) in clients.into_iter().enumerate() {
        asking.spawn(keep_asking(client, number, Arc::clone(&course)));
    }
    tokio::time::sleep(ALL_IS_WELL).await;
    network.fall_silent();
    course.is_in_a_hurry.store(false, Ordering::Relaxed);
    tokio::time::sleep(outage).await;
    network.heal();
    let after = course.wait_until_fine(patience).await;
    course.is_over.store(true, Ordering::Relaxed);
    (after, join_all(asking).await)
}

async fn keep_asking(mut client: Client, number: usize, course: Arc<Course>) -> Client {
    while !course.is_over.load(Ordering::Relaxed) {
        let is_fine = client.ask().await;
        course.note(number, is_fine);
        if !course.is_in_a_hurry.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    client
}

/// Whether the requests of each client succeed.
struct Course {
    /// For each client, its first success since its last failure, and its latest success.
    fine: Mutex<Vec<Option<(Instant, Instant)>>>,
    is_in_a_hurry: AtomicBool,
    is_over: AtomicBool,
}

impl Course {
    fn new(clients: usize) -> Self {
        Self {
            fine: Mutex::new(vec![None; clients]),
            is_in_a_hurry: AtomicBool::new(true),
            is_over: AtomicBool::new(false),
        }
    }

    fn note(&self, client: usize, is_fine: bool) {
        let fine = &mut self.fine.lock().unwrap()[client];
        let now = Instant::now();
        *fine = is_fine.then(|| (fine.map_or(now, |(first, _)| first), now));
    }

    /// Returns after how long at least a second began in which all clients succeeded and none was
    /// stuck.
    async fn wait_until_fine(&self, patience: Duration) -> Option<Duration> {
        const A_WHILE: Duration = Duration::from_secs(1);
        const STUCK: Duration = Duration::from_millis(500);
        let healed = Instant::now();
        // Earlier successes do not count.
        self.fine.lock().unwrap().fill(None);
        while healed.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let fine: Option<Vec<_>> = self.fine.lock().unwrap().iter().copied().collect();
            let Some(fine) = fine else { continue };
            if fine
                .iter()
                .all(|(first, last)| first.elapsed() >= A_WHILE && last.elapsed() <= STUCK)
            {
                return fine.into_iter().map(|(first, _)| first - healed).max();
            }
        }
        None
    }
}
