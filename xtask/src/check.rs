//! `cargo xtask check`: everything besides tests that must pass before a change lands.

use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use crate::step::{Report, command, root};
use crate::{prose, public_api, setup};

/// Crates that must never be dependencies of `progress-core`.
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
        let features = "progress-core/testing,progress-core/mock,progress-core/metrics,\
                        progress-sqlx/sqlite,progress-sqlx/postgres,progress-sqlx/mysql,\
                        progress-redis/cluster,progress-redis/sentinel,progress-redis/sqlx,\
                        progress-http/openapi";
        let mut doc =
            cargo(&["doc", "--workspace", "--no-deps", "--locked", "--features", features]);
        doc.env("RUSTDOCFLAGS", "-D warnings");
        doc
    });
    for (package, features) in [
        ("progress-core", ""),
        ("progress-core", "testing"),
        ("progress-core", "mock"),
        ("progress-core", "metrics"),
        ("progress-sqlx", ""),
        ("progress-sqlx", "sqlite"),
        ("progress-sqlx", "postgres"),
        ("progress-sqlx", "mysql"),
        ("progress-redis", ""),
        ("progress-redis", "cluster,sentinel,tls,sqlx"),
        ("progress-apalis", ""),
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
    match &compiler {
        Ok(()) => report.judge("foreign types in public APIs are listed", public_api::check()),
        Err(reason) => report.not_run("foreign types in public APIs", reason),
    }
    report.judge("text: long lines and vague words", prose::check());
    // A new folder each time: cargo caches unpacked crates that are packaged together under this
    // folder's name, never refreshes them, and would verify today's crates against older ones.
    let folder = root().join(format!("target/packages/{}", started()));
    report.run_with("packages", &compiler, |()| {
        let unpublished = [
            "example-support",
            "file-import",
            "invoice-mailer",
            "progress-prove",
            "progress-test-support",
            "progress-tests",
            "quickstart-actix",
            "quickstart-axum",
            "resumable",
            "watch",
            "xtask",
        ];
        let unpublished = unpublished.map(|package| format!("--exclude={package}"));
        let mut package =
            cargo(&["package", "--workspace", "--locked", "--allow-dirty", "--quiet"]);
        package.args(unpublished).arg("--target-dir").arg(&folder);
        package
    });
    // A leftover folder only takes disk space.
    let _ = std::fs::remove_dir_all(&folder);
    report.finish()
}

/// Returns the time in milliseconds, as a folder name that no earlier run has used.
fn started() -> u128 {
    UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis())
}

/// Checks that no crate of [`NOT_IN_CORE`] is a dependency, which no build would notice.
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
    report.judge("progress-core depends on no framework and no database", verdict);
}
