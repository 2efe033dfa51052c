//! The server that the benchmarks over sockets send requests to, and a client.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use progress_test_support::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A `testserver` on an SQLite file of its own.
pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl TestServer {
    pub(crate) fn start(framework: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = format!("sqlite:{}", folder.path().join("progress.db").display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_testserver"));
        command.args(["--framework", framework, "--store", &store]);
        let server = Server::start(&mut command);
        let address = server.base().strip_prefix("http://").unwrap().parse().unwrap();
        Self { server, address, _folder: folder }
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }

    /// Returns the CPU time of its threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.server.id())).unwrap();
        let times = threads.flatten().map(|thread| {
            let times = std::fs::read_to_string(thread.path().join("schedstat")).unwrap();
            let nanoseconds = times.split(' ').next().unwrap().parse().unwrap();
            Duration::from_nanos(nanoseconds)
        });
        times.sum()
    }
}

/// A connection with a minimal HTTP/1.1 client.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

/// A complete response.
pub(crate) struct Response<'a> {
    pub(crate) head: &'a str,
    pub(crate) body: &'a [u8],
}

impl Response<'_> {
    pub(crate) fn header(&self, wanted: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    }
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::with_capacity(4_096) }
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Response<'_> {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}");
        self.ask(&format!("{head}\r\n\r\n{body}")).await
    }

    /// Creates a job, and returns its id.
    pub(crate) async fn create(&mut self, job: &str) -> String {
        let created = self.post("/test/jobs", job).await;
        let created: serde_json::Value = serde_json::from_slice(created.body).unwrap();
        created["job_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn ask(&mut self, request: &str) -> Response<'_> {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.read.clear();
        loop {
            assert_ne!(self.stream.read_buf(&mut self.read).await.unwrap(), 0, "closed");
            let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let head = std::str::from_utf8(&self.read[..end]).unwrap();
            assert!(head[9..].starts_with('2') || &head[9..12] == "304", "{head}");
            let length = Response { head, body: &[] }.header("content-length").map(str::parse);
            let length: usize = if &head[9..12] == "304" { 0 } else { length.unwrap().unwrap() };
            if self.read.len() == end + 4 + length {
                let (head, body) = self.read.split_at(end + 4);
                return Response { head: std::str::from_utf8(head).unwrap(), body };
            }
        }
    }
}
