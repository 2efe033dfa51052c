//! The page with the figures, and the machine on which they were measured.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use super::Results;
use super::figure::Figure;
use crate::step::root;

/// Crates whose version may explain a figure.
const CRATES: [&str; 9] = [
    "tokio",
    "sqlx",
    "libsqlite3-sys",
    "redis",
    "axum",
    "hyper",
    "actix-web",
    "serde_json",
    "metrics",
];

const INTRODUCTION: &str = "\
# Benchmarks

`cargo xtask bench` measures these figures and writes this page, in about 20 minutes. `cargo xtask
bench NAME` runs one benchmark, `--quick` takes fewer rounds and fails if a figure is far from its
aim, and `--peers` also measures other libraries. Only ratios can be compared with those of another
machine or another day, because both of their sides are measured in the same rounds.

Rounds are interleaved: each round measures every line once. Times are medians of the rounds, and a
ratio is the median of the ratios of the rounds. An aim applies to the ratio, and without a ratio to
the value. The aims are those of the design; a line without an aim is there for comparison.
";

/// Returns the whole page.
pub(super) fn page(results: &Results) -> String {
    let mut page = format!("{INTRODUCTION}\n## Machine and versions\n\n| | |\n|---|---|\n");
    for (what, value) in machine().into_iter().chain(results.versions.iter().cloned()) {
        let _ = writeln!(page, "| {what} | {value} |");
    }
    page + "\n" + &tables(results)
}

/// Returns the tables of all benchmarks.
pub(super) fn tables(results: &Results) -> String {
    let mut text = String::new();
    for (bench, figures) in results.benches.iter().filter(|(_, figures)| !figures.is_empty()) {
        let _ = write!(
            text,
            "## {}\n\n{}\n\n\
             | figure | value | limit of the same run | ratio | aim | reached |\n\
             |---|---|---|---|---|---|\n",
            bench.title,
            wrapped(bench.method, 100)
        );
        figures.iter().for_each(|figure| row(&mut text, figure));
        text.push('\n');
        if figures.iter().any(|figure| figure.is_reached() == Some(false)) {
            reasons(&mut text, bench.reasons);
        }
    }
    if !results.not_measured.is_empty() {
        text.push_str("## Not measured\n\n");
        for (what, why) in &results.not_measured {
            let _ = writeln!(text, "- {what}: {why}.");
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Says why aims are missed.
fn reasons(text: &mut String, reasons: &[&str]) {
    if reasons.is_empty() {
        return;
    }
    text.push_str("Why aims are missed:\n\n");
    for reason in reasons {
        let _ = writeln!(text, "- {}", wrapped(reason, 98).replace('\n', "\n  "));
    }
    text.push('\n');
}

fn row(text: &mut String, figure: &Figure) {
    let Figure { name, value, limit, ratio, aim, .. } = figure;
    let aim = aim.map(|aim| aim.to_string()).unwrap_or_default();
    let reached = match figure.is_reached() {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "",
    };
    let _ = writeln!(text, "| {name} | {value} | {limit} | {ratio} | {aim} | {reached} |");
}

/// Breaks a text into lines of at most this many columns.
fn wrapped(text: &str, columns: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let is_full = lines.last().is_some_and(|line| line.len() + 1 + word.len() > columns);
        if is_full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// Returns what is known of the machine, without its name.
fn machine() -> Vec<(String, String)> {
    let unknown = || "unknown".to_owned();
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name))?.to_owned();
        let value = line.split_once([':', '='])?.1.trim().trim_matches('"').to_owned();
        Some(value).filter(|value| !value.is_empty())
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").and_then(|size| {
        let kibibytes: u64 = size.split(' ').next()?.parse().ok()?;
        Some(format!("{} GiB", kibibytes.div_ceil(1 << 20)))
    });
    let rustc = Command::new("rustc").arg("--version").output().ok();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let mut machine = vec![
        ("processors".to_owned(), processors.to_string()),
        ("processor".to_owned(), field("/proc/cpuinfo", "model name").unwrap_or_else(unknown)),
        ("memory".to_owned(), memory.unwrap_or_else(unknown)),
        ("system".to_owned(), field("/etc/os-release", "PRETTY_NAME").unwrap_or_else(unknown)),
        ("compiler".to_owned(), rustc.unwrap_or_else(unknown)),
    ];
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap_or_default();
    let versions = CRATES.map(|name| match locked(&lock, name) {
        Some(version) => format!("{name} {version}"),
        None => format!("{name} unknown"),
    });
    machine.push(("crates".to_owned(), versions.join(", ")));
    machine
}

/// Returns the version of a crate in a lock file.
fn locked(lock: &str, name: &str) -> Option<String> {
    let entry = lock
        .split("[[package]]")
        .find(|entry| entry.trim_start().lines().next() == Some(&format!("name = \"{name}\"")))?;
    let line = entry.lines().find_map(|line| line.strip_prefix("version = "))?;
    Some(line.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::BENCHES;
    use super::super::figure::Line;
    use super::*;

    #[test]
    fn a_page_says_which_aims_are_reached() {
        let lines = ["a | 3 ns | 2 ns | 1.50 | <= 2", "b | 3 ns | 1 ns | 3.00 | <= 2 | <= 4"];
        let figures = lines.map(|line| match Line::parse(line) {
            Line::Figure(figure) => figure,
            line => panic!("{line:?}"),
        });
        let not_measured = vec![("c".to_owned(), "no server".to_owned())];
        let benches = vec![(&BENCHES[0], Vec::from(figures))];
        let mut results = Results { benches, not_measured, ..Results::default() };
        let page = page(&results);
        assert!(page.contains("\n| a | 3 ns | 2 ns | 1.50 | <= 2 | yes |\n"), "{page}");
        assert!(page.contains("\n| b | 3 ns | 1 ns | 3.00 | <= 2 | **no** |\n"), "{page}");
        assert!(page.contains("\nWhy aims are missed:\n\n- An `inc` is one addition."), "{page}");
        assert!(page.ends_with("\n- c: no server.\n"), "{page}");
        assert!(page.lines().all(|line| line.len() <= 100 || line.starts_with('|')), "{page}");

        results.benches[0].1.truncate(1);
        assert!(!tables(&results).contains("Why aims are missed"), "none is missed");
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.2.3\"\n\n\
                    [[package]]\nname = \"ab\"\nversion = \"4.5.6\"\n";
        assert_eq!(locked(lock, "ab").as_deref(), Some("4.5.6"));
        assert_eq!(locked(lock, "b"), None);
    }
}
