//! The flush loop with stores and workers that misbehave.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::testing::{self, Fault, FaultyStore};
use crate::{
    EntryPage, Failure, Heartbeat, Jobs, MemoryStore, NewProgress, Progress, ProgressError,
    ProgressId, ProgressPage, ProgressQuery, ProgressStore, ProgressUpdate, Status, Stopped,
    Tracker, TrackerOptions, WORKER_STOPPED,
};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn wait_for(what: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the condition was not met within 10 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A memory store that is also read and written from outside of any runtime.
#[derive(Debug, Clone, Default)]
struct Outside(Arc<MemoryStore>);

impl Outside {
    fn read(&self, id: ProgressId) -> Progress {
        runtime().block_on(self.0.get(id)).unwrap().unwrap()
    }

    fn create(&self, job: &NewProgress) -> ProgressId {
        runtime().block_on(self.0.create(job)).unwrap().id
    }
}

#[test]
fn a_runtime_that_shuts_down_ends_its_jobs_with_their_counts() {
    for (mut builder, count) in [
        (tokio::runtime::Builder::new_current_thread(), 1),
        (tokio::runtime::Builder::new_multi_thread(), 20),
    ] {
        let outside = Outside::default();
        let jobs = Jobs::new(Arc::clone(&outside.0));
        let runtime = builder.enable_all().build().unwrap();
        let ids: Vec<_> = runtime.block_on(async {
            let mut ids = Vec::new();
            for _ in 0..count {
                let id = jobs.create(NewProgress::new("test")).await.unwrap().id;
                let (begun, has_begun) = oneshot::channel();
                tokio::spawn(jobs.run(id, async move |tracker| -> Result<(), Failure> {
                    tracker.inc(7);
                    begun.send(()).unwrap();
                    std::future::pending().await
                }));
                has_begun.await.unwrap();
                ids.push(id);
            }
            ids
        });
        let begun = std::time::Instant::now();
        drop(runtime);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        for id in ids {
            let ended = outside.read(id);
            assert_eq!((ended.status, ended.succeeded), (Status::Failed, 7));
            assert_eq!(ended.error.as_deref(), Some(WORKER_STOPPED));
        }
    }
}

#[test]
fn a_shutdown_waits_at_most_two_seconds() {
    let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let jobs = Jobs::new(faulty.clone());
    let runtime = runtime();
    let tracker = runtime.block_on(async {
        let id = jobs.create(NewProgress::new("test")).await.unwrap().id;
        jobs.tracker(id).await.unwrap()
    });
    faulty.set(Fault::Silent);
    let begun = std::time::Instant::now();
    drop(runtime);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    drop(tracker);
}

#[test]
fn runtimes_that_shut_down_during_a_start_do_not_hang() {
    for round in 0..200 {
        let jobs = Jobs::new(MemoryStore::new());
        let runtime = runtime();
        runtime.block_on(async {
            for _ in 0..8 {
                let jobs = jobs.clone();
                tokio::spawn(async move {
                    loop {
                        let id = jobs.create(NewProgress::new("test")).await.unwrap().id;
                        jobs.run(id, async |_| Ok(())).await.unwrap();
                    }
                });
            }
            sleep(Duration::from_micros(100 * (round % 20))).await;
        });
        let begun = std::time::Instant::now();
        drop(runtime);
        assert!(begun.elapsed() < Duration::from_secs(2), "round {round}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_shutdown_shortens_the_retry_delay_of_an_outage() {
    let outside = Outside::default();
    let faulty = Arc::new(FaultyStore::new(outside.0.clone()));
    let jobs = Jobs::new(faulty.clone());
    let id = outside.create(&NewProgress::new("test"));
    let runtime = runtime();
    let tracker = runtime.block_on(async {
        let tracker = jobs.tracker(id).await.unwrap();
        faulty.set(Fault::Away);
        tracker.handle().inc(50);
        // The next attempt is 2 s or more away.
        sleep(Duration::from_secs(4)).await;
        tracker
    });
    faulty.set(Fault::None);
    drop(runtime);
    let ended = outside.read(id);
    assert_eq!((ended.status, ended.succeeded), (Status::Failed, 50));
    drop(tracker);
}

#[test]
fn a_panic_outside_the_jobs_loses_no_counts() {
    let outside = Outside::default();
    let id = outside.create(&NewProgress::new("test"));
    let jobs = Jobs::new(Arc::clone(&outside.0));
    let main = std::thread::spawn(move || {
        runtime().block_on(async {
            let tracker = jobs.tracker(id).await.unwrap();
            tokio::spawn(async move {
                tracker.handle().inc(50);
                std::future::pending::<()>().await;
            });
            sleep(Duration::from_millis(1)).await;
            panic!("deliberate panic in main");
        });
    });
    assert!(main.join().is_err());
    let ended = outside.read(id);
    assert_eq!((ended.status, ended.succeeded), (Status::Failed, 50));
}

/// Runs a worker that blocks its thread for five leases while a janitor sweeps on another thread.
/// Returns the final status of the job.
fn block(jobs: impl FnOnce(Arc<MemoryStore>) -> Jobs) -> Status {
    let outside = Outside::default();
    let lease = Duration::from_millis(300);
    let id = outside.create(&NewProgress::new("test").with_lease(lease));
    let stop = Arc::new(AtomicUsize::new(0));
    let janitor = std::thread::spawn({
        let (store, stop) = (Arc::clone(&outside.0), Arc::clone(&stop));
        move || {
            runtime().block_on(async {
                let janitor = Jobs::new(store).janitor();
                while stop.load(Ordering::Relaxed) == 0 {
                    janitor.sweep().await.unwrap();
                    sleep(Duration::from_millis(20)).await;
                }
            });
        }
    });
    let _outcome = runtime().block_on(async {
        let jobs = jobs(Arc::clone(&outside.0));
        jobs.run(id, async move |tracker| {
            std::thread::sleep(5 * lease);
            tracker.inc(1);
            Ok(())
        })
        .await
    });
    stop.store(1, Ordering::Relaxed);
    janitor.join().unwrap();
    outside.read(id).status
}

#[test]
fn a_worker_that_blocks_its_thread_keeps_its_lease() {
    assert_eq!(block(Jobs::new), Status::Completed);
    // The control: a loop that the worker can block.
    assert_eq!(block(testing::jobs), Status::Failed);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_do_not_wait_for_a_long_flush_interval() {
    let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let jobs = testing::jobs(faulty.clone());
    let _janitor = tokio::spawn(jobs.janitor().run());
    let options = TrackerOptions::new().with_flush_interval(Duration::from_secs(120));
    let id = jobs.create(NewProgress::new("test")).await.unwrap().id;
    let tracker = jobs.tracker_with(options, id).await.unwrap();
    for _ in 0..11 {
        tracker.handle().inc(1);
        sleep(Duration::from_secs(10)).await;
        let seen = faulty.get(id).await.unwrap().unwrap();
        assert_eq!((seen.status, seen.succeeded), (Status::Running, 0), "flushed too early");
        assert!(seen.silent_for().unwrap() <= Duration::from_secs(5));
    }
    sleep(Duration::from_secs(20)).await;
    assert_eq!(faulty.get(id).await.unwrap().unwrap().succeeded, 11);
    drop(tracker);
}

#[tokio::test(start_paused = true)]
async fn a_short_lease_shortens_the_heartbeat_interval() {
    let jobs = testing::jobs(MemoryStore::new());
    let _janitor =
        tokio::spawn(jobs.janitor().with_sweep_interval(Duration::from_millis(100)).run());
    let job = NewProgress::new("test").with_lease(Duration::from_secs(3));
    let id = jobs.create(job).await.unwrap().id;
    let tracker = jobs.tracker(id).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    tracker.complete(()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn counts_of_other_workers_are_kept_when_a_worker_of_a_shared_job_fails() {
    let jobs = testing::jobs(MemoryStore::new());
    let job = NewProgress::new("test").with_total(30).with_auto_complete();
    let id = jobs.create(job).await.unwrap().id;
    let joining = TrackerOptions::new().with_joining();
    let first = jobs.tracker_with(joining, id).await.unwrap();
    let second = tokio::spawn(jobs.run_with(joining, id, async |tracker| {
        loop {
            tracker.checkpoint().await?;
            tracker.inc(1);
            sleep(Duration::from_millis(100)).await;
        }
        #[allow(unreachable_code, reason = "gives the closure its return type")]
        Ok(())
    }));
    sleep(Duration::from_millis(930)).await;
    first.handle().inc(5);
    let left = first.fail("the file is broken").await.unwrap();
    assert_eq!(left.status, Status::Running, "the other worker has not left yet");
    let ended = second.await.unwrap().unwrap();
    assert_eq!(
        (ended.status, ended.error.as_deref()),
        (Status::Failed, Some("the file is broken"))
    );
    let counted = ended.succeeded - 5;
    assert!((10..=16).contains(&counted), "{counted}");
    assert_eq!(jobs.get(id).await.unwrap().unwrap().succeeded, ended.succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_wrapped_stop_error_still_cancels_the_job() {
    type Boxed = Box<dyn std::error::Error + Send + Sync>;
    let wrappers: [fn(Stopped) -> Failure; 4] = [
        Failure::from,
        |stopped| Failure::new("row 7").with_source(format!("{stopped}")),
        |stopped| Failure::from(std::io::Error::other(stopped.to_string())),
        |stopped| Failure::new("row 7").with_source(Boxed::from(stopped)),
    ];
    for wrap in wrappers {
        let jobs = testing::jobs(MemoryStore::new());
        let id = jobs.create(NewProgress::new("test")).await.unwrap().id;
        let run = tokio::spawn(jobs.run(id, async move |tracker| {
            loop {
                sleep(Duration::from_millis(100)).await;
                tracker.checkpoint().await.map_err(wrap)?;
            }
            #[allow(unreachable_code, reason = "gives the closure its return type")]
            Ok(())
        }));
        sleep(Duration::from_secs(1)).await;
        jobs.cancel(id).await.unwrap();
        assert_eq!(run.await.unwrap().unwrap().status, Status::Cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_worker_that_did_not_check_for_a_stop_fails_the_job() {
    let jobs = testing::jobs(MemoryStore::new());
    let id = jobs.create(NewProgress::new("test")).await.unwrap().id;
    let run = tokio::spawn(jobs.run(id, async |_| -> Result<(), Failure> {
        sleep(Duration::from_secs(10)).await;
        Err(Failure::new("disk full"))
    }));
    sleep(Duration::from_secs(1)).await;
    jobs.cancel(id).await.unwrap();
    assert_eq!(run.await.unwrap().unwrap().status, Status::Failed);
}

/// Decides what a store does with a batch.
type Behaviour = Box<dyn Fn(&[(ProgressId, ProgressUpdate)]) -> CallResult + Send + Sync>;

/// How a call ends.
enum CallResult {
    Takes(Duration),
    Fails(fn(&'static str) -> ProgressError),
    ReturnsFirst(usize),
    Panics,
}

/// A store whose `update_many` follows a given behaviour.
struct ScriptedStore {
    inner: Arc<MemoryStore>,
    behaviour: Mutex<Behaviour>,
    calls: AtomicUsize,
}

impl std::fmt::Debug for ScriptedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScriptedStore")
    }
}

impl ScriptedStore {
    fn new(
        behaviour: impl Fn(&[(ProgressId, ProgressUpdate)]) -> CallResult + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(MemoryStore::new()),
            behaviour: Mutex::new(Box::new(behaviour)),
            calls: AtomicUsize::new(0),
        })
    }

    fn behaves(&self) {
        *self.behaviour.lock().unwrap() = Box::new(|_| CallResult::Takes(Duration::ZERO));
    }
}

#[async_trait]
impl ProgressStore for ScriptedStore {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        self.inner.create(job).await
    }
    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        self.inner.get(id).await
    }
    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        self.inner.update(id, update).await
    }
    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        self.inner.list(query).await
    }
    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        self.inner.entries(id, after, limit).await
    }
    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        self.inner.delete(id).await
    }
    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        self.inner.heartbeats().await
    }
    async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        self.inner.delete_finished(older_than, limit).await
    }
    async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError> {
        self.inner.unannounced(limit).await
    }
    async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError> {
        self.inner.delete_owned(owner, limit).await
    }
    async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress, ProgressError>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let verdict = (self.behaviour.lock().unwrap())(updates);
        match verdict {
            CallResult::Takes(time) => {
                sleep(time).await;
                self.inner.update_many(updates).await
            }
            CallResult::Fails(error) => updates.iter().map(|_| Err(error("scripted"))).collect(),
            CallResult::ReturnsFirst(some) => self.inner.update_many(&updates[..some]).await,
            CallResult::Panics => panic!("deliberate panic in the store"),
        }
    }
}

