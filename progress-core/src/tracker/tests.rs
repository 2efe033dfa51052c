use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;
use crate::testing::{self, Fault, FaultyStore};
use crate::{
    Delta, Jobs, MemoryStore, NewProgress, ProgressStore, ProgressUpdate, WORKER_LOST,
    WORKER_STOPPED,
};

struct Stage {
    memory: Arc<MemoryStore>,
    faulty: Arc<FaultyStore>,
    jobs: Jobs,
    id: ProgressId,
}

async fn stage(job: NewProgress) -> Stage {
    let memory = Arc::new(MemoryStore::new());
    let id = memory.create(&job).await.unwrap().id;
    let faulty = Arc::new(FaultyStore::new(memory.clone()));
    Stage { memory, jobs: testing::jobs(faulty.clone()), faulty, id }
}

impl Stage {
    async fn start(&self) -> Tracker {
        self.jobs.tracker(self.id).await.unwrap()
    }

    async fn read(&self) -> Progress {
        self.memory.get(self.id).await.unwrap().unwrap()
    }
}

fn job() -> NewProgress {
    NewProgress::new("test").with_total(10)
}

const FLUSH: Duration = Duration::from_millis(250);
/// A flush interval, and time for the loop to run.
const AFTER_FLUSH: Duration = Duration::from_millis(260);

#[tokio::test(start_paused = true)]
async fn however_many_items_pass_a_job_is_written_once_per_interval() {
    let stage = stage(job()).await;
    let tracker = stage.start().await;
    let begun = Instant::now();
    for _ in 0..100_000 {
        tracker.handle().inc(1);
        sleep(Duration::from_micros(50)).await;
    }
    let intervals = begun.elapsed().as_millis() / FLUSH.as_millis();
    let ended = tracker.complete(()).await.unwrap();
    assert_eq!(ended.succeeded, 100_000);
    let writes = u128::from(stage.faulty.writes());
    // Plus the start and the ending.
    assert!(writes <= intervals + 2, "{writes} writes in {intervals} intervals");
    assert!(
        writes > intervals / 2,
        "{writes} writes in {intervals} intervals: too few for a live page"
    );
}

#[tokio::test(start_paused = true)]
async fn an_idle_job_only_gives_signs_of_life() {
    let stage = stage(job()).await;
    let tracker = stage.start().await;
    let started = stage.read().await;
    sleep(Duration::from_secs(21)).await;
    assert_eq!(stage.faulty.writes(), 1 + 4);
    let now = stage.read().await;
    assert_eq!(now.version, started.version);
    assert!(now.heartbeat_at > started.heartbeat_at);
    drop(tracker);
}

