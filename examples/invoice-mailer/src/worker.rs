//! Takes jobs from the queue and does them.

use std::time::Duration;

use progress_axum::{Jobs, ProgressError, TrackerHandle};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::job::Sending;
use crate::queue::{Order, Queue};

/// How often somebody without work looks for some.
const PAUSE: Duration = Duration::from_millis(500);

/// A process that works, or the part of one that does.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The jobs and their progress.
    pub jobs: Jobs,
    /// Where the jobs come from.
    pub queue: Queue,
    /// How they are done.
    pub sending: Sending,
    /// Becomes true when the program is about to end.
    pub stopping: watch::Receiver<bool>,
}

impl Worker {
    /// Does up to `jobs` jobs at once, until the program is about to end and those that had begun are at their end.
    pub async fn run(self, jobs: u16) {
        let mut hands = JoinSet::new();
        for _ in 0..jobs {
            hands.spawn(self.clone().work());
        }
        while hands.join_next().await.is_some() {}
    }

    /// One job after the other. A database that is away is asked again later; it is logged once per change of state.
    async fn work(mut self) {
        let mut is_failing = false;
        while !*self.stopping.borrow() {
            let outcome = self.next().await;
            match &outcome {
                Ok(_) if is_failing => tracing::info!("the queue is readable again"),
                Err(error) if !is_failing => {
                    tracing::warn!(
                        error = &**error,
                        "no job can be taken at the moment, it is tried again"
                    );
                }
                _ => {}
            }
            is_failing = outcome.is_err();
            if !matches!(outcome, Ok(true)) {
                // Ends early when the program does.
                let _ =
                    tokio::time::timeout(PAUSE, self.stopping.wait_for(|stopping| *stopping)).await;
            }
        }
    }

    /// Does the job that has waited longest; false when none waits.
    async fn next(&self) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
        let Some(order) = self.queue.first().await? else {
            return Ok(false);
        };
        let mut begun = false;
        let work = async |tracker: TrackerHandle| {
            begun = true;
            self.strike_out(order).await;
            self.sending.run(order, &tracker).await
        };
        match self.jobs.run(order.job, work).await {
            Ok(_) => {}
            Err(error) if begun => tracing::error!(
                error = &error as &dyn std::error::Error,
                job = %order.job,
                "how the job ended could not be recorded"
            ),
            // Somebody else was quicker, or has died over it; or a viewer cancelled it while it waited.
            Err(ProgressError::Refused { .. } | ProgressError::NotFound(_)) => {
                self.queue.remove(order.job).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Not important enough to fail for: what stays in the queue is refused when it is taken again.
    async fn strike_out(&self, order: Order) {
        if let Err(error) = self.queue.remove(order.job).await {
            tracing::warn!(error = &error as &dyn std::error::Error, job = %order.job, "a job that has begun is still queued");
        }
    }
}
