//! The replies of the API, without a web framework.
#![allow(clippy::unwrap_used, reason = "a test reports failures by panicking")]

mod access;
mod fuzz;
mod kept;
mod leaks;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use progress_core::testing::{self, Fault, FaultyStore};
use progress_core::{
    Completion, Delta, Jobs, MemoryStore, NewEntry, NewProgress, ProgressId, ProgressStore,
    ProgressUpdate, TotalChange,
};
use progress_http::{Answer, Events, ProgressApi, Reply, Request, RequestHeaders, Route, Viewer};
use serde_json::{Value, json};

struct Server {
    /// The store without the cache, as another process writes to it.
    store: Arc<FaultyStore>,
    jobs: Jobs,
    api: ProgressApi,
}

impl Server {
    fn new() -> Self {
        Self::with(|api| api)
    }

    fn with(settings: impl FnOnce(ProgressApi) -> ProgressApi) -> Self {
        let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
        let jobs = testing::jobs(store.clone());
        Self { api: settings(ProgressApi::new(jobs.clone())), jobs, store }
    }

    async fn create(&self, job: NewProgress) -> ProgressId {
        self.jobs.create(job).await.unwrap().id
    }

    /// Updates through the cache, so that the next request sees the change.
    async fn update(&self, id: ProgressId, update: ProgressUpdate) {
        self.jobs.store().update(id, &update).await.unwrap();
    }

    async fn ask(&self, viewer: &Viewer, line: &str) -> Reply {
        self.ask_with(viewer, line, &[]).await
    }

    async fn ask_with(&self, viewer: &Viewer, line: &str, headers: &[(&str, &str)]) -> Reply {
        match self.answer(viewer, line, headers).await {
            Answer::Whole(reply) => reply,
            Answer::Events(..) => panic!("unexpected event stream from {line}"),
        }
    }

    async fn events(
        &self,
        viewer: &Viewer,
        line: &str,
        headers: &[(&str, &str)],
    ) -> (Reply, Events) {
        match self.answer(viewer, line, headers).await {
            Answer::Whole(reply) => panic!("no event stream from {line}: {reply:?}"),
            Answer::Events(head, events) => (head, events),
        }
    }

    async fn answer(&self, viewer: &Viewer, line: &str, headers: &[(&str, &str)]) -> Answer {
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let headers = RequestHeaders::collect(headers.iter().copied());
        match self.api.route(&Request { method, mount: "/progress", path, query, headers }) {
            Route::Answered(reply) => Answer::Whole(reply),
            Route::Call(call) => call.answer(viewer).await,
        }
    }
}

