//! `cargo xtask test`: runs the tests.

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::servers::Servers;
use crate::step::{Report, command};
use crate::{prove, setup};

/// Runs all tests, or only those that `cargo test` selects with these arguments.
pub(crate) fn run(chosen: &[&str]) -> ExitCode {
    let mut report = Report::default();
    let compiler = setup::compiler();
    let python = setup::aiosmtpd();
    if let Err(reason) = &python {
        report.not_run("invoice-mailer against aiosmtpd", reason);
    }
    let browser = setup::browser();
    if let Err(reason) = &browser {
        report.not_run("journeys in a browser", reason);
    }
    let servers = Servers::start();
    servers.report(&mut report);
    report.run_with("cargo test", &compiler, |()| {
        let mut test = command("cargo", &["test", "--locked"]);
        test.args(if chosen.is_empty() { &["--workspace", "--no-fail-fast"] } else { chosen });
        if let Ok(python) = &python {
            test.env("AIOSMTPD_PYTHON", python);
        }
        if let Ok(browser) = &browser {
            browser.tell(&mut test);
        }
        servers.tell(&mut test);
        test
    });
    if !chosen.is_empty() {
        return report.finish();
    }

    report.run_with("prove: build", &compiler, |()| prove::programs("--profile=dev"));
    report.run_with("prove --quick", &compiler, |()| prove::quick(&servers));

    let assets = setup::node_packages();
    for (name, script) in [
        ("widget: types", "check"),
        ("widget: built files match the sources", "verify"),
        ("widget: unit tests", "test"),
    ] {
        report.run_with(name, &assets, |assets| npm(assets, script));
    }
    let engines = setup::engines();
    if let Err(reason) = &engines {
        report.not_run("widget: Firefox and WebKit", reason);
    }
    let both = assets.and_then(|assets| Ok((assets, browser?)));
    report.run_with("widget: browser tests", &both, |(assets, browser)| {
        let mut test = npm(assets, "test:browser");
        browser.tell(&mut test);
        if let Ok(engines) = &engines {
            engines.tell(&mut test);
        }
        test
    });
    report.finish()
}

fn npm(assets: &Path, script: &str) -> Command {
    let mut npm = Command::new("npm");
    npm.args(["run", "--silent", script]).current_dir(assets);
    npm
}
