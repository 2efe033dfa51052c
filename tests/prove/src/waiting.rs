//! Two thousand long polls: each is answered as soon as the job changes, and waiting adds no store
//! reads.

use std::sync::Arc;
use std::time::Duration;

use progress_core::{Delta, ProgressId, ProgressUpdate};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::{Client, percentile};
use crate::place::open;
use crate::report::{Finding, Report};
use crate::testserver::{TestServer, block_on, in_both, path};

const FEW: u32 = 20;
const SLOWEST: Duration = Duration::from_millis(250);
const MOST_READS: f64 = 5.0;
/// How long to wait until connections are closed.
const LONGEST: Duration = Duration::from_secs(30);
/// Time until all clients wait.
const SETTLE: Duration = Duration::from_millis(1_500);

pub(crate) fn run(report: &mut Report) {
    let waiters = report.rounds(2_000, 500);
    let rounds = report.rounds(10, 2);
    let slowest = report.at_most(SLOWEST);
    in_both(report, waiters.into(), |report, framework| {
        for (name, maker) in [("same-process", Maker::Server), ("other-process", Maker::Database)] {
            let name = format!("{framework}-{name}");
            report.check(&name, || block_on(told(framework, waiters, rounds, maker, slowest)));
        }
        report.check(&format!("{framework}-reads"), || block_on(reads(framework, waiters)));
        report.check(&format!("{framework}-hang-up"), || block_on(hang_up(framework, waiters)));
    });
    report.check("control", || {
        // Control: with a job for each client, the number of reads does grow.
        let (few, many) = block_on(async { (a_job_each(FEW).await, a_job_each(waiters).await) });
        Finding::new(
            // One read covers a hundred jobs: five times as many reads, if there is time for all of
            // them.
            many > 2.0 * few,
            format_args!("{FEW} jobs cost {few:.1} reads a second, {waiters} jobs {many:.1}"),
            "twice as many",
        )
    });
}

#[derive(Clone, Copy)]
enum Maker {
    Server,
    Database,
}

impl Maker {
    /// How long the server may take to notice a change. It polls the store for those of other
    /// processes, four times a second.
    fn found_after(self) -> Duration {
        match self {
            Self::Server => Duration::ZERO,
            Self::Database => Duration::from_millis(250),
        }
    }
}

/// A server with a running job that does not change by itself.
struct Waited {
    server: TestServer,
    id: String,
}

impl Waited {
    async fn start(framework: &'static str, more: &[&str]) -> Self {
        let server = TestServer::start(framework, more);
        let id = server.create(&json!({"total": 1_000})).await;
        // One item now, and nothing but heartbeats for an hour.
        server.run(&id, Duration::from_secs(3_600)).await;
        sleep(SETTLE).await;
        Self { server, id }
    }

    async fn tag(&self) -> String {
        let mut client = Client::connect(self.server.address).await.unwrap();
        client.get(&path(&self.id), None, "").await.unwrap().etag.unwrap()
    }

    /// Starts long polls, which are answered when the job changes.
    async fn wait(&self, waiters: u32) -> JoinSet<(Instant, u16, Client)> {
        let tag = self.tag().await;
        let mut tasks = JoinSet::new();
        for _ in 0..waiters {
            let (tag, path, address) = (tag.clone(), path(&self.id), self.server.address);
            tasks.spawn(async move {
                let mut client = Client::connect(address).await.unwrap();
                let answer = client.get(&path, Some(&tag), "prefer: wait=25\r\n").await.unwrap();
                (Instant::now(), answer.status, client)
            });
        }
        sleep(SETTLE).await;
        tasks
    }

    async fn change(&self, maker: Maker, store: &Arc<dyn progress_core::ProgressStore>) {
        match maker {
            Maker::Server => {
                let update = format!("/test/jobs/{}/update", self.id);
                self.server.post(&update, &json!({"succeeded": 1})).await;
            }
            Maker::Database => {
                let id: ProgressId = self.id.parse().unwrap();
                let one = ProgressUpdate::advance(Delta::new().with_succeeded(1));
                store.update(id, &one).await.unwrap();
            }
        }
    }
}

