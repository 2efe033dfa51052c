//! Jobs that run more than once.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::tests::{AFTER_FLUSH, Fixture, fixture};
use super::*;
use crate::flush::{FlushLoop, RunsOn};
use crate::testing::Fault;
use crate::{
    CachedStore, Delta, Jobs, MemoryStore, NewProgress, ProgressStore, ProgressUpdate, Record,
    WORKER_RESTARTED, WORKER_STOPPED,
};

fn job() -> NewProgress {
    NewProgress::new("test").with_total(10).with_attempts(3)
}

/// Processes the items of the job after those that were saved.
async fn send(tracker: TrackerHandle, fails_after: u64) -> Result<(), Failure> {
    let done = tracker.cursor::<u64>()?.unwrap_or(0);
    for item in done..10 {
        if item == fails_after {
            return Err(Failure::new("the disk is full"));
        }
        tracker.inc(1);
        tracker.save(&(item + 1))?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_attempt_continues_where_the_last_one_saved() {
    use Status::{Completed, Pending};
    let fixture = fixture(job()).await;
    let mut seen = Vec::new();
    for fails_after in [4, 7, 99] {
        let run = fixture.jobs.run(fixture.id, async |tracker| send(tracker, fails_after).await);
        let ended = run.await.unwrap();
        seen.push((ended.status, ended.attempt, ended.succeeded));
    }
    assert_eq!(seen, [(Pending, 1, 4), (Pending, 2, 7), (Completed, 3, 10)]);
}

#[tokio::test(start_paused = true)]
async fn items_after_the_last_save_are_counted_again_and_once() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    let handle = tracker.handle();
    handle.inc(3);
    handle.inc_failed(1);
    handle.save(&4).unwrap();
    sleep(AFTER_FLUSH).await;
    handle.inc(2);
    handle.save("the second save of an interval").unwrap();
    handle.inc(1);
    handle.save(&json!({"line": 7})).unwrap();
    handle.inc(2);
    drop(tracker);
    sleep(AFTER_FLUSH).await;
    let waiting = fixture.read().await;
    assert_eq!((waiting.status, waiting.succeeded), (Status::Pending, 8));
    let tracker = fixture.start().await;
    let handle = tracker.handle();
    assert_eq!(handle.cursor::<serde_json::Value>().unwrap(), Some(json!({"line": 7})));
    assert_eq!((handle.carried_over(), handle.total(), handle.attempt()), (7, Some(10), 2));
    handle.inc(3);
    assert_eq!(tracker.complete(()).await.unwrap().processed(), 10);
}

/// The worker saves after each item, so each checkpoint's cursor must be its number of items,
/// wherever the flush loop cuts the reports.
#[test]
fn a_flush_never_separates_a_cursor_from_its_counts() {
    const ITEMS: u64 = 100_000;
    let store = CachedStore::new(Arc::new(MemoryStore::new()));
    let flush = Arc::new(FlushLoop::new(store, RunsOn::Thread));
    let mut record = Record::new(&job(), chrono::DateTime::UNIX_EPOCH).unwrap();
    let now = record.progress.created_at;
    record.update(&ProgressUpdate::start(), now).unwrap();
    let reports = Arc::new(Reports::new(record.progress.id, flush));
    reports.started(record.progress.clone());
    let worker = std::thread::spawn({
        let handle = TrackerHandle { reports: Arc::clone(&reports) };
        move || {
            for item in 1..=ITEMS {
                handle.add_total(1);
                handle.inc(1);
                handle.save(&item).unwrap();
            }
        }
    });
    let mut takes = 0;
    loop {
        let is_last = worker.is_finished();
        record.update(&ProgressUpdate::advance(reports.take()), now).unwrap();
        takes += 1;
        let progress = &record.progress;
        if let Some(checkpoint) = progress.checkpoint.as_ref().filter(|saved| saved.succeeded > 0) {
            assert_eq!(checkpoint.cursor, Some(json!(checkpoint.succeeded)));
            assert_eq!(checkpoint.total, Some(checkpoint.succeeded + 10));
            assert!(checkpoint.succeeded <= progress.succeeded);
        }
        if is_last {
            break;
        }
    }
    worker.join().unwrap();
    assert!(takes > 10, "{takes} takes prove nothing");
    assert_eq!(record.progress.checkpoint.unwrap().succeeded, ITEMS);
}

#[tokio::test(start_paused = true)]
async fn a_save_can_be_waited_for() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    let begun = Instant::now();
    for item in 1..=3 {
        tracker.handle().inc(1);
        tracker.handle().save_now(&item).await.unwrap();
        let checkpoint = fixture.read().await.checkpoint.unwrap();
        assert_eq!((checkpoint.cursor, checkpoint.succeeded), (Some(json!(item)), item));
    }
    assert!(begun.elapsed() < Duration::from_millis(250), "it waited for the flush interval");
    fixture.faulty.set(Fault::Away);
    let handle = tracker.handle().clone();
    let waiting = tokio::spawn(async move { handle.save_now(&4).await });
    sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished(), "the store does not have it");
    fixture.memory.update(fixture.id, &ProgressUpdate::cancel(Delta::new())).await.unwrap();
    fixture.faulty.set(Fault::None);
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, ProgressError::Unavailable(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_cannot_be_kept_is_refused() {
    let once = fixture(NewProgress::new("test")).await;
    let error = once.start().await.handle().save(&1).unwrap_err();
    assert!(error.to_string().contains("with_attempts"), "{error}");

    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    let handle = tracker.handle();
    assert_eq!(handle.cursor::<u64>().unwrap(), None);
    let error = handle.save(&"x".repeat(20_000)).unwrap_err();
    assert!(error.to_string().contains("16384"), "{error}");
    handle.save("a text").unwrap();
    drop(tracker);
    sleep(AFTER_FLUSH).await;
    let error = fixture.start().await.handle().cursor::<u64>().unwrap_err();
    assert!(error.to_string().contains("another type"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_when_to_try_again_or_that_it_is_permanent() {
    let fixture = fixture(job()).await;
    let delay = Duration::from_secs(12);
    let run = fixture.jobs.run(fixture.id, async |_| -> Result<(), Failure> {
        Err(Failure::new("busy").retry_after(delay))
    });
    let waiting = run.await.unwrap();
    assert_eq!(waiting.retry_at, Some(waiting.updated_at + delay));
    let run = fixture.jobs.run(fixture.id, async |_| -> Result<(), Failure> {
        Err(Failure::new("no such file").permanent())
    });
    let failed = run.await.unwrap();
    assert_eq!((failed.status, failed.attempt), (Status::Failed, 2));
    assert_eq!(failed.error.as_deref(), Some("no such file"));
}

#[tokio::test]
async fn a_job_with_attempts_is_not_spawned_because_nothing_would_run_it_again() {
    let jobs = Jobs::new(MemoryStore::new());
    let refusal = jobs.spawn(job(), async |_| Ok(())).await.unwrap_err();
    assert!(matches!(refusal, ProgressError::Invalid(_)), "{refusal:?}");
}

async fn lose(fixture: &Fixture) {
    let heartbeat = fixture.read().await.heartbeat_at.unwrap();
    fixture.memory.update(fixture.id, &ProgressUpdate::lose(heartbeat)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_attempt_is_over_changes_nothing_and_is_told() {
    for starts_again in [false, true] {
        let fixture = fixture(job()).await;
        let old = fixture.start().await;
        sleep(AFTER_FLUSH).await;
        fixture.faulty.set(Fault::Away);
        old.handle().inc(5);
        lose(&fixture).await;
        if starts_again {
            fixture.memory.update(fixture.id, &ProgressUpdate::start()).await.unwrap();
        }
        fixture.faulty.set(Fault::None);
        sleep(Duration::from_secs(6)).await;
        assert_eq!(old.handle().stopped(), Some(Stopped::Superseded));
        assert!(old.handle().checkpoint().await.is_err());
        let refusal = old.complete(()).await.unwrap_err();
        assert!(matches!(refusal, ProgressError::Refused { .. }), "{refusal:?}");
        let progress = fixture.read().await;
        assert!(progress.succeeded == 0 && progress.status.is_active(), "{progress:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_superseded_leaves_the_job_to_the_next() {
    let fixture = fixture(job()).await;
    let run = tokio::spawn(fixture.jobs.run(fixture.id, async |tracker| -> Result<(), Failure> {
        loop {
            tracker.checkpoint().await?;
            sleep(Duration::from_millis(100)).await;
        }
    }));
    sleep(AFTER_FLUSH).await;
    lose(&fixture).await;
    assert!(matches!(run.await.unwrap(), Err(ProgressError::Refused { .. })));
    assert_eq!(fixture.read().await.status, Status::Pending);
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_for_the_end_of_a_dead_workers_attempt() {
    let fixture = fixture(job()).await;
    fixture.memory.update(fixture.id, &ProgressUpdate::start()).await.unwrap();
    let _janitor = tokio::spawn(fixture.jobs.janitor().run());
    let begun = Instant::now();
    let tracker = fixture.jobs.tracker(fixture.id).await.unwrap();
    assert_eq!(tracker.handle().attempt(), 2);
    assert!((40..70).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_second_delivery_of_a_job_with_a_living_worker_is_refused() {
    for (job, longest) in [(job(), 7), (NewProgress::new("test"), 0)] {
        let fixture = fixture(job).await;
        let _tracker = fixture.start().await;
        let begun = Instant::now();
        let refusal = fixture.jobs.tracker(fixture.id).await.unwrap_err();
        assert!(matches!(refusal, ProgressError::Refused { status: Status::Running, .. }));
        assert!(begun.elapsed().as_secs() <= longest, "{:?}", begun.elapsed());
        assert_eq!(fixture.read().await.attempt, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_took_longer_than_the_lease_does_not_run() {
    let fixture = fixture(job().with_lease(Duration::from_secs(9))).await;
    fixture.faulty.set(Fault::LosesAnswers);
    let starting = tokio::spawn(fixture.jobs.tracker(fixture.id));
    sleep(Duration::from_secs(5)).await;
    // Meanwhile a janitor ends the attempt, and another worker begins the next.
    lose(&fixture).await;
    fixture.memory.update(fixture.id, &ProgressUpdate::start()).await.unwrap();
    sleep(Duration::from_secs(8)).await;
    fixture.faulty.set(Fault::None);
    let refusal = starting.await.unwrap().unwrap_err();
    assert!(matches!(refusal, ProgressError::Unavailable(_)), "{refusal:?}");
}

#[test]
fn a_shutdown_ends_the_attempt_and_a_panic_does_as_well() {
    for panics in [false, true] {
        let memory = Arc::new(MemoryStore::new());
        let jobs = Jobs::new(Arc::clone(&memory));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let id = runtime.block_on(async {
            let id = jobs.create(job()).await.unwrap().id;
            let (begun, has_begun) = oneshot::channel();
            let task = tokio::spawn(jobs.run(id, async move |tracker| -> Result<(), Failure> {
                tracker.inc(7);
                tracker.save(&7)?;
                begun.send(()).unwrap();
                assert!(!panics, "deliberate panic");
                std::future::pending().await
            }));
            has_begun.await.unwrap();
            if panics {
                assert!(task.await.unwrap_err().is_panic());
            }
            id
        });
        drop(runtime);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let record = runtime.block_on(memory.get(id)).unwrap().unwrap();
        assert_eq!((record.status, record.succeeded), (Status::Pending, 7));
        assert_eq!(record.checkpoint.unwrap().cursor, Some(json!(7)));
        let error = if panics { WORKER_STOPPED } else { WORKER_RESTARTED };
        assert_eq!(record.error.as_deref(), Some(error));
    }
}

#[tokio::test(start_paused = true)]
async fn a_resumable_iterator_or_stream_saves_each_item_that_it_counts() {
    use futures_util::StreamExt as _;

    use crate::{TrackIterator as _, TrackStream};

    for is_stream in [false, true] {
        let fixture = fixture(job()).await;
        let tracker = fixture.start().await;
        let handle = tracker.handle();
        if is_stream {
            let items = TrackStream::track(futures_util::stream::iter(0..10_u64), handle);
            let mut items = items.resumable(|item| item + 1).unwrap();
            while items.next().await != Some(6) {}
        } else {
            for item in (0..10_u64).track(handle).resumable(|item| item + 1).unwrap() {
                if item == 6 {
                    break;
                }
            }
        }
        drop(tracker);
        sleep(AFTER_FLUSH).await;
        let tracker = fixture.start().await;
        assert_eq!(tracker.handle().cursor::<u64>().unwrap(), Some(6));
        assert_eq!(tracker.handle().carried_over(), 6);
    }
    let once = fixture(NewProgress::new("test")).await;
    let tracker = once.start().await;
    let refusal = (0..3_u64).track(tracker.handle()).resumable(|item: &u64| *item).err();
    assert!(matches!(refusal, Some(ProgressError::Invalid(_))));
}

#[tokio::test(start_paused = true)]
async fn items_that_finish_out_of_order_are_saved_in_order() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    let in_order = tracker.handle().save_in_order();
    let mut items: Vec<_> = (1..=8).map(|item| Some(in_order.begin(&item).unwrap())).collect();
    let mut take = |item: usize| items[item - 1].take().unwrap();
    let saved = async || {
        sleep(AFTER_FLUSH).await;
        let progress = fixture.read().await;
        let checkpoint = progress.checkpoint.clone().unwrap();
        let counts = (checkpoint.succeeded, checkpoint.failed, progress.processed());
        (checkpoint.cursor, counts)
    };
    (3..=8).for_each(|item| take(item).succeed());
    assert_eq!(saved().await, (None, (0, 0, 6)), "items 1 and 2 are missing");
    take(1).fail();
    assert_eq!(saved().await, (Some(json!(1)), (0, 1, 7)));
    drop(take(2));
    drop(tracker);
    sleep(AFTER_FLUSH).await;

    let tracker = fixture.start().await;
    let handle = tracker.handle();
    assert_eq!((handle.cursor::<u64>().unwrap(), handle.carried_over()), (Some(1), 1));
    let in_order = handle.save_in_order();
    let mut items: Vec<_> = (2..=10).map(|item| in_order.begin(&item).unwrap()).collect();
    items.reverse();
    items.into_iter().for_each(OpenItem::succeed);
    let ended = tracker.complete(()).await.unwrap();
    assert_eq!((ended.succeeded, ended.failed), (9, 1));
}
