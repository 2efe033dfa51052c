//! Watches jobs from nine thousand connections at once: by polls every four seconds, by waiting
//! requests, and by event streams. Measures what a watcher costs the server while nothing changes,
//! and how soon watchers know of a change. `docs/scale.md` calculates with these figures.
//!
//! Run it with `cargo xtask bench watchers`, or one framework with
//! `cargo bench -p progress-tests --bench watchers -- axum`. It takes 5 minutes. Nine thousand is
//! what one process lets unidentified viewers wait by default. Each side needs as many open files.
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]
#![allow(clippy::cast_precision_loss, reason = "far below 2^52")]

#[path = "support/server.rs"]
mod server;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use self::server::{Connection, TestServer};

const WATCHERS: usize = 9_000;
const JOBS: [usize; 2] = [1, 1_000];
/// The pause between two polls of a page. actix-web closes connections that are idle for 5 s.
const PACE: Duration = Duration::from_secs(4);
/// How long the server is observed while nothing changes.
const QUIET: Duration = Duration::from_secs(5);

/// What the workers of the jobs have done when the watchers come.
const BEFORE: &str = "\"processed_items\":1,";
/// The change that the watchers wait for.
const AFTER: &str = "\"processed_items\":2,";

fn main() {
    let words: Vec<_> = std::env::args().collect();
    let is_named = |framework: &str| words.iter().any(|word| word == framework);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (framework, other) in [("axum", "actix"), ("actix", "axum")] {
        if is_named(other) && !is_named(framework) {
            continue;
        }
        for jobs in JOBS {
            for way in [Way::Poll, Way::Wait, Way::Events] {
                runtime.block_on(measure(framework, way, jobs));
            }
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
            Self::Poll => "polls every 4 s",
            Self::Wait => "waiting requests",
            Self::Events => "event streams",
        }
    }
}

