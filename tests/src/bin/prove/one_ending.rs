//! Of several endings one wins, and stays.

use std::sync::Arc;
use std::time::Duration;

use progress_core::{
    Completion, Delta, Progress, ProgressError, ProgressId, ProgressStore, ProgressUpdate,
    WORKER_LOST,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::careless::{Bug, Careless};
use crate::place::{Place, runtime, unobserved};
use crate::report::{Finding, Report};
use crate::worker::{join_all, running};

const CONTENDERS: usize = 8;

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
    let job = running(store).await;
    // So that the lease of no length at all has run out.
    tokio::time::sleep(Duration::from_millis(3)).await;
    let start = Arc::new(Barrier::new(CONTENDERS));
    let mut contenders = JoinSet::new();
    for number in 0..CONTENDERS {
        let (store, start) = (Arc::clone(store), Arc::clone(&start));
        contenders.spawn(async move {
            start.wait().await;
            contend(&*store, job, number).await
        });
    }
    let winners: Vec<_> = join_all(contenders).await.into_iter().flatten().collect();
    let after = read(store, job).await;
    let lost = usize::from(after.error.as_deref() == Some(WORKER_LOST));
    let is_kept = winners.iter().all(|winner| unobserved(winner.clone()) == after);
    store.fail_stale(Duration::ZERO).await.unwrap();
    let later = read(store, job).await;
    winners.len() + lost == 1 && is_kept && later == after && after.status.is_finished()
}

/// Ends the job in one of four ways; gives the record when this was the one that did.
async fn contend(store: &dyn ProgressStore, job: ProgressId, number: usize) -> Option<Progress> {
    let counts = Delta::new().with_succeeded(1);
    let ending = match number % 4 {
        0 => ProgressUpdate::complete(counts, Completion::new()),
        1 => ProgressUpdate::fail(counts, "given up"),
        2 => ProgressUpdate::cancel(counts),
        _ => {
            store.fail_stale(Duration::ZERO).await.unwrap();
            return None;
        }
    };
    match store.update(job, &ending).await {
        Ok(progress) => Some(progress),
        Err(ProgressError::Refused { status, .. }) => {
            assert!(status.is_finished(), "refused by a job that is {status}");
            None
        }
        Err(error) => panic!("{error:?}"),
    }
}

async fn read(store: &Arc<dyn ProgressStore>, job: ProgressId) -> Progress {
    unobserved(store.get(job).await.unwrap().unwrap())
}
