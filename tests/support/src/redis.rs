//! A Redis server of one test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Time limit for the server to become ready: many times what it needs under load.
const PATIENCE: Duration = Duration::from_secs(20);

/// A private Redis server on a free local port. Killed on drop, with its files.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    port: u16,
    options: Vec<String>,
    folder: TempDir,
}

impl RedisServer {
    /// Starts a server with these options beside the usual ones, such as `["--appendonly", "yes"]`.
    /// Returns `None` if there is no `redis-server`; the test is then reported as not run, which is
    /// a failure in CI.
    ///
    /// # Panics
    ///
    /// If the server does not start; in CI also if there is none.
    #[must_use]
    pub fn or_say_so(options: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            crate::not_run::say("install redis-server");
            return None;
        }
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder"));
        let mut all = vec!["--port".to_owned(), port.to_string()];
        all.extend(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"].map(str::to_owned));
        all.extend(options.iter().map(|&option| option.to_owned()));
        Some(Self::start(port, all, folder))
    }

    /// Starts a sentinel that watches this master under the name `main`, and replaces it when it
    /// has been silent for half a second.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn sentinel(&self) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder"));
        let file = folder.path().join("sentinel.conf");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n",
            self.port
        );
        std::fs::write(&file, settings).expect("a file");
        let file = file.to_str().expect("a name in UTF-8").to_owned();
        Self::start(port, vec![file, "--sentinel".to_owned()], folder)
    }

    /// Makes these servers, started with `--cluster-enabled yes`, one cluster.
    ///
    /// # Panics
    ///
    /// If they do not become one.
    pub fn join_into_cluster(servers: &[Self]) {
        const SLOTS: usize = 16_384;
        for (index, server) in servers.iter().enumerate() {
            let first = index * SLOTS / servers.len();
            let last = (index + 1) * SLOTS / servers.len() - 1;
            let answer = server.command(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"));
            assert_eq!(answer.expect("an answer"), "+OK");
            for other in servers {
                let info = other.command("CONFIG GET cluster-port").expect("an answer");
                let bus = info.lines().last().expect("a port").to_owned();
                let meet = format!("CLUSTER MEET 127.0.0.1 {} {bus}", other.port);
                assert_eq!(server.command(&meet).expect("an answer"), "+OK");
            }
        }
        let begun = Instant::now();
        let is_ready = |server: &Self| {
            server.command("CLUSTER INFO").is_ok_and(|info| {
                let nodes = format!("cluster_known_nodes:{}", servers.len());
                info.contains("cluster_state:ok") && info.contains(&nodes)
            })
        };
        while !servers.iter().all(is_ready) {
            assert!(begun.elapsed() < PATIENCE, "the servers are no cluster");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn start(port: u16, options: Vec<String>, folder: TempDir) -> Self {
        let child = spawn(&options, &folder);
        let server = Self { child, port, options, folder };
        server.wait_until_ready();
        server
    }

    /// Returns the address of its first database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server (SIGKILL).
    ///
    /// # Panics
    ///
    /// If it cannot be killed.
    pub fn kill(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("the server should end");
    }

    /// Sends the server a signal, such as `STOP` or `CONT`.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn signal(&self, name: &str) {
        let process = std::fs::read_to_string(self.folder.path().join("pid")).expect("its pid");
        let sent = Command::new("kill").arg(format!("-{name}")).arg(process.trim()).status();
        assert!(sent.expect("kill should run").success(), "the server does not run");
    }

    /// Starts a killed server again, with its files.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.options, &self.folder);
        self.wait_until_ready();
    }

    /// Sends a command in one line and returns the answer.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    pub fn command(&self, line: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("{line}\r\n").as_bytes())?;
        let mut answer = [0; 4_096];
        let length = stream.read(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer[..length]);
        Ok(answer.trim().to_owned())
    }

    fn wait_until_ready(&self) {
        let begun = Instant::now();
        let is_ready =
            |answer: String| ["+PONG", "-NOAUTH"].iter().any(|it| answer.starts_with(it));
        while !self.command("PING").is_ok_and(is_ready) {
            assert!(begun.elapsed() < PATIENCE, "redis-server is not ready");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Returns a port that is free now.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Starts the server below a shell that kills it when its input ends. So the server ends with this
/// process, whatever happens.
fn spawn(options: &[String], folder: &TempDir) -> Child {
    let mut command = Command::new("sh");
    command.arg("-c").arg("\"$@\" & server=$!; cat; kill -9 $server").arg("sh");
    command.arg("redis-server").args(options);
    command.arg("--pidfile").arg(folder.path().join("pid")).arg("--dir").arg(folder.path());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("sh should start")
}
