use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;
use crate::testing::{self, Fault, FaultyStore};
use crate::{
    Delta, Jobs, MemoryStore, NewProgress, ProgressStore, ProgressUpdate, WORKER_LOST,
    WORKER_STOPPED,
};

pub(super) struct Fixture {
    pub(super) memory: Arc<MemoryStore>,
    pub(super) faulty: Arc<FaultyStore>,
    pub(super) jobs: Jobs,
    pub(super) id: ProgressId,
}

pub(super) async fn fixture(job: NewProgress) -> Fixture {
    let memory = Arc::new(MemoryStore::new());
    let id = memory.create(&job).await.unwrap().id;
    let faulty = Arc::new(FaultyStore::new(memory.clone()));
    Fixture { memory, jobs: testing::jobs(faulty.clone()), faulty, id }
}

impl Fixture {
    pub(super) async fn start(&self) -> Tracker {
        self.jobs.tracker(self.id).await.unwrap()
    }

    pub(super) async fn read(&self) -> Progress {
        self.memory.get(self.id).await.unwrap().unwrap()
    }
}

fn job() -> NewProgress {
    NewProgress::new("test").with_total(10)
}

const FLUSH: Duration = Duration::from_millis(250);
/// A flush interval, and time for the loop to run.
pub(super) const AFTER_FLUSH: Duration = Duration::from_millis(260);

#[tokio::test(start_paused = true)]
async fn a_job_is_written_once_per_interval() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    let begun = Instant::now();
    for _ in 0..100_000 {
        tracker.handle().inc(1);
        sleep(Duration::from_micros(50)).await;
    }
    let intervals = begun.elapsed().as_millis() / FLUSH.as_millis();
    let ended = tracker.complete(()).await.unwrap();
    assert_eq!(ended.succeeded, 100_000);
    let writes = u128::from(fixture.faulty.writes());
    // Plus the start and the ending.
    assert!(writes <= intervals + 2, "{writes} writes in {intervals} intervals");
    assert!(
        writes > intervals / 2,
        "{writes} writes in {intervals} intervals: too few for a live page"
    );
}

#[tokio::test(start_paused = true)]
async fn an_idle_job_sends_only_heartbeats() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    let started = fixture.read().await;
    sleep(Duration::from_secs(21)).await;
    assert_eq!(fixture.faulty.writes(), 1 + 4);
    let now = fixture.read().await;
    assert_eq!(now.version, started.version);
    assert!(now.heartbeat_at > started.heartbeat_at);
    drop(tracker);
}

