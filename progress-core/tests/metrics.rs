//! Each metric moves as documented, as a Prometheus server would read it.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which may panic")]

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use progress_core::testing::{Fault, FaultyStore};
use progress_core::{
    Completion, Delta, Failure, Jobs, MemoryStore, NewProgress, ProgressStore, ProgressUpdate,
    Status, TrackerOptions,
};
use prometheus_parse::{Scrape, Value};

/// The exporter of this process. A process has one recorder, so the tests use task types of their
/// own.
static EXPORTER: LazyLock<PrometheusHandle> = LazyLock::new(|| {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &[0.1, 1.0, 10.0]);
    builder.unwrap().install_recorder().unwrap()
});

/// Returns what a Prometheus server reads.
fn scrape() -> Scrape {
    let text = EXPORTER.render();
    Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap()
}

/// Returns the value of a metric with exactly these labels; 0 if there is none.
fn value(name: &str, labels: &[(&str, &str)]) -> f64 {
    let scrape = scrape();
    let found = scrape.samples.iter().find(|sample| {
        sample.metric == name
            && sample.labels.len() == labels.len()
            && labels.iter().all(|(name, value)| sample.labels.get(name) == Some(value))
    });
    match found.map(|sample| &sample.value) {
        None => 0.0,
        Some(Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value)) => *value,
        Some(other) => panic!("{name} is {other:?}"),
    }
}

/// Returns how many values a histogram has, and their sum.
fn histogram(name: &str, labels: &[(&str, &str)]) -> (f64, f64) {
    (value(&format!("{name}_count"), labels), value(&format!("{name}_sum"), labels))
}

