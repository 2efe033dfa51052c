//! `cargo xtask prove`: runs the torture suite, see `tests/prove`.

use std::process::{Command, ExitCode};

use crate::servers::Servers;
use crate::setup;
use crate::step::{Report, command};

pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let mut report = Report::default();
    let servers = Servers::start();
    servers.report(&mut report);
    // Optimised, as users run it.
    report.run("prove: build", &mut programs("--release"));
    let mut prove = suite("--release");
    prove.args(arguments);
    servers.tell(&mut prove);
    report.run("prove", &mut prove);
    report.finish()
}

/// Returns the quick form of the suite, on what the tests have already built.
pub(crate) fn quick(servers: &Servers) -> Command {
    let mut prove = suite("--profile=dev");
    prove.arg("--quick");
    servers.tell(&mut prove);
    prove
}

/// Builds the suite and `testserver`, which the suite starts from the same folder.
pub(crate) fn programs(profile: &str) -> Command {
    let mut build = command("cargo", &["build", "--quiet", "--locked", profile, "--bins"]);
    build.args(["--package", "progress-prove", "--package", "progress-tests"]);
    build
}

fn suite(profile: &str) -> Command {
    let mut prove = command(
        "cargo",
        &["run", "--quiet", "--locked", profile, "--package", "progress-prove", "--"],
    );
    // The suite itself reports which checks it skips without these, and whether that is a failure.
    for (variable, found) in [
        ("PROGRESS_TEST_FAKETIME", setup::faketime()),
        ("PROGRESS_TEST_PGBOUNCER", setup::pgbouncer()),
        ("PROGRESS_TEST_NGINX", setup::curl().and_then(|()| setup::nginx())),
        ("PROGRESS_TEST_APACHE", setup::curl().and_then(|()| setup::apache())),
        ("PROGRESS_TEST_SCHEMATHESIS", setup::curl().and_then(|()| setup::schemathesis())),
        ("PROGRESS_TEST_NODE_CLIENTS", setup::node_clients()),
        ("PROGRESS_TEST_PYTHON_CLIENTS", setup::python_clients()),
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
