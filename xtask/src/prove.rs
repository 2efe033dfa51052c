//! The torture suite, see `tests/src/bin/prove`.

use std::process::{Command, ExitCode};

use crate::servers::Servers;
use crate::setup;
use crate::step::{Report, command};

pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let mut report = Report::default();
    let servers = Servers::start();
    servers.report(&mut report);
    // Optimised: what is to be tortured is the program that people run.
    report.run("prove: build", &mut programs("--release"));
    let mut prove = suite("--release");
    prove.args(arguments);
    servers.tell(&mut prove);
    report.run("prove", &mut prove);
    report.finish()
}

/// As much of it as fits into a build, on what the tests have built already.
pub(crate) fn quick(servers: &Servers) -> Command {
    let mut prove = suite("--profile=dev");
    prove.arg("--quick");
    servers.tell(&mut prove);
    prove
}

/// Builds the suite and the server that it asks, which stands beside it.
pub(crate) fn programs(profile: &str) -> Command {
    command(
        "cargo",
        &["build", "--quiet", "--locked", profile, "--package", "progress-tests", "--bins"],
    )
}

fn suite(profile: &str) -> Command {
    let mut prove = command(
        "cargo",
        &[
            "run",
            "--quiet",
            "--locked",
            profile,
            "--package",
            "progress-tests",
            "--bin",
            "prove",
            "--",
        ],
    );
    // The suite says what it leaves out for want of these, and whether that is a failure.
    for (variable, found) in [
        ("PROGRESS_TEST_FAKETIME", setup::faketime()),
        ("PROGRESS_TEST_PGBOUNCER", setup::pgbouncer()),
        ("PROGRESS_TEST_SCHEMATHESIS", setup::curl().and_then(|()| setup::schemathesis())),
    ] {
        match found {
            Ok(path) => {
                prove.env(variable, path);
            }
            Err(reason) => eprintln!("{reason}"),
        }
    }
    prove
}
