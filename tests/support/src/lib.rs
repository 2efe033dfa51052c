//! Shared test helpers: a program that is started, queried over HTTP and always stopped; a browser;
//! a network that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests report failures by panicking")]

#[cfg(feature = "browser")]
mod browser;
mod database;
mod growth;
mod network;
mod not_run;
mod quick_start;
mod redis;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

#[cfg(feature = "browser")]
pub use crate::browser::{Bar, Browser, Shown};
pub use crate::database::{Database, Kind};
pub use crate::growth::{Fill, SPACING, SqlFiller, measure_growth};
pub use crate::network::Network;
pub use crate::quick_start::try_quick_start;
pub use crate::redis::{RedisServer, free_port};

/// A program that runs until it is stopped. Killed on drop.
#[derive(Debug)]
pub struct Program {
    child: Child,
    ready_line: String,
}

/// A program that serves HTTP, and prints `listening on http://ADDRESS` as its first line. Killed
/// on drop.
#[derive(Debug)]
pub struct Server {
    program: Program,
    base: String,
    agent: ureq::Agent,
}

/// A response, with its whole body.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The `Set-Cookie` header.
    pub cookie: Option<String>,
    /// The body as JSON; null if it is not JSON.
    pub json: Value,
    /// The body as text.
    pub text: String,
}

impl Program {
    /// Starts a program and waits for its first line, the sign that it is ready.
    ///
    /// # Panics
    ///
    /// If it does not start, or ends without printing a line.
    pub fn start(command: &mut Command) -> Self {
        Self::start_until(command, |_| true)
    }

    /// Starts a program and waits for the line that shows that it is ready.
    fn start_until(command: &mut Command, is_ready: impl Fn(&str) -> bool) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program should start");
        let stdout = child.stdout.take().expect("a pipe");
        // Created before the wait, so that a program that is never ready is killed as well.
        let mut program = Self { child, ready_line: String::new() };
        let mut lines = BufReader::new(stdout).lines().map(|line| line.expect("a line"));
        let ready = lines
            .find(|line| is_ready(line.trim()))
            .expect("the program ended before it was ready");
        ready.trim().clone_into(&mut program.ready_line);
        program
    }

    /// Kills the program without a warning, as `kill -9` does.
    ///
    /// # Panics
    ///
    /// If it has already ended.
    pub fn kill(mut self) {
        self.child.kill().expect("the program should still run");
        self.child.wait().expect("the program should end");
    }

    /// Sends SIGTERM to the program and waits until it has ended.
    ///
    /// # Panics
    ///
    /// If it does not end in time.
    pub fn terminate(mut self, patience: Duration) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("the state of the program") {
                return status;
            }
            assert!(Instant::now() < deadline, "still running {patience:?} after SIGTERM");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a program and waits for its first line.
    ///
    /// # Panics
    ///
    /// If it does not start, or prints another line.
    pub fn start(command: &mut Command) -> Self {
        let program = Program::start(command);
        let line = &program.ready_line;
        let base = line
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("unexpected first line: {line:?}"))
            .to_owned();
        // An error status is a response like any other here.
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)));
        Self { program, base, agent: config.build().into() }
    }

    /// Returns the address, such as `http://127.0.0.1:49152`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Returns the process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.program.child.id()
    }

    /// Sends a GET request.
    ///
    /// # Panics
    ///
    /// If there is no response.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    /// Sends a GET request with headers.
    ///
    /// # Panics
    ///
    /// If there is no response.
    #[must_use]
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.agent.get(self.url(path));
        answer(
            headers
                .iter()
                .fold(request, |request, (name, value)| request.header(*name, *value))
                .call(),
        )
    }

    /// Sends a POST request with a body of this content type.
    ///
    /// # Panics
    ///
    /// If there is no response.
    #[must_use]
    pub fn post(&self, path: &str, content_type: &str, body: &str) -> Answer {
        self.post_with(path, &[("content-type", content_type)], body)
    }

    /// Sends a POST request with headers and a body.
    ///
    /// # Panics
    ///
    /// If there is no response.
    #[must_use]
    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = self.agent.post(self.url(path));
        answer(
            headers
                .iter()
                .fold(request, |request, (name, value)| request.header(*name, *value))
                .send(body),
        )
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Sends GET requests until the JSON of a response satisfies `is_so`, and returns it.
    ///
    /// # Panics
    ///
    /// If none does in time.
    pub fn wait_for(
        &self,
        path: &str,
        patience: Duration,
        is_so: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + patience;
        loop {
            let answer = self.get(path);
            if is_so(&answer.json) {
                return answer.json;
            }
            assert!(Instant::now() < deadline, "no match after {patience:?}: {}", answer.text);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills the program, as [`Program::kill`] does.
    pub fn kill(self) {
        self.program.kill();
    }

    /// Ends the program, as [`Program::terminate`] does.
    pub fn terminate(self, patience: Duration) -> ExitStatus {
        self.program.terminate(patience)
    }
}

fn answer(outcome: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = outcome.expect("a response");
    let header = |name| {
        response
            .headers()
            .get(name)
            .map(|value: &ureq::http::HeaderValue| value.to_str().expect("ASCII").to_owned())
    };
    let (location, cookie) = (header("location"), header("set-cookie"));
    let text = response.body_mut().read_to_string().expect("a body");
    let json = serde_json::from_str(&text).unwrap_or_default();
    Answer { status: response.status().as_u16(), location, cookie, json, text }
}
