//! `cargo xtask bench`: runs the benchmarks, compares their figures with the aims, and writes
//! `docs/benchmarks.md`.
//!
//! Each benchmark measures its limit in the same rounds, because the speed of a machine changes
//! from run to run, and a ratio hardly does.

mod figure;
mod page;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use self::figure::{Figure, Line};
use crate::servers::{Redis, Servers};
use crate::setup;
use crate::step::{Report, root};

/// Passed on to each benchmark, which then takes fewer rounds.
const QUICK: &str = "--quick";

/// One benchmark program.
struct Bench {
    /// Its name on the command line of `cargo xtask bench`.
    key: &'static str,
    folder: &'static str,
    name: &'static str,
    title: &'static str,
    method: &'static str,
    /// Why aims are missed, with the profile that says so: part of the page if one is missed.
    reasons: &'static [&'static str],
    arguments: &'static [&'static str],
    /// Whether it runs on one processor. On several, a hand-over to another thread also measures
    /// how long an idle processor takes to wake up.
    is_pinned: bool,
    /// Whether it is part of the short form.
    is_quick: bool,
}

const BENCHES: &[Bench] = &[
    Bench {
        key: "reports",
        folder: "progress-core",
        name: "reports",
        title: "A report",
        method: "Time of one call of the worker's handle. The limit is one relaxed `fetch_add` of \
                 the same number of threads. The memory of a tracked job is what it allocates \
                 until it ends, counted by the allocator.",
        reasons: &[
            "An `inc` is one addition. That of several threads takes as long as the processors \
             need to take the cache line from each other. A `fetch_add` in an `Arc`, where a \
             counter has to be that a flush loop reads, takes about as long as an `inc`: in four \
             runs of two threads 1.07 to 1.54 times the limit, and `inc` 1.02 to 1.62. A second \
             `fetch_add` without an `Arc` takes 0.98 to 1.02.",
        ],
        arguments: &[],
        is_pinned: false,
        is_quick: true,
    },
    Bench {
        key: "flush",
        folder: "progress-sqlx",
        name: "flush",
        title: "A flush to a database",
        method: "One stamped update, through the store. The limit is a bare autocommit \
                 `UPDATE .. RETURNING` of the same row, through the same driver. A job in a batch \
                 is compared with a single update. On one processor; PostgreSQL and MariaDB \
                 without `fsync`, so that no disk hides the overhead.",
        reasons: &[
            "An update that is never counted twice reads the record and writes it back if it is \
             unchanged. These two statements alone are in the table. The rest, by `perf`: on \
             SQLite 55 % of a flush is the kernel, half of that changes between threads. A flush \
             makes 12.1 such changes and its statements alone make 6.6. By the code, the others \
             are the way to the store's own thread and back, and a ping of sqlx after each call.",
            "On PostgreSQL the server works 249 us for a flush and 237 us for the statements \
             alone, and the client 142 us and 48 us.",
            "The ping is not the reason: a copy of sqlx without it saves 2 to 4 us on SQLite, 3 to \
             18 us on PostgreSQL and 20 to 90 us on MariaDB, measured in turns.",
            "MariaDB begins each result with a description of its 37 columns, which sqlx reads \
             anew. A statement that returns them as one JSON array takes 40 us less, so the aim \
             would be missed all the same.",
            "NOTIFY is one more round trip; inside the write it would hold a lock of the whole \
             server.",
        ],
        arguments: &[],
        is_pinned: true,
        is_quick: true,
    },
    Bench {
        key: "redis",
        folder: "progress-redis",
        name: "flush",
        title: "A flush to Redis",
        method: "One stamped update, through the store. The limit is a bare `SET` of a value of \
                 the same size. On one processor.",
        reasons: &[
            "A batch saves the waits of single updates, but each record is read, parsed, written \
             and checked as before. By `perf`, a job in a batch takes 12 us in the server and 12 \
             us in this process. In the server, 22 % is the hash that Lua calculates of each \
             string, and the document is one in both scripts. In this process the largest parts \
             are to parse and to write the document as JSON, and to allocate memory for it.",
        ],
        arguments: &[],
        is_pinned: true,
        is_quick: true,
    },
    Bench {
        key: "metrics",
        folder: "progress-sqlx",
        name: "metrics",
        title: "Metrics",
        method: "A flush of a process that counts with Prometheus. The limit is the same flush \
                 without a recorder. The control is that as well, in the same rounds. On one \
                 processor.",
        reasons: &[
            "In six runs, counting took 1.00 to 1.01 times the limit for a flush of one job, and \
             1.01 to 1.03 for 100 jobs. The control took 0.99 to 1.00 and 1.01 to 1.03. So a few \
             hundredths are noise.",
        ],
        arguments: &[],
        is_pinned: true,
        is_quick: true,
    },
    Bench {
        key: "many-jobs",
        folder: "progress-sqlx",
        name: "many_jobs",
        title: "Many running jobs in one process",
        method: "10,000 jobs, each with an item every 100 ms. Meanwhile a job starts and completes \
                 every 50 ms. Then the same jobs without items, which send only heartbeats.",
        reasons: &[],
        arguments: &["10000", "15"],
        is_pinned: false,
        is_quick: false,
    },
    Bench {
        key: "growth",
        folder: "progress-sqlx",
        name: "growth",
        title: "Many finished records",
        method: "The same calls beside 1,000,000 finished records. The limit is their time beside \
                 1,000. MariaDB has a buffer pool of 2 GiB, in which its tables have room. With \
                 the default of 128 MiB, deleting 500 records takes 8 to 13 times as long, because \
                 each statement waits 12 of its 13 ms for pages from the disk (slow query log).",
        reasons: &[
            "Deleting on SQLite: ids are random, so that they cannot be guessed, and so each \
             deleted record has a page of its own in three tables. By its write-ahead log, \
             deleting 500 records changes 2,784 pages, and beside 1,000 records 1,578. Without \
             checkpoints that takes 39 and 22 ms. A checkpoint follows every 1,000 pages, and \
             writes them to all places of a file of 890 MB, and of 1.4 MB: the commits take 64 and \
             16 ms then.",
            "Deleting on MariaDB: in four runs of this page the ratio was 1.44 to 3.38. By the \
             slow query log, a statement that deletes 50 records mostly takes 1.2 to 1.5 ms, but \
             the one that finds the next 50 takes up to 12 ms, and looks at 600 pages more each \
             time, up to 7,500: it passes the index entries of the records before, which the \
             server removes later.",
            "Filters that match nothing on PostgreSQL: beside 1,000 records it plans a statement \
             once, and beside 1,000,000 anew for each call, because it expects a plan for this \
             value to be better. By the server's log, planning and binding then take 0.14 to 0.23 \
             ms instead of 0.02, and executing 0.15 to 0.19 instead of 0.11 to 0.14. The plan is \
             the same, and reads 3 pages instead of 2. The setting that prevents this belongs to \
             the session, which a pooler may then give to another client.",
        ],
        arguments: &[],
        is_pinned: false,
        is_quick: false,
    },
    Bench {
        key: "growth-redis",
        folder: "progress-redis",
        name: "growth",
        title: "Many finished records in Redis",
        method: "The same calls beside 1,000,000 finished records. The limit is their time beside \
                 1,000.",
        reasons: &[],
        arguments: &[],
        is_pinned: false,
        is_quick: false,
    },
    Bench {
        key: "poll",
        folder: "tests",
        name: "poll",
        title: "A poll without a socket",
        method: "The limit is a handler of the same framework that sends a text of 258 bytes. On \
                 one processor.",
        reasons: &[
            "A handler that has the bytes of the answer ready is in the table as well, and misses \
             the aims too.",
            "On axum, `perf` has 8,000 samples more than the 15,700 of the bare handler: the \
             response with its headers 1,900, copies of memory 1,300, the parameter of the route \
             and its decoding 1,000, finding the record and its answer 1,000, the headers of the \
             request 450, and the rest in functions of less than 400 each.",
            "On actix-web it has 9,100 samples more than the 23,500 of the bare handler: the \
             response with its headers 2,100, the headers of the request 2,000, the scope and the \
             path 1,000, finding the record and its answer 800, and the rest in functions of less \
             than 400 each.",
        ],
        arguments: &[],
        is_pinned: true,
        is_quick: true,
    },
    Bench {
        key: "connections",
        folder: "tests",
        name: "connections",
        title: "Polls through sockets",
        method: "Clients and server share the machine. The limit is a bare handler of the same \
                 framework, under the same load.",
        reasons: &[
            "64 connections: in four runs of this page the ratio was 0.88 to 0.99 on axum and 0.93 \
             to 1.01 on actix-web. In three of them a poll took 1.10 to 1.18 and 1.04 to 1.12 \
             times the CPU time of the bare handler. By `perf` on axum, 70 % of the bare handler \
             is the kernel. The largest parts of what a poll adds are the response with its \
             headers (1.1 %) and the headers of the request (0.7 %); no other function has 0.5 %. \
             If all lines send the request of the bare handler, their ratios are 1.00 and 1.03, \
             and with that of a poll 0.95 to 1.05, so a ratio varies by 5 %.",
            "1,000 pages of a job each: the kernel takes no longer than for the bare handler. On \
             axum the 30 us more are 7 us in the thread of SQLite, 7 us to allocate and free \
             memory for a new record and its answer, and 15 us of Rust, of which no function has \
             more than 1 us. On actix-web a profile has 17,400 samples instead of 12,800: 2,200 \
             more to allocate, free and copy memory, 1,400 in the thread of SQLite, 3,000 more in \
             Rust over many functions, none above 200, and 2,000 fewer in the kernel. The bare \
             handler's time varies by a third, presumably because idle processors wake up for it.",
        ],
        arguments: &[],
        is_pinned: false,
        is_quick: false,
    },
    Bench {
        key: "watchers",
        folder: "tests",
        name: "watchers",
        title: "Many watchers",
        method: "9,000 connections watch running jobs on SQLite; clients and server share the \
                 machine. docs/scale.md calculates with these figures.",
        reasons: &[],
        arguments: &[],
        is_pinned: false,
        is_quick: false,
    },
];

