//! Tests every route of `testserver` in both frameworks, because other tests rely on them.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use progress_test_support::Server;
use serde_json::{Value, json};

use crate::wire;

const ID: &str = "00000000-0000-4000-8000-000000000001";
const UNKNOWN: &str = "00000000-0000-4000-8000-0000000000ff";

struct TestServer {
    // Killed on drop.
    server: Server,
    address: SocketAddr,
}

impl TestServer {
    fn start(framework: &str, store: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_testserver"));
        let server = Server::start(command.args(["--framework", framework, "--store", store]));
        let address = server.base().strip_prefix("http://").unwrap().parse().unwrap();
        Self { server, address }
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> (u16, Value, Vec<u8>) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\
             content-length: {length}\r\n\r\n{body}"
        );
        let answer = wire::ask(self.address, request.as_bytes()).await;
        (answer.status(), serde_json::from_slice(&answer.body).unwrap_or_default(), answer.body)
    }

    async fn get(&self, path: &str, headers: &str) -> (u16, Value) {
        let (status, json, _) = self.ask("GET", path, headers, "").await;
        (status, json)
    }

    /// Asserts the status, and that an error is a problem document.
    async fn post(&self, path: &str, body: &Value, expected: u16) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, json, bytes) = self.ask("POST", path, "", &body).await;
        assert_eq!(status, expected, "POST {path} {body}: {}", wire::text(&bytes));
        assert!(status < 400 || json["status"] == json!(status), "not a problem document: {json}");
        json
    }

    async fn update(&self, id: &str, body: Value, expected: u16) -> Value {
        self.post(&format!("/test/jobs/{id}/update"), &body, expected).await
    }

    async fn create(&self, body: Value) -> String {
        self.post("/test/jobs", &body, 201).await["job_id"].as_str().unwrap().to_owned()
    }
}

async fn walk(framework: &str, store: &str) {
    let server = TestServer::start(framework, store);
    making_jobs(&server).await;
    changing_jobs(&server).await;
    running_jobs(&server).await;

    let (status, counts) = server.get("/test/counts", "").await;
    assert_eq!(status, 200);
    let (reads, writes) =
        (counts["store_reads"].as_u64().unwrap(), counts["store_writes"].as_u64().unwrap());
    assert!(reads > 0 && writes > 0, "{counts}");
    assert_eq!(
        server.get("/test/counts", "").await.1,
        counts,
        "reading the counts must not change them"
    );
    let (status, bare, bytes) = server.ask("GET", "/bare", "", "").await;
    assert_eq!((status, bare["status"].as_str()), (200, Some("running")));
    assert!(
        (600..1_200).contains(&bytes.len()),
        "{} bytes are not the size of a poll's body",
        bytes.len()
    );
    assert_eq!(server.get("/test/nothing", "").await.0, 404);
    assert_eq!(server.get("/test/jobs", "").await.0, 405);

    assert!(server.server.terminate(Duration::from_secs(5)).success());
}

async fn making_jobs(server: &TestServer) {
    let plain = server.create(Value::Null).await;
    let (status, record) = server.get(&format!("/progress/{plain}"), "").await;
    assert_eq!(
        (status, record["status"].as_str(), record["total_items"].as_u64()),
        (200, Some("pending"), None)
    );

    let full = json!({
        "id": ID, "owner": "ann", "task_type": "import", "total": 3, "title": "Importing",
        "metadata": {"a": [1]}, "auto_complete": true,
    });
    assert_eq!(server.create(full.clone()).await, ID);
    server.post("/test/jobs", &full, 409).await;
    let path = format!("/progress/{ID}");
    for (viewer, expected) in [
        ("", 404),
        ("x-viewer: owner:bob\r\n", 404),
        ("x-viewer: owner:ann\r\n", 200),
        ("x-viewer: admin\r\n", 200),
        ("x-viewer: unknown\r\n", 400),
    ] {
        assert_eq!(server.get(&path, viewer).await.0, expected, "{viewer}");
    }
    let (_, record) = server.get(&path, "x-viewer: admin\r\n").await;
    assert_eq!(record["task_type"], "import");
    assert_eq!(record["custom_title"], "Importing");
    assert_eq!(record["metadata"], json!({"a": [1]}));
    assert_eq!(server.get("/progress/", "x-viewer: owner:ann\r\n").await.1["count"], 1);
    server.update(ID, json!({"transition": "start"}), 200).await;
    let record = server.update(ID, json!({"succeeded": 2}), 200).await;
    assert_eq!(record["status"], "running");
    let done = json!({"transition": "complete"});
    let record = server.update(ID, done, 200).await;
    assert_eq!(record["status"], "running", "another worker may still process the missing item");
    let record = server.update(ID, json!({"transition": "complete", "failed": 1}), 200).await;
    assert_eq!(record["status"], "completed", "the last item completes it");

    for body in [
        json!({"id": "no id"}),
        json!({"owner": ""}),
        json!({"colour": "blue"}),
        json!([1]),
        json!(""),
    ] {
        server.post("/test/jobs", &body, 400).await;
    }
    assert_eq!(server.ask("POST", "/test/jobs", "", "{").await.0, 400);
    assert_eq!(server.ask("POST", "/test/jobs", "", &"x".repeat(200_000)).await.0, 400);
}

