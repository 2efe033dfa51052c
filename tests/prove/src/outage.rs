//! A store outage longer than a lease: no live worker's job is failed, no count is lost, and a
//! worker that died meanwhile is found after the outage.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use progress_core::testing::{Fault, FaultyStore};
use progress_core::{Jobs, MemoryStore, ProgressId, ProgressStore, ProgressUpdate, Status};
use progress_test_support::Network;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::pace::Pace;
use crate::place::{Place, open, runtime};
use crate::report::{Finding, Report, Waiting};
use crate::signals::Worker;
use crate::storage::obstacles::{Immutable, Locked, Obstacle};
use crate::worker::{join_all, say};

/// Jobs per process.
const JOBS: usize = 5;
/// Live processes; one more dies in the outage.
const PROCESSES: usize = 3;
/// How often a job counts.
const ITEM: Duration = Duration::from_millis(50);

/// When a dead worker has to be found, in seconds after the store is back, at default settings.
const FOUND_WITHIN: u64 = 60;
/// How long workers go on after the outage, so that a faulty janitor has time to fail them.
const AFTERWARDS: u64 = 65;

/// The name of a check, and a function that sets up its store for each outage.
type Kind = (String, fn() -> Result<Away, &'static str>);

/// A store that an outage takes away from its workers, but not from the check.
enum Away {
    /// A store that processes share.
    Outside { obstacle: Box<dyn Obstacle>, direct: String },
    /// A store in the memory of this process.
    Memory(Fault),
}

pub(crate) fn run(report: &mut Report) {
    let pace = Pace::new(report, 3);
    // Shorter than a lease, just as long, and longer.
    let seconds: &[u64] = if pace.factor() == 1 { &[30, 44, 60, 120] } else { &[42, 51] };
    let mut checks: Vec<(String, Waiting)> = Vec::new();
    for (name, away) in kinds(report) {
        // Reported before any check begins.
        if let Err(reason) = away() {
            report.not_run(&name, reason);
            continue;
        }
        checks.push((name, Box::new(move || outages(pace, seconds, away, Janitors::Ours))));
    }
    let control = || Ok(Away::Memory(Fault::Away));
    checks.push((
        "control".to_owned(),
        Box::new(move || {
            outages(Pace::times_faster(3), &[60], control, Janitors::TrustTimes).must_fail()
        }),
    ));
    report.at_once(checks);
}

fn kinds(report: &Report) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = vec![
        ("memory-away".to_owned(), || Ok(Away::Memory(Fault::Away))),
        ("sqlite-locked".to_owned(), || Ok(Away::locked())),
        ("sqlite-read-only".to_owned(), Away::read_only),
    ];
    for place in Place::remote() {
        let kind: fn() -> _ = match place.name {
            "postgres" => || Ok(Away::behind("postgres", Network::refuse)),
            "redis" => || Ok(Away::behind("redis", Network::refuse)),
            _ => || Ok(Away::behind("mysql", Network::refuse)),
        };
        kinds.push((format!("{}-refuses", place.name), kind));
    }
    // The stores' deadlines decide how fast they recover from silence. No pace changes these.
    if report.rounds(1, 0) == 1 {
        kinds.push(("memory-silent".to_owned(), || Ok(Away::Memory(Fault::Silent))));
        for place in Place::remote() {
            let kind: fn() -> _ = match place.name {
                "postgres" => || Ok(Away::behind("postgres", Network::fall_silent)),
                "redis" => || Ok(Away::behind("redis", Network::fall_silent)),
                _ => || Ok(Away::behind("mysql", Network::fall_silent)),
            };
            kinds.push((format!("{}-swallows", place.name), kind));
        }
    }
    kinds
}

impl Away {
    fn locked() -> Self {
        let place = Place::sqlite();
        let direct = place.url().to_owned();
        Self::Outside { obstacle: Box::new(Locked { place, locker: None }), direct }
    }

    fn read_only() -> Result<Self, &'static str> {
        let obstacle = Immutable::new()?;
        let direct = obstacle.url();
        Ok(Self::Outside { obstacle: Box::new(obstacle), direct })
    }

    fn behind(server: &'static str, begin: fn(&Network)) -> Self {
        let place = Place::remote().into_iter().find(|place| place.name == server).unwrap();
        let direct = place.url().to_owned();
        let runtime = runtime();
        let network = runtime.block_on(Network::before(&direct));
        let cut = Cut { network, begin, _place: place, _runtime: runtime };
        Self::Outside { obstacle: Box::new(cut), direct }
    }
}

/// A network that is down for a while.
struct Cut {
    network: Network,
    begin: fn(&Network),
    _place: Place,
    /// Runs the tasks of the network.
    _runtime: Runtime,
}

impl Obstacle for Cut {
    fn url(&self) -> String {
        self.network.url().to_owned()
    }

    fn begin(&mut self) {
        (self.begin)(&self.network);
    }

    fn end(&mut self) {
        self.network.heal();
    }
}

/// The janitors that look for dead workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Janitors {
    Ours,
    /// The library's, and one that compares the times in the records with the store's clock.
    TrustTimes,
}

