//! The project's chores: `cargo xtask test` runs every test and sets up what they need, `cargo xtask check` looks at
//! everything else that must hold before a change lands, `cargo xtask prove` tries each promise with real kills.

mod check;
mod prove;
mod servers;
mod setup;
mod step;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test    runs every test; installs what is missing when it may (root on Debian or Ubuntu)
cargo xtask test -p progress-sqlx --test stores …
                    the same for some of the tests: what cargo test makes of these words
cargo xtask check   format, lints, documentation, features one by one, packages
cargo xtask prove [--quick] [name …]
                    the torture suite: kills, signals, many processes; all of it takes about an hour";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test", rest @ ..] => test::run(rest),
        ["check"] => check::run(),
        ["prove", rest @ ..] => prove::run(rest),
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
