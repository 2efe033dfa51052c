//! Concurrent calls, made from several threads at the same time.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Suite, must, one, stamp};
use crate::testing::threads::{THREADS, race, repeats, sizes};
use crate::{
    Completion, Delta, NewEntry, NewProgress, Progress, ProgressError, ProgressId, ProgressStore,
    ProgressUpdate, Status,
};

type Outcome = Result<Progress, ProgressError>;

/// How long a store may be unavailable before a race fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes a call, and repeats it while the store is unavailable, as a worker does. In a race a record
/// may be locked for longer than a store waits.
async fn persist<T, F>(call: impl Fn() -> F) -> Result<T, ProgressError>
where
    F: Future<Output = Result<T, ProgressError>>,
{
    let begun = Instant::now();
    loop {
        match call().await {
            Err(error) if error.is_transient() && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            outcome => return outcome,
        }
    }
}

/// Makes the same call for several jobs on several threads, and returns each job's outcomes. A
/// thread that was interrupted goes on with the job that the others have reached, so they contend
/// for the same jobs until the end.
async fn contend<F>(
    suite: &Suite,
    jobs: usize,
    call: impl Fn(Arc<dyn ProgressStore>, usize, usize) -> F + Send + Sync + 'static,
) -> Vec<Vec<Outcome>>
where
    F: Future<Output = Outcome>,
{
    let (call, store) = (Arc::new(call), Arc::clone(&suite.store));
    let reached = Arc::new(AtomicUsize::new(0));
    let of_threads = race(THREADS, move |thread| {
        let (call, store, reached) = (Arc::clone(&call), Arc::clone(&store), Arc::clone(&reached));
        async move {
            let (mut job, mut outcomes) = (0, Vec::new());
            while job < jobs {
                job = job.max(reached.fetch_max(job, Ordering::AcqRel));
                let outcome = persist(|| call(Arc::clone(&store), thread, job)).await;
                outcomes.push((job, outcome));
                job += 1;
            }
            outcomes
        }
    });
    let mut of_jobs: Vec<_> = (0..jobs).map(|_| Vec::with_capacity(THREADS)).collect();
    for (job, outcome) in of_threads.await.into_iter().flatten() {
        of_jobs[job].push(outcome);
    }
    of_jobs
}

/// Returns the only success and checks that the record is as that call returned it.
async fn winner(
    suite: &Suite,
    outcomes: Vec<Outcome>,
    is_refusal: impl Fn(&ProgressError) -> bool,
    rule: &str,
) -> Progress {
    let mut winners = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(progress) => winners.push(progress),
            Err(error) => assert!(is_refusal(&error), "{rule}, but one got {error:?}"),
        }
    }
    assert_eq!(winners.len(), 1, "{rule} (the number of successes compared)");
    let winner = winners.remove(0);
    let read = suite.read(winner.id).await;
    assert_eq!(
        Progress { observed_at: winner.observed_at, ..read },
        winner,
        "{rule}, and the record must stay as the one that succeeded returned it"
    );
    winner
}

pub(super) async fn of_several_creations_one_wins(suite: &Suite) {
    for size in sizes() {
        let ids: Vec<_> = (0..size).map(|_| ProgressId::new()).collect();
        let created = ids.clone();
        let jobs = contend(suite, size, move |store, thread, job| {
            let job = NewProgress::new(format!("creator {thread}")).with_id(created[job]);
            async move { store.create(&job).await }
        });
        for outcomes in jobs.await {
            let rule = "create: of several concurrent calls with one id, one must succeed and the \
                        others must be refused with `AlreadyExists`";
            let is_refusal = |error: &_| matches!(error, ProgressError::AlreadyExists(_));
            winner(suite, outcomes, is_refusal, rule).await;
        }
        suite.remove(&ids).await;
    }
}

pub(super) async fn of_several_starts_one_wins(suite: &Suite) {
    for size in sizes() {
        let ids = suite.many_pending(size).await;
        let started = ids.clone();
        let jobs = contend(suite, size, move |store, thread, job| {
            let id = started[job];
            let start = ProgressUpdate::start().with_stamp(stamp(500 + thread as u128, 1));
            async move { store.update(id, &start).await }
        });
        for outcomes in jobs.await {
            let rule = "update: of several concurrent starts of a job, one must succeed and the \
                        others must be refused";
            let is_refusal =
                |error: &_| matches!(error, ProgressError::Refused { status: Status::Running, .. });
            winner(suite, outcomes, is_refusal, rule).await;
        }
        suite.remove(&ids).await;
    }
}