async fn start(jobs: &Jobs, count: usize) -> Vec<Tracker> {
    let mut trackers = Vec::new();
    for _ in 0..count {
        let id = jobs.create(NewProgress::new("test")).await.unwrap().id;
        trackers.push(jobs.tracker(id).await.unwrap());
    }
    trackers
}

async fn complete(trackers: Vec<Tracker>, each: u64) {
    for tracker in trackers {
        let ended = tracker.complete(()).await.unwrap();
        assert_eq!((ended.status, ended.succeeded), (Status::Completed, each));
    }
}

#[tokio::test(start_paused = true)]
async fn batches_shrink_until_they_fit_the_deadline() {
    // A call with all updates would take three times the deadline.
    let store = ScriptedStore::new(|updates| {
        CallResult::Takes(Duration::from_millis(300) * u32::try_from(updates.len()).unwrap())
    });
    let jobs = testing::jobs(store.clone());
    let _janitor = tokio::spawn(jobs.janitor().run());
    let trackers = start(&jobs, 100).await;
    for _ in 0..600 {
        trackers.iter().for_each(|tracker| tracker.handle().inc(1));
        sleep(Duration::from_secs(1)).await;
    }
    store.behaves();
    complete(trackers, 600).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_written_does_not_affect_others() {
    let store = ScriptedStore::new(|_| CallResult::Takes(Duration::ZERO));
    let jobs = testing::jobs(store.clone());
    let mut trackers = start(&jobs, 20).await;
    let poison = trackers.pop().unwrap();
    let id = poison.id();
    *store.behaviour.lock().unwrap() = Box::new(move |updates| {
        let is_hit = updates.iter().any(|(updated, _)| *updated == id);
        if is_hit {
            CallResult::Fails(ProgressError::store)
        } else {
            CallResult::Takes(Duration::ZERO)
        }
    });
    for _ in 0..300 {
        poison.handle().inc(1);
        trackers.iter().for_each(|tracker| tracker.handle().inc(1));
        sleep(Duration::from_secs(1)).await;
    }
    assert!(matches!(poison.complete(()).await, Err(ProgressError::Store(_))));
    complete(trackers, 300).await;
}

#[tokio::test(start_paused = true)]
async fn missing_outcomes_are_retried_after_a_pause() {
    let store = ScriptedStore::new(|_| CallResult::Takes(Duration::ZERO));
    let jobs = testing::jobs(store.clone());
    let trackers = start(&jobs, 10).await;
    *store.behaviour.lock().unwrap() = Box::new(|_| CallResult::ReturnsFirst(0));
    let calls = store.calls.load(Ordering::Relaxed);
    trackers.iter().for_each(|tracker| tracker.handle().inc(1));
    sleep(Duration::from_secs(20)).await;
    let calls = store.calls.load(Ordering::Relaxed) - calls;
    assert!(calls <= 20, "{calls} calls in 20 s");
    store.behaves();
    complete(trackers, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_store_is_retried() {
    let store = ScriptedStore::new(|_| CallResult::Takes(Duration::ZERO));
    let jobs = testing::jobs(store.clone());
    let trackers = start(&jobs, 3).await;
    *store.behaviour.lock().unwrap() = Box::new(|_| CallResult::Panics);
    trackers.iter().for_each(|tracker| tracker.handle().inc(1));
    sleep(Duration::from_secs(20)).await;
    store.behaves();
    complete(trackers, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_ends_delays_other_jobs_only_until_its_deadline() {
    let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let jobs = testing::jobs(faulty.clone());
    let trackers = start(&jobs, 3).await;
    trackers.iter().for_each(|tracker| tracker.handle().inc(1));
    faulty.set(Fault::Silent);
    sleep(Duration::from_secs(60)).await;
    faulty.set(Fault::None);
    let begun = Instant::now();
    complete(trackers, 1).await;
    assert!(begun.elapsed() <= Duration::from_secs(15), "{:?}", begun.elapsed());

    let id = jobs.create(NewProgress::new("test")).await.unwrap().id;
    faulty.set(Fault::Silent);
    let begun = Instant::now();
    assert!(jobs.tracker(id).await.unwrap_err().is_transient());
    let given_up = begun.elapsed().as_secs();
    assert!((30..=45).contains(&given_up), "a start is given up after 30 s and a call: {given_up}");
}

#[tokio::test(start_paused = true)]
async fn final_updates_are_sent_before_all_others() {
    let store = ScriptedStore::new(|_| CallResult::Takes(Duration::ZERO));
    let jobs = testing::jobs(store.clone());
    let mut trackers = start(&jobs, 2_000).await;
    *store.behaviour.lock().unwrap() = Box::new(|updates| {
        CallResult::Takes(Duration::from_micros(100) * u32::try_from(updates.len()).unwrap())
    });
    for _ in 0..20 {
        trackers.iter().for_each(|tracker| tracker.handle().inc(1));
        sleep(Duration::from_millis(250)).await;
        let begun = Instant::now();
        trackers.pop().unwrap().complete(()).await.unwrap();
        // One call under way and its own call; writing all jobs takes 200 ms.
        assert!(begun.elapsed() <= Duration::from_millis(40), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_start_does_not_leave_a_running_job() {
    let store = ScriptedStore::new(|_| CallResult::Takes(Duration::from_secs(1)));
    let jobs = testing::jobs(store.clone());
    let id = jobs.create(NewProgress::new("test")).await.unwrap().id;
    let start = tokio::time::timeout(Duration::from_millis(500), jobs.tracker(id));
    start.await.unwrap_err();
    sleep(Duration::from_secs(10)).await;
    let ended = store.get(id).await.unwrap().unwrap();
    assert_eq!(ended.status, Status::Failed, "the job ends as soon as its start is known");
}

#[tokio::test(start_paused = true)]
async fn a_missing_janitor_is_logged_after_a_minute() {
    for has_janitor in [false, true] {
        let jobs = testing::jobs(MemoryStore::new());
        if has_janitor {
            tokio::spawn(jobs.janitor().run());
        }
        let trackers = start(&jobs, 1).await;
        sleep(Duration::from_secs(50)).await;
        assert!(!jobs.flush().has_warned_of_no_janitor.load(Ordering::Relaxed));
        sleep(Duration::from_secs(20)).await;
        assert_ne!(jobs.flush().has_warned_of_no_janitor.load(Ordering::Relaxed), has_janitor);
        complete(trackers, 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_another_process_completed_is_refused() {
    let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let jobs = testing::jobs(faulty.clone());
    let tracker = start(&jobs, 1).await.pop().unwrap();
    let id = tracker.id();
    faulty.set(Fault::LosesAnswers);
    tracker.handle().inc(1);
    sleep(Duration::from_secs(1)).await;
    faulty.set(Fault::None);
    let complete = ProgressUpdate::complete(crate::Delta::new(), crate::Completion::new());
    faulty.update(id, &complete).await.unwrap();
    let refused = tracker.fail("broken").await;
    assert!(matches!(refused, Err(ProgressError::Refused { status: Status::Completed, .. })));
}

#[test]
fn the_thread_ends_after_its_last_job_and_starts_again_with_the_next() {
    let store = Arc::new(MemoryStore::new());
    let jobs = Jobs::new(Arc::clone(&store));
    let runtime = runtime();
    for _ in 0..2 {
        runtime.block_on(async {
            for _ in 0..3 {
                let id = jobs.create(NewProgress::new("test")).await.unwrap().id;
                jobs.run(id, async |_| Ok(())).await.unwrap();
            }
        });
        std::thread::sleep(Duration::from_millis(1_200));
    }
    drop(jobs);
    drop(runtime);
    wait_for(|| Arc::strong_count(&store) == 1);
}