async fn measure(framework: &str, way: Way, number_of_jobs: usize) {
    let server = TestServer::start(framework);
    let mut first = server.connect().await;
    let mut jobs = Vec::new();
    for _ in 0..number_of_jobs {
        // Without a total there is no estimate, which would change by itself.
        let job = first.create(r#"{"title": "Sending invoices"}"#).await;
        // One item now, and then nothing but heartbeats for an hour.
        let run = r#"{"items": 10000, "delay_us": 3600000000}"#;
        first.post(&format!("/test/jobs/{job}/run"), run).await;
        jobs.push(job);
    }
    // Until the workers have sent the item.
    sleep(Duration::from_secs(2)).await;
    let alone = server.load().await;
    let (memory, kernel_memory) = (server.memory(), kernel_memory());

    let begin = Instant::now() + Duration::from_secs(1);
    let ready = Arc::new(Semaphore::new(0));
    let mut tasks = JoinSet::new();
    for watcher in 0..WATCHERS {
        let address = server.address;
        let job = watcher % number_of_jobs;
        let path = format!("/progress/{}", jobs[job]);
        let turn = PACE * u32::try_from(watcher).unwrap() / u32::try_from(WATCHERS).unwrap();
        let ready = Arc::clone(&ready);
        tasks.spawn(async move {
            sleep_until(begin + turn).await;
            let connection = Connection::open(address).await;
            let known = watch(connection, &path, way, begin + turn + PACE, &ready).await;
            (job, known)
        });
    }
    let _ready = ready.acquire_many(u32::try_from(WATCHERS).unwrap()).await.unwrap();
    let quiet = server.load().await;
    let memory = server.memory().saturating_sub(memory) as f64 / 1_024.0 / WATCHERS as f64;
    let kernel = kernel_memory.abs_diff(self::kernel_memory()) as f64 / 1_024.0 / WATCHERS as f64;

    let cpu = server.cpu();
    let mut changed = Vec::new();
    let mut last = server.connect().await;
    for job in &jobs {
        changed.push(Instant::now());
        last.post(&format!("/test/jobs/{job}/update"), r#"{"succeeded": 1}"#).await;
    }
    let mut times = Vec::new();
    while let Some(outcome) = tasks.join_next().await {
        let (job, known) = outcome.unwrap();
        times.push(known.duration_since(changed[job]));
    }
    let each = (server.cpu() - cpu).as_secs_f64() * 1e6 / WATCHERS as f64;
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100].as_secs_f64() * 1e3;

    let of = format!("{framework}, {WATCHERS} watchers of {number_of_jobs} by {}", way.name());
    let (busy, busy_alone) = (quiet.processors, alone.processors);
    println!("{of}: processors, beside those of the jobs | {:.3} | - | -", busy - busy_alone);
    println!("{of}: reads of the store per second | {:.1} | - | -", quiet.reads - alone.reads);
    println!("{of}: memory of a watcher in the server | {memory:.1} KiB | - | -");
    println!("{of}: memory of its connection in the kernel, both ends | {kernel:.1} KiB | - | -");
    if way != Way::Poll {
        println!("{of}: processor time to tell a watcher of a change | {each:.0} us | - | -");
        println!("{of}: 99 of 100 know of a change after | {p99:.0} ms | - | -");
    }
}

/// What the server does while nothing changes, in a second.
struct Load {
    processors: f64,
    reads: f64,
}

impl TestServer {
    async fn load(&self) -> Load {
        let (cpu, reads, began) = (self.cpu(), self.reads().await, Instant::now());
        sleep(QUIET).await;
        let seconds = began.elapsed().as_secs_f64();
        Load {
            processors: (self.cpu() - cpu).as_secs_f64() / seconds,
            reads: (self.reads().await - reads) as f64 / seconds,
        }
    }

    /// Uses a new connection, because the server closes those that are idle.
    async fn reads(&self) -> u64 {
        let mut connection = self.connect().await;
        let counts = connection.ask("GET /test/counts HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let counts: serde_json::Value = serde_json::from_slice(counts.body).unwrap();
        counts["store_reads"].as_u64().unwrap()
    }

    /// Returns its resident memory in bytes.
    fn memory(&self) -> u64 {
        kilobytes(&format!("/proc/{}/status", self.server.id()), "VmRSS:")
    }
}

/// Returns the memory of all sockets and of other objects of the kernel, in bytes.
fn kernel_memory() -> u64 {
    kilobytes("/proc/meminfo", "Slab:")
}

fn kilobytes(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

/// Watches until the job has changed, and returns when that was seen.
async fn watch(
    mut connection: Connection,
    path: &str,
    way: Way,
    mut next: Instant,
    ready: &Semaphore,
) -> Instant {
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n{more}\r\n");
    if way == Way::Events {
        let request = get(&format!("{path}/events"), "");
        connection.stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        read_until(&mut connection, &mut text, BEFORE).await;
        ready.add_permits(1);
        read_until(&mut connection, &mut text, AFTER).await;
        return Instant::now();
    }
    let wait = if way == Way::Wait { "prefer: wait=25\r\n" } else { "" };
    let mut request = get(path, "");
    let mut is_first = true;
    loop {
        let answer = connection.ask(&request).await;
        if answer.head[9..].starts_with("200") {
            let body = std::str::from_utf8(answer.body).unwrap();
            if body.contains(AFTER) {
                return Instant::now();
            }
            // Another change, such as an estimate that has become too old.
            assert!(body.contains(BEFORE), "{body}");
            let tag = answer.header("etag").unwrap();
            request = get(path, &format!("if-none-match: {tag}\r\n{wait}"));
        }
        if std::mem::take(&mut is_first) {
            ready.add_permits(1);
        }
        if way == Way::Poll {
            sleep_until(next).await;
            next += PACE;
        }
    }
}

async fn read_until(connection: &mut Connection, text: &mut Vec<u8>, wanted: &str) {
    while !text.windows(wanted.len()).any(|part| part == wanted.as_bytes()) {
        assert_ne!(connection.stream.read_buf(text).await.unwrap(), 0, "the server has closed");
    }
}
