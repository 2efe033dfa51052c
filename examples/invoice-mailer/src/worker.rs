//! Takes jobs from the queue and runs them.

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use futures_util::future::join_all;
use progress_axum::{Jobs, ProgressError, ProgressId};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::job::Sending;
use crate::queue::Queue;

/// How long a worker waits before it looks into an empty queue again.
const PAUSE: Duration = Duration::from_millis(500);

/// A process that runs jobs, or the part of a process that does.
#[derive(Debug)]
pub struct Worker {
    /// The jobs and their progress.
    pub jobs: Jobs,
    /// The jobs that have not ended.
    pub queue: Queue,
    /// What a job does.
    pub sending: Sending,
    /// The jobs that this worker has taken.
    pub taken: Mutex<HashSet<ProgressId>>,
}

impl Worker {
    /// Runs up to `jobs` jobs at once. Returns when the program stops and has left all of them.
    pub async fn run(self, jobs: u16) {
        join_all((0..jobs).map(|_| self.work())).await;
    }

    /// Runs one job after the other. Retries if the database is down, and logs when that begins and
    /// ends.
    async fn work(&self) {
        let mut stopping = self.sending.stopping.clone();
        let mut is_failing = false;
        while !*stopping.borrow() {
            let outcome = self.next().await;
            match &outcome {
                Ok(_) if is_failing => tracing::info!("the queue is available again"),
                Err(error) if !is_failing => {
                    let error = error as &dyn Error;
                    tracing::warn!(error, "the queue is unavailable, will retry");
                }
                _ => {}
            }
            is_failing = outcome.is_err();
            if !matches!(outcome, Ok(true)) {
                let _ = timeout(PAUSE, stopping.wait_for(|stopping| *stopping)).await;
            }
        }
    }

    /// Runs an attempt of the oldest job that is due. Returns false if there is none, or if another
    /// worker was faster.
    async fn next(&self) -> Result<bool, ProgressError> {
        for order in self.queue.due().await? {
            if !self.taken.lock().await.insert(order.job) {
                continue;
            }
            let sending = self.sending.clone();
            let work = async move |tracker| sending.run(order, &tracker).await;
            // In a task of its own, so that a panic ends the attempt and not the worker. The
            // library logs errors.
            let attempt = tokio::spawn(self.jobs.run(order.job, work)).await;
            self.taken.lock().await.remove(&order.job);
            return Ok(matches!(attempt, Ok(Ok(_))));
        }
        Ok(false)
    }
}
