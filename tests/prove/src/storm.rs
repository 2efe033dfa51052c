//! Ten thousand pages, each polling every two seconds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::client::{Client, percentile};
use crate::report::{Finding, Report};
use crate::testserver::{TestServer, block_on, in_both, path};

const INTERVAL: Duration = Duration::from_secs(2);
const SLOWEST: Duration = Duration::from_millis(500);
const MOST_MEMORY: u64 = 400;
const MOST_READS: f64 = 5.0;

pub(crate) fn run(report: &mut Report) {
    let clients = report.rounds(10_000, 1_000);
    let time = Duration::from_secs(report.rounds(60, 6).into());
    let slowest = report.at_most(SLOWEST);
    in_both(report, clients.into(), |report, framework| {
        report.check(&format!("{framework}-one-job"), || {
            block_on(one_job(framework, clients, time, slowest))
        });
        report.check(&format!("{framework}-a-job-each"), || {
            block_on(a_job_each(framework, clients, time, slowest))
        });
        let time = Duration::from_millis(report.rounds(3_000, 500).into());
        report.check(&format!("{framework}-ratio"), || block_on(ratio(framework, time)));
    });
    report.check("control", || {
        // Control: without a cache, the polls cause many reads.
        let time = Duration::from_secs(4);
        let found = block_on(storm_on_one_job("axum", clients, time, &["--freshness-ms", "0"]));
        Finding::new(
            found.reads > 10.0 * MOST_READS,
            format_args!("{:.0} reads a second without the cache", found.reads),
            format_args!("more than {:.0}", 10.0 * MOST_READS),
        )
    });
}

struct Found {
    polls: usize,
    errors: BTreeMap<String, u32>,
    p99: Duration,
    memory: u64,
    /// Per second.
    reads: f64,
}

impl Found {
    fn is_well(&self, slowest: Duration) -> bool {
        self.errors.is_empty() && self.p99 <= slowest && self.memory <= MOST_MEMORY
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let errors: u32 = self.errors.values().sum();
        write!(f, "{} polls, {errors} errors, p99 {:.1?}, ", self.polls, self.p99)?;
        write!(f, "{} MB, {:.1} store reads a second", self.memory, self.reads)?;
        if errors > 0 { write!(f, " {:?}", self.errors) } else { Ok(()) }
    }
}

async fn one_job(
    framework: &'static str,
    clients: u32,
    time: Duration,
    slowest: Duration,
) -> Finding {
    let found = storm_on_one_job(framework, clients, time, &[]).await;
    Finding::new(
        found.is_well(slowest) && found.reads <= MOST_READS,
        &found,
        format_args!("0 errors, {slowest:?}, 400 MB, 5 reads a second"),
    )
}

async fn storm_on_one_job(
    framework: &'static str,
    clients: u32,
    time: Duration,
    more: &[&str],
) -> Found {
    let server = TestServer::start(framework, more);
    let jobs = server.create_many(20).await;
    let watched = (0..clients).map(|_| path(&jobs[0])).collect();
    storm(&server, &jobs, watched, time).await
}

async fn a_job_each(
    framework: &'static str,
    clients: u32,
    time: Duration,
    slowest: Duration,
) -> Finding {
    let server = TestServer::start(framework, &[]);
    let jobs = server.create_many(clients).await;
    let watched = jobs.iter().map(|id| path(id)).collect();
    let found = storm(&server, &jobs[..20], watched, time).await;
    Finding::new(found.is_well(slowest), &found, format_args!("0 errors, {slowest:?}, 400 MB"))
}

/// Each client polls its own path while work goes on for some jobs.
async fn storm(
    server: &TestServer,
    running: &[String],
    watched: Vec<String>,
    time: Duration,
) -> Found {
    for job in running {
        server.run(job, Duration::from_millis(10)).await;
    }
    let clients = u32::try_from(watched.len()).unwrap();
    let begin = Instant::now() + Duration::from_millis(200);
    let mut tasks = JoinSet::new();
    for (path, nth) in watched.into_iter().zip(0..) {
        // Evenly spread; `herd` checks clients that come at once.
        tasks.spawn(page(server.address, path, begin + INTERVAL * nth / clients, begin + time));
    }
    let reads = server.reads_per_second(time).await;
    let (mut times, mut errors) = (Vec::new(), BTreeMap::new());
    while let Some(page) = tasks.join_next().await {
        let (of_page, error) = page.unwrap();
        times.extend(of_page);
        if let Some(error) = error {
            *errors.entry(error).or_default() += 1;
        }
    }
    let polls = times.len();
    Found { polls, errors, p99: percentile(&mut times, 99), memory: server.peak_memory(), reads }
}

/// Polls as a page does. Returns the response times, counted from when each poll was due.
async fn page(
    server: SocketAddr,
    path: String,
    begin: Instant,
    end: Instant,
) -> (Vec<Duration>, Option<String>) {
    let mut times = Vec::new();
    let polling = async {
        let mut due = begin;
        sleep_until(due).await;
        let mut client = Client::connect(server).await?;
        let mut etag = None;
        while due < end {
            sleep_until(due).await;
            let answer = client.get(&path, etag.as_deref(), "").await?;
            times.push(due.elapsed());
            if !matches!(answer.status, 200 | 304) {
                return Err(std::io::Error::other(format!("status {}", answer.status)));
            }
            etag = answer.etag;
            due += INTERVAL;
        }
        Ok(())
    };
    let error = polling.await.err().map(|error| error.to_string());
    (times, error)
}

/// Compares the rate of polls with that of a bare handler. The client shares the processors each
/// time.
async fn ratio(framework: &'static str, time: Duration) -> Finding {
    const CONNECTIONS: u32 = 64;
    const TURNS: u32 = 3;
    let server = TestServer::start(framework, &[]);
    let job = server.create(&json!({"total": 1_000_000, "title": "Sending invoices"})).await;
    server.run(&job, Duration::from_millis(10)).await;
    let idle = server.create(&json!({"total": 1_000_000, "title": "Sending invoices"})).await;
    let idle = path(&idle);
    let known =
        Client::connect(server.address).await.unwrap().get(&idle, None, "").await.unwrap().etag;
    let (mut bare, mut whole, mut same) = (0, 0, 0);
    for _ in 0..TURNS {
        bare += closed_loop(server.address, "/bare", None, CONNECTIONS, time).await;
        whole += closed_loop(server.address, &path(&job), None, CONNECTIONS, time).await;
        same += closed_loop(server.address, &idle, known.as_deref(), CONNECTIONS, time).await;
    }
    let second = |polls: u32| f64::from(polls) / (time * TURNS).as_secs_f64();
    Finding::new(
        true,
        format_args!(
            "200 {:.2}, 304 {:.2} of {:.0} requests a second",
            second(whole) / second(bare),
            second(same) / second(bare),
            second(bare)
        ),
        "no limit here, 0.9 by design",
    )
}

/// Returns how many requests are answered if each connection sends the next one at once.
async fn closed_loop(
    server: SocketAddr,
    path: &str,
    etag: Option<&str>,
    connections: u32,
    time: Duration,
) -> u32 {
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let (path, etag) = (path.to_owned(), etag.map(str::to_owned));
        tasks.spawn(async move {
            let mut client = Client::connect(server).await.unwrap();
            let (begun, mut answers) = (Instant::now(), 0);
            while begun.elapsed() < time {
                let answer = client.get(&path, etag.as_deref(), "").await.unwrap();
                assert!(matches!(answer.status, 200 | 304), "status {}", answer.status);
                answers += 1;
            }
            answers
        });
    }
    tasks.join_all().await.into_iter().sum()
}
