//! What follows from a start, a report or an ending that the store has accepted: metrics, a log
//! event, the application's hook. The flush loop, the janitor and [`Jobs`](crate::Jobs) call
//! [`Observer::accepted`] for each acknowledged update, so this is the one place that decides what
//! is counted, and who announces an ending.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    BoxError, CachedStore, Progress, ProgressError, ProgressStore, ProgressUpdate, Transition,
    metering,
};

/// How long after the end of a job, or after a claim, a janitor may announce the end. Until then
/// this is left to the process that wrote the end, or that claimed it.
pub(crate) const ANNOUNCEMENT_DELAY: Duration = Duration::from_secs(60);

/// How long a hook may take. It is over well before another process may call it.
const HOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the note that a hook was told is written again in an outage.
const NOTE_TIMEOUT: Duration = Duration::from_secs(20);

/// The pause between two attempts of that.
const NOTE_RETRY_DELAY: Duration = Duration::from_secs(1);

/// How many hooks run at the same time, so that ten thousand jobs that end together do not open ten
/// thousand connections to a mail server.
const MAX_HOOKS: usize = 64;

type HookFuture = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// The application's hook.
#[derive(Clone)]
struct Hook {
    call: Arc<dyn Fn(Progress) -> HookFuture + Send + Sync>,
    /// The application's runtime. The flush thread has its own, which the hook could block.
    runtime: Handle,
    permits: Arc<Semaphore>,
}

/// Follows the jobs of a [`Jobs`](crate::Jobs).
#[derive(Default)]
pub(crate) struct Observer {
    hook: Mutex<Option<Hook>>,
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("has_hook", &self.has_hook()).finish()
    }
}

