//! A test that cannot be run here says so, and where leaving something out is a failure it fails.

use std::io::Write as _;

/// Says aloud that the test was left out, and what it would need.
///
/// # Panics
///
/// In CI.
pub(crate) fn say(need: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Past the capture of the test's output: a test that was left out would be silent about it.
    let text = format!("NOT RUN: {test}: {need}, or use cargo xtask test\n");
    std::io::stderr().write_all(text.as_bytes()).expect("stderr is there");
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI runs every test");
}
