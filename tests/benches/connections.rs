//! Measures polls over sockets, beside a handler that does nothing. Both are in one server process
//! (`testserver`, on SQLite), and take turns, because speed drifts over time.
//!
//! - **closed**: 64, 1,000 and 10,000 connections poll one job, and send the next request at once.
//! - **open**: 1,000 pages poll a job each, every 500 ms.
//!
//! Run it with `cargo xtask bench connections`, or one part with
//! `cargo bench -p progress-tests --bench connections -- [closed] [open] [axum] [actix]`. All of it
//! takes 6 minutes, and needs 10,000 open files. Prints `figure | value | limit | ratio`: the value
//! of the polls, the limit of the ratio, and the median of the rounds' ratios to the handler.
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]
#![allow(clippy::cast_precision_loss, reason = "far below 2^52")]

#[path = "support/server.rs"]
mod server;

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use self::server::{Connection, TestServer};

const ROUNDS: u32 = 7;
const TURN: Duration = Duration::from_millis(1_000);

/// Pages that poll a job each.
const PAGES: u32 = 1_000;
const INTERVAL: Duration = Duration::from_millis(500);
const OPEN_ROUNDS: u32 = 3;
const OPEN_TURN: Duration = Duration::from_secs(4);

fn main() {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let wants = |word: &str, other: &str| {
        words.iter().any(|wanted| wanted == word) || words.iter().all(|wanted| wanted != other)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (framework, other) in [("axum", "actix"), ("actix", "axum")] {
        if !wants(framework, other) {
            continue;
        }
        if wants("closed", "open") {
            for connections in [64, 1_000, 10_000] {
                runtime.block_on(closed(framework, connections));
            }
        }
        if wants("open", "closed") {
            runtime.block_on(open(framework));
        }
    }
}

/// What is measured: the handler that does nothing, a poll of a page with an older version, a poll
/// of a page with this version, and a handler that reads the job with one `SELECT`. The aims apply
/// to the polls.
const ARMS: [(&str, bool); 4] =
    [("bare", false), ("200", true), ("304", true), ("one SELECT instead", false)];

/// Measures many connections that poll one job as often as they can.
async fn closed(framework: &str, connections: usize) {
    let server = TestServer::start(framework);
    let mut first = server.connect().await;
    let job = first.create_running().await;
    let requests = requests(&mut first, &job).await;
    let mut pages = Vec::new();
    for _ in 0..connections {
        pages.push(server.connect().await);
    }
    let mut turns: [Vec<Turn>; 4] = Default::default();
    // The first round fills pools and caches.
    for round in 0..=ROUNDS {
        for (request, turns) in requests.iter().zip(&mut turns) {
            let cpu = server.cpu();
            let mut tasks = JoinSet::new();
            let end = Instant::now() + TURN;
            for page in pages.drain(..) {
                tasks.spawn(page.poll_until(request.clone(), end));
            }
            let mut times = Vec::new();
            while let Some(page) = tasks.join_next().await {
                let (page, of_page) = page.unwrap();
                pages.push(page);
                times.extend(of_page);
            }
            if round > 0 {
                turns.push(Turn::new(times, server.cpu() - cpu));
            }
        }
    }
    let limits = match connections {
        64 => [">= 0.95", "-"],
        1_000 => ["-", "<= 2"],
        _ => ["-", "-"],
    };
    for ((arm, is_poll), polls) in ARMS.iter().zip(&turns).skip(1) {
        let name = format!("{framework}, {connections} connections on one job, {arm}");
        let limits = if *is_poll { limits } else { ["-", "-"] };
        print(&format!("{name}, requests per second"), polls, &turns[0], limits[0], |turn| {
            turn.times.len() as f64 / TURN.as_secs_f64()
        });
        print(&format!("{name}, p99 in ms"), polls, &turns[0], limits[1], Turn::p99);
        print(&format!("{name}, CPU in us"), polls, &turns[0], "-", Turn::cpu);
    }
}

/// Measures pages that poll a job each, at the pace that the server asks for.
async fn open(framework: &str) {
    let server = TestServer::start(framework);
    let mut first = server.connect().await;
    let mut jobs = Vec::new();
    for _ in 0..PAGES {
        let job = first.create_running().await;
        jobs.push(requests(&mut first, &job).await);
    }
    let mut pages = Vec::new();
    for requests in jobs {
        pages.push((server.connect().await, requests));
    }
    let mut turns: [Vec<Turn>; 4] = Default::default();
    for _ in 0..OPEN_ROUNDS {
        for (arm, turns) in turns.iter_mut().enumerate() {
            let mut tasks = JoinSet::new();
            let begin = Instant::now() + Duration::from_millis(50);
            for ((page, requests), nth) in pages.drain(..).zip(0..) {
                tasks.spawn(page.poll_each(requests, arm, begin + INTERVAL * nth / PAGES));
            }
            // The first polls may find fresh records or none.
            sleep_until(begin + INTERVAL).await;
            let cpu = server.cpu();
            sleep(OPEN_TURN - INTERVAL * 2).await;
            let cpu = server.cpu() - cpu;
            let mut times = Vec::new();
            while let Some(page) = tasks.join_next().await {
                let (page, requests, of_page) = page.unwrap();
                pages.push((page, requests));
                times.extend(of_page);
            }
            // The CPU time of a part of the turn stands for the whole.
            let share = (OPEN_TURN - INTERVAL * 2).as_secs_f64() / OPEN_TURN.as_secs_f64();
            turns.push(Turn::new(times, cpu.div_f64(share)));
        }
    }
    for ((arm, is_poll), polls) in ARMS.iter().zip(&turns).skip(1) {
        let name = format!("{framework}, {PAGES} pages of a job each, {arm}");
        let limit = if *is_poll { "<= 1.3" } else { "-" };
        print(&format!("{name}, CPU in us"), polls, &turns[0], limit, Turn::cpu);
        print(&format!("{name}, p99 in ms"), polls, &turns[0], "-", Turn::p99);
    }
}

/// Prints the median of a figure, and the median of its ratios to the handler that does nothing.
fn print(name: &str, polls: &[Turn], bare: &[Turn], limit: &str, figure: impl Fn(&Turn) -> f64) {
    let value = median(polls.iter().map(&figure));
    let ratio = median(polls.iter().zip(bare).map(|(poll, bare)| figure(poll) / figure(bare)));
    println!("{name} | {value:.1} | {limit} | {ratio:.2}");
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One kind of request during some seconds.
struct Turn {
    /// The response times, in order of size.
    times: Vec<Duration>,
    /// The CPU time of the server.
    cpu: Duration,
}

impl Turn {
    fn new(mut times: Vec<Duration>, cpu: Duration) -> Self {
        times.sort_unstable();
        Self { times, cpu }
    }

    /// In milliseconds.
    fn p99(&self) -> f64 {
        self.times[self.times.len() * 99 / 100].as_secs_f64() * 1e3
    }

    /// The CPU time of a request, in microseconds.
    fn cpu(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.times.len() as f64
    }
}

/// Returns the request of each arm.
async fn requests(connection: &mut Connection, job: &str) -> [String; 4] {
    let get = |path: &str, more: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nhost: app.example.com\r\naccept: application/json\r\n\
             accept-encoding: gzip, deflate, br, zstd\r\nsec-fetch-site: same-origin\r\n{more}\r\n"
        )
    };
    let path = format!("/progress/{job}");
    let first = connection.ask(&get(&path, "")).await;
    let etag = first.header("etag").unwrap();
    let known = get(&path, &format!("if-none-match: {etag}\r\n"));
    [get("/bare", ""), get(&path, ""), known, get(&format!("/select/{job}"), "")]
}