/// Measures how long after a change each client is told.
async fn told(
    framework: &'static str,
    waiters: u32,
    rounds: u32,
    maker: Maker,
    slowest: Duration,
) -> Finding {
    let slowest = slowest + maker.found_after();
    let waited = Waited::start(framework, &[]).await;
    let store = open(&waited.server.url()).await;
    let before = waited.server.sockets();
    let (mut times, mut unchanged, mut left) = (Vec::new(), 0, Duration::ZERO);
    for round in 0..rounds {
        let mut waiting = waited.wait(waiters).await;
        // At any moment between two reads of the store.
        sleep(Duration::from_millis(u64::from(round) * 250 / u64::from(rounds))).await;
        let begun = Instant::now();
        waited.change(maker, &store).await;
        while let Some(told) = waiting.join_next().await {
            let (at, status, client) = told.unwrap();
            times.push(at.saturating_duration_since(begun));
            unchanged += u32::from(status != 200);
            drop(client);
        }
        let gone = waited.server.until_sockets(before, LONGEST).await;
        left = left.max(gone.unwrap_or(LONGEST));
    }
    let asked = waited.server.reads_per_second(Duration::from_secs(2)).await;
    let (middle, slow) = (percentile(&mut times, 50), percentile(&mut times, 99));
    Finding::new(
        unchanged == 0 && slow <= slowest && left < LONGEST && asked == 0.0,
        format_args!(
            "median {middle:.1?}, p99 {slow:.1?}, {unchanged} of {} not told, \
             connections gone after {left:.1?}, {asked:.1} reads a second then",
            times.len()
        ),
        format_args!("{slowest:?}, 0, 30 s, 0"),
    )
}

async fn reads(framework: &'static str, waiters: u32) -> Finding {
    let waited = Waited::start(framework, &[]).await;
    let mut found = Vec::new();
    for waiters in [FEW, waiters] {
        let before = waited.server.reads().await;
        let waiting = waited.wait(waiters).await;
        let arriving = waited.server.reads().await - before;
        let while_waiting = waited.server.reads_per_second(Duration::from_secs(5)).await;
        drop(waiting);
        found.push((arriving, while_waiting));
        sleep(SETTLE).await;
    }
    let (few, many) = (found[0], found[1]);
    Finding::new(
        many.1 <= MOST_READS && many.1 <= few.1 + 1.0 && many.0 <= few.0 + 5,
        format_args!(
            "{FEW} waiters {} reads on arrival and {:.1} a second, {waiters} waiters {} and {:.1}",
            few.0, few.1, many.0, many.1
        ),
        "5 a second, and no more than for few",
    )
}

/// Clients that disconnect while they wait.
async fn hang_up(framework: &'static str, waiters: u32) -> Finding {
    let waited = Waited::start(framework, &[]).await;
    let before = waited.server.sockets();
    let tag = waited.tag().await;
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: prove\r\nif-none-match: {tag}\r\nprefer: wait=25\r\n\r\n",
        path(&waited.id)
    );
    let mut clients = Vec::new();
    for _ in 0..waiters {
        let mut client = Client::connect(waited.server.address).await.unwrap();
        client.stream.write_all(request.as_bytes()).await.unwrap();
        clients.push(client);
    }
    sleep(SETTLE).await;
    // Without a change, a record is read every 3 s.
    let meanwhile = waited.server.reads_per_second(Duration::from_secs(4)).await;
    drop(clients);
    let gone = waited.server.until_sockets(before, LONGEST).await;
    let begun = Instant::now();
    while waited.server.reads_per_second(Duration::from_secs(1)).await > 0.0
        && begun.elapsed() < Duration::from_secs(30)
    {}
    let asked = waited.server.reads_per_second(Duration::from_secs(2)).await;
    Finding::new(
        gone.is_some_and(|gone| gone <= Duration::from_secs(5)) && asked == 0.0 && meanwhile > 0.0,
        format_args!(
            "connections gone after {:.1?}, \
             {meanwhile:.1} reads a second before and {asked:.1} after",
            gone.unwrap_or(LONGEST)
        ),
        "5 s, 0",
    )
}

/// Returns the store reads per second while each client waits for a job of its own.
async fn a_job_each(waiters: u32) -> f64 {
    let server = TestServer::start("axum", &[]);
    let mut tasks = JoinSet::new();
    for id in server.create_many(waiters).await {
        let mut client = Client::connect(server.address).await.unwrap();
        tasks.spawn(async move { client.get(&path(&id), None, "prefer: wait=25\r\n").await });
    }
    sleep(SETTLE).await;
    server.reads_per_second(Duration::from_secs(3)).await
}
