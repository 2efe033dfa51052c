//! Several workers end a job at once: exactly one ending wins, and stays.

use std::sync::Arc;
use std::time::Duration;

use progress_core::{
    Completion, Delta, Janitor, Jobs, NewProgress, Progress, ProgressError, ProgressId,
    ProgressStore, ProgressUpdate, WORKER_LOST,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::careless::{Bug, Careless};
use crate::place::{Place, runtime, unobserved};
use crate::report::{Finding, Report};
use crate::worker::{join_all, start_without_tracker};

const CONTENDERS: usize = 8;
/// A janitor's fourth sweep, and no earlier one, finds a silent worker lost, because a third of the
/// lease counts between two sweeps.
const LEASE: Duration = Duration::from_millis(3);

pub(crate) fn run(report: &mut Report) {
    let count = report.rounds(1_000, 50);
    for place in Place::all() {
        report.check(place.name, || {
            runtime().block_on(async { rounds(&place.open().await, count).await })
        });
    }
    report.check("control", || {
        let place = Place::sqlite();
        let careless =
            async { rounds(&Careless::open(place.url(), Bug::SavesCopies).await, 20).await };
        runtime().block_on(careless).must_fail()
    });
}

async fn rounds(store: &Arc<dyn ProgressStore>, count: u32) -> Finding {
    let mut wrong = 0;
    for _ in 0..count {
        wrong += u32::from(!one_round(store).await);
    }
    Finding::new(
        wrong == 0,
        format_args!("{wrong} of {count} rounds without exactly one lasting ending"),
        "0",
    )
}

async fn one_round(store: &Arc<dyn ProgressStore>) -> bool {
    let job = start_without_tracker(store, NewProgress::new("prove").with_lease(LEASE)).await;
    let start = Arc::new(Barrier::new(CONTENDERS));
    let mut contenders = JoinSet::new();
    for number in 0..CONTENDERS {
        let (store, start) = (Arc::clone(store), Arc::clone(&start));
        contenders.spawn(async move {
            let way = Way::of(number, &store).await;
            start.wait().await;
            way.end(&*store, job).await
        });
    }
    let winners: Vec<_> = join_all(contenders).await.into_iter().flatten().collect();
    let after = read(store, job).await;
    let lost = usize::from(after.error.as_deref() == Some(WORKER_LOST));
    let is_kept = winners.iter().all(|winner| unobserved(winner.clone()) == after);
    let late = ProgressUpdate::lose(after.heartbeat_at.unwrap());
    let is_late_refused =
        matches!(store.update(job, &late).await, Err(ProgressError::Refused { .. }));
    let later = read(store, job).await;
    winners.len() + lost == 1
        && is_kept
        && is_late_refused
        && later == after
        && after.status.is_finished()
}

/// How a contender ends the job.
enum Way {
    Update(ProgressUpdate),
    /// A janitor that needs one more sweep.
    Sweep(Janitor),
}

impl Way {
    async fn of(number: usize, store: &Arc<dyn ProgressStore>) -> Self {
        let counts = Delta::new().with_succeeded(1);
        match number % 4 {
            0 => Self::Update(ProgressUpdate::complete(counts, Completion::new())),
            1 => Self::Update(ProgressUpdate::fail(counts, "given up")),
            2 => Self::Update(ProgressUpdate::cancel(counts)),
            _ => {
                let janitor = Jobs::new(Arc::clone(store)).janitor();
                for _ in 0..3 {
                    janitor.sweep().await.unwrap();
                    tokio::time::sleep(LEASE).await;
                }
                Self::Sweep(janitor)
            }
        }
    }

    /// Returns the record if this contender ended the job. A janitor does not say which jobs it
    /// ended.
    async fn end(self, store: &dyn ProgressStore, job: ProgressId) -> Option<Progress> {
        let ending = match self {
            Self::Update(ending) => ending,
            Self::Sweep(janitor) => {
                janitor.sweep().await.unwrap();
                return None;
            }
        };
        match store.update(job, &ending).await {
            Ok(progress) => Some(progress),
            Err(ProgressError::Refused { status, .. }) => {
                assert!(status.is_finished(), "refused although the job is {status}");
                None
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

async fn read(store: &Arc<dyn ProgressStore>, job: ProgressId) -> Progress {
    unobserved(store.get(job).await.unwrap().unwrap())
}