impl Connection {
    /// Creates a job and starts it. It has no worker, so nothing but its age changes.
    async fn create_running(&mut self) -> String {
        let id = self.create(r#"{"total": 10000, "title": "Sending invoices"}"#).await;
        let start = r#"{"transition": "start", "succeeded": 4711, "message": "Sent to Ann"}"#;
        self.post(&format!("/test/jobs/{id}/update"), start).await;
        id
    }

    /// Sends a request again and again. Returns the response times.
    async fn poll_until(mut self, request: String, end: Instant) -> (Self, Vec<Duration>) {
        let mut times = Vec::new();
        let mut now = Instant::now();
        while now < end {
            self.ask(&request).await;
            let then = std::mem::replace(&mut now, Instant::now());
            times.push(now - then);
        }
        (self, times)
    }

    /// Sends a request in each interval. Returns the response times, counted from when each was
    /// due.
    async fn poll_each(
        mut self,
        requests: [String; 4],
        arm: usize,
        mut due: Instant,
    ) -> (Self, [String; 4], Vec<Duration>) {
        let mut times = Vec::new();
        for _ in 0..OPEN_TURN.as_millis() / INTERVAL.as_millis() {
            sleep_until(due).await;
            self.ask(&requests[arm]).await;
            times.push(due.elapsed());
            due += INTERVAL;
        }
        (self, requests, times)
    }
}
