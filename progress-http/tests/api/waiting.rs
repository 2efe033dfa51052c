//! Long polls and event streams: what a client receives, and when.

use progress_core::testing::Fault;
use progress_core::{Tracker, TrackerOptions};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::*;

impl Server {
    /// Creates a running job, and returns its id and its current tag.
    async fn running(&self) -> (ProgressId, String) {
        let id = self.create(NewProgress::new("test").with_total(10)).await;
        self.update(id, ProgressUpdate::start()).await;
        (id, self.tag(id).await)
    }

    async fn tag(&self, id: ProgressId) -> String {
        let reply = self.ask(&Viewer::Anyone, &format!("GET /{id}")).await;
        reply.header("etag").unwrap().to_owned()
    }

    /// Sends a long poll, and returns the reply and how long it took.
    async fn wait(&self, id: ProgressId, prefer: &str, tag: Option<&str>) -> (Reply, Duration) {
        let mut headers = vec![("prefer", prefer)];
        headers.extend(tag.map(|tag| ("if-none-match", tag)));
        let began = Instant::now();
        let reply = self.ask_with(&Viewer::Anyone, &format!("GET /{id}"), &headers).await;
        (reply, began.elapsed())
    }
}

fn one() -> ProgressUpdate {
    ProgressUpdate::advance(Delta::new().with_succeeded(1))
}

const MOMENT: Duration = Duration::from_millis(20);

fn assert_about(time: Duration, expected: Duration) {
    assert!(time >= expected && time <= expected + MOMENT, "took {time:?} instead of {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_poll_waits_for_the_change() {
    let server = Arc::new(Server::new());
    let (id, tag) = server.running().await;
    for known in [Some(tag.as_str()), None] {
        let writer = Arc::clone(&server);
        let change = tokio::spawn(async move {
            sleep(Duration::from_secs(3)).await;
            writer.update(id, one()).await;
        });
        let known = known.map(|_| tag.as_str());
        let (reply, time) = server.wait(id, "wait=10", known).await;
        assert_about(time, Duration::from_secs(3));
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("preference-applied"), Some("wait=10"));
        assert_ne!(reply.header("etag"), Some(&*tag));
        change.await.unwrap();
        if known.is_some() {
            // A client with an outdated tag is answered at once.
            let (reply, time) = server.wait(id, "wait=10", known).await;
            assert_eq!((reply.status, time), (200, Duration::ZERO));
        }
    }
    assert_eq!(
        document(&server.ask(&Viewer::Anyone, &format!("GET /{id}")).await)["success_count"],
        2
    );
}

