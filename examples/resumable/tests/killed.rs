//! The import is killed in the middle of its work, and started again.
#![allow(clippy::unwrap_used, reason = "a test reports a failure by panicking")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use progress_core::{ProgressId, ProgressStore as _};
use progress_sqlx::SqliteStore;
use tokio::time::{Instant, sleep};

fn start(url: &str, file: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resumable"));
    command.arg(url).arg(file).stdout(Stdio::piped()).spawn().unwrap()
}

#[tokio::test]
async fn a_killed_import_ends_with_exact_counts() {
    const LINES: u64 = 400;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("import.db").display());
    let file = folder.path().join("lines.txt");
    let lines: String = (1..=LINES).map(|line| format!("line {line}\n")).collect();
    std::fs::write(&file, lines).unwrap();
    let store = SqliteStore::connect(&url).await.unwrap();
    let id = ProgressId::from_uuid(uuid::Uuid::from_u128(1));

    for killed_at in [50, 200] {
        let mut import = start(&url, &file);
        let begun = Instant::now();
        loop {
            let counted = store.get(id).await.unwrap().map_or(0, |progress| progress.succeeded);
            assert!(counted < LINES, "the import must be killed before its end");
            if counted >= killed_at {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "the import does not move");
            sleep(Duration::from_millis(20)).await;
        }
        import.kill().unwrap();
        import.wait().unwrap();
    }
    let output = start(&url, &file).wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, format!("completed: {LINES} lines in 3 attempts\n"));
    let ended = store.get(id).await.unwrap().unwrap();
    assert_eq!((ended.processed(), ended.failed), (LINES, 0));
    let log = store.entries(id, 0, 10).await.unwrap();
    let log: Vec<_> = log.entries.iter().map(|entry| entry.message.as_str()).collect();
    assert_eq!(log, ["attempt 1 of 5 ended: worker lost", "attempt 2 of 5 ended: worker lost"]);
}
