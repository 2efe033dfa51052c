//! Takes jobs from the queue and runs them.

use std::error::Error;
use std::time::Duration;

use progress_axum::{Jobs, ProgressError, TrackerHandle};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::job::Sending;
use crate::queue::{Order, Queue};

/// How long a worker waits before it looks into an empty queue again.
const PAUSE: Duration = Duration::from_millis(500);

/// A process that runs jobs, or the part of a process that does.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The jobs and their progress.
    pub jobs: Jobs,
    /// The jobs that wait for a worker.
    pub queue: Queue,
    /// What a job does.
    pub sending: Sending,
}

impl Worker {
    /// Runs up to `jobs` jobs at once. Returns when the program stops and all of them have ended.
    pub async fn run(self, jobs: u16) {
        let mut tasks = JoinSet::new();
        for _ in 0..jobs {
            tasks.spawn(self.clone().work());
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Runs one job after the other. Retries if the database is down, and logs when that begins and
    /// ends.
    async fn work(self) {
        let mut stopping = self.sending.stopping.clone();
        let mut is_failing = false;
        while !*stopping.borrow() {
            let outcome = self.next().await;
            match &outcome {
                Ok(_) if is_failing => tracing::info!("the queue is available again"),
                Err(error) if !is_failing => {
                    tracing::warn!(error = &**error, "the queue is unavailable, will retry");
                }
                _ => {}
            }
            is_failing = outcome.is_err();
            if !matches!(outcome, Ok(true)) {
                let _ = timeout(PAUSE, stopping.wait_for(|stopping| *stopping)).await;
            }
        }
    }

    /// Runs the oldest job of the queue. Returns false if the queue is empty.
    async fn next(&self) -> Result<bool, Box<dyn Error + Send + Sync>> {
        let Some(order) = self.queue.first().await? else {
            return Ok(false);
        };
        let mut has_begun = false;
        let work = async |tracker: TrackerHandle| {
            has_begun = true;
            self.remove_from_queue(order).await;
            self.sending.run(order, &tracker).await
        };
        match self.jobs.run(order.job, work).await {
            Ok(_) => {}
            Err(error) if has_begun => tracing::error!(
                error = &error as &dyn Error,
                job = %order.job,
                "could not store how the job ended"
            ),
            // Another worker has started it, and may have died since; or a viewer has cancelled it.
            Err(ProgressError::Refused { .. } | ProgressError::NotFound(_)) => {
                self.queue.remove(order.job).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// An error does not end the job: the next worker that takes it is refused by its record.
    async fn remove_from_queue(&self, order: Order) {
        if let Err(error) = self.queue.remove(order.job).await {
            let error = &error as &dyn Error;
            tracing::warn!(error, job = %order.job, "a running job is still queued");
        }
    }
}
