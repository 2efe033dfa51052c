//! The test that each quick start must pass, in either framework.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Server;

/// Runs a quick start in its own folder, starts a job as its button does, and follows it to the
/// end.
///
/// # Panics
///
/// If a response is not what its page expects.
pub fn try_quick_start(program: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    // Any free port, because the usual one may be in use.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let address = address.expect("a free port").to_string();
    let mut command = Command::new(program);
    let server = Server::start(command.arg(&address).current_dir(&folder));
    // The program prints its address before it listens there.
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(&address).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on {address}");
        std::thread::sleep(Duration::from_millis(10));
    }

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
        ("current_message", serde_json::json!("invoice 50 sent")),
    ] {
        assert_eq!(ended[name], expected, "{name}");
    }
}
