//! Reports a test that cannot be run here. In CI, that is a failure.

use std::io::Write as _;

/// Prints that the test was not run, and what it needs.
///
/// # Panics
///
/// In CI.
pub(crate) fn say(need: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Bypasses the capture of the test's output, which would hide that the test was not run.
    let text = format!("NOT RUN: {test}: {need}, or use cargo xtask test\n");
    std::io::stderr().write_all(text.as_bytes()).expect("stderr should be open");
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI must run every test");
}
