//! Independent clients: schemathesis, which tests an API by its description, and curl.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::report::{Finding, Report};
use crate::testserver::{FRAMEWORKS, TestServer, block_on, path};

/// A running job and a completed one, because a stream of events that is followed must end.
pub(crate) const RUNNING: &str = "00000000-0000-4000-8000-000000000001";
pub(crate) const COMPLETED: &str = "00000000-0000-4000-8000-000000000002";

pub(crate) fn run(report: &mut Report) {
    let Ok(tester) = std::env::var("PROGRESS_TEST_SCHEMATHESIS") else {
        report.not_run("schemathesis and curl", "PROGRESS_TEST_SCHEMATHESIS is not set");
        return;
    };
    let tester = Path::new(&tester);
    // Examples per operation. The tester adds some of its own: of 700, it makes 3,700 cases.
    let examples = report.rounds(700, 60);
    for framework in FRAMEWORKS {
        report.check(&format!("{framework}-schemathesis"), || {
            let server = stage(framework);
            test(
                tester,
                &server,
                &format!("http://{}/progress/openapi.json", server.address),
                examples,
            )
        });
        report.check(&format!("{framework}-curl"), || follow(&stage(framework)));
    }
    report.check("control", || {
        let server = stage("axum");
        let folder = tempfile::tempdir().unwrap();
        let description = folder.path().join("openapi.json");
        let mut document = curl(&server, "/progress/openapi.json", &[]).1;
        let schema =
            &mut document["components"]["schemas"]["Record"]["properties"]["version"]["type"];
        assert_eq!(schema.take(), "integer");
        *schema = json!("string");
        std::fs::write(&description, document.to_string()).unwrap();
        test(tester, &server, description.to_str().unwrap(), 10).must_fail()
    });
}

/// Starts a server with both jobs.
pub(crate) fn stage(framework: &'static str) -> TestServer {
    let server = TestServer::start(framework, &[]);
    block_on(async {
        for id in [RUNNING, COMPLETED] {
            server
                .create(&json!({
                    "id": id, "owner": "ann", "total": 10, "title": "T", "metadata": {"a": [1]}
                }))
                .await;
            let update = format!("/test/jobs/{id}/update");
            server.post(&update, &json!({"transition": "start"})).await;
            let entries = json!([{"level": "error", "item": "i", "message": "é"}]);
            server
                .post(
                    &update,
                    &json!({"succeeded": 2, "failed": 1, "message": "m", "entries": entries}),
                )
                .await;
        }
        server
            .post(&format!("/test/jobs/{COMPLETED}/update"), &json!({"transition": "complete"}))
            .await;
    });
    server
}

/// Runs all checks of the tester on every operation.
fn test(tester: &Path, server: &TestServer, description: &str, examples: u32) -> Finding {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("schemathesis.toml");
    let events = format!(
        "[[operations]]\ninclude-operation-id = \"follow_job\"\n\
         parameters = {{ id = \"{COMPLETED}\" }}\n"
    );
    std::fs::write(&settings, format!("[parameters]\nid = \"{RUNNING}\"\n\n{events}")).unwrap();
    let mut command = Command::new(tester);
    command
        .current_dir(folder.path())
        .arg("--config-file")
        .arg(&settings)
        .args(["run", description]);
    command.args([
        "--url",
        &format!("http://{}/progress", server.address),
        "-H",
        "x-viewer: admin",
    ]);
    command.args(["--request-timeout", "40", "--no-color", "--generation-deterministic"]);
    let output = command.args(["--max-examples", &examples.to_string()]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let cases = text
        .lines()
        .map(str::trim)
        .find(|line| line.contains(" generated, "))
        .unwrap_or("no cases");
    let failures: Vec<_> =
        text.lines().map(str::trim).filter(|line| line.starts_with('❌')).collect();
    let is_well = output.status.success() && cases != "no cases";
    Finding::new(is_well, format_args!("{cases} {}", failures.join(" ")), "all passed")
}

/// Sends a request with curl; returns the head and the document.
fn curl(server: &TestServer, path: &str, arguments: &[&str]) -> (String, Value) {
    let output = curl_command(server, path, arguments).output().unwrap();
    let text = text(&output);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or_default())
}

fn curl_command(server: &TestServer, path: &str, arguments: &[&str]) -> Command {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--no-buffer",
        "--include",
        "--max-time",
        "30",
        "-H",
        "x-viewer: owner:ann",
    ]);
    curl.args(arguments).arg(format!("http://{}{path}", server.address));
    curl
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A poll that waits for a change, and a stream of events to its end.
fn follow(server: &TestServer) -> Finding {
    let change = Duration::from_secs(1);
    let update = format!("/test/jobs/{RUNNING}/update");
    let (head, _) = curl(server, &path(RUNNING), &[]);
    let tag = head
        .lines()
        .find(|line| line.starts_with("etag:"))
        .unwrap()
        .replace("etag", "if-none-match");

    let begun = Instant::now();
    let (answered, polled) = std::thread::scope(|scope| {
        let poll =
            scope.spawn(|| curl(server, &path(RUNNING), &["-H", "prefer: wait=20", "-H", &tag]));
        std::thread::sleep(change);
        block_on(server.post(&update, &json!({"succeeded": 1})));
        let answer = poll.join().unwrap();
        (begun.elapsed(), answer)
    });
    let is_held = answered >= change && answered < change + Duration::from_millis(500);
    let is_polled =
        polled.0.contains("preference-applied: wait=20") && polled.1["success_count"] == 3;

    let events = format!("{}/events", path(RUNNING));
    let stream = std::thread::scope(|scope| {
        let stream = scope.spawn(|| text(&curl_command(server, &events, &[]).output().unwrap()));
        std::thread::sleep(change);
        block_on(server.post(&update, &json!({"succeeded": 1})));
        std::thread::sleep(Duration::from_millis(100));
        block_on(server.post(&update, &json!({"transition": "complete"})));
        stream.join().unwrap()
    });
    let states = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let states: Vec<Value> = states.map(|state| serde_json::from_str(state).unwrap()).collect();
    let counts: Vec<_> =
        states.iter().filter_map(|state| state["success_count"].as_u64()).collect();
    let is_followed =
        counts == [3, 4, 4] && states.last().is_some_and(|state| state["finished"] == true);
    let last = stream.lines().rev().find_map(|line| line.strip_prefix("id: ")).unwrap_or_default();
    let (resumed, _) = curl(server, &events, &["-H", &format!("last-event-id: {last}")]);
    Finding::new(
        is_held && is_polled && is_followed && resumed.starts_with("http/1.1 204"),
        format_args!(
            "a change after {change:?} reported after {answered:.2?}, \
             events of {counts:?}, then {:?}",
            resumed.lines().next()
        ),
        "within 500 ms of the change, [3, 4, 4], 204",
    )
}