async fn changing_jobs(server: &TestServer) {
    let id = server.create(json!({"total": 2})).await;
    server.update(&id, json!({"succeeded": 1}), 409).await;
    let started = server.update(&id, json!({"transition": "start"}), 200).await;
    assert_eq!(
        (started["status"].as_str(), started["version"].as_u64()),
        (Some("running"), Some(2))
    );
    let alive = server.update(&id, json!({"transition": "heartbeat"}), 200).await;
    assert_eq!(alive["version"], 2, "a heartbeat must not change the version");
    let advance = json!({
        "transition": null, "succeeded": 3, "failed": 1, "total": 5, "message": "four of five",
        "entries": [{"message": "one"}, {"level": "error", "item": "CCT1", "message": "refused"}],
    });
    let record = server.update(&id, advance, 200).await;
    assert_eq!(record["success_count"], 3);
    assert_eq!(record["failed_items"], 1);
    assert_eq!(record["total_items"], 5);
    assert_eq!(record["current_message"], "four of five");
    let (_, log) = server.get(&format!("/progress/{id}/log"), "").await;
    assert_eq!(log["entries"][0]["level"], "info");
    assert_eq!(log["entries"][1]["item"], "CCT1");
    server.update(&id, json!({"error": "x"}), 400).await;
    server.update(&id, json!({"result": 1}), 400).await;
    server.update(&id, json!({"transition": "dance"}), 400).await;
    server.update(&id, json!({"transition": "complete", "result": "x".repeat(20_000)}), 400).await;
    let completed = server
        .update(&id, json!({"transition": "complete", "message": "done", "result": {"n": 4}}), 200)
        .await;
    assert_eq!(completed["completion_message"], "done");
    assert_eq!(completed["result"], json!({"n": 4}));
    server.update(&id, json!({"transition": "fail"}), 409).await;

    let id = server.create(Value::Null).await;
    server.update(&id, json!({"transition": "start", "message": "begun"}), 200).await;
    let failed = server
        .update(&id, json!({"transition": "fail", "error": "disk full", "failed": 1}), 200)
        .await;
    assert_eq!(
        (failed["status"].as_str(), failed["error_message"].as_str()),
        (Some("failed"), Some("disk full"))
    );
    let id = server.create(Value::Null).await;
    server.update(&id, json!({"transition": "start"}), 200).await;
    assert_eq!(
        server.update(&id, json!({"transition": "cancel"}), 200).await["status"],
        "cancelled"
    );

    for unknown in [UNKNOWN, "no-id"] {
        server.update(unknown, json!({"transition": "start"}), 404).await;
        server.post(&format!("/test/jobs/{unknown}/run"), &json!({"items": 1}), 404).await;
    }
}

async fn running_jobs(server: &TestServer) {
    let id = server.create(json!({"total": 100})).await;
    let run = format!("/test/jobs/{id}/run");
    server.post(&run, &json!({"items": 1, "colour": "blue"}), 400).await;
    let begun = Instant::now();
    assert_eq!(
        server.post(&run, &json!({"delay_us": 2_500, "fail_every": 10}), 202).await["job_id"],
        id
    );
    server.post(&run, &json!({"items": 1}), 409).await;
    let path = format!("/progress/{id}");
    loop {
        let (_, record) = server.get(&path, "prefer: wait=5\r\n").await;
        if record["finished"] == true {
            assert_eq!(
                (record["success_count"].as_u64(), record["failed_items"].as_u64()),
                (Some(90), Some(10))
            );
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{record}");
    }
    assert!(begun.elapsed() >= Duration::from_millis(250), "100 items of 2.5 ms each");

    let id = server.create(Value::Null).await;
    server
        .post(&format!("/test/jobs/{id}/run"), &json!({"items": 1_000_000, "delay_us": 1_000}), 202)
        .await;
    assert_eq!(server.ask("POST", &format!("/progress/{id}/cancel"), "", "").await.0, 202);
    let path = format!("/progress/{id}");
    let begun = Instant::now();
    while server.get(&path, "").await.1["status"] != "cancelled" {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the tracker should obey the request to cancel"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_testserver_with_axum() {
    walk("axum", "memory").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_testserver_with_actix() {
    let folder = tempfile::tempdir().unwrap();
    walk("actix", &format!("sqlite:{}", folder.path().join("progress.db").display())).await;
}
