use apalis_core::backend::TaskSink;
use apalis_core::error::BoxDynError;
use apalis_core::task::ExecutionContext;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::metadata::MetadataStore;
use progress_core::{Jobs, NewProgress, Progress, ProgressError, ProgressId};

/// The key of the record's id in the metadata of a task.
const KEY: &str = "progress-id";

/// The limit of the queue's task. The record has the limit that counts, and this one is the largest
/// that all queues can keep.
const NO_LIMIT: usize = i32::MAX as usize;

/// What viewers read if the task did not reach the queue.
const NOT_QUEUED: &str = "the job could not be queued";

/// Why a job was not submitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The record was not created.
    #[error(transparent)]
    Progress(#[from] ProgressError),
    /// The queue did not take the task. The record has failed.
    #[error("the queue did not take the task")]
    Queue(#[source] BoxDynError),
}

/// Creates the record of a job and pushes its task. Returns the record.
///
/// The queue decides when the task runs: [`task`] makes a task that can be changed before it is
/// pushed.
///
/// # Errors
///
/// [`SubmitError::Progress`] if the record could not be created, and [`SubmitError::Queue`] if the
/// queue did not take the task. The job has then failed, so that no viewer waits for it.
pub async fn submit<Args, Kind, Queue>(
    jobs: &Jobs,
    queue: &mut Queue,
    job: NewProgress,
    args: Args,
) -> Result<Progress, SubmitError>
where
    Queue: TaskSink<Args, Kind>,
    Queue::Error: std::error::Error + Send + Sync + 'static,
{
    let progress = jobs.create(job).await?;
    if let Err(error) = queue.push_task(task(progress.id, args).build()).await {
        if let Err(error) = jobs.fail(progress.id, NOT_QUEUED).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(id = %progress.id, error, "a job without a task stays pending");
        }
        return Err(SubmitError::Queue(error.into()));
    }
    Ok(progress)
}

/// Makes the task of a record, to be pushed by the application: with a priority, or for a later
/// time.
pub fn task<Args>(id: ProgressId, args: Args) -> TaskBuilder<Args> {
    let mut metadata = MetadataStore::new();
    // The store is empty, so the key is not there.
    let _ = metadata.insert(KEY, id.to_string());
    TaskBuilder::new(args).with_metadata(metadata).max_attempts(NO_LIMIT)
}

/// Returns the id of the task's record; `None` for a task that was pushed without one.
pub(crate) fn id_of(context: &ExecutionContext) -> Option<ProgressId> {
    context.metadata().get(KEY)?.parse().ok()
}
