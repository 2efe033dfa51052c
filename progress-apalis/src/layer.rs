use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::error::{AbortError, BoxDynError, RetryAfterError};
use apalis_core::task::Task;
use apalis_core::task::status::Status as TaskStatus;
use apalis_core::worker::context::WorkerContext;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use progress_core::{
    Failure, Jobs, Progress, ProgressError, ProgressId, TrackerOptions, WORKER_STOPPED,
};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::submit::id_of;
use crate::task::TaskProgress;

/// How long a delivery that could not start waits before the queue gets it back: the queue may
/// deliver it again at once.
const BETWEEN_DELIVERIES: Duration = Duration::from_secs(5);

/// How often a task that waits for its next attempt looks for a cancel request.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// How often a task that waits looks whether its worker shuts down.
const BETWEEN_GLANCES: Duration = Duration::from_millis(200);

/// A layer of a worker that keeps the records of its tasks. A task without a record passes through.
#[derive(Debug, Clone)]
pub struct ProgressLayer {
    jobs: Jobs,
    options: TrackerOptions,
}

impl ProgressLayer {
    /// Creates a layer for the records of `jobs`.
    #[must_use]
    pub fn new(jobs: Jobs) -> Self {
        Self { jobs, options: TrackerOptions::new() }
    }

    /// Sets how often a task's record is written.
    #[must_use]
    pub fn with_options(mut self, options: TrackerOptions) -> Self {
        self.options = options;
        self
    }
}

impl<S> Layer<S> for ProgressLayer {
    type Service = ProgressService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ProgressService { inner, layer: self.clone() }
    }
}

/// The service of [`ProgressLayer`].
#[derive(Debug, Clone)]
pub struct ProgressService<S> {
    inner: S,
    layer: ProgressLayer,
}

impl<S, Args> Service<Task<Args>> for ProgressService<S>
where
    S: Service<Task<Args>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Into<BoxDynError> + Send + 'static,
    Args: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<S::Response, BoxDynError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Args>) -> Self::Future {
        let Some(id) = id_of(task.ctx()) else {
            return Box::pin(self.inner.call(task).map(|outcome| outcome.map_err(Into::into)));
        };
        // The clone that is ready stays with this call.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(run(self.layer.clone(), inner, id, task))
    }
}

/// What became of the handler.
enum Outcome<T> {
    NotCalled,
    Returned(Result<T, BoxDynError>),
}

async fn run<S, Args>(
    ProgressLayer { jobs, options }: ProgressLayer,
    mut inner: S,
    id: ProgressId,
    mut task: Task<Args>,
) -> Result<S::Response, BoxDynError>
where
    S: Service<Task<Args>> + Send,
    S::Error: Into<BoxDynError>,
    Args: Send,
{
    let worker = task.ctx().data().get::<WorkerContext>().cloned();
    let status = task.ctx().raw_status().clone();
    if !wait_for_the_next_attempt(&jobs, id, worker.as_ref()).await {
        status.store(TaskStatus::Failed);
        return Err("the worker shuts down before the next attempt".into());
    }
    let mut outcome = Outcome::NotCalled;
    let returned = &mut outcome;
    let work = async |tracker| {
        let progress = TaskProgress::new(tracker);
        task.inject_data(progress.clone());
        match AssertUnwindSafe(inner.call(task)).catch_unwind().await {
            Ok(Ok(response)) => {
                *returned = Outcome::Returned(Ok(response));
                Ok(progress.take_completion())
            }
            Ok(Err(error)) => {
                let error = error.into();
                *returned = Outcome::Returned(Err(error.to_string().into()));
                Err(failure(error))
            }
            Err(_) => {
                *returned = Outcome::Returned(Err("the handler panicked".into()));
                Err(Failure::new(WORKER_STOPPED))
            }
        }
    };
    let ended = jobs.run_with(options, id, work).await;
    let next = next(&ended);
    match (outcome, next) {
        (Outcome::Returned(Ok(response)), _) => Ok(response),
        (Outcome::Returned(Err(error)), Next::Delivery) => {
            status.store(TaskStatus::Failed);
            Err(error)
        }
        (Outcome::Returned(Err(error)), Next::End) => {
            status.store(TaskStatus::Killed);
            Err(Box::new(AbortError::new(error)))
        }
        (Outcome::NotCalled, Next::Delivery) => {
            pause(BETWEEN_DELIVERIES, worker.as_ref()).await;
            status.store(TaskStatus::Failed);
            Err(reason(ended).into())
        }
        (Outcome::NotCalled, Next::End) => {
            status.store(TaskStatus::Killed);
            Err(Box::new(AbortError::new(reason(ended))))
        }
    }
}

/// What the queue does with the task next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Delivers it again.
    Delivery,
    /// Nothing: the record has ended.
    End,
}

fn next(ended: &Result<Progress, ProgressError>) -> Next {
    let is_over = match ended {
        Ok(progress) => progress.status.is_finished(),
        Err(ProgressError::Refused { status, .. }) => status.is_finished(),
        Err(ProgressError::NotFound(_) | ProgressError::Invalid(_)) => true,
        // The next start finds out.
        Err(_) => false,
    };
    if is_over { Next::End } else { Next::Delivery }
}

fn reason(ended: Result<Progress, ProgressError>) -> String {
    match ended {
        Ok(progress) => format!("the job is {}", progress.status),
        Err(error) => error.to_string(),
    }
}

/// Reads what a handler's error means for the job.
fn failure(error: BoxDynError) -> Failure {
    let delay = error.downcast_ref::<RetryAfterError>().map(RetryAfterError::get_duration);
    let is_abort = error.is::<AbortError>();
    let failure = Failure::from_boxed(error);
    match delay {
        Some(delay) => failure.retry_after(delay),
        None if is_abort => failure.permanent(),
        None => failure,
    }
}

/// Waits as long as the last attempt asked for. A cancel request ends the wait. Returns false if
/// the worker shuts down before, because another worker can wait as well.
async fn wait_for_the_next_attempt(
    jobs: &Jobs,
    id: ProgressId,
    worker: Option<&WorkerContext>,
) -> bool {
    while let Ok(Some(progress)) = jobs.get(id).await
        && let Some(at) = progress.retry_at.filter(|_| progress.is_retrying())
        && let Ok(left) = (at - progress.observed_at).to_std()
    {
        if !pause(left.min(BETWEEN_LOOKS), worker).await {
            return false;
        }
    }
    true
}

/// Sleeps, unless the worker shuts down, which a waiting task must not delay. Returns false if it
/// does.
async fn pause(time: Duration, worker: Option<&WorkerContext>) -> bool {
    let end = Instant::now() + time;
    loop {
        if worker.is_some_and(WorkerContext::is_shutting_down) {
            return false;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        tokio::time::sleep(left.min(BETWEEN_GLANCES)).await;
    }
}
