use jiff::{Span, ToSpan as _};
use progress_core::{Jobs, NewProgress, ProgressId};
use sqlx::{PgPool, Postgres, Transaction};
use underway::task::{Result, RetryPolicy};
use underway::{Queue, Task};

use crate::reply::{Reply, reply};
use crate::work::count;

pub struct Count {
    pub jobs: Jobs,
}

/// Creates the record and enqueues the task.
pub async fn submit(
    task: &Count,
    queue: &Queue<Count>,
    pool: &PgPool,
) -> std::result::Result<ProgressId, Box<dyn std::error::Error>> {
    let job = task.jobs.create(NewProgress::new("count").with_total(7).with_attempts(5)).await?;
    queue.enqueue(pool, task, &job.id).await?;
    Ok(job.id)
}

// The worker: Worker::new(queue, task).run()
impl Task for Count {
    type Input = ProgressId;
    type Output = ();

    async fn execute(&self, _: Transaction<'_, Postgres>, id: ProgressId) -> Result<()> {
        while let Reply::Again(pause) = reply(self.jobs.run(id, count).await) {
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    fn timeout(&self) -> Span {
        24.hours()
    }

    fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy::builder().max_attempts(1000).build()
    }
}