pub(super) async fn of_several_endings_one_wins(suite: &Suite) {
    for size in sizes() {
        let ids = suite.many_running(size).await;
        let ended = ids.clone();
        let jobs = contend(suite, size, move |store, thread, job| {
            let id = ended[job];
            let last = Delta::new().with_succeeded(1);
            let ending = match thread % 3 {
                0 => ProgressUpdate::complete(last, Completion::new()),
                1 => ProgressUpdate::fail(last, "broken"),
                _ => ProgressUpdate::cancel(last),
            };
            let ending = ending.with_stamp(stamp(600 + thread as u128, 1));
            async move { store.update(id, &ending).await }
        });
        for outcomes in jobs.await {
            let rule = "update: of several concurrent endings of a job, one must succeed and the \
                        others must be refused";
            let is_refusal = |error: &_| matches!(error, ProgressError::Refused { status, .. } if status.is_finished());
            let winner = winner(suite, outcomes, is_refusal, rule).await;
            assert_eq!(
                winner.succeeded, 1,
                "update: only the ending that succeeds may add its counts"
            );
        }
        suite.remove(&ids).await;
    }
}

/// Counts as one writer, repeats some updates, and returns how many count.
async fn count(store: &dyn ProgressStore, id: ProgressId, writer: u128) -> u64 {
    let mut counted = 0;
    for seq in repeats(10, 300) {
        let update = one().with_stamp(stamp(writer, seq));
        persist(|| store.update(id, &update)).await.expect(must::COUNT);
        if seq.is_multiple_of(5) {
            persist(|| store.update(id, &update)).await.expect(must::REPEAT);
        }
        counted = seq;
    }
    counted
}

pub(super) async fn concurrent_counts_are_neither_lost_nor_doubled(suite: &Suite) {
    let id = suite.running().await.id;
    let store = Arc::clone(&suite.store);
    let counts = race(THREADS, move |thread| {
        let store = Arc::clone(&store);
        async move {
            // Two writers on each thread take turns at every `.await` of the store.
            let writer = 100 + 2 * thread as u128;
            let (first, second) =
                tokio::join!(count(&*store, id, writer), count(&*store, id, writer + 1));
            first + second
        }
    });
    let counted: u64 = counts.await.into_iter().sum();
    let progress = suite.read(id).await;
    assert_eq!(
        (progress.succeeded, progress.version),
        (counted, counted + 2),
        "update: concurrent counts must be neither lost nor doubled (succeeded and version \
         compared)"
    );
    suite.remove(&[id]).await;
}

pub(super) async fn a_stamp_sent_by_several_at_once_counts_once(suite: &Suite) {
    let id = suite.running().await.id;
    let store = Arc::clone(&suite.store);
    let stored = Arc::new(AtomicU64::new(0));
    let known = Arc::clone(&stored);
    let race = race(THREADS, move |_| {
        let (store, known) = (Arc::clone(&store), Arc::clone(&known));
        async move {
            for _ in repeats(10, 300) {
                // All threads send the number after the last one that is known to be stored.
                let seq = known.load(Ordering::Acquire) + 1;
                let update = one().with_stamp(stamp(300, seq));
                let progress = persist(|| store.update(id, &update)).await.expect(must::REPEAT);
                assert!(
                    progress.succeeded >= seq,
                    "update: a repeated stamp must return a record that has its counts, but after \
                     {seq} counts it has {}",
                    progress.succeeded
                );
                known.fetch_max(seq, Ordering::AcqRel);
            }
        }
    });
    race.await;
    let sent = stored.load(Ordering::Acquire);
    let progress = suite.read(id).await;
    assert_eq!(
        (progress.succeeded, progress.version),
        (sent, sent + 2),
        "update: a stamp that several callers send at the same time must count once (succeeded \
         and version compared)"
    );
    suite.remove(&[id]).await;
}

