//! Changes that another process makes: two thousand long polls hear of them from the store, which
//! is hardly read while nothing changes.

use std::sync::Arc;
use std::time::Duration;

use progress_core::{Delta, Jobs, NewProgress, ProgressId, ProgressStore, ProgressUpdate};
use progress_sqlx::PostgresStore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::{Client, percentile};
use crate::place::Place;
use crate::report::{Finding, Report};
use crate::testserver::{TestServer, block_on, path};

const SLOWEST: Duration = Duration::from_millis(100);
const MOST_READS: f64 = 0.5;
/// Time until all clients wait.
const SETTLE: Duration = Duration::from_millis(1_500);
/// How many jobs change at once, as in a flush of a worker.
const BATCH: usize = 128;

pub(crate) fn run(report: &mut Report) {
    let waiters = report.rounds(2_000, 500);
    let rounds = report.rounds(10, 2);
    let slowest = report.at_most(SLOWEST);
    let mut places = vec![Place::sqlite()];
    // Not on MySQL, which has no hints.
    places.extend(Place::remote().into_iter().filter(|place| place.name != "mysql"));
    for place in places {
        let name = place.name;
        // SQLite looks at its file twenty times a second, and does not say which job has changed:
        // each is read at most four times a second, and all are read and told one after the other.
        let (slowest, slowest_of_many) = match name {
            "sqlite" => {
                (slowest + Duration::from_millis(250), slowest + Duration::from_millis(500))
            }
            _ => (slowest, slowest),
        };
        let hints = name == "postgres";
        report.check(&format!("one-job/{name}"), || {
            block_on(told(&place, hints, waiters, 1, rounds, slowest))
        });
        report.check(&format!("a-job-each/{name}"), || {
            block_on(told(&place, hints, waiters, waiters, 1, slowest_of_many))
        });
        report.check(&format!("idle-reads/{name}"), || {
            let reads = block_on(idle_reads(&place, hints));
            Finding::new(
                reads <= MOST_READS,
                format_args!("{reads:.2} reads a second of a watched record"),
                MOST_READS,
            )
        });
        if name == "postgres" {
            report.check("control/postgres", || {
                // Control: without notifications, the record is read again and again.
                let reads = block_on(idle_reads(&place, false));
                Finding::new(reads >= 3.0, format_args!("{reads:.2} reads a second"), 3)
            });
        }
    }
}

/// Opens the records as another process does.
async fn open(place: &Place, notify: bool) -> Arc<dyn ProgressStore> {
    if notify {
        let store = PostgresStore::connect(place.url()).await.unwrap();
        return Arc::new(store.with_notify());
    }
    place.open().await
}

fn server(place: &Place, notify: bool) -> TestServer {
    let more: &[&str] = if notify { &["--notify"] } else { &[] };
    TestServer::start_at_store("axum", place.url(), more)
}

/// Measures how long after a change each client is told. The clients share this many jobs.
async fn told(
    place: &Place,
    notify: bool,
    waiters: u32,
    jobs: u32,
    rounds: u32,
    slowest: Duration,
) -> Finding {
    let server = server(place, notify);
    let store = open(place, notify).await;
    let mut ids = Vec::new();
    for _ in 0..jobs {
        ids.push(store.create(&NewProgress::new("test").with_total(1_000)).await.unwrap().id);
    }
    change(&store, &ids, &ProgressUpdate::start()).await;
    let (mut times, mut unchanged) = (Vec::new(), 0);
    for round in 0..rounds {
        let mut tasks = JoinSet::new();
        for waiter in 0..waiters {
            let (address, job) = (server.address, (waiter % jobs) as usize);
            let path = path(&ids[job].to_string());
            tasks.spawn(async move {
                let mut client = Client::connect(address).await.unwrap();
                let tag = client.get(&path, None, "").await.unwrap().etag.unwrap();
                let answer = client.get(&path, Some(&tag), "prefer: wait=25\r\n").await.unwrap();
                (job, Instant::now(), answer.status)
            });
        }
        sleep(SETTLE).await;
        sleep(Duration::from_millis(u64::from(round) * 250 / u64::from(rounds))).await;
        let one = ProgressUpdate::advance(Delta::new().with_succeeded(1));
        let changed = change(&store, &ids, &one).await;
        while let Some(told) = tasks.join_next().await {
            let (job, at, status) = told.unwrap();
            times.push(at.saturating_duration_since(changed[job / BATCH]));
            unchanged += u32::from(status != 200);
        }
    }
    let (middle, slow) = (percentile(&mut times, 50), percentile(&mut times, 99));
    Finding::new(
        unchanged == 0 && slow <= slowest,
        format_args!(
            "median {middle:.1?}, p99 {slow:.1?}, {unchanged} of {} not told",
            times.len()
        ),
        format_args!("{slowest:?}, 0"),
    )
}

/// Updates all jobs in batches, and returns when each batch was written.
async fn change(
    store: &Arc<dyn ProgressStore>,
    ids: &[ProgressId],
    update: &ProgressUpdate,
) -> Vec<Instant> {
    let mut written = Vec::new();
    for ids in ids.chunks(BATCH) {
        let batch: Vec<_> = ids.iter().map(|id| (*id, update.clone())).collect();
        assert!(store.update_many(&batch).await.iter().all(Result::is_ok));
        written.push(Instant::now());
        // Workers flush at different times.
        sleep(Duration::from_millis(100)).await;
    }
    written
}

/// Returns how often a server reads a job that runs in this process and sends only heartbeats.
async fn idle_reads(place: &Place, notify: bool) -> f64 {
    let server = server(place, notify);
    let jobs = Jobs::new(open(place, notify).await);
    let job = jobs.create(NewProgress::new("test")).await.unwrap();
    let tracker = jobs.tracker(job.id).await.unwrap();
    let mut clients = JoinSet::new();
    for _ in 0..20 {
        let (address, path) = (server.address, path(&job.id.to_string()));
        clients.spawn(async move {
            let mut client = Client::connect(address).await.unwrap();
            let tag = client.get(&path, None, "").await.unwrap().etag.unwrap();
            client.get(&path, Some(&tag), "prefer: wait=25\r\n").await.unwrap();
        });
    }
    sleep(SETTLE).await;
    let reads = server.reads_per_second(Duration::from_secs(20)).await;
    drop(clients);
    tracker.complete(()).await.unwrap();
    reads
}
