//! Steps that run one after the other, and a report in which nothing is left out silently.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Whether this runs where leaving something out is a failure.
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// A command in the workspace's folder.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

enum Outcome {
    Passed,
    Failed(String),
    NotRun(String),
}

/// What has been run so far. A failed step does not keep the next from running: one look shows all that is wrong.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<(String, Outcome, Duration)>,
}

impl Report {
    /// Runs a command; it passes when the command says so.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command) {
        println!("\n==> {name}");
        let begun = Instant::now();
        let outcome = match command.status() {
            Ok(status) if status.success() => Outcome::Passed,
            Ok(status) => Outcome::Failed(status.to_string()),
            Err(error) => Outcome::Failed(format!("{}: {error}", command.get_program().display())),
        };
        self.steps.push((name.to_owned(), outcome, begun.elapsed()));
    }

    /// Notes what a step found out by itself.
    pub(crate) fn judge(&mut self, name: &str, verdict: Result<(), String>) {
        println!("\n==> {name}");
        let outcome = verdict.map_or_else(Outcome::Failed, |()| Outcome::Passed);
        self.steps.push((name.to_owned(), outcome, Duration::ZERO));
    }

    /// Says that a step could not be run, and why.
    pub(crate) fn not_run(&mut self, name: &str, reason: &str) {
        println!("\n==> {name}\nNOT RUN: {reason}");
        self.steps.push((name.to_owned(), Outcome::NotRun(reason.to_owned()), Duration::ZERO));
    }

    /// Runs the command if what it needs is there.
    pub(crate) fn run_with<T>(
        &mut self,
        name: &str,
        need: &Result<T, String>,
        command: impl FnOnce(&T) -> Command,
    ) {
        match need {
            Ok(need) => self.run(name, &mut command(need)),
            Err(reason) => self.not_run(name, reason),
        }
    }

    /// Prints what became of each step and turns it into an exit code.
    pub(crate) fn finish(self) -> ExitCode {
        println!();
        let (mut passed, mut failed, mut not_run) = (0, 0, 0);
        for (name, outcome, duration) in &self.steps {
            let seconds = duration.as_secs_f64();
            match outcome {
                Outcome::Passed => {
                    passed += 1;
                    println!("passed   {seconds:6.1} s  {name}");
                }
                Outcome::Failed(reason) => {
                    failed += 1;
                    println!("FAILED   {seconds:6.1} s  {name} ({reason})");
                }
                Outcome::NotRun(reason) => {
                    not_run += 1;
                    println!("NOT RUN            {name}: {reason}");
                }
            }
        }
        println!("steps: {passed} passed, {failed} failed, {not_run} skipped");
        if failed > 0 || (not_run > 0 && is_ci()) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
