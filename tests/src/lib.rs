//! What tests share: a program that is started, asked over HTTP, and always stopped; a browser; a network that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests say what is wrong by panicking")]

mod browser;
mod database;
mod network;
mod not_run;
mod quick_start;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use crate::browser::{Bar, Browser, Shown};
pub use crate::database::{Database, Kind};
pub use crate::network::Network;
pub use crate::quick_start::try_quick_start;

/// A program that runs until it is told to end. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    ready_line: String,
}

/// A program that serves HTTP and says so on its first line: `listening on http://ADDRESS`. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    program: Program,
    base: String,
    agent: ureq::Agent,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The `Set-Cookie` header.
    pub cookie: Option<String>,
    /// The body, as JSON, or null when it is not.
    pub json: Value,
    /// The body as text.
    pub text: String,
}

impl Program {
    /// Starts a program and waits for its first line, with which it says that it is ready.
    ///
    /// # Panics
    ///
    /// When it does not start, or ends without a word.
    pub fn start(command: &mut Command) -> Self {
        Self::start_until(command, |_| true)
    }

    /// Starts a program and waits for the line with which it says that it is ready.
    fn start_until(command: &mut Command, is_ready: impl Fn(&str) -> bool) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("a pipe");
        // Made first, so that a program that says something else is ended as well.
        let mut program = Self { child, ready_line: String::new() };
        let mut lines = BufReader::new(stdout).lines().map(|line| line.expect("a line"));
        let ready =
            lines.find(|line| is_ready(line.trim())).expect("the program ended without a word");
        ready.trim().clone_into(&mut program.ready_line);
        program
    }

    /// Ends the program without a warning, as `kill -9` does.
    ///
    /// # Panics
    ///
    /// When it has ended before.
    pub fn kill(mut self) {
        self.child.kill().expect("it was still there");
        self.child.wait().expect("its end");
    }

    /// Asks the program to end (SIGTERM) and waits until it has.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    pub fn terminate(mut self, patience: Duration) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return status;
            }
            assert!(Instant::now() < deadline, "still there {patience:?} after SIGTERM");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, which is all we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a program and waits for its first line.
    ///
    /// # Panics
    ///
    /// When it does not start, or says something else.
    pub fn start(command: &mut Command) -> Self {
        let program = Program::start(command);
        let line = &program.ready_line;
        let base = line
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("unexpected: {line:?}"))
            .to_owned();
        // A failure is an answer like any other here.
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)));
        Self { program, base, agent: config.build().into() }
    }

    /// The address, such as `http://127.0.0.1:49152`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.program.child.id()
    }

    /// Asks for a path.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    /// Asks for a path, with headers.
    ///
    /// # Panics
    ///
    /// When there is no answer.
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

    /// Posts a body of a content type.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    #[must_use]
    pub fn post(&self, path: &str, content_type: &str, body: &str) -> Answer {
        self.post_with(path, &[("content-type", content_type)], body)
    }

    /// Posts a body, with headers.
    ///
    /// # Panics
    ///
    /// When there is no answer.
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

    /// Asks again and again until the answer is as wanted.
    ///
    /// # Panics
    ///
    /// When it is not so in time.
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
            assert!(Instant::now() < deadline, "not so after {patience:?}: {}", answer.text);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// As [`Program::kill`].
    pub fn kill(self) {
        self.program.kill();
    }

    /// As [`Program::terminate`].
    pub fn terminate(self, patience: Duration) -> ExitStatus {
        self.program.terminate(patience)
    }
}

fn answer(outcome: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = outcome.expect("an answer");
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

#[cfg(test)]
mod tests {
    /// A program that is only printed would be wrong one day.
    #[test]
    fn the_programs_of_the_readmes_are_compiled() {
        let axum = include_str!("../../examples/quickstart-axum/src/main.rs");
        let actix = include_str!("../../examples/quickstart-actix/src/main.rs");
        for (readme, program) in [
            (include_str!("../../README.md"), axum),
            (include_str!("../../progress-axum/README.md"), axum),
            (include_str!("../../progress-actix/README.md"), actix),
        ] {
            assert!(
                readme.contains(&format!("```rust\n{program}```\n")),
                "copy src/main.rs into the README"
            );
            assert!(program.lines().count() < 60, "it is to fit on a page");
        }
    }
}
