//! Concurrent calls on real threads.
//!
//! Tasks of one thread take turns only at an `.await`. A store that has none between its read and
//! its write would lose nothing there, although it is not atomic.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

/// The number of threads in most races.
pub(super) const THREADS: usize = 8;

/// Runs `work` on several threads at the same time and returns the outcomes, ordered by thread.
///
/// Each thread has its own runtime, whose clock runs even if the caller's time is paused. The
/// caller's runtime stays free, because a store may run its calls there.
///
/// # Panics
///
/// Panics with the first panic of a thread, after all threads have ended.
pub(super) async fn race<T, F>(
    threads: usize,
    work: impl Fn(usize) -> F + Send + Sync + 'static,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let run = move || {
        // Created in advance, so that no thread can fail before it has reached the barrier.
        let runtimes: Vec<_> = (0..threads).map(|_| runtime()).collect();
        let (start, work) = (Barrier::new(threads), &work);
        thread::scope(|scope| {
            let started: Vec<_> = (0..)
                .zip(runtimes)
                .map(|(thread, runtime)| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        runtime.block_on(work(thread))
                    })
                })
                .collect();
            let ended: Vec<_> = started.into_iter().map(thread::ScopedJoinHandle::join).collect();
            ended.into_iter().map(|end| end.unwrap_or_else(|panic| resume_unwind(panic))).collect()
        })
    };
    // Tokio does not advance paused time while this runs.
    match tokio::task::spawn_blocking(run).await {
        Ok(outcomes) => outcomes,
        Err(error) => resume_unwind(error.into_panic()),
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime for a thread")
}

/// How long a quick store is raced. It must be long, because the threads may share one processor.
/// They then take turns only every few milliseconds.
const QUICK: Duration = Duration::from_millis(100);

/// After this time, a slow store is given no more work than necessary.
pub(super) const SLOW: Duration = Duration::from_millis(400);

/// Returns the numbers of repeated calls, from 1: at least to `at_least` and usually to `usually`,
/// less far on a slow store and further on a quick one.
pub(super) fn repeats(at_least: u64, usually: u64) -> impl Iterator<Item = u64> {
    let start = Instant::now();
    (1..).take_while(move |number| {
        let elapsed = start.elapsed();
        *number <= at_least || (*number <= usually && elapsed < SLOW) || elapsed < QUICK
    })
}

/// Returns the sizes of successive races, each of which is twice as large as the last.
pub(super) fn sizes() -> impl Iterator<Item = usize> {
    let start = Instant::now();
    let first = 5;
    std::iter::successors(Some(first), |size| Some(size * 2))
        .take_while(move |size| *size == first || start.elapsed() < QUICK)
}
