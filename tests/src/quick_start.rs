//! What each quick start is to do, whatever serves it.

use std::process::Command;
use std::time::Duration;

use crate::Server;

/// Starts a quick start in a folder of its own, presses its button, and follows the job to its end.
///
/// # Panics
///
/// When anything is not as its page expects it.
pub fn try_quick_start(program: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    // Any free port, because the usual one may be taken.
    let mut command = Command::new(program);
    let server = Server::start(command.arg("127.0.0.1:0").current_dir(&folder));

    let page = server.get("/");
    assert!(page.text.contains("/progress/progress-polling.js"), "{}", page.text);
    assert_eq!(server.get("/progress/progress-polling.js").status, 200);

    let started = server.post("/send", "text/plain", "");
    assert_eq!(started.status, 200, "{}", started.text);
    let job = format!("/progress/{}", started.text);
    assert_eq!(server.get(&job).json["finished"], false);
    let is_finished = |record: &serde_json::Value| record["finished"] == true;
    let ended = server.wait_for(&job, Duration::from_secs(60), is_finished);
    for (name, expected) in [
        ("status", "completed".into()),
        ("success_count", 50.into()),
        ("progress_percentage", 100.into()),
        ("custom_title", "Sending invoices".into()),
        ("current_message", serde_json::json!("invoice 50 sent")),
    ] {
        assert_eq!(ended[name], expected, "{name}");
    }
}
