//! The torture suite, see `tests/src/bin/prove`.

use std::process::{Command, ExitCode};

use crate::step::{Report, command};

pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let mut report = Report::default();
    // Optimised: what is to be tortured is the program that people run.
    let mut prove = suite("--release");
    prove.args(arguments);
    report.run("prove", &mut prove);
    report.finish()
}

/// As much of it as fits into a build, on what the tests have built already.
pub(crate) fn quick() -> Command {
    let mut prove = suite("--profile=dev");
    prove.arg("--quick");
    prove
}

fn suite(profile: &str) -> Command {
    command(
        "cargo",
        &["run", "--quiet", "--locked", profile, "--package", "progress-tests", "--bin", "prove", "--"],
    )
}
