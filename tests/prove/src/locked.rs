//! A record that another session has locked: the other jobs of the process are not affected, the
//! application's pool stays available, and the locked job catches up.
//!
//! Not on SQLite, which locks files and not records (`storage`).

use std::sync::Arc;
use std::time::Duration;

use progress_core::{Jobs, ProgressId, Status};
use progress_sqlx::{MySqlStore, PostgresStore};
use sqlx::Database;
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::task::JoinSet;

use crate::batches::{BadBatches, Fault, Store};
use crate::pace::Pace;
use crate::place::{Place, runtime};
use crate::report::{Finding, Report, Waiting};
use crate::session::Session;
use crate::viewer::Viewer;
use crate::worker::join_all;

const JOBS: usize = 20;
/// How often a job counts.
const ITEM: Duration = Duration::from_millis(50);
/// Size of the application's pool, and how many connections the store must leave free.
const POOL: u32 = 10;
const FREE: u32 = 8;

/// How long jobs run after the record is free again, in seconds at default settings.
const AFTERWARDS: u64 = 18;
/// How long a neighbour may be silent: it writes every 250 ms, and waits for one or two calls.
const SILENT_FOR: Duration = Duration::from_secs(3);

pub(crate) fn run(report: &mut Report) {
    let pace = Pace::new(report, 3);
    // Longer than a lease, in seconds at default settings.
    let seconds = report.rounds(65, 50).into();
    let mut checks: Vec<(String, Waiting)> = Vec::new();
    for place in Place::servers() {
        let (name, other) = (place.name.to_owned(), place.another());
        let control = format!("{name}-control");
        checks.push((name, Box::new(move || locked(&place, pace, seconds, None))));
        checks.push((
            control,
            Box::new(move || {
                locked(&other, Pace::times_faster(3), 50, Some(Fault::AllOrNothing)).must_fail()
            }),
        ));
    }
    report.at_once(checks);
}

fn locked(place: &Place, pace: Pace, seconds: u64, fault: Option<Fault>) -> Finding {
    let (runtime, locked_for) = (runtime(), pace.time(seconds));
    runtime.block_on(async {
        let direct = place.open().await;
        let mut ids = Vec::new();
        for _ in 0..JOBS {
            ids.push(direct.create(&pace.job()).await.unwrap().id);
        }
        let (victim, neighbours) = (ids[7], [&ids[..7], &ids[8..]].concat());
        let application = Application::start(place).await;
        let jobs = Jobs::new(BadBatches::around(application.store(), fault));
        let janitor = tokio::spawn(pace.janitor(&jobs).run());
        let watching = tokio::spawn(application.clone().watch(locked_for));
        let work = locked_for + pace.time(AFTERWARDS);
        let items = u64::try_from(work.as_millis() / ITEM.as_millis()).unwrap();
        let mut working = JoinSet::new();
        for id in &ids {
            let tracker = jobs.tracker_with(pace.tracker(), *id).await.unwrap();
            working.spawn(async move {
                let mut ticks = tokio::time::interval(ITEM);
                for _ in 0..items {
                    ticks.tick().await;
                    tracker.handle().inc(1);
                }
                // Refused if the job has been failed meanwhile, which its record shows as well.
                let _ = tokio::time::timeout(work, tracker.complete(())).await;
            });
        }
        let pause = Duration::from_millis(100);
        let viewer =
            Viewer::start(runtime.handle(), Arc::clone(&direct), neighbours.clone(), pause);
        let mut other = Session::open(place.url()).await;
        let lock = format!("SELECT id FROM progress_records WHERE id = '{victim}' FOR UPDATE");
        other.run(&format!("BEGIN; {lock}")).await;
        tokio::time::sleep(locked_for).await;
        other.close().await;
        join_all(working).await;
        let seen = viewer.stop().await;
        let Use { free, acquired } = watching.await.unwrap();
        janitor.abort();

        let complete = |ids: Vec<ProgressId>| {
            let direct = Arc::clone(&direct);
            async move {
                let ended = direct.get_many(&ids).await.unwrap();
                let ended = ended.into_iter().flatten();
                ended
                    .filter(|job| (job.status, job.succeeded) == (Status::Completed, items))
                    .count()
            }
        };
        let (others, caught_up) = (complete(neighbours).await, complete(vec![victim]).await == 1);
        let is_well = others == JOBS - 1
            && caught_up
            && seen.is_silent_within(SILENT_FOR)
            && free >= FREE
            && acquired;
        Finding::new(
            is_well,
            format_args!(
                "{others} of {} neighbours complete with all counts, {seen}, the locked job {}, \
                 {free} of {POOL} connections free{}, locked for {:?}",
                JOBS - 1,
                if caught_up { "caught up" } else { "DID NOT CATCH UP" },
                if acquired { "" } else { " BUT NOT AVAILABLE" },
                locked_for
            ),
            format_args!(
                "all, {SILENT_FOR:?}, caught up, {FREE}, with a lease of {:?}",
                pace.lease()
            ),
        )
    })
}

/// The application whose pool the store was given.
#[derive(Clone)]
enum Application {
    Postgres(PgPool),
    MySql(MySqlPool),
}

/// What the store left of the application's pool.
struct Use {
    /// The lowest number of connections that were not in use.
    free: u32,
    /// Whether [`FREE`] connections could be acquired each time.
    acquired: bool,
}

impl Application {
    async fn start(place: &Place) -> Self {
        if place.name == "postgres" {
            let pool = PgPoolOptions::new().max_connections(POOL).connect(place.url());
            Self::Postgres(pool.await.unwrap())
        } else {
            let pool = MySqlPoolOptions::new().max_connections(POOL).connect(place.url());
            Self::MySql(pool.await.unwrap())
        }
    }

    fn store(&self) -> Store {
        match self {
            Self::Postgres(pool) => Arc::new(PostgresStore::new(pool.clone())),
            Self::MySql(pool) => Arc::new(MySqlStore::new(pool.clone())),
        }
    }

    async fn watch(self, time: Duration) -> Use {
        match self {
            Self::Postgres(pool) => watch(&pool, time).await,
            Self::MySql(pool) => watch(&pool, time).await,
        }
    }
}

/// Watches a pool, and now and then acquires the connections that must be free.
async fn watch<D: Database>(pool: &sqlx::Pool<D>, time: Duration) -> Use {
    let begun = tokio::time::Instant::now();
    let mut seen = Use { free: POOL, acquired: true };
    while begun.elapsed() < time {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let used = pool.size() - u32::try_from(pool.num_idle()).unwrap();
            seen.free = seen.free.min(POOL - used);
        }
        let mut taken = Vec::new();
        let take = async {
            for _ in 0..FREE {
                taken.push(pool.acquire().await.unwrap());
            }
        };
        seen.acquired &= tokio::time::timeout(Duration::from_secs(1), take).await.is_ok();
    }
    seen
}