/// The outcome of an outage.
#[derive(Debug, Default)]
struct Outcome {
    live: usize,
    failed: usize,
    counts: u64,
    lost: u64,
    dead: usize,
    found: usize,
    /// When the last dead worker was found, after the store was back.
    found_after: Duration,
}

/// Runs several outages at once, each of its own store.
fn outages(
    pace: Pace,
    seconds: &'static [u64],
    away: fn() -> Result<Away, &'static str>,
    janitors: Janitors,
) -> Finding {
    let outage = |seconds: u64| {
        move || match away().unwrap() {
            Away::Outside { obstacle, direct } => {
                let runtime = runtime();
                let direct = runtime.block_on(open(&direct));
                let team = Processes { obstacle, workers: Vec::new() };
                survive(&runtime, &direct, pace, pace.time(seconds), team)
            }
            Away::Memory(fault) => {
                let runtime = runtime();
                let direct: Arc<dyn ProgressStore> = Arc::new(MemoryStore::new());
                let team = Handles::new(Arc::clone(&direct), fault, janitors);
                survive(&runtime, &direct, pace, pace.time(seconds), team)
            }
        }
    };
    let outages: Vec<_> = seconds.iter().map(|seconds| thread::spawn(outage(*seconds))).collect();
    let mut all = Outcome::default();
    for outage in outages {
        let one = outage.join().unwrap();
        all.live += one.live;
        all.failed += one.failed;
        all.counts += one.counts;
        all.lost += one.lost;
        all.dead += one.dead;
        all.found += one.found;
        all.found_after = all.found_after.max(one.found_after);
    }
    let lengths: Vec<_> = seconds.iter().map(|seconds| pace.time(*seconds)).collect();
    let limit = pace.time(FOUND_WITHIN);
    Finding::new(
        all.failed == 0 && all.lost == 0 && all.found == all.dead && all.found_after <= limit,
        format_args!(
            "{} of {} live jobs failed, {} of {} counts lost, \
             {} of {} dead ones found {:.1?} after the outage at the latest, \
             outages of {lengths:?}",
            all.failed, all.live, all.lost, all.counts, all.found, all.dead, all.found_after
        ),
        format_args!("0, 0, all within {limit:?}, with a lease of {:?}", pace.lease()),
    )
}

/// The workers of a check.
trait Team {
    /// Starts a worker on these jobs, as one process.
    fn start(&mut self, jobs: &[ProgressId], pace: Pace, items: u64);
    /// Starts a worker that will die.
    fn start_to_die(&mut self, jobs: &[ProgressId], pace: Pace, items: u64) {
        self.start(jobs, pace, items);
    }
    fn begin_outage(&mut self);
    /// Kills the worker that was started last.
    fn kill_last(&mut self);
    fn end_outage(&mut self);
    /// Waits until all workers have ended their jobs.
    fn finish(&mut self, patience: Duration);
}

fn survive(
    runtime: &Runtime,
    direct: &Arc<dyn ProgressStore>,
    pace: Pace,
    outage: Duration,
    mut team: impl Team,
) -> Outcome {
    let before = pace.time(6);
    let work = before + outage + pace.time(AFTERWARDS);
    let items = u64::try_from(work.as_millis() / ITEM.as_millis()).unwrap();
    let create = || runtime.block_on(direct.create(&pace.job())).unwrap().id;
    let mut live = Vec::new();
    for _ in 0..PROCESSES {
        let jobs: Vec<_> = (0..JOBS).map(|_| create()).collect();
        team.start(&jobs, pace, items);
        live.extend(jobs);
    }
    let dead: Vec<_> = (0..JOBS).map(|_| create()).collect();
    team.start_to_die(&dead, pace, items);
    thread::sleep(before);
    team.begin_outage();
    thread::sleep(outage / 2);
    team.kill_last();
    thread::sleep(outage - outage / 2);
    team.end_outage();

    let back = Instant::now();
    let read = |jobs: &[ProgressId]| -> Vec<_> {
        runtime.block_on(direct.get_many(jobs)).unwrap().into_iter().flatten().collect()
    };
    let patience = 2 * pace.time(FOUND_WITHIN);
    let found =
        |jobs: &[ProgressId]| read(jobs).iter().filter(|job| job.status == Status::Failed).count();
    while found(&dead) < dead.len() && back.elapsed() < patience {
        thread::sleep(Duration::from_millis(100));
    }
    let (found, found_after) = (found(&dead), back.elapsed());
    team.finish(pace.time(AFTERWARDS) + patience);
    let ended = read(&live);
    let kept: u64 = ended.iter().map(|job| job.succeeded).sum();
    let counts = items * live.len() as u64;
    Outcome {
        live: live.len(),
        failed: ended.iter().filter(|job| job.status != Status::Completed).count(),
        counts,
        lost: counts - kept,
        dead: dead.len(),
        found,
        found_after,
    }
}

/// Workers as real processes.
struct Processes {
    obstacle: Box<dyn Obstacle>,
    workers: Vec<Worker>,
}