/// The benchmark of other progress libraries, in a package of its own, so that nothing else
/// compiles them. `SCRIPTS` are its programs in other languages.
const PEERS: Bench = Bench {
    key: "peers",
    folder: "tests/peers",
    name: "peers",
    title: "Other progress libraries",
    method: "The first lines are one reported item in the memory of the process, and the limit is \
             one relaxed `fetch_add`. The others are one item in a store, and one poll without a \
             socket of the client. This library stores the count of a job at intervals and at its \
             end, and answers polls from its cache. The libraries for Python and Node store each \
             item, and read the store for each poll. On one processor.",
    reasons: &[],
    arguments: &[],
    is_pinned: true,
    is_quick: false,
};

/// Installs what a script needs, and returns its interpreter and its path.
type Setup = fn() -> Result<[PathBuf; 2], String>;

/// The programs of `PEERS` in other languages, named after what they measure.
const SCRIPTS: [(&str, Setup); 2] =
    [("Django and celery-progress", setup::python_peers), ("BullMQ", setup::node_peers)];

/// What the benchmarks have printed.
#[derive(Default)]
struct Results {
    /// The figures of each benchmark that has run.
    benches: Vec<(&'static Bench, Vec<Figure>)>,
    versions: Vec<(String, String)>,
    /// What was not measured, and why.
    not_measured: Vec<(String, String)>,
}

/// Runs the benchmarks, or those with the given keys. Only a whole run in full length writes the
/// page. The short form fails if a figure misses its gate.
pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let is_quick = arguments.contains(&QUICK);
    let with_peers = arguments.contains(&"--peers");
    let chosen: Vec<_> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let known: Vec<_> = BENCHES.iter().chain([&PEERS]).map(|bench| bench.key).collect();
    let unknown = arguments.iter().find(|word| {
        let is_option = [QUICK, "--peers"].contains(word);
        !is_option && !known.contains(word)
    });
    if let Some(unknown) = unknown {
        eprintln!("unknown argument {unknown}; the benchmarks are {}", known.join(", "));
        return ExitCode::from(2);
    }
    let is_chosen = |bench: &&Bench| match chosen.as_slice() {
        [] => (!is_quick || bench.is_quick) && (with_peers || bench.key != PEERS.key),
        chosen => chosen.contains(&&bench.key),
    };
    let benches = BENCHES.iter().chain([&PEERS]).filter(is_chosen).collect::<Vec<_>>();

