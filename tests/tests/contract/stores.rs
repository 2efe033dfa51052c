//! The same history in each store, and through a queue, gives the same bodies, except for times.

use std::sync::Arc;

use apalis_core::backend::memory::MemoryStorage;
use apalis_core::worker::builder::WorkerBuilder;
use progress_apalis::{ProgressLayer, TaskProgress, submit};
use progress_core::{Jobs, MemoryStore, NewProgress, ProgressId, ProgressStore, TrackerHandle};
use progress_http::{Answer, ProgressApi, Request, Route, Viewer};
use progress_test_support::{Database, Kind, RedisServer};
use serde_json::{Value, json};

const ID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

fn job() -> NewProgress {
    NewProgress::new("export")
        .with_id(ID.parse().unwrap())
        .with_owner("ann")
        .with_total(5)
        .with_title("Größe <b> \u{1F600}")
        .with_metadata(json!({"a": [1.5, "é", null], "deep": {"b": "\"\\"}}))
        .with_attempts(3)
}

fn work(tracker: &TrackerHandle) {
    for item in 1..=3 {
        tracker.item_done(format!("item {item}"));
    }
    tracker.item_failed("item 4", "the address is not valid");
    tracker.inc(1);
}

/// Returns the bodies of all that can be read.
async fn bodies(api: &ProgressApi) -> Vec<Value> {
    let mut bodies = Vec::new();
    for (path, query) in [
        (format!("/{ID}"), None),
        (format!("/{ID}/log"), None),
        (format!("/{ID}/log"), Some("after=1&limit=1")),
        ("/".to_owned(), None),
        ("/".to_owned(), Some("status=completed&task_type=export")),
        ("/active".to_owned(), None),
    ] {
        for viewer in [Viewer::Owner("ann".to_owned()), Viewer::Owner("bob".into()), Viewer::Admin]
        {
            let request = Request { method: "GET", path: &path, query, ..Request::default() };
            let Route::Call(call) = api.route(&request) else { panic!("{path} needs a viewer") };
            let Answer::Whole(reply) = call.answer(&viewer).await else { panic!("no events") };
            let mut body = serde_json::from_slice(&reply.body).unwrap();
            forget_times(&mut body);
            bodies.push(json!([path, query, reply.status, body]));
        }
    }
    bodies
}

/// Replaces times and what follows from them.
fn forget_times(value: &mut Value) {
    const TIMES: [&str; 6] =
        ["created_at", "started_at", "updated_at", "completed_at", "at", "duration"];
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if TIMES.contains(&name.as_str()) && !value.is_null() {
                    *value = json!("a time");
                } else if ["items_per_second", "version"].contains(&name.as_str()) {
                    // A job that took less than a millisecond has no pace, and the version counts
                    // the flushes.
                    *value = json!("any");
                } else {
                    forget_times(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(forget_times),
        _ => {}
    }
}

async fn in_store(store: Arc<dyn ProgressStore>) -> Vec<Value> {
    let jobs = Jobs::new(store);
    let id = jobs.create(job()).await.unwrap().id;
    let ended = jobs.run(id, async |tracker| {
        work(&tracker);
        Ok(())
    });
    assert!(ended.await.unwrap().status.is_finished());
    bodies(&ProgressApi::new(jobs)).await
}

async fn in_queue() -> Vec<Value> {
    async fn handle(_: u64, progress: TaskProgress) -> Result<(), progress_core::Failure> {
        work(progress.tracker());
        Ok(())
    }
    let jobs = Jobs::new(MemoryStore::new());
    let mut queue = MemoryStorage::new();
    submit(&jobs, &mut queue, job(), 7_u64).await.unwrap();
    let worker = WorkerBuilder::new("worker").backend(queue);
    let worker = worker.layer(ProgressLayer::new(jobs.clone())).build(handle);
    let id: ProgressId = ID.parse().unwrap();
    let ended = async {
        while jobs.store().get(id).await.unwrap().unwrap().status.is_active() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        outcome = worker.run() => panic!("the worker has ended: {outcome:?}"),
        () = ended => {}
    }
    bodies(&ProgressApi::new(jobs)).await
}

#[test]
fn every_store_and_a_queue_give_the_same_bodies() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let expected = runtime().block_on(in_store(Arc::new(MemoryStore::new())));
    assert_eq!(expected[0][3]["processed_items"], 5, "{}", expected[0]);
    assert_eq!(expected[0][3]["status"], "completed", "{}", expected[0]);
    assert_eq!(expected[1][2], 404, "bob sees nothing of ann's");
    assert_eq!(runtime().block_on(in_queue()), expected, "through a queue");

    let mut urls = Vec::new();
    let databases = [Kind::Sqlite, Kind::Postgres, Kind::MySql].map(Database::or_say_so);
    urls.extend(databases.iter().flatten().map(|database| database.url().to_owned()));
    let redis = RedisServer::or_say_so(&[]);
    urls.extend(redis.iter().map(RedisServer::url));
    for url in urls {
        let found = runtime()
            .block_on(async { in_store(progress_redis::connect_any(&url).await.unwrap()).await });
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{url}");
        }
    }
}