#[tokio::test(start_paused = true)]
async fn counts_are_not_doubled_when_acknowledgements_are_lost() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    for _ in 0..5 {
        fixture.faulty.set(Fault::LosesAnswers);
        tracker.handle().item_done("sent");
        tracker.handle().item_failed("item", "550");
        sleep(AFTER_FLUSH).await;
        // More items are counted while the outcome of the flush is unknown.
        tracker.handle().inc(1);
        sleep(Duration::from_secs(2)).await;
        fixture.faulty.set(Fault::None);
        sleep(Duration::from_secs(5)).await;
    }
    let ended = tracker.complete(()).await.unwrap();
    assert_eq!((ended.succeeded, ended.failed), (10, 5));
    assert_eq!(fixture.jobs.store().entries(fixture.id, 0, 100).await.unwrap().entries.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_outage_delays_the_final_update_and_never_changes_it() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    tracker.handle().inc(10);
    fixture.faulty.set(Fault::Away);
    // Drops the future unpolled, and the tracker with it. The ending is recorded all the same.
    drop(tracker.complete(Completion::new().with_message("all sent")));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(fixture.read().await.status, Status::Running);
    fixture.faulty.set(Fault::None);
    sleep(Duration::from_secs(5)).await;
    let ended = fixture.read().await;
    assert_eq!((ended.status, ended.succeeded), (Status::Completed, 10));
    assert_eq!(ended.completion_message.as_deref(), Some("all sent"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_acknowledgement_of_the_final_update_is_not_a_refusal() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    tracker.handle().inc(10);
    fixture.faulty.set(Fault::LosesAnswers);
    let ending = tokio::spawn(tracker.complete(()));
    sleep(Duration::from_secs(3)).await;
    assert!(!ending.is_finished());
    fixture.faulty.set(Fault::None);
    let ended = ending.await.unwrap().unwrap();
    assert_eq!((ended.status, ended.succeeded, ended.version), (Status::Completed, 10, 3));
}

#[tokio::test(start_paused = true)]
async fn dropping_an_unfinished_tracker_marks_the_job_failed() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    tracker.handle().inc(3);
    drop(tracker);
    sleep(AFTER_FLUSH).await;
    let ended = fixture.read().await;
    assert_eq!((ended.status, ended.succeeded), (Status::Failed, 3));
    assert_eq!(ended.error.as_deref(), Some(WORKER_STOPPED));
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_job_with_its_counts() {
    let fixture = fixture(job()).await;
    let task = tokio::spawn(fixture.jobs.run(fixture.id, async |tracker| {
        tracker.inc(4);
        assert!(tracker.id() == ProgressId::new(), "deliberate panic");
        Ok(())
    }));
    assert!(task.await.unwrap_err().is_panic());
    sleep(AFTER_FLUSH).await;
    let ended = fixture.read().await;
    assert_eq!(
        (ended.status, ended.succeeded, ended.error.as_deref()),
        (Status::Failed, 4, Some(WORKER_STOPPED))
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_learns_of_a_cancel_request_from_its_next_write() {
    let fixture = fixture(job()).await;
    let viewer = tokio::spawn({
        let (jobs, id) = (fixture.jobs.clone(), fixture.id);
        async move {
            sleep(Duration::from_secs(2)).await;
            jobs.cancel(id).await.unwrap();
        }
    });
    let ended = fixture.jobs.run(fixture.id, async |tracker| {
        for _ in 0..1_000 {
            tracker.checkpoint().await?;
            sleep(Duration::from_millis(100)).await;
            tracker.inc(1);
        }
        Ok(())
    });
    let ended = ended.await.unwrap();
    viewer.await.unwrap();
    assert_eq!(ended.status, Status::Cancelled);
    assert!((20..=24).contains(&ended.succeeded), "{}", ended.succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_job_was_failed_is_told_to_stop() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    fixture
        .jobs
        .store()
        .update(fixture.id, &ProgressUpdate::fail(Delta::new(), WORKER_LOST))
        .await
        .unwrap();
    let lost = fixture.read().await;
    tracker.handle().inc(1);
    let reason = tokio::time::timeout(Duration::from_secs(1), tracker.handle().until_stopped())
        .await
        .unwrap();
    assert_eq!(reason, Stopped::Ended(Status::Failed));
    assert_eq!(tracker.handle().checkpoint().await, Err(Stopped::Ended(Status::Failed)));
    let refusal = tracker.complete(()).await;
    assert!(
        matches!(refusal, Err(ProgressError::Refused { status: Status::Failed, .. })),
        "{refusal:?}"
    );
    assert_eq!(timeless(fixture.read().await), timeless(lost));
}

fn timeless(progress: Progress) -> Progress {
    Progress { observed_at: progress.created_at, ..progress }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_fixed_in_time_loses_no_counts() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    fixture.faulty.set(Fault::Broken);
    tracker.handle().inc(1);
    sleep(Duration::from_secs(50)).await;
    fixture.faulty.set(Fault::None);
    assert_eq!(tracker.complete(()).await.unwrap().succeeded, 1);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_store_error_stops_the_reports_but_not_the_job() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    fixture.faulty.set(Fault::Broken);
    tracker.handle().inc(1);
    sleep(Duration::from_secs(70)).await;
    assert_eq!(tracker.handle().checkpoint().await, Ok(()));
    fixture.faulty.set(Fault::None);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(fixture.read().await.succeeded, 0, "the loop went on after a permanent error");
    assert!(matches!(tracker.complete(()).await, Err(ProgressError::Store(_))));
}

#[tokio::test(start_paused = true)]
async fn work_does_not_run_if_the_start_fails() {
    let fixture = fixture(job()).await;
    fixture.jobs.store().update(fixture.id, &ProgressUpdate::request_cancel()).await.unwrap();
    let run = |id| {
        fixture.jobs.run(id, async |_| -> Result<(), Failure> { panic!("the work must not run") })
    };
    assert!(matches!(
        run(fixture.id).await,
        Err(ProgressError::Refused { status: Status::Cancelled, .. })
    ));
    assert!(matches!(run(ProgressId::new()).await, Err(ProgressError::NotFound(_))));
    fixture.faulty.set(Fault::Away);
    let begun = Instant::now();
    assert!(run(fixture.id).await.unwrap_err().is_transient());
    assert!(begun.elapsed() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_acknowledgement_is_lost_succeeds() {
    let fixture = fixture(job()).await;
    fixture.faulty.set(Fault::LosesAnswers);
    let starting = tokio::spawn(fixture.jobs.tracker(fixture.id));
    sleep(Duration::from_secs(1)).await;
    fixture.faulty.set(Fault::None);
    starting.await.unwrap().unwrap().complete(()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn workers_share_a_job_that_completes_by_itself() {
    let fixture = fixture(job().with_auto_complete()).await;
    let first = fixture.start().await;
    assert!(matches!(
        fixture.jobs.tracker(fixture.id).await,
        Err(ProgressError::Refused { status: Status::Running, .. })
    ));
    let second =
        fixture.jobs.tracker_with(TrackerOptions::new().with_joining(), fixture.id).await.unwrap();
    first.handle().inc(4);
    assert_eq!(
        first.complete(()).await.unwrap().status,
        Status::Running,
        "the other worker has not finished"
    );
    second.handle().inc(5);
    second.handle().item_failed("last", "550");
    sleep(AFTER_FLUSH).await;
    assert_eq!(second.handle().stopped(), None, "the second worker may have more to report");
    let ended = second.complete(()).await.unwrap();
    assert_eq!((ended.status, ended.succeeded, ended.failed), (Status::Completed, 9, 1));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_worker_does_not_end_a_shared_job() {
    let fixture = fixture(job().with_auto_complete()).await;
    let options = TrackerOptions::new().with_joining();
    let lost = tokio::spawn(fixture.jobs.run_with(options, fixture.id, async |tracker| {
        tracker.inc(4);
        let _: Result<(), Failure> = std::future::pending().await;
        Ok(())
    }));
    sleep(AFTER_FLUSH).await;
    let other = fixture.jobs.tracker_with(options, fixture.id).await.unwrap();
    lost.abort();
    sleep(AFTER_FLUSH).await;
    assert_eq!(fixture.read().await.status, Status::Running);
    other.handle().inc(6);
    sleep(AFTER_FLUSH).await;
    let ended = other.complete(()).await.unwrap();
    assert_eq!((ended.status, ended.succeeded), (Status::Completed, 10));
}

#[tokio::test(start_paused = true)]
async fn a_stop_reason_of_another_job_does_not_cancel_this_one() {
    for cancel in [true, false] {
        let fixture = fixture(job()).await;
        let inner = fixture.jobs.store().create(&job()).await.unwrap().id;
        let inner = fixture.jobs.tracker(inner).await.unwrap();
        let handle = inner.handle().clone();
        if cancel {
            fixture
                .jobs
                .store()
                .update(inner.id(), &ProgressUpdate::request_cancel())
                .await
                .unwrap();
            inner.handle().inc(1);
            sleep(AFTER_FLUSH).await;
        } else {
            inner.complete(()).await.unwrap();
        }
        let outer = fixture.jobs.run(fixture.id, async move |tracker| {
            tracker.inc(1);
            handle.checkpoint().await?;
            Ok(())
        });
        let ended = outer.await.unwrap();
        assert_eq!(
            (ended.status, ended.error.as_deref()),
            (Status::Failed, Some("the job failed"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_job_without_items_is_created_completed() {
    let fixture = fixture(NewProgress::new("test").with_total(0).with_auto_complete()).await;
    assert_eq!(fixture.read().await.status, Status::Completed);
    let refused = fixture.jobs.tracker(fixture.id).await;
    assert!(matches!(refused, Err(ProgressError::Refused { status: Status::Completed, .. })));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ended_during_retries_of_its_start_is_refused() {
    let fixture = fixture(job()).await;
    fixture.faulty.set(Fault::LosesAnswers);
    let starting = tokio::spawn(fixture.jobs.tracker(fixture.id));
    sleep(Duration::from_millis(50)).await;
    fixture
        .memory
        .update(fixture.id, &ProgressUpdate::fail(Delta::new(), "meanwhile"))
        .await
        .unwrap();
    fixture.faulty.set(Fault::None);
    let refused = starting.await.unwrap();
    assert!(
        matches!(refused, Err(ProgressError::Refused { status: Status::Failed, .. })),
        "{refused:?}"
    );
}

/// Uses real time, because blocking a thread does not advance the paused clock.
#[tokio::test]
async fn a_worker_that_never_waits_is_still_written() {
    let fixture = fixture(job()).await;
    let (memory, id) = (Arc::clone(&fixture.memory), fixture.id);
    let work = async move |tracker: TrackerHandle| {
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(50));
            tracker.inc(1);
            tracker.checkpoint().await?;
        }
        Ok(Completion::new()
            .with_message(memory.get(id).await.unwrap().unwrap().succeeded.to_string()))
    };
    let ended = fixture.jobs.run(id, work).await.unwrap();
    assert_ne!(ended.completion_message.as_deref(), Some("0"), "no write before the end");
}

#[tokio::test(start_paused = true)]
async fn the_longest_intervals_do_not_overflow() {
    let fixture = fixture(job()).await;
    let options = TrackerOptions::new()
        .with_flush_interval(Duration::MAX)
        .with_heartbeat_interval(Duration::MAX);
    let tracker = fixture.jobs.tracker_with(options, fixture.id).await.unwrap();
    tracker.handle().inc(1);
    assert_eq!(tracker.complete(()).await.unwrap().succeeded, 1);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_entries_is_bounded_and_the_log_says_so() {
    let fixture = fixture(NewProgress::new("test")).await;
    let tracker = fixture.start().await;
    for number in 1..=2_500 {
        tracker.handle().entry(crate::NewEntry::info(format!("line {number}")));
    }
    tracker.complete(()).await.unwrap();
    let log = fixture.jobs.store().entries(fixture.id, 0, u32::MAX).await.unwrap();
    assert_eq!(
        log.entries.last().map(|entry| (entry.seq, entry.message.as_str())),
        Some((2_500, "line 2500"))
    );
    assert_eq!(log.entries.len() as u64 + log.dropped, 2_500);
    assert!(log.entries.len() <= 1_000);
}

#[tokio::test(start_paused = true)]
async fn the_loop_ends_with_its_last_job_and_starts_again_with_the_next() {
    let fixture = fixture(NewProgress::new("test")).await;
    for _ in 0..3 {
        let job = fixture.jobs.store().create(&job()).await.unwrap();
        let tracker = fixture.jobs.tracker(job.id).await.unwrap();
        tracker.handle().inc(10);
        tracker.complete(()).await.unwrap();
        sleep(AFTER_FLUSH).await;
    }
    sleep(Duration::from_secs(2)).await;
    let Fixture { faulty, jobs, .. } = fixture;
    drop(jobs);
    assert_eq!(Arc::strong_count(&faulty), 1, "only the test still holds the store");
}

#[tokio::test(start_paused = true)]
async fn iterators_and_streams_count_finished_items() {
    let fixture = fixture(job()).await;
    let ended = fixture.jobs.run(fixture.id, async |tracker| {
        for item in (0..5).track(&tracker) {
            if item == 3 {
                break;
            }
        }
        let mut stream = TrackStream::track(futures_util::stream::iter(0..4), &tracker);
        while futures_util::StreamExt::next(&mut stream).await.is_some() {}
        Ok(())
    });
    assert_eq!(ended.await.unwrap().succeeded, 3 + 4);
}

#[tokio::test]
async fn runs_in_a_spawned_task() {
    fn assert_send<T: Send + 'static>(_: &T) {}
    let fixture = fixture(job()).await;
    let run = fixture.jobs.run(fixture.id, async move |tracker| {
        let sub_task = tokio::spawn({
            let tracker = tracker.clone();
            async move { tracker.inc(10) }
        });
        sub_task.await?;
        Ok(Completion::new().with_message("done"))
    });
    assert_send(&run);
    assert_eq!(tokio::spawn(run).await.unwrap().unwrap().succeeded, 10);
}

#[tokio::test(start_paused = true)]
async fn a_message_on_request_is_rendered_once_per_flush() {
    let fixture = fixture(NewProgress::new("test")).await;
    let tracker = fixture.start().await;
    let (mut rendered, begun) = (0, Instant::now());
    for item in 0..20_000 {
        tracker.handle().item_done_with(|| {
            rendered += 1;
            format!("item {item}")
        });
        sleep(Duration::from_micros(100)).await;
    }
    let now = fixture.read().await;
    let shown: u64 = now.message.unwrap().trim_start_matches("item ").parse().unwrap();
    // A message is rendered just after a flush and written with the next one.
    assert!(shown + 10_000 > now.succeeded, "{shown} of {}", now.succeeded);
    let flushes = begun.elapsed().as_millis() / FLUSH.as_millis();
    assert!(rendered <= flushes + 1, "rendered {rendered} times in {flushes} flushes");
    assert!(rendered > flushes / 2, "rendered {rendered} times in {flushes} flushes");
    let ended = tracker.complete(()).await.unwrap();
    assert_eq!(ended.succeeded, 20_000);
}

#[tokio::test(start_paused = true)]
async fn the_last_message_before_the_end_is_written() {
    for is_completed in [true, false] {
        let fixture = fixture(job()).await;
        let tracker = fixture.start().await;
        sleep(AFTER_FLUSH).await;
        let handle = tracker.handle();
        handle.item_done_with(|| "first");
        handle.item_done_with::<String>(|| unreachable!("nothing was written since the first"));
        handle.message_with::<String>(|| unreachable!("nothing was written since the first"));
        handle.message("last");
        let ended = if is_completed { tracker.complete(()).await } else { tracker.cancel().await };
        let ended = ended.unwrap();
        assert_eq!((ended.message.as_deref(), ended.succeeded), (Some("last"), 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_before_its_first_flush_has_its_first_message() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    tracker.handle().item_done_with(|| "first");
    let ended = tracker.complete(()).await.unwrap();
    assert_eq!(ended.message.as_deref(), Some("first"));
}

#[tokio::test(start_paused = true)]
async fn a_message_after_an_outage_is_not_as_old_as_the_outage() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    fixture.faulty.set(Fault::Away);
    let begun = Instant::now();
    let report = async || {
        tracker.handle().message_with(|| begun.elapsed().as_millis().to_string());
        sleep(Duration::from_millis(10)).await;
    };
    while begun.elapsed() < Duration::from_secs(60) {
        report().await;
    }
    fixture.faulty.set(Fault::None);
    // Until the next attempt, the update of the attempts before, and the first update after them.
    while begun.elapsed() < Duration::from_secs(66) {
        report().await;
        let shown = fixture.read().await.message;
        let shown = shown.map_or(0, |shown| shown.parse::<u64>().unwrap());
        if shown > 55_000 {
            return;
        }
        assert!(shown < 1_000, "{shown} ms");
    }
    panic!("no message was written after the outage");
}

#[tokio::test(start_paused = true)]
async fn rendering_a_message_may_use_the_tracker_and_may_panic() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    let handle = tracker.handle();
    handle.message_with(|| {
        handle.message("from within");
        "outer"
    });
    sleep(AFTER_FLUSH).await;
    assert_eq!(fixture.read().await.message.as_deref(), Some("outer"));
    let panicking = std::panic::AssertUnwindSafe(|| {
        handle.message_with::<String>(|| panic!("a defect of the application"));
    });
    std::panic::catch_unwind(panicking).unwrap_err();
    sleep(AFTER_FLUSH).await;
    handle.message_with(|| "after the panic");
    sleep(AFTER_FLUSH).await;
    assert_eq!(fixture.read().await.message.as_deref(), Some("after the panic"));
    drop(tracker);
}
