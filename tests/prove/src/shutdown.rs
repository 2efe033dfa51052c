//! Runtimes that are dropped while jobs start, run and end on them: none hangs, and no job whose
//! work had begun stays running.

use std::collections::HashMap;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use progress_core::{Jobs, NewProgress, ProgressId, ProgressStore, ProgressUpdate, Status};
use tokio::runtime::{Builder, Runtime};

use crate::place::{Place, runtime};
use crate::report::{Finding, Report, Waiting};

/// Tasks of a runtime, each of which runs one short job after the other.
const TASKS: usize = 8;
/// A runtime that takes longer than this to drop hangs.
const DROPPED_WITHIN: Duration = Duration::from_secs(4);
/// A runtime that shuts down waits until its jobs are written. After this time it gives up, and a
/// process that ends then leaves them running.
const GIVES_UP_AFTER: Duration = Duration::from_secs(2);
/// How long after its runtime began to shut down a worker starts its job.
const LATE: Duration = Duration::from_millis(2);
/// How long endings may take to be written after the last runtime is gone.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

pub(crate) fn run(report: &mut Report) {
    let rounds = report.rounds(1_000, 50);
    let mut checks: Vec<(String, Waiting)> = Vec::new();
    for place in Place::all() {
        checks.push((
            place.name.to_owned(),
            Box::new(move || shut_down(&place, rounds, Fault::None)),
        ));
    }
    for (name, fault) in
        [("control-hangs", Fault::Hangs), ("control-stays-running", Fault::StaysRunning)]
    {
        let check = move || shut_down(&Place::memory(), 1, fault).must_fail();
        checks.push((name.to_owned(), Box::new(check)));
    }
    report.at_once(checks);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// A task that blocks when it is dropped.
    Hangs,
    /// A job without a tracker, which stays running when its task is dropped.
    StaysRunning,
}

/// What the tasks of all runtimes report.
#[derive(Debug, Default)]
struct Told {
    /// Whether the work on each job had begun.
    begun: HashMap<ProgressId, bool>,
    /// Calls that failed although the store was always available.
    errors: usize,
}

type Telling = Arc<Mutex<Told>>;

