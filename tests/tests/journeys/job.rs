//! The jobs of the journeys. They advance as far as the test lets them, so that no test depends on
//! speed.

use std::time::Duration;

use progress_core::{
    Failure, Jobs, MemoryStore, NewProgress, ProgressId, TrackerHandle, TrackerOptions,
};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;

pub(crate) const TOTAL: u64 = 100;
pub(crate) const REASON: &str = "the printer is out of paper";

/// How the jobs of a site end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Plan {
    Complete,
    /// Every tenth item fails.
    CompleteWithErrors,
    /// Fails at this item, with [`REASON`].
    FailAt(u64),
}

/// Starts jobs on the runtime that made it, so that they outlive the server, like jobs of separate
/// worker processes.
#[derive(Debug, Clone)]
pub(crate) struct Starter {
    jobs: Jobs,
    plan: Plan,
    limit: watch::Sender<u64>,
    runtime: Handle,
}

impl Starter {
    pub(crate) fn new(plan: Plan) -> Self {
        let jobs = Jobs::new(MemoryStore::new());
        Self { jobs, plan, limit: watch::Sender::new(0), runtime: Handle::current() }
    }

    pub(crate) fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// Lets all jobs advance up to this item, also those that start later.
    pub(crate) fn let_go_to(&self, item: u64) {
        self.limit.send_replace(item);
    }

    pub(crate) async fn start(&self) -> ProgressId {
        let job = NewProgress::new("journey").with_total(TOTAL).with_title("A journey");
        let id = self.jobs.create(job).await.unwrap().id;
        let (plan, limit) = (self.plan, self.limit.subscribe());
        // Short, so that a job that waits for the test soon learns that it is to stop.
        let options = TrackerOptions::new().with_heartbeat_interval(Duration::from_millis(250));
        let work = async move |tracker| work(&tracker, plan, limit).await;
        self.runtime.spawn(self.jobs.run_with(options, id, work));
        id
    }
}

async fn work(
    tracker: &TrackerHandle,
    plan: Plan,
    mut limit: watch::Receiver<u64>,
) -> Result<(), Failure> {
    for item in 1..=TOTAL {
        tokio::select! {
            _ = limit.wait_for(|limit| *limit >= item) => {}
            _ = tracker.until_stopped() => {}
        }
        tracker.checkpoint().await?;
        match plan {
            Plan::FailAt(last) if item == last => return Err(Failure::new(REASON)),
            Plan::FailAt(_) | Plan::CompleteWithErrors if item % 10 == 0 => {
                tracker.item_failed(format!("item {item}"), "smudged");
            }
            _ => tracker.item_done(format!("item {item} of {TOTAL}")),
        }
        // Slow enough for the page to show it.
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
