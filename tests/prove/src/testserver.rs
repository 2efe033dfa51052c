//! The server for HTTP checks, as a separate process.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use progress_test_support::Server;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Answer, Client};
use crate::place::runtime;
use crate::report::Report;

pub(crate) const FRAMEWORKS: [&str; 2] = ["axum", "actix"];

pub(crate) struct TestServer {
    server: Server,
    framework: &'static str,
    pub(crate) address: SocketAddr,
    folder: Arc<TempDir>,
}

impl TestServer {
    /// Starts one on a new SQLite file.
    pub(crate) fn start(framework: &'static str, more: &[&str]) -> Self {
        Self::start_on(framework, "127.0.0.1:0", Arc::new(tempfile::tempdir().unwrap()), more)
    }

    fn start_on(
        framework: &'static str,
        listen: &str,
        folder: Arc<TempDir>,
        more: &[&str],
    ) -> Self {
        let store = format!("sqlite:{}", folder.path().join("progress.db").display());
        Self::start_at(framework, listen, &store, folder, more)
    }

    /// Starts one on the records of others. Its own file stays empty.
    pub(crate) fn start_at_store(framework: &'static str, store: &str, more: &[&str]) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::start_at(framework, "127.0.0.1:0", store, folder, more)
    }

    fn start_at(
        framework: &'static str,
        listen: &str,
        store: &str,
        folder: Arc<TempDir>,
        more: &[&str],
    ) -> Self {
        let program = std::env::current_exe().unwrap().with_file_name("testserver");
        let mut command = Command::new(program);
        command.args(["--framework", framework, "--listen", listen, "--store", store]).args(more);
        let server = Server::start(&mut command);
        let address = server.base().strip_prefix("http://").unwrap().parse().unwrap();
        Self { server, framework, address, folder }
    }

    /// Kills it, and returns a function that starts it again with the same data and address.
    pub(crate) fn kill(self) -> impl FnOnce() -> Self {
        let (framework, address, folder) = (self.framework, self.address.to_string(), self.folder);
        self.server.kill();
        move || Self::start_on(framework, &address, folder, &[])
    }

    /// The address of its database.
    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("progress.db").display())
    }

    async fn ask(&self, asking: impl AsyncFnOnce(&mut Client) -> std::io::Result<Answer>) -> Value {
        // A separate connection, closed afterwards, so that no count of sockets includes it.
        let answer = asking(&mut Client::connect(self.address).await.unwrap()).await.unwrap();
        assert!(
            answer.status < 300,
            "{}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        serde_json::from_slice(&answer.body).unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        self.ask(async |client| client.post(path, body).await).await
    }

    /// Creates a job and returns its id.
    pub(crate) async fn create(&self, job: &Value) -> String {
        id(&self.post("/test/jobs", job).await)
    }

    /// Creates many jobs, on one connection, because a database file has a single writer.
    pub(crate) async fn create_many(&self, count: u32) -> Vec<String> {
        let mut client = Client::connect(self.address).await.unwrap();
        let mut ids = Vec::new();
        for _ in 0..count {
            let answer = client.post("/test/jobs", &json!({"total": 1_000_000})).await.unwrap();
            ids.push(id(&serde_json::from_slice(&answer.body).unwrap()));
        }
        ids
    }

    /// Runs a tracker on a job, one item each `delay`, until the server ends.
    pub(crate) async fn run(&self, id: &str, delay: Duration) {
        let run =
            json!({"items": 1_000_000_000, "delay_us": u64::try_from(delay.as_micros()).unwrap()});
        self.post(&format!("/test/jobs/{id}/run"), &run).await;
    }

    /// Returns how often its store has been read.
    pub(crate) async fn reads(&self) -> u64 {
        let counts = self.ask(async |client| client.get("/test/counts", None, "").await).await;
        counts["store_reads"].as_u64().unwrap()
    }

    /// Returns how often its store is read per second.
    pub(crate) async fn reads_per_second(&self, during: Duration) -> f64 {
        let (before, begun) = (self.reads().await, Instant::now());
        tokio::time::sleep(during).await;
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let reads = (self.reads().await - before) as f64;
        reads / begun.elapsed().as_secs_f64()
    }

    /// Returns how many sockets it has open.
    pub(crate) fn sockets(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.server.id())).unwrap();
        let targets = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    }

    /// Waits until at most `most` sockets are open. Returns how long that took; `None` if it takes
    /// longer than `patience`.
    pub(crate) async fn until_sockets(&self, most: usize, patience: Duration) -> Option<Duration> {
        let begun = Instant::now();
        while self.sockets() > most {
            if begun.elapsed() > patience {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(begun.elapsed())
    }

    /// Returns its peak memory, in MB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kilobytes.div_ceil(1_024)
    }
}

fn id(answer: &Value) -> String {
    answer["job_id"].as_str().unwrap().to_owned()
}

/// The path of a job's record.
pub(crate) fn path(id: &str) -> String {
    format!("/progress/{id}")
}

/// Runs a check in each framework, if this process and the server may have enough connections.
pub(crate) fn in_both(
    report: &mut Report,
    connections: u64,
    check: impl Fn(&mut Report, &'static str),
) {
    let wanted = connections + 100;
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        report.not_run("axum and actix", &format!("a process may not open {wanted} files"));
        return;
    }
    if limit.current.is_some_and(|current| current < wanted) {
        // The server inherits it.
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })
            .unwrap();
    }
    for framework in FRAMEWORKS {
        check(report, framework);
    }
}

/// Runs clients to their end.
pub(crate) fn block_on<T>(clients: impl Future<Output = T>) -> T {
    runtime().block_on(clients)
}