fn document(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

fn ann() -> Viewer {
    Viewer::Owner("ann".to_owned())
}

#[tokio::test]
async fn a_record_reads_as_documented() {
    let server = Server::new();
    let job = NewProgress::new("email_sending")
        .with_owner("ann")
        .with_total(3)
        .with_title("Sending invoices");
    let id = server.create(job.with_metadata(json!({"batch": 7}))).await;
    let reply = server.ask(&ann(), &format!("GET /{id}")).await;
    assert_eq!(document(&reply)["progress_percentage"], 0);
    server.update(id, ProgressUpdate::start()).await;
    let delta = Delta::new().with_succeeded(1).with_failed(1).with_message("CCT123 sent");
    server.update(id, ProgressUpdate::advance(delta)).await;
    let reply = server.ask(&ann(), &format!("GET /{id}")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("retry-after"), Some("1"));

    let mut body = document(&reply);
    let times = ["created_at", "started_at", "updated_at"].map(|name| body[name].take());
    for time in times {
        let time = time.as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }
    for name in ["duration", "items_per_second", "estimated_remaining_time"] {
        // These depend on how long the test took.
        body[name].take();
    }
    assert_eq!(
        body,
        json!({
            "job_id": id.to_string(), "task_type": "email_sending", "status": "running",
            "total_items": 3, "processed_items": 2, "failed_items": 1, "success_count": 1,
            "remaining_items": 1,
            "progress_percentage": 66, "success_rate": 50,
            "current_message": "CCT123 sent", "error_message": null,
            "custom_title": "Sending invoices", "completion_message": null,
            "metadata": {"batch": 7}, "result": null,
            "created_at": null, "started_at": null, "updated_at": null, "completed_at": null,
            "duration": null, "estimated_remaining_time": null, "items_per_second": null,
            "finished": false, "stale": false, "stalled": false, "cancel_requested": false,
            "version": 3,
            "poll_after_ms": 500, "stale_after_ms": 15_000,
        })
    );

    let done =
        Completion::new().with_message("3 sent").try_with_result(json!({"sent": 3})).unwrap();
    server.update(id, ProgressUpdate::complete(Delta::new().with_succeeded(1), done)).await;
    let reply = server.ask(&ann(), &format!("GET /{id}")).await;
    let body = document(&reply);
    assert_eq!((reply.status, reply.header("retry-after")), (200, None));
    assert_eq!(
        (&body["status"], &body["finished"], &body["poll_after_ms"], &body["stale_after_ms"]),
        (&json!("completed"), &json!(true), &json!(null), &json!(null))
    );
    assert_eq!((&body["progress_percentage"], &body["result"]["sent"]), (&json!(100), &json!(3)));
    assert!(body["completed_at"].is_string());
}

#[tokio::test]
async fn a_job_that_may_run_again_says_which_attempt_it_is() {
    let server = Server::new();
    let job = NewProgress::new("import").with_owner("ann").with_total(10).with_attempts(3);
    let id = server.create(job).await;
    let seen = async || {
        let body = document(&server.ask(&ann(), &format!("GET /{id}")).await);
        assert!(body.get("checkpoint").is_none() && body.get("cursor").is_none(), "{body}");
        let names = ["status", "attempt", "max_attempts", "retrying", "retry_at", "error_message"];
        json!(names.map(|name| body.get(name).cloned().unwrap_or_default()))
    };
    assert_eq!(seen().await, json!(["pending", 0, 3, false, null, null]));
    server.update(id, ProgressUpdate::start()).await;
    assert_eq!(seen().await, json!(["running", 1, 3, false, null, null]));
    let delay = std::time::Duration::from_secs(12);
    server.update(id, ProgressUpdate::release(Delta::new(), "the disk is full", Some(delay))).await;
    let mut waiting = seen().await;
    assert!(waiting[4].take().as_str().is_some_and(|time| time.ends_with('Z')));
    assert_eq!(waiting, json!(["pending", 1, 3, true, null, "the disk is full"]));
    server.update(id, ProgressUpdate::start()).await;
    assert_eq!(seen().await, json!(["running", 2, 3, false, null, null]));
}

#[tokio::test]
async fn a_job_with_stages_says_in_which_it_is() {
    let server = Server::new();
    let job = NewProgress::new("import").with_owner("ann").with_total(4);
    let id = server.create(job.with_stages([("Read", 1), ("Check", 2), ("Import", 7)])).await;
    let seen = async |names: [&'static str; 4]| {
        let body = document(&server.ask(&ann(), &format!("GET /{id}")).await);
        let states = body["stages"].as_array().unwrap().iter().map(|stage| stage["state"].clone());
        let states = states.collect::<Vec<_>>();
        (json!(names.map(|name| body.get(name).cloned().unwrap_or_default())), json!(states))
    };
    let names = ["stage", "stage_percentage", "progress_percentage", "failed_items"];
    let (fields, states) = seen(names).await;
    assert_eq!((fields, states), (json!([1, 0, 0, 0]), json!(["pending", "pending", "pending"])));
    server.update(id, ProgressUpdate::start()).await;
    let checking = Delta::new().with_succeeded(3).with_failed(1).with_stage(1);
    server.update(id, ProgressUpdate::advance(checking.with_failed(2))).await;
    let (fields, states) = seen(names).await;
    assert_eq!(fields, json!([2, null, 10, 3]));
    assert_eq!(states, json!(["completed", "running", "pending"]));
    let total = Delta::new().with_total(progress_core::TotalChange::Set(4));
    server.update(id, ProgressUpdate::advance(total)).await;
    assert_eq!(seen(names).await.0, json!([2, 50, 20, 3]));
    let names = ["processed_items", "total_items", "success_count", "remaining_items"];
    assert_eq!(seen(names).await.0, json!([2, 4, 0, 2]));
    server.update(id, ProgressUpdate::fail(Delta::new(), "full")).await;
    assert_eq!(seen(names).await.1, json!(["completed", "failed", "pending"]));

    let job = NewProgress::new("import").with_owner("ann").with_stages([("Read", 1), ("Check", 2)]);
    let id = server.create(job).await;
    server.update(id, ProgressUpdate::start()).await;
    server.update(id, ProgressUpdate::complete(Delta::new(), Completion::new())).await;
    let body = document(&server.ask(&ann(), &format!("GET /{id}")).await);
    assert_eq!(
        body["stages"],
        json!([
            {"name": "Read", "weight": 1, "state": "completed"},
            {"name": "Check", "weight": 2, "state": "completed"},
        ])
    );
}

#[tokio::test]
async fn an_unchanged_record_is_not_sent_again() {
    let server = Server::new();
    let id = server.create(NewProgress::new("t")).await;
    server.update(id, ProgressUpdate::start()).await;
    let line = format!("GET /{id}");
    let first = server.ask(&Viewer::Anyone, &line).await;
    let etag = first.header("etag").unwrap().to_owned();
    server.update(id, ProgressUpdate::heartbeat()).await;
    for matching in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let reply = server.ask_with(&Viewer::Anyone, &line, &[("if-none-match", &matching)]).await;
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{matching}");
        assert_eq!(reply.header("etag"), Some(etag.as_str()));
    }
    let lines = [("if-none-match", "\"other\""), ("if-none-match", etag.as_str())];
    assert_eq!(server.ask_with(&Viewer::Anyone, &line, &lines).await.status, 304);
    server.update(id, ProgressUpdate::advance(Delta::new().with_succeeded(1))).await;
    let reply = server.ask_with(&Viewer::Anyone, &line, &[("if-none-match", &etag)]).await;
    assert_eq!(reply.status, 200);
    assert_ne!(reply.header("etag"), Some(etag.as_str()));
}