fn shut_down(place: &Place, rounds: u32, fault: Fault) -> Finding {
    let watching = runtime();
    let store = watching.block_on(place.open());
    let jobs = Jobs::new(Arc::clone(&store));
    let told = Telling::default();
    let (mut hangs, mut given_up, mut slowest) = (0, 0, Duration::ZERO);
    for round in 0..rounds {
        let runtime = new_runtime(round);
        for _ in 0..TASKS {
            runtime.spawn(short_jobs(jobs.clone(), Arc::clone(&told)));
        }
        // At any moment between the first start and some endings.
        let lives_for = Duration::from_micros(u64::from(round * 7_919 % 30_000));
        // Only where another thread can shut the runtime down meanwhile.
        if round % 4 >= 2 {
            runtime.spawn(start_late(jobs.clone(), lives_for + LATE));
        }
        match fault {
            Fault::None => {}
            Fault::Hangs => drop(runtime.spawn(hang())),
            Fault::StaysRunning => {
                drop(runtime.spawn(never_end(Arc::clone(&store), Arc::clone(&told))));
            }
        }
        match dropped_within(runtime, lives_for) {
            Some(took) => {
                slowest = slowest.max(took);
                given_up += u32::from(took >= GIVES_UP_AFTER);
            }
            None => hangs += 1,
        }
        if hangs > 2 {
            break;
        }
    }
    let settling = Instant::now();
    let mut left = Left::default();
    while settling.elapsed() < SETTLED_WITHIN {
        left = Left::of(&*store, &watching, &told.lock().unwrap().begun);
        if left.running_begun == 0 {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    let errors = told.lock().unwrap().errors;
    Finding::new(
        hangs == 0 && given_up == 0 && errors == 0 && left.running_begun == 0 && left.ended > 0,
        format_args!(
            "{hangs} of {rounds} runtimes hang, {given_up} give up, \
             dropped within {slowest:.1?}, {errors} calls fail; \
             of {} jobs {} ended, {} are pending, {} still run with begun work, \
             {} had just sent their start",
            left.jobs, left.ended, left.pending, left.running_begun, left.running_unbegun
        ),
        format_args!(
            "0 within {DROPPED_WITHIN:?}, 0 within {GIVES_UP_AFTER:?}, 0 calls, \
             0 jobs whose work had begun"
        ),
    )
}

/// What is left of the jobs.
#[derive(Default)]
struct Left {
    jobs: usize,
    ended: usize,
    pending: usize,
    running_begun: usize,
    /// Their start was in flight when the caller was dropped. A janitor fails them after a lease.
    running_unbegun: usize,
}

impl Left {
    fn of(store: &dyn ProgressStore, runtime: &Runtime, begun: &HashMap<ProgressId, bool>) -> Self {
        let ids: Vec<_> = begun.keys().copied().collect();
        let mut left = Self::default();
        for ids in ids.chunks(100) {
            let records = runtime.block_on(store.get_many(ids)).unwrap();
            for job in records.into_iter().flatten() {
                left.jobs += 1;
                match job.status {
                    Status::Pending => left.pending += 1,
                    Status::Running if begun[&job.id] => left.running_begun += 1,
                    Status::Running => left.running_unbegun += 1,
                    _ => left.ended += 1,
                }
            }
        }
        left
    }
}

/// Returns a current-thread runtime, or one with one to three worker threads.
fn new_runtime(round: u32) -> Runtime {
    let mut builder = match round % 4 {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if let threads @ 1.. = round % 4 {
        builder.worker_threads(threads as usize);
    }
    builder.enable_all().build().unwrap()
}

/// Drops a runtime after a while. Returns how long the drop took; `None` if it hangs.
fn dropped_within(runtime: Runtime, lives_for: Duration) -> Option<Duration> {
    let (dropped, is_dropped) = channel();
    // Not joined, because a thread that hangs stays until the process ends.
    thread::spawn(move || {
        runtime.block_on(async { tokio::time::sleep(lives_for).await });
        let begun = Instant::now();
        drop(runtime);
        // The check has gone on if this took too long.
        let _ = dropped.send(begun.elapsed());
    });
    is_dropped.recv_timeout(lives_for + DROPPED_WITHIN).ok()
}

async fn short_jobs(jobs: Jobs, told: Telling) {
    let work = async |id| {
        jobs.create(NewProgress::new("prove").with_id(id)).await?;
        let ran = jobs.run(id, async |tracker| {
            told.lock().unwrap().begun.insert(id, true);
            tracker.inc(1);
            tokio::time::sleep(Duration::from_millis(1)).await;
            tracker.inc(1);
            Ok(())
        });
        ran.await
    };
    loop {
        let id = ProgressId::new();
        told.lock().unwrap().begun.insert(id, false);
        // The store refuses the ending of a job that the shutdown has already ended.
        if work(id).await.is_err_and(|error| error.is_transient()) {
            told.lock().unwrap().errors += 1;
        }
    }
}

/// Blocks its thread until the runtime shuts down, then starts a job.
async fn start_late(jobs: Jobs, after: Duration) {
    let job = jobs.create(NewProgress::new("prove")).await;
    thread::sleep(after);
    if let Ok(job) = job {
        // Dropped before it returns.
        let _ = jobs.run(job.id, async |_| Ok(())).await;
    }
}

async fn hang() {
    struct Stuck;
    impl Drop for Stuck {
        fn drop(&mut self) {
            thread::sleep(2 * DROPPED_WITHIN);
        }
    }
    let _stuck = Stuck;
    std::future::pending::<()>().await;
}

async fn never_end(store: Arc<dyn ProgressStore>, told: Telling) {
    let id = store.create(&NewProgress::new("prove")).await.unwrap().id;
    store.update(id, &ProgressUpdate::start()).await.unwrap();
    told.lock().unwrap().begun.insert(id, true);
    std::future::pending::<()>().await;
}
