//! Worker processes, which run this program in another role, and the signals that they get.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A worker process, killed on drop.
pub(crate) struct Worker {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// Starts this program as a worker in a role, see `worker.rs`.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(Vec::new(), arguments)
    }

    /// Starts it with these variables in its environment.
    pub(crate) fn start_in(environment: Vec<(&str, String)>, arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.envs(environment);
        command.arg("worker").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        // The messages of workers that panic or abort are expected, and would look like failures.
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads the next line that it prints; `None` after its end.
    pub(crate) fn line(&mut self) -> Option<String> {
        self.lines.next().map(|line| line.unwrap())
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill").args([name, &id]).status().unwrap().success(),
            "kill {name} {id}"
        );
    }

    /// Kills it (SIGKILL) and returns the lines that it had printed and that were not yet read.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.by_ref().map_while(Result::ok).collect()
    }

    /// Waits for its end. Returns how long that took and whether it exited successfully.
    pub(crate) fn wait(&mut self, patience: Duration) -> (Duration, bool) {
        let begun = Instant::now();
        assert!(self.ends_within(patience), "a worker still runs after {patience:?}");
        (begun.elapsed(), self.child.wait().unwrap().success())
    }

    pub(crate) fn ends_within(&mut self, patience: Duration) -> bool {
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if begun.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
