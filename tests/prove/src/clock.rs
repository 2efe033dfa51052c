//! Wrong clocks, a worker's or the janitor's: no live worker is declared dead, every dead one is
//! found, and no duration is negative.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use progress_core::{Jobs, NewProgress, ProgressId, ProgressStore, ProgressUpdate, Status};
use progress_http::{ProgressApi, Viewer};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::careless::sweep_by_the_clock;
use crate::place::{Place, runtime};
use crate::report::{Finding, Report, Waiting};
use crate::signals::Worker;

/// The variable that names libfaketime, which gives a process a wrong clock. xtask sets it.
const LIAR: &str = "PROGRESS_TEST_FAKETIME";

/// The timing of a check.
#[derive(Debug, Clone, Copy)]
struct Pace {
    heartbeat: Duration,
    lease: Duration,
    sweep: Duration,
    /// Tolerance for processes that are slow under load.
    patience: Duration,
}

/// The default settings.
const FULL: Pace = Pace {
    heartbeat: Duration::from_secs(5),
    lease: Duration::from_secs(45),
    sweep: Duration::from_secs(5),
    patience: Duration::from_secs(1),
};
/// Much the same in a twentieth of the time.
const QUICK: Pace = Pace {
    heartbeat: Duration::from_millis(250),
    lease: Duration::from_millis(2_250),
    sweep: Duration::from_millis(250),
    patience: Duration::from_secs(2),
};

impl Pace {
    /// How late a dead worker may be found: one sweep sees the last heartbeat, another one the end
    /// of the lease.
    fn limit(self) -> Duration {
        self.lease + 2 * self.sweep + self.patience
    }
}

/// The clock of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    Right,
    Behind,
    Ahead,
    BackAndForth,
}

const WRONG: [(&str, Clock); 3] =
    [("behind", Clock::Behind), ("ahead", Clock::Ahead), ("back-and-forth", Clock::BackAndForth)];

/// The processes of a check and their clocks.
struct Scene {
    place: Place,
    pace: Pace,
    library: String,
    /// Two workers for each clock: one lives, one is killed.
    workers: Vec<Clock>,
    /// The janitor's clock. Unless it is right, the janitor is a separate process.
    janitor: Clock,
    /// Whether the janitor compares heartbeats with its own clock (the control).
    trusts_the_clock: bool,
}

pub(crate) fn run(report: &mut Report) {
    let Ok(library) = std::env::var(LIAR) else {
        report.not_run(
            "every-store",
            &format!("{LIAR} is not set to the path of libfaketimeMT.so.1"),
        );
        return;
    };
    let pace = if report.rounds(1, 0) == 1 { FULL } else { QUICK };
    let scene = |place, workers, janitor, trusts_the_clock| -> Waiting {
        let library = library.clone();
        let scene = Scene { place, pace, library, workers, janitor, trusts_the_clock };
        if trusts_the_clock {
            Box::new(|| scene.play().must_fail())
        } else {
            Box::new(|| scene.play())
        }
    };
    let wrong = WRONG.map(|(_, clock)| clock).to_vec();
    let mut checks = Vec::new();
    for place in Place::shared() {
        for (name, clock) in WRONG {
            let part = format!("{}-janitor-{name}", place.name);
            checks.push((part, scene(place.another(), vec![Clock::Right], clock, false)));
        }
        checks.push((
            format!("{}-workers", place.name),
            scene(place, wrong.clone(), Clock::Right, false),
        ));
    }
    let control = scene(Place::sqlite(), wrong, Clock::Right, true);
    checks.push(("control".to_owned(), control));
    report.at_once(checks);
}

/// Runs a janitor without end, in this process or in a separate one.
pub(crate) async fn sweep(store: Arc<dyn ProgressStore>, interval: Duration) {
    Jobs::new(store).janitor().with_sweep_interval(interval).run().await;
}

/// A worker, its job, and the record that the job's page shows.
struct Job {
    id: ProgressId,
    worker: Worker,
    record: Value,
    killed_at: Option<Instant>,
    found_out_after: Option<Duration>,
}

impl Job {
    fn is(&self, status: Status) -> bool {
        self.record["status"] == status.as_str()
    }
}