pub(super) async fn the_last_worker_ends_a_shared_job(suite: &Suite) {
    for items in sizes().map(|size| size as u64) {
        let total = items * THREADS as u64;
        let job = NewProgress::new("conformance").with_total(total).with_auto_complete();
        let id = suite.store.create(&job).await.expect(must::CREATE).id;
        suite.store.update(id, &ProgressUpdate::start()).await.expect(must::START);
        let store = Arc::clone(&suite.store);
        let left = race(THREADS, move |thread| {
            let store = Arc::clone(&store);
            async move {
                let update = async |seq, update: ProgressUpdate, rule| {
                    let update = update.with_stamp(stamp(400 + thread as u128, seq));
                    persist(|| store.update(id, &update)).await.expect(rule)
                };
                // The first worker has joined by its start.
                if thread > 0 {
                    let rule = "update: a worker must be able to join a shared job that still has \
                                items";
                    update(1, ProgressUpdate::join(), rule).await;
                }
                for item in 0..items {
                    update(2 + item, one(), must::COUNT).await;
                }
                let leave = ProgressUpdate::complete(Delta::new(), Completion::new());
                let rule = "update: every worker of a shared job must be able to complete";
                update(2 + items, leave, rule).await.status
            }
        });
        let endings = left.await.into_iter().filter(|status| status.is_finished()).count();
        assert_eq!(
            endings, 1,
            "update: exactly one worker of a shared job must be told that its update has ended it"
        );
        let progress = suite.read(id).await;
        assert_eq!(
            (progress.status, progress.succeeded, progress.workers),
            (Status::Completed, total, 0),
            "update: a shared job must be complete when its workers have counted all items and \
             left (status, succeeded and workers compared)"
        );
        assert_eq!(
            progress.version,
            2 + total + THREADS as u64,
            "update: each count and each leave must raise the version of a shared job by one"
        );
        suite.remove(&[id]).await;
    }
}

pub(super) async fn two_handles_are_one_store(suite: &Suite) {
    let Some(other) = &suite.other else {
        return suite.report_not_run("two_handles_are_one_store", "with_other_handle");
    };
    let id = suite.running().await.id;
    let handles = [Arc::clone(&suite.store), Arc::clone(other)];
    let counts = race(THREADS, move |thread| {
        let handles = handles.clone();
        async move {
            let mut counted = 0;
            for seq in repeats(5, 100) {
                let update = one().with_stamp(stamp(200 + thread as u128, seq));
                // The first acknowledgement was lost, and the worker repeats the update on another
                // handle.
                persist(|| handles[0].update(id, &update)).await.expect(must::COUNT);
                persist(|| handles[1].update(id, &update)).await.expect(must::REPEAT);
                counted = seq;
            }
            counted
        }
    });
    let counted: u64 = counts.await.into_iter().sum();
    for handle in [&suite.store, other] {
        let progress = handle.get(id).await.expect(must::READ);
        assert_eq!(
            progress.map(|progress| progress.succeeded),
            Some(counted),
            "update: what is stored by one handle must be known to the other, counts and stamps"
        );
    }
    suite.remove(&[id]).await;
}

pub(super) async fn an_update_and_a_deletion_do_not_meet_half_way(suite: &Suite) {
    for round in repeats(5, 20).map(u128::from) {
        let job = NewProgress::new("conformance");
        let id = suite.store.create(&job).await.expect(must::CREATE).id;
        let stamp = move |seq| stamp(1_000 + round, seq);
        let start = ProgressUpdate::start().with_stamp(stamp(1));
        suite.store.update(id, &start).await.expect(must::START);
        let store = Arc::clone(&suite.store);
        let is_written = Arc::new(AtomicBool::new(false));
        let race = race(2, move |thread| {
            let (store, is_written) = (Arc::clone(&store), Arc::clone(&is_written));
            async move {
                if thread == 0 {
                    let _guard = SetOnDrop(&is_written);
                    write(&*store, id, stamp).await;
                } else {
                    delete(&*store, id, &is_written).await;
                }
            }
        });
        race.await;
        suite.assert_gone(id, "update: an update must not bring a deleted record back").await;
        suite.assert_nothing_left_of(&job, &start).await;
        suite.remove(&[id]).await;
    }
}

async fn write(store: &dyn ProgressStore, id: ProgressId, stamp: impl Fn(u64) -> crate::Stamp) {
    let entry = || Delta::new().with_entry(NewEntry::info("a line"));
    let counts = ProgressUpdate::advance(entry()).with_stamp(stamp(2));
    let ending = ProgressUpdate::cancel(entry()).with_stamp(stamp(3));
    for update in [&counts, &ending, &ending] {
        match persist(|| store.update(id, update)).await {
            Ok(_) | Err(ProgressError::NotFound(_)) => {}
            Err(error) => panic!(
                "update: during a deletion, an update must succeed or get `NotFound`, but it got \
                 {error:?}"
            ),
        }
    }
}

/// Tells the deleting thread that the writing one has ended, even by a panic.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

async fn delete(store: &dyn ProgressStore, id: ProgressId, is_written: &AtomicBool) {
    loop {
        let may_be_active = !is_written.load(Ordering::Acquire);
        match persist(|| store.delete(id)).await {
            Ok(()) => return,
            Err(ProgressError::Refused { .. }) if may_be_active => tokio::task::yield_now().await,
            Err(error) => panic!(
                "delete: during an update, a deletion must succeed, or be refused while the job is \
                 active, but it got {error:?}"
            ),
        }
    }
}
