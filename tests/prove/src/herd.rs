//! All clients connect at once: at the start, and when a restarted server comes back.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::report::{Finding, Report};
use crate::testserver::{TestServer, block_on, in_both, path};

/// How long a page waits after a refused connection.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn run(report: &mut Report) {
    let clients = report.rounds(10_000, 1_000);
    in_both(report, clients.into(), |report, framework| {
        report.check(framework, || block_on(twice(framework, clients)));
    });
}

/// How many responses of each kind the clients got, and how long the slowest took.
#[derive(Default)]
struct Answers {
    kinds: BTreeMap<String, u32>,
    slowest: Duration,
}

impl Answers {
    fn add(&mut self, kind: String, time: Duration) {
        *self.kinds.entry(kind).or_default() += 1;
        self.slowest = self.slowest.max(time);
    }

    fn is_well(&self, clients: u32) -> bool {
        let allowed = ["200", "304", "429 with Retry-After", "503 with Retry-After"];
        self.kinds.values().sum::<u32>() == clients
            && self.kinds.keys().all(|kind| allowed.contains(&kind.as_str()))
            && self.kinds.contains_key("200")
    }
}

async fn twice(framework: &'static str, clients: u32) -> Finding {
    let server = TestServer::start(framework, &[]);
    let jobs = server.create_many(100).await;
    let barrier = Arc::new(Barrier::new(clients as usize + 1));
    let mut tasks = JoinSet::new();
    for (job, _) in jobs.iter().cycle().zip(0..clients) {
        tasks.spawn(page(server.address, path(job), Arc::clone(&barrier)));
    }
    // The phases: all start; all have been answered; the server is gone and all come again.
    barrier.wait().await;
    barrier.wait().await;
    let start_again = server.kill();
    barrier.wait().await;
    sleep(PAUSE).await;
    let _server = start_again();
    let (mut first, mut again) = (Answers::default(), Answers::default());
    while let Some(page) = tasks.join_next().await {
        let [(kind, time), (kind_again, time_again)] = page.unwrap();
        first.add(kind, time);
        again.add(kind_again, time_again);
    }
    let slowest_again = again.slowest.saturating_sub(PAUSE);
    Finding::new(
        first.is_well(clients) && again.is_well(clients),
        format_args!(
            "{:?} within {:.1?}; after a restart {:?} within {slowest_again:.1?}",
            first.kinds, first.slowest, again.kinds
        ),
        "200, 304, 429 or 503 with Retry-After",
    )
}

async fn page(server: SocketAddr, path: String, barrier: Arc<Barrier>) -> [(String, Duration); 2] {
    barrier.wait().await;
    let begun = Instant::now();
    let mut client = Client::connect(server).await;
    let first = match &mut client {
        Ok(client) => kind(client.get(&path, None, "").await),
        Err(error) => format!("no connection: {error}"),
    };
    let first = (first, begun.elapsed());
    barrier.wait().await;
    barrier.wait().await;
    // This connection leads to the old server.
    drop(client);
    let begun = Instant::now();
    let again = loop {
        match Client::connect(server).await {
            Ok(mut client) => break kind(client.get(&path, None, "").await),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => sleep(PAUSE).await,
            Err(error) => break format!("no connection: {error}"),
        }
    };
    [first, (again, begun.elapsed())]
}

fn kind(answer: std::io::Result<crate::client::Answer>) -> String {
    match answer {
        Ok(answer) if matches!(answer.status, 429 | 503) && answer.says_when_to_retry => {
            format!("{} with Retry-After", answer.status)
        }
        Ok(answer) => answer.status.to_string(),
        Err(error) => format!("no response: {error}"),
    }
}
