use std::error::Error;

use graphile_worker::{IntoTaskHandlerResult, JobSpec, TaskHandler, WorkerUtils};
use graphile_worker::{WorkerContext, WorkerContextExt};
use progress_core::{Jobs, NewProgress, ProgressId};
use serde::{Deserialize, Serialize};

use crate::reply::{Reply, reply};
use crate::work::count;

#[derive(Serialize, Deserialize)]
pub struct Count {
    pub id: ProgressId,
}

/// Creates the record and enqueues the job.
pub async fn submit(jobs: &Jobs, queue: &WorkerUtils) -> Result<ProgressId, Box<dyn Error>> {
    let job = jobs.create(NewProgress::new("count").with_total(7).with_attempts(5)).await?;
    queue.add_job(Count { id: job.id }, JobSpec::builder().max_attempts(1000).build()).await?;
    Ok(job.id)
}

// The worker: WorkerOptions::default().add_extension(jobs).define_job::<Count>() …
impl TaskHandler for Count {
    const IDENTIFIER: &'static str = "count";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let jobs = context.get_ext::<Jobs>().ok_or("add_extension(jobs) is missing")?;
        if let Reply::Again(pause) = reply(jobs.run(self.id, count).await) {
            let spec = JobSpec::builder().run_at(std::time::SystemTime::now() + pause);
            let added = context.add_job(self, spec.max_attempts(1000).build()).await;
            added.map_err(|error| error.to_string())?;
        }
        Ok::<(), String>(())
    }
}
