//! A distant database: with many running jobs, heartbeats are in time and no count is lost.

use std::sync::Arc;
use std::time::Duration;

use progress_core::{Jobs, ProgressId, Status};
use progress_test_support::Network;
use tokio::task::JoinSet;

use crate::batches::{BadBatches, Fault};
use crate::pace::Pace;
use crate::place::{Place, open, runtime};
use crate::report::{Finding, Report, Waiting};
use crate::viewer::Viewer;
use crate::worker::join_all;

const ROUND_TRIP: Duration = Duration::from_millis(30);
/// How often a job counts.
const ITEM: Duration = Duration::from_millis(100);
/// When viewers call a job stale, in seconds at default settings.
const STALE_AFTER: u64 = 15;

pub(crate) fn run(report: &mut Report) {
    let pace = Pace::new(report, 3);
    // Longer than a lease, in seconds at default settings.
    let work = pace.time(report.rounds(66, 48).into());
    let mut checks: Vec<(String, Waiting)> = Vec::new();
    for place in Place::remote() {
        for jobs in [60, 500] {
            let (name, place) = (format!("{}-{jobs}", place.name), place.another());
            checks.push((name, Box::new(move || far_away(&place, pace, work, jobs, None))));
        }
    }
    if let Some(place) = Place::servers().pop() {
        checks.push((
            "control".to_owned(),
            Box::new(move || {
                let pace = Pace::times_faster(9);
                far_away(&place, pace, pace.time(66), 60, Some(Fault::OneByOne)).must_fail()
            }),
        ));
    }
    report.at_once(checks);
}

fn far_away(
    place: &Place,
    pace: Pace,
    time: Duration,
    count: usize,
    fault: Option<Fault>,
) -> Finding {
    let runtime = runtime();
    runtime.block_on(async {
        let network = Network::delaying(place.url(), ROUND_TRIP / 2).await;
        let direct = place.open().await;
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(direct.create(&pace.job()).await.unwrap().id);
        }
        let jobs = Jobs::new(BadBatches::around(open(network.url()).await, fault));
        let janitor = tokio::spawn(pace.janitor(&jobs).run());
        let pause = Duration::from_millis(200);
        let viewer = Viewer::start(runtime.handle(), Arc::clone(&direct), ids.clone(), pause);
        let mut work = JoinSet::new();
        for id in &ids {
            work.spawn(count_for(jobs.clone(), *id, pace, time));
        }
        let counted: u64 = join_all(work).await.iter().sum();
        let seen = viewer.stop().await;
        janitor.abort();
        let ended = direct.get_many(&ids).await.unwrap();
        let ended: Vec<_> = ended.into_iter().flatten().collect();
        let failed = ended.iter().filter(|job| job.status != Status::Completed).count();
        let kept: u64 = ended.iter().map(|job| job.succeeded).sum();
        let (lost, stale_after) = (counted - kept, pace.time(STALE_AFTER));
        Finding::new(
            failed == 0 && lost == 0 && seen.is_silent_within(stale_after),
            format_args!(
                "{failed} of {count} jobs failed, {lost} of {counted} counts lost, {seen}, \
                 in {time:?} at a round trip of {ROUND_TRIP:?}"
            ),
            format_args!("0, 0, {stale_after:?}, with a lease of {:?}", pace.lease()),
        )
    })
}

/// Counts for `time` and returns the number of counts.
async fn count_for(jobs: Jobs, id: ProgressId, pace: Pace, time: Duration) -> u64 {
    let Ok(tracker) = jobs.tracker_with(pace.tracker(), id).await else { return 0 };
    let items = u64::try_from(time.as_millis() / ITEM.as_millis()).unwrap();
    let mut ticks = tokio::time::interval(ITEM);
    for _ in 0..items {
        ticks.tick().await;
        tracker.handle().inc(1);
    }
    // Refused if the job has been failed meanwhile, which its record shows as well.
    let _ = tokio::time::timeout(time, tracker.complete(())).await;
    items
}
