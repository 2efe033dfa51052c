//! Watches a hundred jobs from nine thousand connections at once: by polls every five seconds, by
//! waiting requests, and by event streams. Measures what a watcher costs the server while nothing
//! changes, and how long it takes until all watchers know of a change. `docs/scale.md` calculates
//! with these figures.
//!
//! Run it with `cargo xtask bench watchers`. Nine thousand is what one process lets unidentified
//! viewers wait by default. Each side needs as many open files.
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]
#![allow(clippy::cast_precision_loss, reason = "far below 2^52")]

#[path = "../prove/src/client.rs"]
#[allow(dead_code, reason = "the torture suite uses all of it")]
mod client;
#[path = "support/server.rs"]
mod server;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::client::{Client, percentile};
use self::server::TestServer;

const WATCHERS: u32 = 9_000;
const JOBS: u32 = 100;
/// The pause between two polls of a page.
const PACE: Duration = Duration::from_secs(5);
/// How long the server is observed.
const QUIET: Duration = Duration::from_secs(10);
/// The longest time until a watcher knows of a change.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() {
    let watchers = if std::env::args().any(|word| word == "--quick") { 900 } else { WATCHERS };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let words: Vec<_> = std::env::args().collect();
    let is_named = |framework: &str| words.iter().any(|word| word == framework);
    let is_any_named = is_named("axum") || is_named("actix");
    for framework in ["axum", "actix"] {
        if is_any_named && !is_named(framework) {
            continue;
        }
        for way in [Way::Poll, Way::Wait, Way::Events] {
            runtime.block_on(measure(framework, way, watchers));
        }
    }
}

/// How a page learns of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Poll,
    Wait,
    Events,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Poll => "polls every 5 s",
            Self::Wait => "waiting requests",
            Self::Events => "event streams",
        }
    }
}

async fn measure(framework: &str, way: Way, watchers: u32) {
    let server = TestServer::start(framework);
    let mut jobs = Vec::new();
    for _ in 0..JOBS {
        let job = server.post("/test/jobs", &json!({"total": 1_000})).await;
        let id = job["job_id"].as_str().unwrap().to_owned();
        // One item now, and nothing but heartbeats for an hour.
        let run = json!({"items": 1_000, "delay_us": 3_600_000_000_u64});
        server.post(&format!("/test/jobs/{id}/run"), &run).await;
        jobs.push(id);
    }
    sleep(Duration::from_secs(1)).await;
    let memory = server.memory();
    let begin = Instant::now() + Duration::from_secs(3);
    let mut tasks = JoinSet::new();
    for watcher in 0..watchers {
        let client = Client::connect(server.address).await.unwrap();
        let path = format!("/progress/{}", jobs[(watcher % JOBS) as usize]);
        tasks.spawn(watch(client, path, way, begin + PACE * watcher / watchers));
    }
    sleep_until(begin + PACE + Duration::from_secs(1)).await;

    let (cpu, reads) = (server.cpu(), server.reads().await);
    sleep(QUIET).await;
    let seconds = QUIET.as_secs_f64();
    let busy = (server.cpu() - cpu).as_secs_f64() / seconds;
    let reads = (server.reads().await - reads) as f64 / seconds;
    let memory = server.memory().saturating_sub(memory) as f64 / 1_024.0 / f64::from(watchers);

    let cpu = server.cpu();
    for job in &jobs {
        server.post(&format!("/test/jobs/{job}/update"), &json!({"succeeded": 1})).await;
    }
    let changed = Instant::now();
    let mut times = Vec::new();
    while let Some(told) = tasks.join_next().await {
        times.push(told.unwrap().saturating_duration_since(changed));
    }
    let each = (server.cpu() - cpu).as_secs_f64() * 1e6 / f64::from(watchers);
    let p99 = percentile(&mut times, 99).as_secs_f64() * 1e3;
    let of = format!("{watchers} watchers of {JOBS} jobs by {}, {framework}", way.name());
    println!("processors while nothing changes, {of} | {busy:.3} | - | -");
    println!("reads of the store per second, {of} | {reads:.1} | - | -");
    println!("memory of a watcher, {of} | {memory:.1} KiB | - | -");
    println!("processor time to tell a watcher of a change, {of} | {each:.0} us | - | -");
    println!("until 99 of 100 know of a change of all jobs, {of} | {p99:.0} ms | - | -");
}

/// Watches until the job has changed, and returns when the change was seen.
async fn watch(mut client: Client, path: String, way: Way, begin: Instant) -> Instant {
    if way == Way::Events {
        return follow(client, &path).await;
    }
    let tag = client.get(&path, None, "").await.unwrap().etag;
    let wait = if way == Way::Wait { "prefer: wait=25\r\n" } else { "" };
    let mut next = begin;
    loop {
        if way == Way::Poll {
            sleep_until(next).await;
            next += PACE;
        }
        let answer = client.get(&path, tag.as_deref(), wait).await.unwrap();
        match answer.status {
            200 => return Instant::now(),
            status => assert_eq!(status, 304),
        }
    }
}

/// Reads an event stream. The first event is the current state, and the next record is the change.
async fn follow(mut client: Client, path: &str) -> Instant {
    use tokio::io::AsyncWriteExt as _;
    let request = format!("GET {path}/events HTTP/1.1\r\nhost: bench\r\n\r\n");
    client.stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    loop {
        let reading = timeout(PATIENCE + QUIET + PACE * 4, client.stream.read_buf(&mut text));
        assert_ne!(reading.await.unwrap().unwrap(), 0, "the server closed the stream");
        let changed = b"\"processed_items\":2";
        if text.windows(changed.len()).any(|part| part == changed) {
            return Instant::now();
        }
    }
}

impl TestServer {
    /// Uses a new connection, because the server closes those that are idle.
    async fn post(&self, path: &str, body: &Value) -> Value {
        let mut client = Client::connect(self.address).await.unwrap();
        let answer = client.post(path, body).await.unwrap();
        assert!(answer.status < 300, "{path}: {}", answer.status);
        serde_json::from_slice(&answer.body).unwrap()
    }

    async fn reads(&self) -> u64 {
        let mut client = Client::connect(self.address).await.unwrap();
        let counts = client.get("/test/counts", None, "").await.unwrap();
        let counts: Value = serde_json::from_slice(&counts.body).unwrap();
        counts["store_reads"].as_u64().unwrap()
    }

    /// Returns the processor time that it has used so far.
    fn cpu(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.server.id())).unwrap();
        let times = threads.flatten().map(|thread| {
            let times = std::fs::read_to_string(thread.path().join("schedstat")).unwrap();
            Duration::from_nanos(times.split(' ').next().unwrap().parse().unwrap())
        });
        times.sum()
    }

    /// Returns its resident memory in bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    }
}
