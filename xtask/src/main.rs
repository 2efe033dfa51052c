//! Development tasks. `cargo xtask test` runs every test and sets up what the tests need. `cargo
//! xtask check` runs all other checks that must pass before a change lands. `cargo xtask prove`
//! runs the torture suite. `cargo xtask bench` measures, and writes `docs/benchmarks.md`. `cargo
//! xtask queues` runs the programs of `docs/queues.md`.

mod bench;
mod check;
mod prose;
mod prove;
mod public_api;
mod queues;
mod servers;
mod setup;
mod step;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test    runs every test; as root on Debian or Ubuntu, installs what is missing
cargo xtask test -p progress-sqlx --test stores …
                    runs some of the tests; the arguments are passed to cargo test
cargo xtask check   checks format, lints, documentation, each feature alone, and packages
cargo xtask prove [--quick] [name …]
                    runs the torture suite (kills, signals, many processes): about an hour in all
cargo xtask bench [--quick] [--peers] [name …]
                    measures and writes docs/benchmarks.md, in about 20 minutes; --quick takes
                    fewer rounds and fails if a figure is far from its aim
cargo xtask queues  runs the programs of docs/queues.md with their queues (550 crates)";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test", rest @ ..] => test::run(rest),
        ["check"] => check::run(),
        ["prove", rest @ ..] => prove::run(rest),
        ["bench", rest @ ..] => bench::run(rest),
        ["queues"] => queues::run(),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
