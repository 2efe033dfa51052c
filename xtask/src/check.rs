//! What must hold beside the tests.

use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use crate::setup;
use crate::step::{Report, command, root};

/// Crates that `progress-core` must never pull in, whoever depends on it.
const NOT_IN_CORE: [&str; 7] =
    ["http", "hyper", "axum", "actix-web", "sqlx", "sqlx-core", "mockall"];

pub(crate) fn run() -> ExitCode {
    let mut report = Report::default();
    report.run("format", &mut command("cargo", &["fmt", "--all", "--check"]));
    let compiler = setup::compiler();
    let cargo = |arguments: &[&str]| command("cargo", arguments);
    report.run_with("clippy", &compiler, |()| {
        cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
    });
    report.run_with("documentation", &compiler, |()| {
        let features = "progress-core/testing,progress-core/mock,progress-sqlx/sqlite,progress-sqlx/postgres,progress-sqlx/mysql,progress-http/openapi";
        let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked", "--features", features]);
        doc.env("RUSTDOCFLAGS", "-D warnings");
        doc
    });
    for (package, features) in [
        ("progress-core", ""),
        ("progress-core", "testing"),
        ("progress-core", "mock"),
        ("progress-sqlx", ""),
        ("progress-sqlx", "sqlite"),
        ("progress-sqlx", "postgres"),
        ("progress-sqlx", "mysql"),
        ("progress-http", ""),
        ("progress-http", "openapi"),
        ("progress-axum", ""),
        ("progress-axum", "openapi"),
        ("progress-actix", ""),
        ("progress-actix", "openapi"),
    ] {
        let name = format!("{package} alone, features [{features}]");
        report.run_with(&name, &compiler, |()| {
            cargo(&[
                "clippy",
                "--lib",
                "--locked",
                "--package",
                package,
                "--features",
                features,
                "--",
                "-D",
                "warnings",
            ])
        });
    }
    core_is_light(&mut report);
    // A folder of its own each time: cargo keeps what it unpacks of crates that are packaged together under the name of that
    // folder, for ever, and would verify today's crates against last week's.
    let folder = root().join(format!("target/packages/{}", started()));
    report.run_with("packages", &compiler, |()| {
        let unpublished =
            ["invoice-mailer", "quickstart-axum", "quickstart-actix", "progress-tests", "xtask"];
        let unpublished = unpublished.map(|package| format!("--exclude={package}"));
        let mut package =
            cargo(&["package", "--workspace", "--locked", "--allow-dirty", "--quiet"]);
        package.args(unpublished).arg("--target-dir").arg(&folder);
        package
    });
    // It is only room on the disk, should it stay.
    let _ = std::fs::remove_dir_all(&folder);
    report.finish()
}

/// The time, as a name that no earlier run has had.
fn started() -> u128 {
    UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis())
}

/// Asserts an absence, which no build does.
fn core_is_light(report: &mut Report) {
    let tree = command(
        "cargo",
        &["tree", "--locked", "-p", "progress-core", "-e", "normal", "--prefix", "none"],
    )
    .output();
    let verdict = match tree {
        Ok(tree) if tree.status.success() => {
            let text = String::from_utf8_lossy(&tree.stdout);
            let names = text.lines().filter_map(|line| line.split(' ').next());
            let found: Vec<_> = names.filter(|name| NOT_IN_CORE.contains(name)).collect();
            if found.is_empty() { Ok(()) } else { Err(found.join(", ")) }
        }
        Ok(tree) => Err(String::from_utf8_lossy(&tree.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    };
    report.judge("progress-core pulls in no framework and no database", verdict);
}