impl Scene {
    fn play(self) -> Finding {
        let runtime = runtime();
        let store = runtime.block_on(self.place.open());
        let turns = Turns::new(self.pace);
        // Started before the workers, so that it sees all their heartbeats.
        let _janitor = self.start_janitor(&runtime, &turns);
        let (mut alive, mut dead): (Vec<_>, Vec<_>) = self
            .workers
            .iter()
            .map(|clock| {
                [(); 2].map(|()| self.start_worker(&runtime, &*store, *clock, &turns)).into()
            })
            .unzip();
        let jobs = Jobs::new(Arc::clone(&store));
        let mut page = Page { runtime: &runtime, api: ProgressApi::new(jobs), impossible: 0 };
        let every = |alive: &mut [Job], dead: &mut [Job], page: &mut Page<'_>, time| {
            page.watch(&mut alive.iter_mut().chain(dead).collect::<Vec<_>>(), time);
        };
        every(&mut alive, &mut dead, &mut page, 2 * self.pace.heartbeat);
        for job in &mut dead {
            job.worker.signal("-KILL");
            job.killed_at = Some(Instant::now());
        }
        every(&mut alive, &mut dead, &mut page, self.pace.limit() + self.pace.sweep);
        // Live workers must obey a cancel request.
        for job in &alive {
            let _ = runtime.block_on(store.update(job.id, &ProgressUpdate::request_cancel()));
        }
        every(&mut alive, &mut dead, &mut page, self.pace.heartbeat + 5 * self.pace.patience);
        judge(&alive, &dead, self.pace, page.impossible)
    }

    fn start_janitor(&self, runtime: &Runtime, turns: &Turns) -> Option<Worker> {
        let interval = self.pace.sweep;
        if self.janitor != Clock::Right {
            let arguments = ["sweep", self.place.url(), &millis(interval)];
            return Some(self.start(self.janitor, turns, &arguments));
        }
        let store = runtime.block_on(self.place.open());
        if self.trusts_the_clock {
            runtime.spawn(sweep_by_the_clock(store, interval));
        } else {
            runtime.spawn(sweep(store, interval));
        }
        None
    }

    fn start_worker(
        &self,
        runtime: &Runtime,
        store: &dyn ProgressStore,
        clock: Clock,
        turns: &Turns,
    ) -> Job {
        let job = NewProgress::new("prove").with_total(1_000).with_lease(self.pace.lease);
        let id = runtime.block_on(store.create(&job)).unwrap().id;
        let arguments = ["beat", self.place.url(), &id.to_string(), &millis(self.pace.heartbeat)];
        let worker = self.start(clock, turns, &arguments);
        Job { id, worker, record: Value::Null, killed_at: None, found_out_after: None }
    }

    fn start(&self, clock: Clock, turns: &Turns, arguments: &[&str]) -> Worker {
        let mut worker = Worker::start_in(clock.environment(&self.library, turns), arguments);
        assert_eq!(worker.line().as_deref(), Some("ready"));
        worker
    }
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}

/// Polls as a page does.
struct Page<'a> {
    runtime: &'a Runtime,
    api: ProgressApi,
    impossible: u32,
}

impl Page<'_> {
    /// Polls for this time, or until all jobs have ended.
    fn watch(&mut self, jobs: &mut [&mut Job], time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time && !jobs.iter().all(|job| job.record["finished"] == true) {
            for job in &mut *jobs {
                let reply = self.runtime.block_on(self.api.poll(
                    &Viewer::Anyone,
                    &job.id.to_string(),
                    None,
                ));
                job.record = serde_json::from_slice(&reply.body).unwrap();
                self.impossible += u32::from(!is_possible(&job.record));
                if let Some(killed_at) = job.killed_at.filter(|_| job.is(Status::Failed)) {
                    job.found_out_after.get_or_insert(killed_at.elapsed());
                }
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn judge(alive: &[Job], dead: &[Job], pace: Pace, impossible: u32) -> Finding {
    let killed = alive.iter().filter(|job| !job.is(Status::Completed)).count();
    let found_out: Vec<_> = dead.iter().filter_map(|job| job.found_out_after).collect();
    let kept = dead.len() - found_out.len();
    let slowest = found_out.into_iter().max().unwrap_or_default();
    Finding::new(
        killed == 0 && kept == 0 && slowest <= pace.limit() && impossible == 0,
        format_args!(
            "{killed} of {} live workers declared dead, {kept} of {} dead ones not found, \
             the slowest found after {:.1} s, {impossible} polls with impossible times",
            alive.len(),
            dead.len(),
            slowest.as_secs_f64()
        ),
        format_args!("0, 0, {:.1} s, 0", pace.limit().as_secs_f64()),
    )
}

/// Whether no duration is negative and no job ends before it begins.
fn is_possible(record: &Value) -> bool {
    let is_no_less = |name: &str| record[name].is_null() || record[name].as_f64() >= Some(0.0);
    // All have the same format, so they sort as text.
    let times = ["created_at", "started_at", "completed_at"].map(|name| record[name].as_str());
    let times: Vec<_> = times.into_iter().flatten().collect();
    record["duration"].is_f64() == (times.len() > 1)
        && ["duration", "estimated_remaining_time", "items_per_second"].into_iter().all(is_no_less)
        && times.is_sorted()
        && record["created_at"].as_str() <= record["updated_at"].as_str()
}

impl Clock {
    fn environment(self, library: &str, turns: &Turns) -> Vec<(&'static str, String)> {
        let time = match self {
            Self::Right => return Vec::new(),
            Self::Behind => ("FAKETIME", "-1h".to_owned()),
            Self::Ahead => ("FAKETIME", "+1h".to_owned()),
            Self::BackAndForth => ("FAKETIME_TIMESTAMP_FILE", turns.file().display().to_string()),
        };
        let always = [
            ("LD_PRELOAD", library),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME_NO_CACHE", "1"),
        ];
        always.map(|(name, value)| (name, value.to_owned())).into_iter().chain([time]).collect()
    }
}

/// A file with a time offset that libfaketime reads. It changes by hours until this is dropped.
struct Turns {
    folder: TempDir,
    is_over: Arc<AtomicBool>,
}

impl Turns {
    fn new(pace: Pace) -> Self {
        let turns = Self { folder: tempfile::tempdir().unwrap(), is_over: Arc::default() };
        let (file, is_over) = (turns.file(), Arc::clone(&turns.is_over));
        let draft = file.with_extension("new");
        let write = move |time: &str| {
            std::fs::write(&draft, time).unwrap();
            // Atomically, so that no process reads half of it.
            std::fs::rename(&draft, &file).unwrap();
        };
        write("+1h");
        std::thread::spawn(move || {
            for time in ["-1h", "+0", "+1h"].into_iter().cycle() {
                // Not in step with the sweeps.
                std::thread::sleep(pace.sweep.mul_f64(0.7));
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                write(time);
            }
        });
        turns
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("time")
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