#[tokio::test(start_paused = true)]
async fn silence_shows_although_nothing_is_written() {
    let server = Server::with(|api| api.with_stale_after(Duration::from_secs(3)));
    let id = server.create(NewProgress::new("t").with_total(5)).await;
    server.update(id, ProgressUpdate::start()).await;
    let fresh = server.ask(&Viewer::Anyone, &format!("GET /{id}")).await;
    assert_eq!(document(&fresh)["stale_after_ms"], 3_000);
    tokio::time::sleep(Duration::from_millis(3_001)).await;
    let etag = fresh.header("etag").unwrap();
    let stale =
        server.ask_with(&Viewer::Anyone, &format!("GET /{id}"), &[("if-none-match", etag)]).await;
    assert_eq!(stale.status, 200);
    assert_eq!(
        (document(&fresh)["stale"].clone(), document(&stale)["stale"].clone()),
        (json!(false), json!(true))
    );
}

#[tokio::test(start_paused = true)]
async fn the_pause_between_polls_is_the_applications_choice() {
    for (poll_after, sent, retry_after, retry) in [
        (Duration::from_millis(1_200), 1_200, "2", "retry: 1200\n\n"),
        (Duration::from_secs(3), 3_000, "3", "retry: 3000\n\n"),
        (Duration::ZERO, 50, "1", "retry: 50\n\n"),
    ] {
        let server = Server::with(|api| api.with_poll_after(poll_after));
        let id = server.create(NewProgress::new("t")).await;
        let reply = server.ask(&Viewer::Anyone, &format!("GET /{id}")).await;
        assert_eq!(document(&reply)["poll_after_ms"], sent);
        assert_eq!(reply.header("retry-after"), Some(retry_after));
        let line = format!("GET /{id}/events");
        let (_, mut events) = server.events(&Viewer::Anyone, &line, &[]).await;
        assert_eq!(events.next().await.as_deref(), Some(retry));
    }
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_the_applications_choice() {
    for (read, write) in [(1_000, 5_000), (300, 700)] {
        let server = Server::with(|api| {
            api.with_read_deadline(Duration::from_millis(read))
                .with_write_deadline(Duration::from_millis(write))
        });
        let id = server.create(NewProgress::new("t")).await;
        for (line, deadline) in
            [("GET /ID", read), ("POST /ID/cancel", write), ("DELETE /ID", write)]
        {
            let line = line.replace("ID", &id.to_string());
            server.store.set(Fault::None);
            if deadline == write {
                // Puts the record into the cache.
                assert_eq!(server.ask(&Viewer::Anyone, &format!("GET /{id}")).await.status, 200);
            }
            server.store.set(Fault::Silent);
            let asked = tokio::time::Instant::now();
            assert_eq!(server.ask(&Viewer::Anyone, &line).await.status, 503, "{line}");
            let waited = asked.elapsed().as_millis();
            assert!(
                (deadline..=deadline + 2).contains(&u64::try_from(waited).unwrap()),
                "{line}: {waited}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_for_this_viewer_is_not_there() {
    let server = Server::new();
    let id = server.create(NewProgress::new("t").with_owner("ann")).await;
    let unknown = server.ask(&ann(), &format!("GET /{}", ProgressId::new())).await;
    assert_eq!(
        (unknown.status, unknown.header("content-type")),
        (404, Some("application/problem+json"))
    );
    let bob = Viewer::Owner("bob".to_owned());
    for viewer in [bob, Viewer::Anyone, Viewer::Owner(String::new())] {
        for line in ["GET /ID", "GET /ID/", "DELETE /ID", "POST /ID/cancel", "GET /ID/log"] {
            let reply = server.ask(&viewer, &line.replace("ID", &id.to_string())).await;
            assert_eq!(reply, unknown, "{viewer:?} {line}");
        }
    }
    assert_eq!(server.ask(&ann(), &format!("GET /{id}")).await.status, 200);
    assert_eq!(server.ask(&Viewer::Admin, &format!("GET /{id}")).await.status, 200);
}

#[tokio::test]
async fn what_is_no_id_asks_the_store_nothing() {
    let server = Server::new();
    let unknown = server.ask(&ann(), &format!("GET /{}", ProgressId::new())).await;
    let (reads, writes) = (server.store.reads(), server.store.writes());
    let id = ProgressId::new().to_string();
    let long = "a".repeat(4096);
    for bad in [
        "x",
        "%00",
        "..",
        "%2e%2e",
        "%ff",
        "é",
        long.as_str(),
        id.to_uppercase().as_str(),
        &format!("{{{id}}}"),
        &format!("urn:uuid:{id}"),
        &id.replace('-', ""),
        "progress-polling.map",
        "//",
        "null",
        "undefined",
    ] {
        for line in ["GET /ID", "DELETE /ID", "POST /ID/cancel", "GET /ID/log", "GET /ID/unknown"] {
            // Double slashes make an empty segment, which is unknown as well.
            let reply = server.ask(&ann(), &line.replace("ID", bad)).await;
            assert!(reply == unknown || reply.status == 405, "{line} with {bad}: {reply:?}");
        }
    }
    assert_eq!((server.store.reads(), server.store.writes()), (reads, writes));
}

#[tokio::test]
async fn cancel_and_delete_say_what_became_of_it() {
    let server = Server::new();
    let id = server.create(NewProgress::new("t")).await;
    server.update(id, ProgressUpdate::start()).await;
    let status = async |line: &str| {
        server.ask(&Viewer::Anyone, &line.replace("ID", &id.to_string())).await.status
    };
    assert_eq!(status("DELETE /ID").await, 409);
    assert_eq!(status("POST /ID/cancel").await, 202);
    assert_eq!(status("POST /ID/cancel").await, 202);
    server.update(id, ProgressUpdate::cancel(Delta::new())).await;
    assert_eq!(status("POST /ID/cancel").await, 200);
    assert_eq!(status("DELETE /ID").await, 204);
    assert_eq!(status("DELETE /ID").await, 404);

    let pending = server.create(NewProgress::new("t")).await;
    let reply = server.ask(&Viewer::Anyone, &format!("POST /{pending}/cancel")).await;
    assert_eq!((reply.status, document(&reply)["status"].clone()), (200, json!("cancelled")));
    let failed = server.create(NewProgress::new("t")).await;
    server.update(failed, ProgressUpdate::fail(Delta::new(), "broken")).await;
    assert_eq!(server.ask(&Viewer::Anyone, &format!("POST /{failed}/cancel")).await.status, 409);
}

#[tokio::test]
async fn other_sites_change_nothing() {
    let server = Server::new();
    let id = server.create(NewProgress::new("t")).await;
    for line in [format!("POST /{id}/cancel"), format!("DELETE /{id}")] {
        for forged in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
            let reply =
                server.ask_with(&Viewer::Admin, &line, &[("host", "localhost"), forged]).await;
            assert_eq!(reply.status, 403);
        }
    }
    assert_eq!(
        document(&server.ask(&Viewer::Anyone, &format!("GET /{id}")).await)["status"],
        "pending"
    );
}

#[tokio::test]
async fn lists_are_paged_filtered_and_ones_own() {
    let server = Server::new();
    let mut ids = Vec::new();
    let mut theirs = ProgressId::new();
    for number in 0..5 {
        let task_type = if number == 0 { "first" } else { "other" };
        ids.push(server.create(NewProgress::new(task_type).with_owner("ann")).await);
        theirs = server.create(NewProgress::new("other").with_owner("bob")).await;
    }
    server.update(ids[0], ProgressUpdate::start()).await;
    server.update(ids[1], ProgressUpdate::request_cancel()).await;

    let mut seen = Vec::new();
    let mut target = "GET /?limit=2".to_owned();
    loop {
        let reply = server.ask(&ann(), &target).await;
        let page = document(&reply);
        assert_eq!(page["count"], page["jobs"].as_array().unwrap().len());
        seen.extend(
            page["jobs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|job| job["job_id"].as_str().unwrap().to_owned()),
        );
        let Some(link) = reply.header("link") else {
            assert_eq!(page["next"], Value::Null);
            break;
        };
        let next =
            link.strip_prefix("<?").and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
        assert!(next.contains(page["next"].as_str().unwrap()));
        target = format!("GET /?{next}");
    }
    let mut expected: Vec<_> = ids.iter().map(ToString::to_string).collect();
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected);

    for (line, count) in [
        ("GET", 5),
        ("GET /active", 4),
        ("GET /?active=false", 1),
        ("GET /?status=running", 1),
        ("GET /?status=running&active=false", 0),
        ("GET /?task_type=first", 1),
        ("GET /?task_type=f%69rst&unknown=1", 1),
        ("GET /active/?limit=1", 1),
    ] {
        let line = if line == "GET" { "GET " } else { line };
        assert_eq!(document(&server.ask(&ann(), line).await)["count"], count, "{line}");
    }
    assert_eq!(document(&server.ask(&Viewer::Admin, "GET /").await)["count"], 10);
    assert_eq!(server.ask(&Viewer::Anyone, "GET /").await.status, 403);
    let several = format!("GET /?ids={},{theirs},nonsense,{}", ids[0], ProgressId::new());
    assert_eq!(document(&server.ask(&Viewer::Admin, &several).await)["count"], 2);
    assert_eq!(document(&server.ask(&ann(), &several).await)["count"], 1);

    for bad in [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=%2B5",
        "limit=x",
        "limit=",
        "cursor=x",
        "cursor=",
        "status=done",
        "active=yes",
        "limit=99999999999999999999",
    ] {
        let reply = server.ask(&ann(), &format!("GET /?{bad}")).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (400, Some("application/problem+json")),
            "{bad}"
        );
    }
    let too_many = vec!["x"; 101].join(",");
    assert_eq!(server.ask(&ann(), &format!("GET /?ids={too_many}")).await.status, 400);
}

#[tokio::test]
async fn a_log_is_read_in_stretches() {
    let server = Server::new();
    let id = server.create(NewProgress::new("t")).await;
    server.update(id, ProgressUpdate::start()).await;
    let delta = Delta::new()
        .with_dropped_entries(2)
        .with_entry(NewEntry::info("begun"))
        .with_entry(NewEntry::error("550 no such mailbox").with_item("CCT456"));
    server.update(id, ProgressUpdate::advance(delta)).await;
    let log =
        document(&server.ask(&Viewer::Anyone, &format!("GET /{id}/log?after=3&limit=1")).await);
    assert_eq!((&log["next_after"], &log["dropped"]), (&json!(4), &json!(2)));
    let line = &log["entries"][0];
    assert_eq!(
        (&line["seq"], &line["level"], &line["item"]),
        (&json!(4), &json!("error"), &json!("CCT456"))
    );
    assert_eq!(line["message"], "550 no such mailbox");
    for bad in ["after=-1", "after=x", "limit=0", "limit=1001"] {
        assert_eq!(
            server.ask(&Viewer::Anyone, &format!("GET /{id}/log?{bad}")).await.status,
            400,
            "{bad}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_in_trouble_gives_503_and_none_of_its_words() {
    let server = Server::new();
    let id = server.create(NewProgress::new("t")).await;
    let lines = ["GET /ID", "GET /", "GET /ID/log", "POST /ID/cancel", "DELETE /ID"]
        .map(|line| line.replace("ID", &id.to_string()));
    for fault in [Fault::Away, Fault::Broken, Fault::Silent] {
        server.store.set(fault);
        for line in &lines {
            let begun = tokio::time::Instant::now();
            let reply = server.ask(&Viewer::Admin, line).await;
            assert_eq!(
                (reply.status, reply.header("retry-after")),
                (503, Some("1")),
                "{fault:?} {line}"
            );
            assert!(begun.elapsed() <= Duration::from_millis(1_200), "{fault:?} {line}");
            assert!(
                !String::from_utf8_lossy(&reply.body).contains("told"),
                "the store's error message reached the viewer"
            );
        }
    }
    server.store.set(Fault::None);
    assert_eq!(server.ask(&Viewer::Admin, &lines[0]).await.status, 200);
}

#[tokio::test]
async fn methods_are_those_of_the_address() {
    let server = Server::new();
    let id = server.create(NewProgress::new("t")).await;
    for (path, allow) in [
        ("/", "GET, HEAD, OPTIONS"),
        ("/active", "GET, HEAD, OPTIONS"),
        ("/ID", "GET, HEAD, DELETE, OPTIONS"),
        ("/ID/", "GET, HEAD, DELETE, OPTIONS"),
        ("/ID/log", "GET, HEAD, OPTIONS"),
        ("/ID/cancel", "POST, OPTIONS"),
        ("/progress-polling.js", "GET, HEAD, OPTIONS"),
    ] {
        let path = path.replace("ID", &id.to_string());
        let options = server.ask(&Viewer::Anyone, &format!("OPTIONS {path}")).await;
        assert_eq!(
            (options.status, options.header("allow"), options.body.len()),
            (204, Some(allow), 0),
            "{path}"
        );
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get"] {
            let reply = server.ask(&Viewer::Admin, &format!("{method} {path}")).await;
            let is_allowed = allow.split(", ").any(|allowed| allowed == method);
            assert_eq!(reply.status != 405, is_allowed, "{method} {path}");
            if !is_allowed {
                assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
            }
            if method == "DELETE" && is_allowed {
                assert_eq!(reply.status, 409);
            }
        }
    }
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let server = Server::new();
    let id = server.create(NewProgress::new("t")).await;
    for path in [
        format!("/{id}"),
        format!("/{}", ProgressId::new()),
        "/active".to_owned(),
        "/progress-polling.css".to_owned(),
        "/a/b/c".to_owned(),
    ] {
        let get = server.ask(&Viewer::Admin, &format!("GET {path}")).await;
        let mut head = server.ask(&Viewer::Admin, &format!("HEAD {path}")).await;
        assert_eq!(head.body.len(), 0);
        let length = head.headers.pop();
        assert_eq!(length, Some(("content-length", get.body.len().to_string().into())));
        assert_eq!((head.status, &head.headers), (get.status, &get.headers), "{path}");
    }
}

#[tokio::test]
async fn a_new_record_of_an_old_id_has_another_tag() {
    let server = Server::new();
    let job = NewProgress::new("t").with_total(1);
    let id = server.create(job.clone()).await;
    let first = server.ask(&Viewer::Anyone, &format!("GET /{id}")).await;
    server.update(id, ProgressUpdate::request_cancel()).await;
    server.ask(&Viewer::Anyone, &format!("DELETE /{id}")).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    server.create(job).await;
    let second = server.ask(&Viewer::Anyone, &format!("GET /{id}")).await;
    assert_ne!(first.header("etag"), second.header("etag"));
}

#[tokio::test]
async fn numbers_that_browsers_misread_are_never_sent() {
    let server = Server::new();
    let id = server.create(NewProgress::new("t")).await;
    server.update(id, ProgressUpdate::start()).await;
    let all = Delta::new()
        .with_succeeded(u64::MAX)
        .with_failed(u64::MAX)
        .with_total(TotalChange::Set(u64::MAX));
    server.update(id, ProgressUpdate::advance(all)).await;
    let body = document(&server.ask(&Viewer::Anyone, &format!("GET /{id}")).await);
    for name in ["total_items", "processed_items", "failed_items", "success_count"] {
        assert_eq!(body[name], json!(9_007_199_254_740_991_u64), "{name}");
    }
}
