//! `cargo xtask queues`: runs the programs of `docs/queues.md` with queues that the project does
//! not depend on.

use std::process::ExitCode;

use crate::servers::Servers;
use crate::setup;
use crate::step::{Report, command, root};

/// Builds the programs, which takes about four minutes, and runs them on PostgreSQL.
pub(crate) fn run() -> ExitCode {
    let mut report = Report::default();
    let ready = setup::compiler().and_then(|()| Servers::postgres());
    for arguments in [
        &["fmt", "--check"] as &[&str],
        &["clippy", "--all-targets", "--locked", "--", "-D", "warnings"],
        &["test", "--locked"],
    ] {
        report.run_with(&format!("queues: cargo {}", arguments[0]), &ready, |servers| {
            let mut cargo = command("cargo", arguments);
            cargo.current_dir(root().join("tests/queues"));
            cargo.env("CARGO_TARGET_DIR", root().join("target/queues"));
            servers.tell(&mut cargo);
            cargo
        });
    }
    report.finish()
}