    let mut report = Report::default();
    if let Err(reason) = setup::compiler() {
        report.not_run("benchmarks", &reason);
        return report.finish();
    }
    let servers = Servers::start();
    servers.report(&mut report);
    let mut results = Results::default();
    let (peers, own): (Vec<&Bench>, Vec<&Bench>) =
        benches.into_iter().partition(|bench| bench.key == PEERS.key);
    let has_scripts = !peers.is_empty();
    for benches in [own, peers] {
        let programs = match build(&benches) {
            Ok(programs) => programs,
            Err(reason) => {
                report.judge("build", Err(reason));
                continue;
            }
        };
        for (bench, program) in programs {
            println!("\n==> {}", bench.key);
            let mut command = command(bench, &program);
            servers.tell(&mut command);
            let measured = measure(bench, command, is_quick, &mut results);
            report.judge(bench.key, measured);
        }
    }
    if has_scripts {
        measure_scripts(is_quick, &mut results, &mut report);
    }
    println!("\n{}", page::tables(&results));
    if is_quick {
        let figures = results.benches.iter().flat_map(|(_, figures)| figures);
        let missed: Vec<_> = figures.filter(|figure| figure.misses_gate()).collect();
        let names: Vec<_> = missed.iter().map(|figure| figure.name.as_str()).collect();
        let verdict = if names.is_empty() { Ok(()) } else { Err(names.join("; ")) };
        report.judge("figures within their gates", verdict);
    } else if chosen.is_empty() {
        let path = root().join("docs/benchmarks.md");
        let written = std::fs::write(&path, page::page(&results));
        report.judge("docs/benchmarks.md", written.map_err(|error| error.to_string()));
    }
    report.finish()
}

