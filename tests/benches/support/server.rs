//! The server that the benchmarks over sockets send requests to.

use std::net::SocketAddr;
use std::process::Command;

use progress_test_support::Server;

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
}
