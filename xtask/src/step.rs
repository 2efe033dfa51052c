//! Runs steps one after the other and reports each of them, also the skipped ones.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Returns the workspace's folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Whether this runs in CI, where a skipped step is a failure.
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Returns a command that runs in the workspace's folder.
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

/// The steps that have run. After a failed step the next one still runs, so that one run shows all
/// failures.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<(String, Outcome, Duration)>,
}

impl Report {
    /// Runs a command as a step, which passes if the command exits successfully.
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

    /// Records the result of a step that is not a command.
    pub(crate) fn judge(&mut self, name: &str, verdict: Result<(), String>) {
        println!("\n==> {name}");
        let outcome = verdict.map_or_else(Outcome::Failed, |()| Outcome::Passed);
        self.steps.push((name.to_owned(), outcome, Duration::ZERO));
    }

    /// Records a step that cannot be run, and why.
    pub(crate) fn not_run(&mut self, name: &str, reason: &str) {
        println!("\n==> {name}\nNOT RUN: {reason}");
        self.steps.push((name.to_owned(), Outcome::NotRun(reason.to_owned()), Duration::ZERO));
    }

    /// Runs the command if its prerequisite is available; otherwise records that it was not run.
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

    /// Prints the result of each step and returns the exit code.
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