fn assert_becomes(what: &str, expected: f64, read: impl Fn() -> f64) {
    let begun = Instant::now();
    while (read() - expected).abs() > f64::EPSILON {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} is {}, not {expected}", read());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Tests of the store's failures and of the flushes count all calls of the process.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    LazyLock::force(&EXPORTER);
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "each test has a thread of its own")]
async fn jobs_attempts_and_items_are_counted_once() {
    let _guard = alone();
    let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let jobs = Jobs::new(faulty.clone());
    let of = [("task_type", "import")];
    let ended = |status| value("progress_jobs_ended_total", &[of[0], ("status", status)]);
    let items = |outcome| value("progress_items_total", &[of[0], ("outcome", outcome)]);

    // Two attempts. The acknowledgements of the last updates are lost, and they are repeated.
    let job = NewProgress::new("import").with_attempts(2).with_stages([("a", 1), ("b", 1)]);
    let id = jobs.create(job).await.unwrap().id;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let first = jobs.run(id, async |tracker| {
        tracker.begin_stage("a")?;
        tracker.inc(3);
        tracker.begin_stage("b")?;
        tracker.inc_failed(2);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_becomes("active", 1.0, || value("progress_jobs_active", &of));
        Err::<Completion, _>(Failure::new("broken"))
    });
    assert_eq!(first.await.unwrap().status, Status::Pending);
    let second = jobs.tracker(id).await.unwrap();
    second.handle().inc(5);
    faulty.set(Fault::LosesAnswers);
    let ending = tokio::spawn(second.complete(()));
    tokio::time::sleep(Duration::from_millis(700)).await;
    faulty.set(Fault::None);
    assert_eq!(ending.await.unwrap().unwrap().status, Status::Completed);

    assert_becomes("attempts", 2.0, || value("progress_attempts_total", &of));
    assert_becomes("started", 1.0, || value("progress_jobs_started_total", &of));
    assert_becomes("succeeded items", 8.0, || items("succeeded"));
    assert_becomes("failed items", 2.0, || items("failed"));
    assert_becomes("completed", 1.0, || ended("completed"));
    assert_becomes("active", 0.0, || value("progress_jobs_active", &of));
    let (count, wait) = histogram("progress_job_wait_seconds", &of);
    assert!((count - 1.0).abs() < f64::EPSILON && (0.02..5.0).contains(&wait), "{count} {wait}");
    let labels = [of[0], ("status", "completed")];
    let (count, duration) = histogram("progress_job_duration_seconds", &labels);
    assert!((count - 1.0).abs() < f64::EPSILON && (0.05..5.0).contains(&duration), "{duration}");

    // Without a worker: cancelled while pending, failed by the queue, empty.
    let pending = async || jobs.create(NewProgress::new("import")).await.unwrap().id;
    jobs.cancel(pending().await).await.unwrap();
    let failed = pending().await;
    jobs.fail(failed, "not queued").await.unwrap();
    assert!(jobs.fail(failed, "again").await.is_err(), "refused, so it is not counted");
    let empty = NewProgress::new("import").with_auto_complete().with_total(0);
    jobs.create(empty).await.unwrap();
    for (status, count) in [("cancelled", 1.0), ("failed", 1.0), ("completed", 2.0)] {
        assert_becomes(status, count, || ended(status));
    }
    assert_becomes("started", 1.0, || value("progress_jobs_started_total", &of));
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "each test has a thread of its own")]
async fn of_two_processes_the_one_that_wrote_the_end_counts_it() {
    let _guard = alone();
    let memory = Arc::new(MemoryStore::new());
    let faulty = Arc::new(FaultyStore::new(memory.clone()));
    let (first, second) = (Jobs::new(faulty.clone()), Jobs::new(memory));
    let job = NewProgress::new("shared").with_auto_complete().with_total(1);
    let id = first.create(job).await.unwrap().id;
    let options = TrackerOptions::new().with_joining();
    let leaving = first.tracker_with(options, id).await.unwrap();
    let ending = second.tracker_with(options, id).await.unwrap();
    // The first leaves, its acknowledgement is lost, and the second ends the job.
    faulty.set(Fault::LosesAnswers);
    let left = tokio::spawn(leaving.complete(()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    ending.handle().inc(1);
    assert_eq!(ending.complete(()).await.unwrap().status, Status::Completed);
    faulty.set(Fault::None);
    assert_eq!(left.await.unwrap().unwrap().status, Status::Completed);
    let labels = [("task_type", "shared"), ("status", "completed")];
    assert_becomes("ended", 1.0, || value("progress_jobs_ended_total", &labels));
    assert_becomes("started", 1.0, || {
        value("progress_jobs_started_total", &[("task_type", "shared")])
    });
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "each test has a thread of its own")]
async fn a_lost_worker_is_counted_by_the_janitor_that_found_it() {
    let _guard = alone();
    let store = Arc::new(MemoryStore::new());
    let job = NewProgress::new("lost").with_lease(Duration::from_millis(300));
    let id = store.create(&job).await.unwrap().id;
    store.update(id, &ProgressUpdate::start()).await.unwrap();
    let jobs = Jobs::new(store);
    let janitors = [(); 2].map(|()| {
        tokio::spawn(jobs.janitor().with_sweep_interval(Duration::from_millis(30)).run())
    });
    let of = [("task_type", "lost")];
    let begun = Instant::now();
    while value("progress_workers_lost_total", &of) < 1.0 && begun.elapsed().as_secs() < 30 {
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    janitors.iter().for_each(tokio::task::JoinHandle::abort);
    assert_becomes("lost", 1.0, || value("progress_workers_lost_total", &of));
    let labels = [of[0], ("status", "failed")];
    assert_becomes("ended", 1.0, || value("progress_jobs_ended_total", &labels));
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "each test has a thread of its own")]
async fn flushes_are_timed_and_failed_calls_are_counted() {
    let _guard = alone();
    let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let jobs = Jobs::new(faulty.clone());
    let failures = |operation| value("progress_store_failures_total", &[("operation", operation)]);
    let before = histogram("progress_flush_seconds", &[]).0;
    let id = jobs.create(NewProgress::new("flush")).await.unwrap().id;
    jobs.run(id, async |_| Ok(())).await.unwrap();
    // The start and the end.
    assert_becomes("flushes", before + 2.0, || histogram("progress_flush_seconds", &[]).0);

    let names = ["get", "create", "update", "ping", "heartbeats", "update_many"];
    let before = names.map(failures);
    let _ = jobs.cancel(id).await.unwrap_err();
    let missing = progress_core::ProgressId::new();
    let _ = jobs.cancel(missing).await.unwrap_err();
    let pending = jobs.create(NewProgress::new("flush")).await.unwrap().id;
    faulty.set(Fault::Away);
    let _ = jobs.get(missing).await.unwrap_err();
    let _ = jobs.create(NewProgress::new("flush")).await.unwrap_err();
    let _ = jobs.cancel(id).await.unwrap_err();
    let _ = jobs.ping().await.unwrap_err();
    let _ = jobs.janitor().sweep().await.unwrap_err();
    let updates = [pending, missing].map(|id| (id, ProgressUpdate::fail(Delta::new(), "over")));
    assert!(jobs.store().update_many(&updates).await.iter().all(Result::is_err));
    for (name, before) in names.into_iter().zip(before) {
        // Refusals and missing records are no failures, and a call counts once.
        assert_becomes(name, before + 1.0, || failures(name));
    }
}

#[tokio::test]
async fn each_metric_has_its_documented_name_type_and_help() {
    LazyLock::force(&EXPORTER);
    let jobs = Jobs::new(MemoryStore::new());
    let id = jobs.create(NewProgress::new("named")).await.unwrap().id;
    jobs.run(id, async |tracker| {
        tracker.inc(1);
        Ok(())
    })
    .await
    .unwrap();
    let text = EXPORTER.render();
    let documented: Vec<_> = include_str!("../src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `progress_")?.split_once('`'))
        .map(|(name, rest)| {
            let kind = rest.split('|').nth(1).unwrap().trim();
            (format!("progress_{name}"), kind)
        })
        .collect();
    assert_eq!(documented.len(), 10);
    for (name, kind) in documented {
        // The others need a failure.
        if !["progress_workers_lost_total", "progress_store_failures_total"].contains(&&*name) {
            assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}:\n{text}");
            assert!(text.contains(&format!("# HELP {name} ")), "{name}:\n{text}");
        }
    }
}