impl Observer {
    /// Sets the hook, which runs on the current runtime.
    pub(crate) fn set_hook<F, Fut>(&self, hook: F)
    where
        F: Fn(Progress) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let hook = Hook {
            call: Arc::new(move |progress| Box::pin(hook(progress))),
            runtime: Handle::current(),
            permits: Arc::new(Semaphore::new(MAX_HOOKS)),
        };
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    fn hook(&self) -> Option<Hook> {
        self.hook.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn has_hook(&self) -> bool {
        self.hook.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Follows an update that the store has accepted, with the record that it returned.
    /// `is_repetition` if the update was sent before and its outcome is unknown.
    pub(crate) fn accepted(
        &self,
        store: &CachedStore,
        update: &ProgressUpdate,
        progress: &Progress,
        is_repetition: bool,
    ) {
        metering::accepted(update, progress);
        if *update.transition() == Transition::Start {
            let Progress { id, task_type, attempt, .. } = progress;
            tracing::info!(%id, task_type, attempt, "job started");
        }
        if has_ended(update, progress, is_repetition) {
            self.ended(store, progress);
        }
    }

    /// Follows an ending that this process has written.
    pub(crate) fn ended(&self, store: &CachedStore, progress: &Progress) {
        metering::ended(progress);
        let Progress { id, task_type, attempt, status, succeeded, failed, .. } = progress;
        tracing::info!(%id, task_type, attempt, %status, succeeded, failed, "job ended");
        if progress.announce_at.is_some() {
            self.announce(store, progress.clone());
        }
    }

    /// Calls the hook, if there is one, and notes its success in the record. Waits for neither.
    pub(crate) fn announce(&self, store: &CachedStore, progress: Progress) {
        let Some(hook) = self.hook() else { return };
        let store = store.clone();
        let runtime = hook.runtime.clone();
        drop(runtime.spawn(async move {
            let id = progress.id;
            match hook.run(progress).await {
                Ok(()) => {
                    if let Err(error) = note(&store, id).await {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(%id, error, "the call of the hook could not be noted");
                    }
                }
                Err(error) => {
                    let error = &*error as &dyn std::error::Error;
                    tracing::warn!(%id, error, "the hook for ended jobs failed, will retry");
                }
            }
        }));
    }
}

impl Hook {
    async fn run(&self, progress: Progress) -> Result<(), BoxError> {
        let run = async {
            let _permit = self.permits.acquire().await?;
            // In a task of its own, because it may panic.
            let mut task = AbortOnDrop(self.runtime.spawn((self.call)(progress)));
            (&mut task.0).await?
        };
        timeout(HOOK_TIMEOUT, run).await?
    }
}

/// A task that ends when nothing waits for it any more.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Notes that the end of a job was announced. Retries in an outage, because the hook would be
/// called again otherwise.
async fn note(store: &CachedStore, id: crate::ProgressId) -> Result<(), ProgressError> {
    let begun = Instant::now();
    loop {
        match store.update(id, &ProgressUpdate::announced()).await {
            Err(error) if error.is_transient() && begun.elapsed() < NOTE_TIMEOUT => {
                sleep(NOTE_RETRY_DELAY).await;
            }
            // The record was deleted, so there is nothing to note.
            Err(ProgressError::NotFound(_)) => return Ok(()),
            outcome => return outcome.map(drop),
        }
    }
}

/// Whether this update has ended the job, as far as its outcome can tell.
///
/// The outcome of a repetition does not tell whether the first try had arrived. If the update
/// always ends the job, that makes no difference. If it may also leave the job active, another
/// writer may have ended it in between, so the ending is that writer's, or is left to a janitor: an
/// ending is never followed twice, and rarely by a janitor alone.
fn has_ended(update: &ProgressUpdate, progress: &Progress, is_repetition: bool) -> bool {
    let transition = update.transition();
    let is_attempt = progress.max_attempts.is_some()
        && matches!(transition, Transition::Release { .. } | Transition::Abandon);
    let may_leave_it_active = progress.auto_complete || is_attempt;
    let is_ending = update.is_ending() || *transition == Transition::RequestCancel;
    progress.status.is_finished() && is_ending && !(is_repetition && may_leave_it_active)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::testing::{self, Fault, FaultyStore};
    use crate::{Delta, Jobs, MemoryStore, NewProgress, ProgressId, Status, WORKER_LOST};

    type Told = Arc<Mutex<Vec<(ProgressId, Status)>>>;

    /// Creates the jobs of a process whose hook notes what it is told.
    fn process(store: Arc<dyn ProgressStore>) -> (Jobs, Told) {
        let told = Told::default();
        let notes = Arc::clone(&told);
        let jobs = testing::jobs(store).on_ended(move |job| {
            notes.lock().unwrap().push((job.id, job.status));
            async { Ok(()) }
        });
        (jobs, told)
    }

    fn told(told: &Told) -> Vec<(ProgressId, Status)> {
        told.lock().unwrap().clone()
    }

    async fn minutes(minutes: u64) {
        sleep(Duration::from_secs(60 * minutes)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn every_ending_is_announced_once_whatever_wrote_it() {
        let store = Arc::new(MemoryStore::new());
        let (jobs, notes) = process(store.clone());
        let _janitors = [(); 2].map(|()| tokio::spawn(jobs.janitor().run()));
        let new = || NewProgress::new("test");
        let mut expected = Vec::new();
        let completed = jobs.create(new()).await.unwrap().id;
        jobs.run(completed, async |_| Ok(())).await.unwrap();
        expected.push((completed, Status::Completed));
        let broken = jobs.create(new()).await.unwrap().id;
        let failure = async |_| Err::<(), _>(crate::Failure::new("broken"));
        jobs.run(broken, failure).await.unwrap();
        expected.push((broken, Status::Failed));
        let unqueued = jobs.create(new()).await.unwrap().id;
        jobs.fail(unqueued, "the queue is full").await.unwrap();
        expected.push((unqueued, Status::Failed));
        let cancelled = jobs.create(new()).await.unwrap().id;
        jobs.cancel(cancelled).await.unwrap();
        expected.push((cancelled, Status::Cancelled));
        let empty = new().with_auto_complete().with_total(0);
        expected.push((jobs.create(empty).await.unwrap().id, Status::Completed));
        // Two attempts: the first ends without an ending.
        let retried = jobs.create(new().with_attempts(2)).await.unwrap().id;
        jobs.run(retried, failure).await.unwrap();
        jobs.run(retried, failure).await.unwrap();
        expected.push((retried, Status::Failed));
        let lost = jobs.create(new()).await.unwrap().id;
        store.update(lost, &ProgressUpdate::start()).await.unwrap();
        minutes(10).await;
        expected.push((lost, Status::Failed));
        assert_eq!(told(&notes), expected);
        assert_eq!(store.get(lost).await.unwrap().unwrap().error.as_deref(), Some(WORKER_LOST));
        for (id, _) in expected {
            assert_eq!(store.get(id).await.unwrap().unwrap().announce_at, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_ending_that_its_process_could_not_announce_is_announced_by_one_janitor() {
        let store = Arc::new(MemoryStore::new());
        let dead = testing::jobs(store.clone());
        let ended = dead.create(NewProgress::new("test").with_announcement()).await.unwrap().id;
        dead.cancel(ended).await.unwrap();
        let (first, notes) = process(store.clone());
        let (second, others) = process(store.clone());
        let _janitors = [tokio::spawn(first.janitor().run()), tokio::spawn(second.janitor().run())];
        sleep(Duration::from_secs(55)).await;
        assert_eq!(told(&notes).len() + told(&others).len(), 0, "its process has a minute");
        minutes(10).await;
        let all: Vec<_> = told(&notes).into_iter().chain(told(&others)).collect();
        assert_eq!(all, [(ended, Status::Cancelled)]);
        assert_eq!(store.get(ended).await.unwrap().unwrap().announce_at, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hook_that_fails_panics_or_hangs_is_called_again_until_it_succeeds() {
        let store = Arc::new(MemoryStore::new());
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        // Shared by the test, the hook, and a call that hangs.
        let alive = Arc::new(());
        let hook_alive = Arc::clone(&alive);
        let jobs = testing::jobs(store.clone()).on_ended(move |_| {
            let call = counted.fetch_add(1, Ordering::Relaxed);
            let hangs = (call == 2).then(|| Arc::clone(&hook_alive));
            async move {
                let _hangs = hangs;
                match call {
                    0 => Err("the mail server is away".into()),
                    1 => panic!("deliberate panic in the hook"),
                    2 => std::future::pending().await,
                    _ => Ok(()),
                }
            }
        });
        // The shortest retention: the record has to outlive its announcement.
        let janitor = jobs.janitor().with_retention(Duration::ZERO);
        let _janitor = tokio::spawn(janitor.run());
        let id = jobs.create(NewProgress::new("test")).await.unwrap().id;
        jobs.cancel(id).await.unwrap();
        for expected in [1, 2, 3] {
            sleep(Duration::from_secs(55)).await;
            assert_eq!(calls.load(Ordering::Relaxed), expected);
            sleep(Duration::from_secs(10)).await;
        }
        minutes(10).await;
        assert_eq!(calls.load(Ordering::Relaxed), 4);
        assert_eq!(Arc::strong_count(&alive), 2, "the call that hung was dropped");
        assert_eq!(store.get(id).await.unwrap(), None, "deleted after its announcement");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hook_is_told_once_although_acknowledgements_are_lost() {
        let store = Arc::new(MemoryStore::new());
        let faulty = Arc::new(FaultyStore::new(store.clone()));
        let (jobs, notes) = process(faulty.clone());
        let _janitor = tokio::spawn(jobs.janitor().run());
        let one = NewProgress::new("test");
        let shared = NewProgress::new("test").with_auto_complete().with_total(1);
        for job in [one, shared] {
            let id = jobs.create(job).await.unwrap().id;
            let options = crate::TrackerOptions::new().with_joining();
            let first = jobs.tracker_with(options, id).await.unwrap();
            first.handle().inc(1);
            faulty.set(Fault::LosesAnswers);
            let ended = tokio::spawn(first.complete(()));
            sleep(Duration::from_secs(3)).await;
            faulty.set(Fault::None);
            assert_eq!(ended.await.unwrap().unwrap().status, Status::Completed);
            minutes(5).await;
            assert_eq!(told(&notes), [(id, Status::Completed)]);
            notes.lock().unwrap().clear();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_workers_the_one_that_ended_the_job_announces_it() {
        let store = Arc::new(MemoryStore::new());
        let faulty = Arc::new(FaultyStore::new(store.clone()));
        let (first, first_notes) = process(faulty.clone());
        // Its hook is slow, so the mark is still there when the other process repeats its update.
        let second_notes = Told::default();
        let notes = Arc::clone(&second_notes);
        let second = testing::jobs(store.clone()).on_ended(move |job| {
            notes.lock().unwrap().push((job.id, job.status));
            async {
                sleep(Duration::from_secs(20)).await;
                Ok(())
            }
        });
        let job = NewProgress::new("test").with_auto_complete().with_total(0);
        let id = first.create(job.with_total(1)).await.unwrap().id;
        let options = crate::TrackerOptions::new().with_joining();
        let leaving = first.tracker_with(options, id).await.unwrap();
        let ending = second.tracker_with(options, id).await.unwrap();
        faulty.set(Fault::LosesAnswers);
        let left = tokio::spawn(leaving.complete(()));
        sleep(Duration::from_secs(1)).await;
        ending.handle().inc(1);
        assert_eq!(ending.complete(()).await.unwrap().status, Status::Completed);
        faulty.set(Fault::None);
        assert_eq!(left.await.unwrap().unwrap().status, Status::Completed);
        minutes(1).await;
        assert_eq!(told(&first_notes), []);
        assert_eq!(told(&second_notes), [(id, Status::Completed)]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_hook_nothing_is_marked_and_nothing_is_looked_for() {
        let faulty = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
        let jobs = testing::jobs(faulty.clone());
        let id = jobs.create(NewProgress::new("test")).await.unwrap().id;
        let fail = ProgressUpdate::fail(Delta::new(), "over");
        let ended = jobs.store().update(id, &fail).await.unwrap();
        assert_eq!(ended.announce_at, None);
        jobs.janitor().sweep().await.unwrap();
        assert_eq!(faulty.reads(), 1, "the heartbeats");
    }
}
