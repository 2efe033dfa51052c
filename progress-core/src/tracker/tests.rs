use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;
use crate::testing::{Fault, FaultyStore};
use crate::{Delta, MemoryStore, NewProgress, ProgressUpdate};

struct Stage {
    memory: Arc<MemoryStore>,
    faulty: Arc<FaultyStore>,
    store: Arc<dyn ProgressStore>,
    id: ProgressId,
}

async fn stage(job: NewProgress) -> Stage {
    let memory = Arc::new(MemoryStore::new());
    let id = memory.create(&job).await.unwrap().id;
    let faulty = Arc::new(FaultyStore::new(memory.clone()));
    Stage { memory, store: faulty.clone(), faulty, id }
}

impl Stage {
    async fn start(&self) -> Tracker {
        Tracker::start(Arc::clone(&self.store), self.id).await.unwrap()
    }

    async fn read(&self) -> Progress {
        self.memory.get(self.id).await.unwrap().unwrap()
    }
}

fn job() -> NewProgress {
    NewProgress::new("test").with_total(10)
}

const FLUSH: Duration = Duration::from_millis(250);
/// A flush, and time for the loop to run.
const AFTER_FLUSH: Duration = Duration::from_millis(260);

#[tokio::test(start_paused = true)]
async fn however_many_items_pass_a_job_is_written_once_per_interval() {
    let stage = stage(job()).await;
    let tracker = stage.start().await;
    let begun = Instant::now();
    for _ in 0..100_000 {
        tracker.inc(1);
        sleep(Duration::from_micros(50)).await;
    }
    let intervals = begun.elapsed().as_millis() / FLUSH.as_millis();
    let ended = tracker.complete(()).await.unwrap();
    assert_eq!(ended.succeeded, 100_000);
    let writes = u128::from(stage.faulty.writes());
    // The start and the ending come on top.
    assert!(writes <= intervals + 2, "{writes} writes in {intervals} intervals");
    assert!(
        writes > intervals / 2,
        "{writes} writes in {intervals} intervals: the page would stand still"
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
        tracker.success("sent");
        tracker.failure("item", "550");
        sleep(AFTER_FLUSH).await;
        // More comes while the flush is in doubt.
        tracker.inc(1);
        sleep(Duration::from_secs(2)).await;
        stage.faulty.set(Fault::None);
        sleep(Duration::from_secs(5)).await;
    }
    let ended = tracker.complete(()).await.unwrap();
    assert_eq!((ended.succeeded, ended.failed), (10, 5));
    assert_eq!(stage.store.entries(stage.id, 0, 100).await.unwrap().entries.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_outage_delays_the_ending_and_never_replaces_it() {
    let stage = stage(job()).await;
    let tracker = stage.start().await;
    tracker.inc(10);
    stage.faulty.set(Fault::Away);
    // The future is dropped unpolled, and the tracker with it: the ending was called for all the same.
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
    tracker.inc(10);
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
    tracker.inc(3);
    drop(tracker);
    sleep(AFTER_FLUSH).await;
    let ended = stage.read().await;
    assert_eq!((ended.status, ended.succeeded), (Status::Failed, 3));
    assert_eq!(ended.error.as_deref(), Some(WORKER_STOPPED));
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_job_with_its_counts() {
    let stage = stage(job()).await;
    let task = tokio::spawn(Tracker::run(Arc::clone(&stage.store), stage.id, async |tracker| {
        tracker.inc(4);
        assert!(tracker.id() == ProgressId::new(), "as it happens");
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
    let store = Arc::clone(&stage.store);
    let viewer = tokio::spawn({
        let (store, id) = (Arc::clone(&store), stage.id);
        async move {
            sleep(Duration::from_secs(2)).await;
            store.update(id, &ProgressUpdate::request_cancel()).await.unwrap();
        }
    });
    let ended = Tracker::run(store, stage.id, async |tracker| {
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
    stage.store.update(stage.id, &ProgressUpdate::fail(Delta::new(), WORKER_LOST)).await.unwrap();
    let lost = stage.read().await;
    tracker.inc(1);
    let reason =
        tokio::time::timeout(Duration::from_secs(1), tracker.until_stopped()).await.unwrap();
    assert_eq!(reason, Stopped::Ended(Status::Failed));
    assert_eq!(tracker.checkpoint().await, Err(Stopped::Ended(Status::Failed)));
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
async fn a_store_that_is_broken_for_good_stops_the_reports_and_not_the_job() {
    let stage = stage(job()).await;
    let tracker = stage.start().await;
    stage.faulty.set(Fault::Broken);
    tracker.inc(1);
    sleep(AFTER_FLUSH).await;
    assert_eq!(tracker.checkpoint().await, Ok(()));
    stage.faulty.set(Fault::None);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.read().await.succeeded, 0, "the loop went on after a permanent error");
    assert!(matches!(tracker.complete(()).await, Err(ProgressError::Store(_))));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_start_is_not_worked_on() {
    let stage = stage(job()).await;
    stage.store.update(stage.id, &ProgressUpdate::request_cancel()).await.unwrap();
    let run = |id| {
        Tracker::run(Arc::clone(&stage.store), id, async |_| -> Result<(), Failure> {
            panic!("work on a job that is not ours")
        })
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
    let starting = tokio::spawn(Tracker::start(Arc::clone(&stage.store), stage.id));
    sleep(Duration::from_secs(1)).await;
    stage.faulty.set(Fault::None);
    starting.await.unwrap().unwrap().complete(()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn workers_share_a_job_that_completes_by_itself() {
    let stage = stage(job().with_auto_complete()).await;
    let first = stage.start().await;
    assert!(matches!(
        Tracker::start(Arc::clone(&stage.store), stage.id).await,
        Err(ProgressError::Refused { status: Status::Running, .. })
    ));
    let second = TrackerOptions::new()
        .with_joining()
        .start(Arc::clone(&stage.store), stage.id)
        .await
        .unwrap();
    first.inc(4);
    assert_eq!(
        first.complete(()).await.unwrap().status,
        Status::Running,
        "the other half is missing"
    );
    second.inc(5);
    second.failure("last", "550");
    sleep(AFTER_FLUSH).await;
    assert_eq!(second.stopped(), Some(Stopped::Ended(Status::Completed)));
    let ended = second.complete(()).await.unwrap();
    assert_eq!((ended.status, ended.succeeded, ended.failed), (Status::Completed, 9, 1));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_gone_leaves_a_shared_job_to_the_others() {
    let stage = stage(job().with_auto_complete()).await;
    let options = TrackerOptions::new().with_joining();
    let lost = tokio::spawn(options.run(Arc::clone(&stage.store), stage.id, async |tracker| {
        tracker.inc(4);
        let _: Result<(), Failure> = std::future::pending().await;
        Ok(())
    }));
    sleep(AFTER_FLUSH).await;
    let other = options.start(Arc::clone(&stage.store), stage.id).await.unwrap();
    lost.abort();
    sleep(AFTER_FLUSH).await;
    assert_eq!(stage.read().await.status, Status::Running);
    other.inc(6);
    sleep(AFTER_FLUSH).await;
    let ended = other.complete(()).await.unwrap();
    assert_eq!((ended.status, ended.succeeded), (Status::Completed, 10));
}

#[tokio::test(start_paused = true)]
async fn the_word_of_another_jobs_tracker_does_not_end_this_one_well() {
    for cancel in [true, false] {
        let stage = stage(job()).await;
        let inner = stage.store.create(&job()).await.unwrap().id;
        let inner = Tracker::start(Arc::clone(&stage.store), inner).await.unwrap();
        let handle = inner.handle();
        if cancel {
            stage.store.update(inner.id(), &ProgressUpdate::request_cancel()).await.unwrap();
            inner.inc(1);
            sleep(AFTER_FLUSH).await;
        } else {
            inner.complete(()).await.unwrap();
        }
        let outer = Tracker::run(Arc::clone(&stage.store), stage.id, async move |tracker| {
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
async fn a_job_without_items_is_complete_when_it_starts() {
    let stage = stage(NewProgress::new("test").with_total(0).with_auto_complete()).await;
    let tracker = stage.start().await;
    assert_eq!(tracker.stopped(), Some(Stopped::Ended(Status::Completed)));
    assert_eq!(tracker.complete(()).await.unwrap().status, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ended_while_its_start_was_repeated_is_refused() {
    let stage = stage(job()).await;
    stage.faulty.set(Fault::LosesAnswers);
    let starting = tokio::spawn(Tracker::start(Arc::clone(&stage.store), stage.id));
    sleep(Duration::from_millis(50)).await;
    stage.memory.update(stage.id, &ProgressUpdate::fail(Delta::new(), "meanwhile")).await.unwrap();
    stage.faulty.set(Fault::None);
    let refused = starting.await.unwrap();
    assert!(
        matches!(refused, Err(ProgressError::Refused { status: Status::Failed, .. })),
        "{refused:?}"
    );
}

/// Real time, for what blocks a thread is no clock of ours.
#[tokio::test]
async fn a_worker_that_never_waits_is_written_all_the_same() {
    let stage = stage(job()).await;
    let (store, memory, id) = (Arc::clone(&stage.store), Arc::clone(&stage.memory), stage.id);
    let work = async move |tracker: TrackerHandle| {
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(50));
            tracker.inc(1);
            tracker.checkpoint().await?;
        }
        Ok(Completion::new()
            .with_message(memory.get(id).await.unwrap().unwrap().succeeded.to_string()))
    };
    let ended = Tracker::run(store, id, work).await.unwrap();
    assert_ne!(ended.completion_message.as_deref(), Some("0"), "nothing was written on the way");
}

#[tokio::test(start_paused = true)]
async fn never_is_a_length_too() {
    let stage = stage(job()).await;
    let options = TrackerOptions::new()
        .with_flush_interval(Duration::MAX)
        .with_heartbeat_interval(Duration::MAX);
    let tracker = options.start(Arc::clone(&stage.store), stage.id).await.unwrap();
    tracker.inc(1);
    assert_eq!(tracker.complete(()).await.unwrap().succeeded, 1);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_entries_is_bounded_and_the_log_says_so() {
    let stage = stage(NewProgress::new("test")).await;
    let tracker = stage.start().await;
    for number in 1..=2_500 {
        tracker.entry(crate::NewEntry::info(format!("line {number}")));
    }
    tracker.complete(()).await.unwrap();
    let log = stage.store.entries(stage.id, 0, u32::MAX).await.unwrap();
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
        let job = stage.store.create(&job()).await.unwrap();
        let tracker = Tracker::start(Arc::clone(&stage.store), job.id).await.unwrap();
        tracker.inc(10);
        tracker.complete(()).await.unwrap();
        sleep(AFTER_FLUSH).await;
    }
    let others = Arc::strong_count(&stage.store) - 1;
    assert_eq!(others, 1, "only the stage's own second name for the store is left");
}

#[tokio::test(start_paused = true)]
async fn iterators_and_streams_count_what_is_done_with() {
    let stage = stage(job()).await;
    let ended = Tracker::run(Arc::clone(&stage.store), stage.id, async |tracker| {
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
    let run = Tracker::run(Arc::clone(&stage.store), stage.id, async move |tracker| {
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

#[test]
fn a_runtime_that_shuts_down_ends_its_jobs_with_their_counts() {
    let memory = Arc::new(MemoryStore::new());
    let store: Arc<dyn ProgressStore> = memory.clone();
    for (builder, jobs) in [
        (tokio::runtime::Builder::new_current_thread(), 1),
        (tokio::runtime::Builder::new_multi_thread(), 20),
    ] {
        let mut builder = builder;
        let runtime = builder.enable_all().build().unwrap();
        let ids: Vec<_> = runtime.block_on(async {
            let mut ids = Vec::new();
            for _ in 0..jobs {
                let id = store.create(&job()).await.unwrap().id;
                let (begun, has_begun) = oneshot::channel();
                tokio::spawn(Tracker::run(
                    Arc::clone(&store),
                    id,
                    async move |tracker| -> Result<(), Failure> {
                        tracker.inc(7);
                        begun.send(()).unwrap();
                        std::future::pending().await
                    },
                ));
                has_begun.await.unwrap();
                ids.push(id);
            }
            ids
        });
        let begun = std::time::Instant::now();
        drop(runtime);
        assert!(begun.elapsed() < Duration::from_secs(1));
        let read = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for id in ids {
            let ended = read.block_on(memory.get(id)).unwrap().unwrap();
            assert_eq!((ended.status, ended.succeeded), (Status::Failed, 7));
            assert_eq!(ended.error.as_deref(), Some(WORKER_STOPPED));
        }
    }
}

#[test]
fn a_shutdown_is_not_held_up_for_ever() {
    let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let store: Arc<dyn ProgressStore> = faulty.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tracker = runtime.block_on(async {
        let id = store.create(&job()).await.unwrap().id;
        Tracker::start(Arc::clone(&store), id).await.unwrap()
    });
    faulty.set(Fault::Silent);
    let begun = std::time::Instant::now();
    drop(runtime);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    drop(tracker);
}