impl Team for Processes {
    fn start(&mut self, jobs: &[ProgressId], pace: Pace, items: u64) {
        let jobs: Vec<_> = jobs.iter().map(ToString::to_string).collect();
        let (url, jobs) = (self.obstacle.url(), jobs.join(","));
        let (factor, items) = (pace.factor().to_string(), items.to_string());
        let mut worker = Worker::start(&["outlast", &url, &factor, &items, &jobs]);
        assert_eq!(worker.line().as_deref(), Some("ready"));
        self.workers.push(worker);
    }

    fn begin_outage(&mut self) {
        self.obstacle.begin();
    }

    fn kill_last(&mut self) {
        self.workers.pop().unwrap().kill();
    }

    fn end_outage(&mut self) {
        self.obstacle.end();
    }

    fn finish(&mut self, patience: Duration) {
        let begun = Instant::now();
        for worker in &mut self.workers {
            // The figures show a worker that does not end: its counts are lost.
            let _ = worker.ends_within(patience.saturating_sub(begun.elapsed()));
        }
    }
}

/// Workers as tasks on one store in the memory of this process. The dead worker is a job that was
/// started and never written to again.
struct Handles {
    runtime: Runtime,
    direct: Arc<dyn ProgressStore>,
    faulty: Arc<FaultyStore>,
    fault: Fault,
    janitors: Janitors,
    workers: JoinSet<()>,
}

impl Handles {
    fn new(direct: Arc<dyn ProgressStore>, fault: Fault, janitors: Janitors) -> Self {
        let faulty = Arc::new(FaultyStore::new(Arc::clone(&direct)));
        Self { runtime: runtime(), direct, faulty, fault, janitors, workers: JoinSet::new() }
    }
}

impl Team for Handles {
    fn start(&mut self, jobs: &[ProgressId], pace: Pace, items: u64) {
        let store: Arc<dyn ProgressStore> = self.faulty.clone();
        if self.janitors == Janitors::TrustTimes {
            self.runtime.spawn(trust_times(Arc::clone(&store), pace));
        }
        let (ready, is_ready) = std::sync::mpsc::channel();
        let work = outlast(store, pace, items, jobs.to_vec(), move || ready.send(()).unwrap());
        self.workers.spawn_on(work, self.runtime.handle());
        is_ready.recv().unwrap();
    }

    fn start_to_die(&mut self, jobs: &[ProgressId], _: Pace, _: u64) {
        for job in jobs {
            self.runtime.block_on(self.direct.update(*job, &ProgressUpdate::start())).unwrap();
        }
    }

    fn begin_outage(&mut self) {
        self.faulty.set(self.fault);
    }

    fn kill_last(&mut self) {}

    fn end_outage(&mut self) {
        self.faulty.set(Fault::None);
    }

    fn finish(&mut self, patience: Duration) {
        let workers = std::mem::take(&mut self.workers);
        let ended = async { tokio::time::timeout(patience, join_all(workers)).await.is_ok() };
        // As with processes.
        let _ = self.runtime.block_on(ended);
    }
}

/// The worker process: counts on each of its jobs, with a janitor beside it, and completes them.
pub(crate) async fn work(url: &str, rest: &[String]) {
    let [factor, items, jobs] = rest else { panic!("outlast URL FACTOR ITEMS JOB,JOB") };
    let pace = Pace::times_faster(factor.parse().unwrap());
    let jobs = jobs.split(',').map(|job| job.parse().unwrap()).collect();
    outlast(open(url).await, pace, items.parse().unwrap(), jobs, || say("ready")).await;
}

async fn outlast(
    store: Arc<dyn ProgressStore>,
    pace: Pace,
    items: u64,
    ids: Vec<ProgressId>,
    ready: impl FnOnce(),
) {
    let jobs = Jobs::new(store);
    let janitor = tokio::spawn(pace.janitor(&jobs).run());
    let mut trackers = Vec::new();
    for id in ids {
        trackers.push(jobs.tracker_with(pace.tracker(), id).await.unwrap());
    }
    ready();
    let mut work = JoinSet::new();
    for tracker in trackers {
        work.spawn(async move {
            let mut ticks = tokio::time::interval(ITEM);
            for _ in 0..items {
                ticks.tick().await;
                tracker.handle().inc(1);
            }
            // Refused if the job has been failed meanwhile, which its record shows as well.
            let _ = tracker.complete(()).await;
        });
    }
    join_all(work).await;
    janitor.abort();
}

/// The wrong rule of the control: a worker is dead when the times of its record are old.
async fn trust_times(store: Arc<dyn ProgressStore>, pace: Pace) {
    loop {
        for heartbeat in store.heartbeats().await.unwrap_or_default() {
            let is_old = |job: &progress_core::Progress| job.is_stale(heartbeat.lease);
            if let Ok(Some(job)) = store.get(heartbeat.id).await
                && is_old(&job)
            {
                // Fails if the job has ended, or if the store is away again.
                let _ = store.update(job.id, &ProgressUpdate::lose(heartbeat.at)).await;
            }
        }
        tokio::time::sleep(pace.time(1)).await;
    }
}