#[tokio::test(start_paused = true)]
async fn a_poll_waits_no_longer_than_asked() {
    let server = Server::new();
    let (id, tag) = server.running().await;
    for (prefer, seconds, applied) in [
        ("wait=2", 2, "wait=2"),
        ("respond-async, wait=\"3\"", 3, "wait=3"),
        ("wait=0", 0, "wait=0"),
    ] {
        let (reply, time) = server.wait(id, prefer, Some(&tag)).await;
        assert_about(time, Duration::from_secs(seconds));
        assert_eq!(
            (reply.status, reply.header("preference-applied")),
            (304, Some(applied)),
            "{prefer}"
        );
        assert_eq!(reply.header("etag"), Some(&*tag));
        let (reply, time) = server.wait(id, prefer, None).await;
        assert_about(time, Duration::from_secs(seconds));
        assert_eq!(
            (reply.status, reply.header("preference-applied")),
            (200, Some(applied)),
            "{prefer}"
        );
    }
    let (reply, time) = server.wait(id, "wait=soon", Some(&tag)).await;
    assert_eq!(
        (reply.status, time, reply.header("preference-applied")),
        (304, Duration::ZERO, None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_poll_waits_at_most_25_seconds() {
    let server = Server::new();
    let id = server.create(NewProgress::new("test")).await;
    let tag = server.tag(id).await;
    let (reply, time) = server.wait(id, "wait=3600", Some(&tag)).await;
    assert_about(time, Duration::from_secs(25));
    assert_eq!((reply.status, reply.header("preference-applied")), (304, Some("wait=25")));
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_not_waited_for() {
    let server = Server::new();
    let (id, _) = server.running().await;
    server.update(id, ProgressUpdate::fail(Delta::new(), "over")).await;
    let tag = server.tag(id).await;
    for known in [Some(&*tag), None] {
        let (_, time) = server.wait(id, "wait=20", known).await;
        assert_eq!(time, Duration::ZERO);
    }
    let began = Instant::now();
    let reply = server.ask_with(&Viewer::Anyone, "GET /nonsense", &[("prefer", "wait=20")]).await;
    assert_eq!((reply.status, began.elapsed()), (404, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_falls_silent_is_a_change() {
    let server = Server::new();
    let (id, tag) = server.running().await;
    let (reply, time) = server.wait(id, "wait=20", Some(&tag)).await;
    assert!(time >= Duration::from_secs(15) && time < Duration::from_millis(15_700), "{time:?}");
    assert_eq!(document(&reply)["stale"], true);

    // So is a worker that sends heartbeats again, although the version stays the same.
    let tag = server.tag(id).await;
    let back = Arc::clone(&server.store);
    tokio::spawn(async move {
        sleep(Duration::from_secs(3)).await;
        back.update(id, &ProgressUpdate::heartbeat()).await.unwrap();
    });
    let (reply, time) = server.wait(id, "wait=20", Some(&tag)).await;
    assert!(time >= Duration::from_secs(3) && time < Duration::from_millis(4_500), "{time:?}");
    assert_eq!((reply.status, &document(&reply)["stale"]), (200, &json!(false)));

    // A worker that sends heartbeats all the time is no change.
    let id = server.create(NewProgress::new("test")).await;
    let tracker = server.jobs.tracker(id).await.unwrap();
    let tag = server.tag(id).await;
    let (reply, time) = server.wait(id, "wait=25", Some(&tag)).await;
    assert_about(time, Duration::from_secs(25));
    assert_eq!(reply.status, 304);
    tracker.complete(()).await.unwrap();
}

impl Server {
    /// Creates a job that reports an item a second, and whose worker then only sends heartbeats.
    async fn busy_then_silent(&self, job: NewProgress) -> (ProgressId, Tracker) {
        let id = self.create(job.with_total(100)).await;
        let tracker = self.jobs.tracker(id).await.unwrap();
        for _ in 0..5 {
            sleep(Duration::from_secs(1)).await;
            tracker.handle().inc(1);
        }
        sleep(Duration::from_millis(300)).await;
        (id, tracker)
    }
}

#[tokio::test(start_paused = true)]
async fn an_estimate_that_becomes_unknown_is_a_change() {
    let server = Server::new();
    let (id, tracker) = server.busy_then_silent(NewProgress::new("test")).await;
    let known = server.ask(&Viewer::Anyone, &format!("GET /{id}")).await;
    assert!(document(&known)["estimated_remaining_time"].as_u64() > Some(60));

    let (unknown, time) = server.wait(id, "wait=25", known.header("etag")).await;
    assert!((14_600..15_500).contains(&time.as_millis()), "{time:?}");
    let (known, unknown) = (document(&known), document(&unknown));
    assert_eq!(unknown["estimated_remaining_time"], Value::Null);
    for name in ["version", "items_per_second", "stale", "stalled"] {
        assert_eq!(unknown[name], known[name], "{name}");
    }

    let tag = server.tag(id).await;
    let (reply, time) = server.wait(id, "wait=25", Some(&tag)).await;
    assert_eq!(reply.status, 304, "no other change");
    assert_about(time, Duration::from_secs(25));
    tracker.complete(()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_stalls_is_a_change() {
    let server = Server::new();
    let job = NewProgress::new("test").with_stall_after(Duration::from_secs(8));
    let (id, tracker) = server.busy_then_silent(job).await;
    let moving = server.ask(&Viewer::Anyone, &format!("GET /{id}")).await;
    assert_eq!(document(&moving)["stalled"], false);

    let line = format!("GET /{id}/events");
    let tag = moving.header("etag").unwrap();
    let last = [("last-event-id", tag.trim_matches('"'))];
    let (_, events) = server.events(&Viewer::Anyone, &line, &last).await;
    let mut events = events.skip(1);
    let asked = Instant::now();
    let (stalled, time) = server.wait(id, "wait=25", Some(tag)).await;
    assert!((7_600..8_500).contains(&time.as_millis()), "{time:?}");
    let stalled = document(&stalled);
    assert_eq!((&stalled["stalled"], &stalled["stale"]), (&json!(true), &json!(false)));
    assert_eq!(data(&events.next().await.unwrap())["stalled"], true);
    assert!(asked.elapsed() < Duration::from_millis(8_500), "{:?}", asked.elapsed());

    tracker.handle().inc(1);
    assert_eq!(data(&events.next().await.unwrap())["stalled"], false);
    tracker.complete(()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_thousand_wait_for_one_and_cost_what_one_costs() {
    let server = Server::new();
    let (id, tag) = server.running().await;
    let server = Arc::new(server);
    let mut waiters = JoinSet::new();
    for _ in 0..2_000 {
        let (server, tag) = (Arc::clone(&server), tag.clone());
        waiters.spawn(async move { server.wait(id, "wait=20", Some(&tag)).await });
    }
    let reads = server.store.reads();
    sleep(Duration::from_secs(10)).await;
    let reads = server.store.reads() - reads;
    assert!((38..=42).contains(&reads), "{reads} reads in ten seconds");
    // As another process would.
    server.store.update(id, &one()).await.unwrap();
    for (reply, time) in waiters.join_all().await {
        assert_eq!(reply.status, 200);
        assert!(time <= Duration::from_millis(10_250), "{time:?}");
    }
    let reads = server.store.reads();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(server.store.reads(), reads, "reads go on without a waiter");
}

#[tokio::test(start_paused = true)]
async fn the_one_too_many_does_not_wait() {
    let server = Arc::new(Server::with(|api| api.with_max_waiters(1)));
    let (id, tag) = server.running().await;
    let first = tokio::spawn({
        let (server, tag) = (Arc::clone(&server), tag.clone());
        async move { server.wait(id, "wait=10", Some(&tag)).await }
    });
    sleep(MOMENT).await;
    let (reply, time) = server.wait(id, "wait=10", Some(&tag)).await;
    assert_eq!(
        (reply.status, time, reply.header("preference-applied")),
        (304, Duration::ZERO, None)
    );
    let (_, events) = server.events(&Viewer::Anyone, &format!("GET /{id}/events"), &[]).await;
    assert_eq!(
        events.collect::<Vec<_>>().await.len(),
        2,
        "the retry time and the current record, then the end"
    );
    // A client that disconnects makes room for another.
    first.abort();
    sleep(MOMENT).await;
    let (_, time) = server.wait(id, "wait=1", Some(&tag)).await;
    assert_about(time, Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_waiting_is_waited_out() {
    let server = Arc::new(Server::new());
    let (id, tag) = server.running().await;
    let repair = Arc::clone(&server);
    tokio::spawn(async move {
        repair.store.set(Fault::Away);
        sleep(Duration::from_secs(3)).await;
        repair.store.set(Fault::None);
        repair.store.update(id, &one()).await.unwrap();
    });
    let (reply, time) = server.wait(id, "wait=10", Some(&tag)).await;
    assert_eq!(reply.status, 200);
    assert!(time < Duration::from_secs(4), "{time:?}");
}

/// Returns the data of an event.
fn data(event: &str) -> Value {
    let line = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    serde_json::from_str(line).unwrap()
}

fn event_id(event: &str) -> String {
    event.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn events_tell_of_every_state_and_end_with_the_job() {
    let server = Arc::new(Server::new());
    let id = server.create(NewProgress::new("test").with_total(2)).await;
    let line = format!("GET /{id}/events");
    let (head, mut events) = server.events(&Viewer::Anyone, &line, &[]).await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(head.header("cache-control"), Some("no-store"));
    assert_eq!(events.next().await.unwrap(), "retry: 500\n\n");
    let pending = events.next().await.unwrap();
    assert_eq!(data(&pending), document(&server.ask(&Viewer::Anyone, &format!("GET /{id}")).await));

    server.update(id, ProgressUpdate::start()).await;
    assert_eq!(data(&events.next().await.unwrap())["status"], "running");
    let options = TrackerOptions::new().with_joining();
    let tracker = server.jobs.tracker_with(options, id).await.unwrap();
    tracker.handle().inc(2);
    tracker.complete(()).await.unwrap();
    let last = loop {
        let event = events.next().await.unwrap();
        if data(&event)["finished"] == true {
            break event;
        }
    };
    assert_eq!(data(&last)["success_count"], 2);
    assert_eq!(events.next().await, None);
    assert_eq!(events.next().await, None, "also when polled again");

    let resumed =
        server.ask_with(&Viewer::Anyone, &line, &[("last-event-id", &event_id(&last))]).await;
    assert_eq!((resumed.status, resumed.body.len()), (204, 0));
    // A client that missed the last event receives it.
    let early = event_id(&pending);
    let (_, events) = server.events(&Viewer::Anyone, &line, &[("last-event-id", &early)]).await;
    assert_eq!(
        events.skip(1).map(|event| event_id(&event)).collect::<Vec<_>>().await,
        [event_id(&last)]
    );
}

#[tokio::test(start_paused = true)]
async fn events_go_on_where_they_were() {
    let server = Server::new();
    let (id, tag) = server.running().await;
    let known = tag.trim_matches('"');
    let line = format!("GET /{id}/events");
    let (_, mut events) = server.events(&Viewer::Anyone, &line, &[("last-event-id", known)]).await;
    events.next().await.unwrap();
    let began = Instant::now();
    let ping = "event: ping\ndata: {}\n\n";
    assert_eq!(events.next().await.unwrap(), ping, "which keeps the connection alive");
    assert_about(began.elapsed(), Duration::from_secs(15));
    assert_eq!(data(&events.next().await.unwrap())["stale"], true);
}

#[tokio::test(start_paused = true)]
async fn events_end_with_the_record() {
    let server = Server::new();
    let (id, _) = server.running().await;
    let line = format!("GET /{id}/events");
    let (_, mut events) = server.events(&Viewer::Anyone, &line, &[]).await;
    assert!(events.next().await.is_some() && events.next().await.is_some());
    server.update(id, ProgressUpdate::fail(Delta::new(), "over")).await;
    assert_eq!(data(&events.next().await.unwrap())["status"], "failed");
    let (_, mut events) = server.events(&Viewer::Anyone, &line, &[]).await;
    events.next().await.unwrap();
    server.jobs.store().delete(id).await.unwrap();
    assert_eq!(events.next().await, None);

    let (id, _) = server.running().await;
    for line in ["GET /nonsense/events".to_owned(), format!("GET /{}/events", ProgressId::new())] {
        assert_eq!(
            server.ask(&Viewer::Anyone, &line).await,
            server.ask(&Viewer::Anyone, "GET /x").await
        );
    }
    let theirs = server.create(NewProgress::new("test").with_owner("bob")).await;
    assert_eq!(server.ask(&ann(), &format!("GET /{theirs}/events")).await.status, 404);
    let head = server.ask(&Viewer::Anyone, &format!("HEAD /{id}/events")).await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
}

#[tokio::test(start_paused = true)]
async fn events_survive_an_outage() {
    let server = Server::new();
    let (id, _) = server.running().await;
    let line = format!("GET /{id}/events");
    let (_, mut before) = server.events(&Viewer::Anyone, &line, &[]).await;
    before.next().await.unwrap();
    server.store.set(Fault::Away);
    sleep(Duration::from_secs(1)).await;
    // Also a stream that begins during the outage, because browsers do not retry after 503.
    let (head, mut during) = server.events(&Viewer::Anyone, &line, &[]).await;
    assert_eq!((head.status, during.next().await.as_deref()), (200, Some("retry: 500\n\n")));
    for events in [&mut before, &mut during] {
        for _ in 0..3 {
            assert!(events.next().await.unwrap().starts_with("event: ping\n"));
        }
    }
    server.store.set(Fault::None);
    for events in [&mut before, &mut during] {
        assert_eq!(data(&events.next().await.unwrap())["job_id"], json!(id));
    }
}

#[tokio::test(start_paused = true)]
async fn access_is_checked_again_while_a_client_waits() {
    let server = Arc::new(Server::new());
    let job = || NewProgress::new("test").with_owner("ann");
    let id = server.create(job()).await;
    let line = format!("GET /{id}/events");
    let (_, mut events) = server.events(&ann(), &line, &[]).await;
    assert!(events.next().await.is_some() && events.next().await.is_some());
    let poll = tokio::spawn({
        let server = Arc::clone(&server);
        let line = format!("GET /{id}");
        async move { server.ask_with(&ann(), &line, &[("prefer", "wait=20")]).await }
    });
    sleep(MOMENT).await;
    server.update(id, ProgressUpdate::request_cancel()).await;
    server.jobs.store().delete(id).await.unwrap();
    let theirs = NewProgress::new("secret").with_id(id).with_owner("bob");
    server.create(theirs).await;
    let poll = poll.await.unwrap();
    assert!(!String::from_utf8_lossy(&poll.body).contains("secret"));
    while let Some(event) = events.next().await {
        assert!(!event.contains("secret"), "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_after_five_minutes() {
    let server = Server::with(|api| api.with_poll_after(Duration::from_secs(3_600)));
    let id = server.create(NewProgress::new("test")).await;
    let began = Instant::now();
    let line = format!("GET /{id}/events");
    let (_, mut events) = server.events(&Viewer::Anyone, &line, &[]).await;
    assert_eq!(events.next().await.unwrap(), "retry: 10000\n\n", "a bounded pause");
    while events.next().await.is_some() {}
    assert_about(began.elapsed(), Duration::from_secs(300));
}

#[tokio::test(start_paused = true)]
async fn a_list_of_ids_waits_for_the_first_change() {
    let server = Arc::new(Server::new());
    let (first, _) = server.running().await;
    let (second, _) = server.running().await;
    let theirs = server.create(NewProgress::new("test").with_owner("bob")).await;
    let line = format!("GET /?ids={first},{second},{second}&ids={theirs},{}", ProgressId::new());
    let list = server.ask(&Viewer::Anyone, &line).await;
    assert_eq!(document(&list)["count"], 2, "each once, of both parameters, if visible");
    let tag = list.header("etag").unwrap().to_owned();
    let known = [("if-none-match", tag.as_str())];
    let unchanged = server.ask_with(&Viewer::Anyone, &line, &known).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));

    let wait = [("if-none-match", tag.as_str()), ("prefer", "wait=20")];
    let began = Instant::now();
    let writer = Arc::clone(&server);
    tokio::spawn(async move {
        sleep(Duration::from_secs(3)).await;
        writer.update(theirs, ProgressUpdate::request_cancel()).await;
        sleep(Duration::from_secs(3)).await;
        writer.update(second, one()).await;
    });
    let changed = server.ask_with(&Viewer::Anyone, &line, &wait).await;
    assert_about(began.elapsed(), Duration::from_secs(6));
    assert_eq!((changed.status, changed.header("preference-applied")), (200, Some("wait=20")));
    assert_eq!(document(&changed)["jobs"][1]["success_count"], 1);
    // A client with an outdated tag is answered at once.
    let began = Instant::now();
    assert_eq!(server.ask_with(&Viewer::Anyone, &line, &wait).await.status, 200);
    assert_eq!(began.elapsed(), Duration::ZERO);

    let tag = changed.header("etag").unwrap();
    let wait = [("if-none-match", tag), ("prefer", "wait=5")];
    let unchanged = server.ask_with(&Viewer::Anyone, &line, &wait).await;
    assert_eq!(unchanged.status, 304);
    assert_about(began.elapsed(), Duration::from_secs(5));
    for id in [first, second] {
        server.update(id, ProgressUpdate::fail(Delta::new(), "over")).await;
    }
    let began = Instant::now();
    server.ask_with(&Viewer::Anyone, &line, &[("prefer", "wait=20")]).await;
    assert_eq!(began.elapsed(), Duration::ZERO, "ended jobs do not change");
}

#[tokio::test(start_paused = true)]
async fn a_page_waits_for_new_changed_and_deleted_jobs() {
    let server = Arc::new(Server::new());
    let mut tag = server.ask(&ann(), "GET /").await.header("etag").unwrap().to_owned();
    let mut id = None;
    let job = || NewProgress::new("test").with_owner("ann");
    for step in 0..5 {
        let writer = Arc::clone(&server);
        let change = tokio::spawn(async move {
            sleep(Duration::from_secs(3)).await;
            match (step, id) {
                // In another process, which the cache of this one does not notice.
                (0, _) => return Some(writer.store.create(&job()).await.unwrap().id),
                (1, Some(id)) => writer.update(id, ProgressUpdate::start()).await,
                (2, Some(id)) => writer.update(id, ProgressUpdate::fail(Delta::new(), "o")).await,
                (3, Some(id)) => writer.jobs.store().delete(id).await.unwrap(),
                _ => {
                    let theirs = NewProgress::new("test").with_owner("bob");
                    writer.create(theirs).await;
                }
            }
            id
        });
        let headers = [("if-none-match", tag.as_str()), ("prefer", "wait=10")];
        let began = Instant::now();
        let reply = server.ask_with(&ann(), "GET /", &headers).await;
        assert_eq!(reply.header("preference-applied"), Some("wait=10"));
        if step < 4 {
            // The page is read again every 500 ms.
            assert!(began.elapsed() <= Duration::from_millis(3_500), "{:?}", began.elapsed());
            assert_eq!(reply.status, 200);
        } else {
            assert_about(began.elapsed(), Duration::from_secs(10));
            assert_eq!(reply.status, 304, "the job of another owner is no change");
        }
        tag = reply.header("etag").unwrap().to_owned();
        id = change.await.unwrap();
    }
    // An outdated copy is answered at once, and so is a request over the limit.
    let old = [("if-none-match", "\"list-1\""), ("prefer", "wait=10")];
    let began = Instant::now();
    assert_eq!(server.ask_with(&ann(), "GET /active", &old).await.status, 200);
    let full = Server::with(|api| api.with_max_waiters(0));
    let reply = full.ask_with(&ann(), "GET /", &[("prefer", "wait=10")]).await;
    assert_eq!((reply.status, reply.header("preference-applied")), (200, None));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_page_survives_an_outage() {
    for (back_after, status) in [(4, 200), (60, 503)] {
        let server = Arc::new(Server::new());
        let writer = Arc::clone(&server);
        tokio::spawn(async move {
            sleep(Duration::from_secs(2)).await;
            writer.store.set(Fault::Away);
            sleep(Duration::from_secs(back_after)).await;
            writer.store.set(Fault::None);
            writer.create(NewProgress::new("test").with_owner("ann")).await;
        });
        let tag = server.ask(&ann(), "GET /").await.header("etag").unwrap().to_owned();
        let headers = [("if-none-match", tag.as_str()), ("prefer", "wait=20")];
        let began = Instant::now();
        let reply = server.ask_with(&ann(), "GET /", &headers).await;
        assert_eq!(reply.status, status);
        let expected = if status == 200 { 6 } else { 20 };
        let slack = Duration::from_millis(520);
        let expected = Duration::from_secs(expected);
        assert!((expected..=expected + slack).contains(&began.elapsed()), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_a_proxy_has_changed_still_waits() {
    let server = Server::new();
    let (id, tag) = server.running().await;
    let gzipped = format!("{}-gzip\"", tag.strip_suffix('"').unwrap());
    for (known, status) in
        [(gzipped.as_str(), 304), (&format!("W/{tag}"), 304), ("\"proxy-made\"", 200)]
    {
        let (reply, time) = server.wait(id, "wait=5", Some(known)).await;
        assert_eq!(reply.status, status, "{known}");
        assert_about(time, Duration::from_secs(5));
    }
}

#[tokio::test(start_paused = true)]
async fn closing_ends_all_waiting() {
    let server = Arc::new(Server::new());
    let (id, tag) = server.running().await;
    let (_, mut events) = server.events(&Viewer::Anyone, &format!("GET /{id}/events"), &[]).await;
    assert!(events.next().await.is_some() && events.next().await.is_some());
    let closing = server.api.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(2)).await;
        closing.close();
    });
    let (reply, time) = server.wait(id, "wait=20", Some(&tag)).await;
    assert_eq!(reply.status, 304);
    assert_about(time, Duration::from_secs(2));
    assert_eq!(events.next().await, None);
    let (_, time) = server.wait(id, "wait=20", Some(&tag)).await;
    assert_eq!(time, Duration::ZERO, "no request waits any more");
}

#[tokio::test]
async fn only_administrators_see_owners() {
    let server = Server::new();
    let id = server.create(NewProgress::new("test").with_owner("ann")).await;
    let line = format!("GET /{id}");
    let owner = server.ask(&ann(), &line).await;
    let admin = server.ask(&Viewer::Admin, &line).await;
    assert_eq!(document(&owner).get("owner"), None);
    assert_eq!(document(&admin)["owner"], "ann");
    assert_ne!(owner.header("etag"), admin.header("etag"), "the bodies differ");
    let list = server.ask(&Viewer::Admin, "GET /").await;
    assert_eq!(document(&list)["jobs"][0]["owner"], "ann");
}

#[tokio::test]
async fn problems_of_one_status_have_types() {
    let server = Server::new();
    let (id, _) = server.running().await;
    let cross_site = [("sec-fetch-site", "cross-site")];
    let active = server.ask(&Viewer::Anyone, &format!("DELETE /{id}")).await;
    let forged = server.ask_with(&Viewer::Anyone, &format!("POST /{id}/cancel"), &cross_site).await;
    server.update(id, ProgressUpdate::fail(Delta::new(), "over")).await;
    let ended = server.ask(&Viewer::Anyone, &format!("POST /{id}/cancel")).await;
    let no_owner = server.ask(&Viewer::Anyone, "GET /").await;
    for (reply, status, kind) in [
        (active, 409, "job-is-active"),
        (ended, 409, "job-has-ended"),
        (forged, 403, "cross-site"),
        (no_owner, 403, "no-owner"),
    ] {
        assert_eq!(reply.status, status, "{kind}");
        let uri = document(&reply)["type"].as_str().unwrap().to_owned();
        assert!(uri.ends_with(&format!("#{kind}")), "{uri}");
    }
}

#[tokio::test]
async fn settings_are_part_of_the_tag() {
    let (server, slower) = (Server::new(), |api: ProgressApi| api.with_poll_after(MOMENT * 100));
    let (id, tag) = server.running().await;
    let after = slower(server.api.clone()).poll(&Viewer::Anyone, &id.to_string(), Some(&tag)).await;
    assert_eq!(after.status, 200, "poll_after_ms has changed");
}

#[tokio::test]
async fn who_cannot_read_the_answer_is_told() {
    let server = Server::new();
    let (id, _) = server.running().await;
    let html = [("accept", "text/html")];
    for line in [
        "GET /".to_owned(),
        "GET /active".to_owned(),
        format!("GET /{id}"),
        format!("HEAD /{id}"),
        "GET /nonsense".to_owned(),
        format!("GET /{id}/log"),
        format!("GET /{id}/events"),
        format!("POST /{id}/cancel"),
    ] {
        assert_eq!(server.ask_with(&ann(), &line, &html).await.status, 406, "{line}");
    }
    assert_eq!(server.ask_with(&ann(), &format!("DELETE /{id}"), &html).await.status, 409);
    assert_eq!(server.ask_with(&ann(), "GET /progress-polling.js", &html).await.status, 200);
    let events = [("accept", "text/event-stream")];
    assert_eq!(server.ask_with(&ann(), &format!("GET /{id}"), &events).await.status, 406);
    server.events(&ann(), &format!("GET /{id}/events"), &events).await;
}