/// Builds benchmarks of one workspace, in one call, because each call for other packages compiles
/// other features of the dependencies.
fn build(benches: &[&'static Bench]) -> Result<Vec<(&'static Bench, PathBuf)>, String> {
    let Some(first) = benches.first() else { return Ok(Vec::new()) };
    let mut cargo = Command::new("cargo");
    cargo.args(["bench", "--no-run", "--locked", "--message-format=json-render-diagnostics"]);
    if first.key == PEERS.key {
        cargo.current_dir(root().join(first.folder));
        cargo.env("CARGO_TARGET_DIR", root().join("target/peers"));
    } else {
        cargo.current_dir(root()).arg("--workspace");
    }
    let names: BTreeSet<_> = benches.iter().map(|bench| bench.name).collect();
    for name in names {
        cargo.args(["--bench", name]);
    }
    let built = cargo.stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
    if !built.status.success() {
        return Err(format!("cargo bench --no-run: {}", built.status));
    }
    let text = String::from_utf8_lossy(&built.stdout);
    let messages: Vec<serde_json::Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let program = |bench: &&'static Bench| {
        let source = root().join(bench.folder).join("benches").join(bench.name);
        let source = source.with_extension("rs");
        let built = messages.iter().filter(|message| {
            message["target"]["src_path"].as_str().map(Path::new) == Some(source.as_path())
        });
        let program = built.filter_map(|message| message["executable"].as_str()).next_back();
        let program = program.ok_or_else(|| format!("cargo built no {}", source.display()));
        program.map(|program| (*bench, PathBuf::from(program)))
    };
    benches.iter().map(program).collect()
}

/// Runs the programs in other languages, on a Redis server of their own.
fn measure_scripts(is_quick: bool, results: &mut Results, report: &mut Report) {
    let redis = Redis::start();
    for (name, setup) in SCRIPTS {
        println!("\n==> {name}");
        match redis.as_ref().map_err(String::clone).and_then(|redis| Ok((redis, setup()?))) {
            Ok((redis, [interpreter, script])) => {
                let mut command = command(&PEERS, &interpreter);
                command.arg(script);
                redis.tell(&mut command);
                report.judge(name, measure(&PEERS, command, is_quick, results));
            }
            Err(reason) => {
                report.not_run(name, &reason);
                results.not_measured.push((name.to_owned(), reason));
            }
        }
    }
}

/// Returns the command that runs a benchmark.
fn command(bench: &Bench, program: &Path) -> Command {
    let mut command = Command::new(if bench.is_pinned { Path::new("taskset") } else { program });
    if bench.is_pinned {
        command.args(["-c", "0"]).arg(program);
    }
    command.current_dir(root()).args(bench.arguments);
    command
}

/// Runs a program, shows what it prints, and adds its figures to those of the benchmark.
fn measure(
    bench: &'static Bench,
    mut command: Command,
    is_quick: bool,
    results: &mut Results,
) -> Result<(), String> {
    command.args(is_quick.then_some(QUICK)).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut figures = Vec::new();
    for line in child.stdout.take().into_iter().flat_map(|output| BufReader::new(output).lines()) {
        let line = line.map_err(|error| error.to_string())?;
        println!("{line}");
        match Line::parse(&line) {
            Line::Figure(figure) => figures.push(figure),
            Line::Version(name, version) => {
                if !results.versions.iter().any(|(known, _)| *known == name) {
                    results.versions.push((name, version));
                }
            }
            Line::NotMeasured(name, reason) => results.not_measured.push((name, reason)),
            Line::Remark => {}
        }
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let is_empty = figures.is_empty();
    match results.benches.last_mut().filter(|(last, _)| last.key == bench.key) {
        Some((_, known)) => known.extend(figures),
        None => results.benches.push((bench, figures)),
    }
    match status.success() {
        true if is_empty => Err("it printed no figure".to_owned()),
        true => Ok(()),
        false => Err(status.to_string()),
    }
}
