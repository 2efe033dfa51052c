//! The torture suite: tests each promise of the library with real processes, signals and databases.
//!
//! `cargo xtask prove [--quick] [name …]` builds and runs it. It prints one line per check and
//! store: `CHECK name/store PASS|FAIL figure=… limit=…`. The exit code is 1 if any check fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a check that panics is reported as FAIL"
)]

mod attempts;
mod bad_endings;
mod batches;
mod black_hole;
mod blocked;
mod careless;
mod changes;
mod client;
mod clients;
mod clock;
mod conformance;
mod cut_ack;
mod dead_worker;
mod deploy;
mod ended;
mod herd;
mod increments;
mod inputs;
mod latency;
mod locked;
mod migrate;
mod one_ending;
mod outage;
mod outside;
mod pace;
mod pages;
mod place;
mod pooler;
mod processes;
mod proxies;
mod report;
mod restart;
mod runtimes;
mod session;
mod settings;
mod shutdown;
mod sigkill;
mod signals;
mod sigterm;
mod slow_clients;
mod storage;
mod storm;
mod testserver;
mod thrift;
mod viewer;
mod waiting;
mod worker;
mod zombie;

use std::process::ExitCode;

use self::report::{Report, Scale};

type Check = fn(&mut Report);

/// Every check, by name.
const CHECKS: [(&str, Check); 38] = [
    ("conformance", conformance::run),
    ("increments", increments::run),
    ("cut-ack", cut_ack::run),
    ("one-ending", one_ending::run),
    ("sigkill", sigkill::run),
    ("attempts", attempts::run),
    ("ended", ended::run),
    ("sigterm", sigterm::run),
    ("deploy", deploy::run),
    ("processes", processes::run),
    ("restart", restart::run),
    ("shutdown", shutdown::run),
    ("outage", outage::run),
    ("black-hole", black_hole::run),
    ("latency", latency::run),
    ("locked", locked::run),
    ("blocked", blocked::run),
    ("runtimes", runtimes::run),
    ("pooler", pooler::run),
    ("settings", settings::run),
    ("dead-worker", dead_worker::run),
    ("clock", clock::run),
    ("zombie", zombie::run),
    ("superseded", zombie::run_superseded),
    ("storage", storage::run),
    ("bad-endings", bad_endings::run),
    ("inputs", inputs::run),
    ("migrate", migrate::run),
    ("storm", storm::run),
    ("herd", herd::run),
    ("waiting", waiting::run),
    ("changes", changes::run),
    ("thrift", thrift::run),
    ("pages", pages::run),
    ("slow-clients", slow_clients::run),
    ("proxies", proxies::run),
    ("outside", outside::run),
    ("clients", clients::run),
];

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "worker") {
        worker::run(&arguments[1..]);
        return ExitCode::SUCCESS;
    }
    let scale =
        if arguments.iter().any(|word| word == "--quick") { Scale::Quick } else { Scale::Full };
    arguments.retain(|word| word != "--quick");
    let unknown = arguments.iter().find(|name| !CHECKS.iter().any(|(known, _)| known == name));
    if let Some(unknown) = unknown {
        let known: Vec<_> = CHECKS.iter().map(|(name, _)| *name).collect();
        eprintln!("unknown check {unknown}; the checks are {}", known.join(", "));
        return ExitCode::from(2);
    }
    let mut report = Report::new(scale);
    for (name, check) in CHECKS {
        if arguments.is_empty() || arguments.iter().any(|wanted| wanted == name) {
            report.begin(name);
            check(&mut report);
            report.end();
        }
    }
    report.finish()
}