#[tokio::test(start_paused = true)]
async fn counts_of_lost_acknowledgements_are_not_doubled() {
    let stage = stage(job()).await;
    let tracker = stage.start().await;
    for _ in 0..5 {
        stage.faulty.set(Fault::LosesAnswers);
        tracker.handle().item_done("sent");
        tracker.handle().item_failed("item", "550");
        sleep(AFTER_FLUSH).await;
        // More items are counted while the outcome of the flush is unknown.
        tracker.handle().inc(1);
        sleep(Duration::from_secs(2)).await;
        stage.faulty.set(Fault::None);
        sleep(Duration::from_secs(5)).await;
    }
    let ended = tracker.complete(()).await.unwrap();
    assert_eq!((ended.succeeded, ended.failed), (10, 5));
    assert_eq!(stage.jobs.store().entries(stage.id, 0, 100).await.unwrap().entries.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_outage_delays_the_ending_and_never_replaces_it() {
    let stage = stage(job()).await;
    let tracker = stage.start().await;
    tracker.handle().inc(10);
    stage.faulty.set(Fault::Away);
    // Drops the future unpolled, and the tracker with it. The ending is recorded all the same.
    drop(tracker.complete(Completion::new().with_message("all sent")));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(stage.read().await.status, Status::Running);
    stage.faulty.set(Fault::None);
    sleep(Duration::from_secs(5)).await;
    let ended = stage.read().await;
    assert_eq!((ended.status, ended.succeeded), (Status::Completed, 10));
    assert_eq!(ended.completion_message.as_deref(), Some("all sent"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_acknowledgement_of_the_ending_is_no_refusal() {
    let stage = stage(job()).await;
    let tracker = stage.start().await;
    tracker.handle().inc(10);
    stage.faulty.set(Fault::LosesAnswers);
    let ending = tokio::spawn(tracker.complete(()));
    sleep(Duration::from_secs(3)).await;
    assert!(!ending.is_finished());
    stage.faulty.set(Fault::None);
    let ended = ending.await.unwrap().unwrap();
    assert_eq!((ended.status, ended.succeeded, ended.version), (Status::Completed, 10, 3));
}

#[tokio::test(start_paused = true)]
async fn dropping_an_unfinished_tracker_marks_the_job_failed() {
    let stage = stage(job()).await;
    let tracker = stage.start().await;
    tracker.handle().inc(3);
    drop(tracker);
    sleep(AFTER_FLUSH).await;
    let ended = stage.read().await;
    assert_eq!((ended.status, ended.succeeded), (Status::Failed, 3));
    assert_eq!(ended.error.as_deref(), Some(WORKER_STOPPED));
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_job_with_its_counts() {
    let stage = stage(job()).await;
    let task = tokio::spawn(stage.jobs.run(stage.id, async |tracker| {
        tracker.inc(4);
        assert!(tracker.id() == ProgressId::new(), "deliberate panic");
        Ok(())
    }));
    assert!(task.await.unwrap_err().is_panic());
    sleep(AFTER_FLUSH).await;
    let ended = stage.read().await;
    assert_eq!(
        (ended.status, ended.succeeded, ended.error.as_deref()),
        (Status::Failed, 4, Some(WORKER_STOPPED))
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_learns_of_a_cancel_request_from_its_next_write() {
    let stage = stage(job()).await;
    let viewer = tokio::spawn({
        let (jobs, id) = (stage.jobs.clone(), stage.id);
        async move {
            sleep(Duration::from_secs(2)).await;
            jobs.cancel(id).await.unwrap();
        }
    });
    let ended = stage.jobs.run(stage.id, async |tracker| {
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
async fn a_worker_taken_for_dead_is_told() {
    let stage = stage(job()).await;
    let tracker = stage.start().await;
    stage
        .jobs
        .store()
        .update(stage.id, &ProgressUpdate::fail(Delta::new(), WORKER_LOST))
        .await
        .unwrap();
    let lost = stage.read().await;
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
    assert_eq!(timeless(stage.read().await), timeless(lost));
}

fn timeless(progress: Progress) -> Progress {
    Progress { observed_at: progress.created_at, ..progress }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_somebody_mends_costs_no_counts() {
    let stage = stage(job()).await;
    let tracker = stage.start().await;
    stage.faulty.set(Fault::Broken);
    tracker.handle().inc(1);
    sleep(Duration::from_secs(50)).await;
    stage.faulty.set(Fault::None);
    assert_eq!(tracker.complete(()).await.unwrap().succeeded, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_broken_stops_the_reports_and_not_the_job() {
    let stage = stage(job()).await;
    let tracker = stage.start().await;
    stage.faulty.set(Fault::Broken);
    tracker.handle().inc(1);
    sleep(Duration::from_secs(70)).await;
    assert_eq!(tracker.handle().checkpoint().await, Ok(()));
    stage.faulty.set(Fault::None);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.read().await.succeeded, 0, "the loop went on after a permanent error");
    assert!(matches!(tracker.complete(()).await, Err(ProgressError::Store(_))));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_start_is_not_worked_on() {
    let stage = stage(job()).await;
    stage.jobs.store().update(stage.id, &ProgressUpdate::request_cancel()).await.unwrap();
    let run = |id| {
        stage.jobs.run(id, async |_| -> Result<(), Failure> { panic!("the work must not run") })
    };
    assert!(matches!(
        run(stage.id).await,
        Err(ProgressError::Refused { status: Status::Cancelled, .. })
    ));
    assert!(matches!(run(ProgressId::new()).await, Err(ProgressError::NotFound(_))));
    stage.faulty.set(Fault::Away);
    let begun = Instant::now();
    assert!(run(stage.id).await.unwrap_err().is_transient());
    assert!(begun.elapsed() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_acknowledgement_is_lost_is_still_ours() {
    let stage = stage(job()).await;
    stage.faulty.set(Fault::LosesAnswers);
    let starting = tokio::spawn(stage.jobs.tracker(stage.id));
    sleep(Duration::from_secs(1)).await;
    stage.faulty.set(Fault::None);
    starting.await.unwrap().unwrap().complete(()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn workers_share_a_job_that_completes_by_itself() {
    let stage = stage(job().with_auto_complete()).await;
    let first = stage.start().await;
    assert!(matches!(
        stage.jobs.tracker(stage.id).await,
        Err(ProgressError::Refused { status: Status::Running, .. })
    ));
    let second =
        stage.jobs.tracker_with(TrackerOptions::new().with_joining(), stage.id).await.unwrap();
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
async fn a_worker_that_is_gone_leaves_a_shared_job_to_the_others() {
    let stage = stage(job().with_auto_complete()).await;
    let options = TrackerOptions::new().with_joining();
    let lost = tokio::spawn(stage.jobs.run_with(options, stage.id, async |tracker| {
        tracker.inc(4);
        let _: Result<(), Failure> = std::future::pending().await;
        Ok(())
    }));
    sleep(AFTER_FLUSH).await;
    let other = stage.jobs.tracker_with(options, stage.id).await.unwrap();
    lost.abort();
    sleep(AFTER_FLUSH).await;
    assert_eq!(stage.read().await.status, Status::Running);
    other.handle().inc(6);
    sleep(AFTER_FLUSH).await;
    let ended = other.complete(()).await.unwrap();
    assert_eq!((ended.status, ended.succeeded), (Status::Completed, 10));
}

#[tokio::test(start_paused = true)]
async fn the_word_of_another_jobs_tracker_does_not_end_this_one_well() {
    for cancel in [true, false] {
        let stage = stage(job()).await;
        let inner = stage.jobs.store().create(&job()).await.unwrap().id;
        let inner = stage.jobs.tracker(inner).await.unwrap();
        let handle = inner.handle().clone();
        if cancel {
            stage.jobs.store().update(inner.id(), &ProgressUpdate::request_cancel()).await.unwrap();
            inner.handle().inc(1);
            sleep(AFTER_FLUSH).await;
        } else {
            inner.complete(()).await.unwrap();
        }
        let outer = stage.jobs.run(stage.id, async move |tracker| {
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
async fn a_shared_job_without_items_is_complete_before_any_worker_comes() {
    let stage = stage(NewProgress::new("test").with_total(0).with_auto_complete()).await;
    assert_eq!(stage.read().await.status, Status::Completed);
    let refused = stage.jobs.tracker(stage.id).await;
    assert!(matches!(refused, Err(ProgressError::Refused { status: Status::Completed, .. })));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ended_while_its_start_was_repeated_is_refused() {
    let stage = stage(job()).await;
    stage.faulty.set(Fault::LosesAnswers);
    let starting = tokio::spawn(stage.jobs.tracker(stage.id));
    sleep(Duration::from_millis(50)).await;
    stage.memory.update(stage.id, &ProgressUpdate::fail(Delta::new(), "meanwhile")).await.unwrap();
    stage.faulty.set(Fault::None);
    let refused = starting.await.unwrap();
    assert!(
        matches!(refused, Err(ProgressError::Refused { status: Status::Failed, .. })),
        "{refused:?}"
    );
}

/// Uses real time, because blocking a thread does not advance the paused clock.
#[tokio::test]
async fn a_worker_that_never_waits_is_written_all_the_same() {
    let stage = stage(job()).await;
    let (memory, id) = (Arc::clone(&stage.memory), stage.id);
    let work = async move |tracker: TrackerHandle| {
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(50));
            tracker.inc(1);
            tracker.checkpoint().await?;
        }
        Ok(Completion::new()
            .with_message(memory.get(id).await.unwrap().unwrap().succeeded.to_string()))
    };
    let ended = stage.jobs.run(id, work).await.unwrap();
    assert_ne!(ended.completion_message.as_deref(), Some("0"), "no write before the end");
}

#[tokio::test(start_paused = true)]
async fn never_is_a_length_too() {
    let stage = stage(job()).await;
    let options = TrackerOptions::new()
        .with_flush_interval(Duration::MAX)
        .with_heartbeat_interval(Duration::MAX);
    let tracker = stage.jobs.tracker_with(options, stage.id).await.unwrap();
    tracker.handle().inc(1);
    assert_eq!(tracker.complete(()).await.unwrap().succeeded, 1);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_entries_is_bounded_and_the_log_says_so() {
    let stage = stage(NewProgress::new("test")).await;
    let tracker = stage.start().await;
    for number in 1..=2_500 {
        tracker.handle().entry(crate::NewEntry::info(format!("line {number}")));
    }
    tracker.complete(()).await.unwrap();
    let log = stage.jobs.store().entries(stage.id, 0, u32::MAX).await.unwrap();
    assert_eq!(
        log.entries.last().map(|entry| (entry.seq, entry.message.as_str())),
        Some((2_500, "line 2500"))
    );
    assert_eq!(log.entries.len() as u64 + log.dropped, 2_500);
    assert!(log.entries.len() <= 1_000);
}

#[tokio::test(start_paused = true)]
async fn the_loop_ends_with_its_last_job_and_starts_again_with_the_next() {
    let stage = stage(NewProgress::new("test")).await;
    for _ in 0..3 {
        let job = stage.jobs.store().create(&job()).await.unwrap();
        let tracker = stage.jobs.tracker(job.id).await.unwrap();
        tracker.handle().inc(10);
        tracker.complete(()).await.unwrap();
        sleep(AFTER_FLUSH).await;
    }
    sleep(Duration::from_secs(2)).await;
    let Stage { faulty, jobs, .. } = stage;
    drop(jobs);
    assert_eq!(Arc::strong_count(&faulty), 1, "only the test still holds the store");
}

#[tokio::test(start_paused = true)]
async fn iterators_and_streams_count_what_is_done_with() {
    let stage = stage(job()).await;
    let ended = stage.jobs.run(stage.id, async |tracker| {
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
    let stage = stage(job()).await;
    let run = stage.jobs.run(stage.id, async move |tracker| {
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
