use async_trait::async_trait;
use loco_rs::prelude::*;
use progress_core::{Jobs, NewProgress, ProgressId};

use crate::reply::{Reply, reply};
use crate::work::count;

pub struct Count {
    pub jobs: Jobs,
}

/// Creates the record and enqueues the job.
pub async fn submit(jobs: &Jobs, context: &AppContext) -> Result<ProgressId> {
    let job = jobs.create(NewProgress::new("count").with_total(7).with_attempts(5)).await;
    let job = job.map_err(Error::msg)?;
    Count::perform_later(context, job.id).await?;
    Ok(job.id)
}

// In `Hooks::connect_workers`: queue.register(Count::build(context)).await?;
#[async_trait]
impl BackgroundWorker<ProgressId> for Count {
    fn build(context: &AppContext) -> Self {
        let jobs = context.shared_store.get::<Jobs>();
        Self { jobs: jobs.expect("`shared_store.insert(jobs)` in `Hooks::after_context`") }
    }

    async fn perform(&self, id: ProgressId) -> Result<()> {
        while let Reply::Again(pause) = reply(self.jobs.run(id, count).await) {
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }
}
