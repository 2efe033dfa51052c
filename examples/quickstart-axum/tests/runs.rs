//! The program that the README shows, as a process.

#[test]
fn a_job_is_started_and_followed_to_its_end() {
    progress_test_support::try_quick_start(env!("CARGO_BIN_EXE_quickstart-axum"));
}
