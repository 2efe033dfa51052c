//! The routes that create and change jobs, without a framework: a method, a path and a body in; a
//! status and JSON out.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use progress_core::{
    Delta, Jobs, MemoryStore, NewProgress, ProgressError, ProgressId, ProgressStore,
    ProgressUpdate, TrackerHandle,
};
use progress_http::{ProgressApi, Viewer};
use serde::Deserialize;
use serde_json::json;
use sqlx::SqlitePool;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use crate::bodies::{Job, Run, Update};
use crate::counting::CountingStore;

#[derive(Clone)]
pub(crate) struct TestRoutes {
    pub(crate) api: ProgressApi,
    /// The body of `/bare`.
    pub(crate) bare: Bytes,
    /// For `/select`.
    pool: Option<SqlitePool>,
    jobs: Jobs,
    counting: Arc<CountingStore>,
    /// The process's runtime. On the runtime of an actix-web worker, a busy job would delay
    /// requests.
    runtime: Handle,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn json(status: u16, document: &serde_json::Value) -> Self {
        Self { status, content_type: "application/json", body: document.to_string().into_bytes() }
    }

    pub(crate) fn problem(status: u16, detail: &str) -> Self {
        let document = json!({"type": "about:blank", "status": status, "detail": detail});
        Self { content_type: "application/problem+json", ..Self::json(status, &document) }
    }
}

impl From<ProgressError> for Answer {
    fn from(error: ProgressError) -> Self {
        let status = match error {
            ProgressError::NotFound(_) => 404,
            ProgressError::AlreadyExists(_) | ProgressError::Refused { .. } => 409,
            ProgressError::Invalid(_) => 400,
            _ => 503,
        };
        // Never the source, as in any other server.
        Self::problem(status, &error.to_string())
    }
}

impl TestRoutes {
    pub(crate) async fn new(
        counting: Arc<CountingStore>,
        freshness: Duration,
        pool: Option<SqlitePool>,
    ) -> Result<Self, ProgressError> {
        let jobs = Jobs::with_freshness(counting.clone(), freshness);
        let api = ProgressApi::new(jobs.clone()).with_page();
        let (bare, runtime) = (typical_poll().await?, Handle::current());
        Ok(Self { api, bare, pool, jobs, counting, runtime })
    }

    /// Answers `/select/{id}` as a handler without this library would: by one SELECT.
    pub(crate) async fn select(&self, id: &str) -> Answer {
        let missing = || Answer::problem(404, "there is no such job in an SQLite file");
        let Some(pool) = &self.pool else { return missing() };
        let columns = sqlx::query_as::<_, (String, Option<i64>, i64, i64, Option<String>)>(
            "SELECT status, total, succeeded, failed, message FROM progress_records WHERE id = ?",
        );
        match columns.bind(id).fetch_optional(pool).await {
            Ok(Some((status, total, succeeded, failed, message))) => {
                let record = json!({
                    "job_id": id, "status": status, "total_items": total, "succeeded": succeeded,
                    "failed": failed, "message": message,
                });
                Answer::json(200, &record)
            }
            Ok(None) => missing(),
            Err(error) => ProgressError::unavailable(error).into(),
        }
    }

    pub(crate) async fn answer(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let answer = match (method, segments.as_slice()) {
            ("GET", ["test", "counts"]) => Ok(self.counts()),
            ("POST", ["test", "jobs"]) => self.create(body).await,
            ("POST", ["test", "jobs", id, "update"]) => self.update(id, body).await,
            ("POST", ["test", "jobs", id, "run"]) => self.run(id, body).await,
            (_, ["test", "counts"] | ["test", "jobs"] | ["test", "jobs", _, "update" | "run"]) => {
                Err(Answer::problem(405, "use POST to change jobs and GET to read counts"))
            }
            _ => Err(Answer::problem(404, "there is no such route")),
        };
        answer.unwrap_or_else(|problem| problem)
    }

    fn counts(&self) -> Answer {
        let (reads, writes) = (self.counting.reads(), self.counting.writes());
        Answer::json(200, &json!({"store_reads": reads, "store_writes": writes}))
    }

    async fn create(&self, body: &[u8]) -> Result<Answer, Answer> {
        let job: NewProgress = parse::<Job>(body)?.into();
        let progress = self.jobs.create(job).await?;
        Ok(Answer::json(201, &json!({"job_id": progress.id})))
    }

    async fn update(&self, id: &str, body: &[u8]) -> Result<Answer, Answer> {
        let id = known(id)?;
        for step in parse::<Update>(body)?.into_steps()? {
            self.jobs.store().update(id, &step).await?;
        }
        let reply = self.api.poll(&Viewer::Admin, &id.to_string(), None).await;
        let content_type =
            if reply.status == 200 { "application/json" } else { "application/problem+json" };
        Ok(Answer { status: reply.status, content_type, body: reply.body.to_vec() })
    }

    async fn run(&self, id: &str, body: &[u8]) -> Result<Answer, Answer> {
        let id = known(id)?;
        let run: Run = parse(body)?;
        let jobs = self.jobs.clone();
        let start = self.runtime.spawn(async move { jobs.tracker(id).await });
        let tracker = start.await.map_err(|_| Answer::problem(500, "the tracker panicked"))??;
        let total = self.jobs.get(id).await?.and_then(|progress| progress.total);
        let items = run.items.or(total).unwrap_or(0);
        self.runtime.spawn(async move {
            let outcome = match work(tracker.handle(), items, &run).await {
                Ok(()) => tracker.complete(()).await,
                Err(CancelRequested) => tracker.cancel().await,
            };
            if let Err(error) = outcome {
                tracing::info!(
                    %id,
                    error = &error as &dyn std::error::Error,
                    "could not record the job's final status"
                );
            }
        });
        Ok(Answer::json(202, &json!({"job_id": id})))
    }
}

struct CancelRequested;

/// Processes items, one each `delay` on average. Delays of the inexact timer are caught up.
async fn work(tracker: &TrackerHandle, items: u64, run: &Run) -> Result<(), CancelRequested> {
    let mut due = Instant::now();
    for item in 1..=items {
        tracker.checkpoint().await.map_err(|_| CancelRequested)?;
        if run.fails(item) {
            tracker.item_failed(format!("item {item}"), "failed on request");
        } else {
            tracker.item_done(format!("item {item} of {items}"));
        }
        due += run.delay();
        if Instant::now() < due {
            sleep_until(due).await;
        } else if item % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Parses an id. A malformed id is answered like an unknown one.
fn known(id: &str) -> Result<ProgressId, Answer> {
    id.parse().map_err(|_| Answer::problem(404, "there is no such job"))
}

/// Parses a body. An empty body stands for all defaults.
fn parse<'a, T: Deserialize<'a> + Default>(body: &'a [u8]) -> Result<T, Answer> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| Answer::problem(400, &error.to_string()))
}

/// Returns the body of a typical poll, in the middle of a job.
async fn typical_poll() -> Result<Bytes, ProgressError> {
    let jobs = Jobs::new(MemoryStore::new());
    let job = NewProgress::new("test").with_total(1_000_000).with_title("Sending invoices");
    let id = jobs.create(job).await?.id;
    jobs.store().update(id, &ProgressUpdate::start()).await?;
    let delta = Delta::new().with_succeeded(123_456).with_message("item 123456 of 1000000");
    jobs.store().update(id, &ProgressUpdate::advance(delta)).await?;
    let reply = ProgressApi::new(jobs).poll(&Viewer::Admin, &id.to_string(), None).await;
    Ok(Bytes::from(reply.body.to_vec()))
}
