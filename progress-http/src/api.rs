use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use progress_core::{
    Jobs, Progress, ProgressError, ProgressId, ProgressPage, ProgressStore, Status, Watch,
};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use crate::query::{Listing, Parameters};
use crate::wire::{LogJson, PageJson, RecordJson, whole_seconds_up};
use crate::{Answer, Events, Reply, Viewer, events, tag};

/// The default limit of waiting requests. Each costs a connection and a few kilobytes.
const MAX_WAITERS: usize = 10_000;

/// The polling API over the jobs of an application, which every adapter serves.
///
/// Cheap to clone. Replies depend only on the record, the viewer and these settings. Reading never
/// writes.
///
/// ```
/// use progress_core::{Jobs, MemoryStore, NewProgress};
/// use progress_http::{ProgressApi, Viewer};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let jobs = Jobs::new(MemoryStore::new());
/// let job = jobs.create(NewProgress::new("import").with_total(10)).await?;
/// let api = ProgressApi::new(jobs);
///
/// let reply = api.poll(&Viewer::Anyone, &job.id.to_string(), None).await;
/// assert_eq!(reply.status, 200);
/// let again = api.poll(&Viewer::Anyone, &job.id.to_string(), reply.header("etag")).await;
/// assert_eq!((again.status, again.body.len()), (304, 0));
/// # Ok::<(), progress_core::ProgressError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct ProgressApi {
    /// Behind one `Arc`, because each request clones the API.
    state: Arc<ApiState>,
}

#[derive(Debug, Clone)]
struct ApiState {
    jobs: Jobs,
    poll_after: Duration,
    stale_after: Duration,
    read_deadline: Duration,
    write_deadline: Duration,
    trusted_origins: Vec<String>,
    waiters: Arc<Semaphore>,
    /// Whether the store is failing. Logged when the outage begins and when it ends, not once per
    /// poll.
    is_failing: Arc<AtomicBool>,
}

impl From<Jobs> for ProgressApi {
    fn from(jobs: Jobs) -> Self {
        Self::new(jobs)
    }
}

impl ProgressApi {
    /// Creates the API over these jobs. By default pages poll every 500 ms, and a job is stale
    /// after 15 s without a sign of life from its worker. A read may take 1 s, a write 5 s, and
    /// 10,000 requests may wait for a change at the same time.
    ///
    /// Records are read through the cache of the [`Jobs`], so that many pages cost few reads. A
    /// reply may be 250 ms old, but it always includes what was written through the same `Jobs`.
    #[must_use]
    pub fn new(jobs: Jobs) -> Self {
        let state = ApiState {
            jobs,
            poll_after: Duration::from_millis(500),
            stale_after: Duration::from_secs(15),
            read_deadline: Duration::from_secs(1),
            write_deadline: Duration::from_secs(5),
            trusted_origins: Vec::new(),
            waiters: Arc::new(Semaphore::new(MAX_WAITERS)),
            is_failing: Arc::default(),
        };
        Self { state: Arc::new(state) }
    }

    /// Sets how long a page should wait before it polls again, from 50 ms to a day. The page gets
    /// it in whole milliseconds (`poll_after_ms`), and in seconds, rounded up (`Retry-After`).
    #[must_use]
    pub fn with_poll_after(mut self, poll_after: Duration) -> Self {
        self.change().poll_after =
            poll_after.clamp(Duration::from_millis(50), Duration::from_secs(86_400));
        self
    }

    /// Sets how long a worker may be silent before its job is shown as stale: three heartbeats or
    /// more. The page gets this time as well (`stale_after_ms`), so that the widget can show how
    /// long the worker has been silent.
    #[must_use]
    pub fn with_stale_after(mut self, stale_after: Duration) -> Self {
        self.change().stale_after = stale_after;
        self
    }

    /// Sets how long a read of the store may take before the viewer gets 503.
    #[must_use]
    pub fn with_read_deadline(mut self, deadline: Duration) -> Self {
        self.change().read_deadline = deadline;
        self
    }

    /// Sets how long a write to the store may take before the viewer gets 503.
    #[must_use]
    pub fn with_write_deadline(mut self, deadline: Duration) -> Self {
        self.change().write_deadline = deadline;
        self
    }

    /// Sets how many requests of this process may wait for a change at the same time, instead of
    /// 10,000. A request over the limit is answered at once, as if it had not asked to wait.
    #[must_use]
    pub fn with_max_waiters(mut self, waiters: usize) -> Self {
        self.change().waiters = Arc::new(Semaphore::new(waiters.min(Semaphore::MAX_PERMITS)));
        self
    }

    /// Adds an origin, such as `https://app.example.com`, whose pages may cancel and delete jobs.
    #[must_use]
    pub fn with_trusted_origin(mut self, origin: impl Into<String>) -> Self {
        self.change().trusted_origins.push(origin.into());
        self
    }

    /// The settings of this clone, detached from those of other clones.
    fn change(&mut self) -> &mut ApiState {
        Arc::make_mut(&mut self.state)
    }

    pub(crate) fn poll_after(&self) -> Duration {
        self.state.poll_after
    }

    pub(crate) fn trusted_origins(&self) -> &[String] {
        &self.state.trusted_origins
    }

    /// Answers one poll:
    ///
    /// - 200 with the record and its `ETag`, or 304 if `if_none_match` names that tag;
    /// - 404 if there is no such record for this viewer, whatever the reason;
    /// - 503 if the store is unavailable or slow.
    ///
    /// Public so that the application's own handler can answer a poll under another address.
    pub async fn poll(&self, viewer: &Viewer, id: &str, if_none_match: Option<&str>) -> Reply {
        match self.find(viewer, id).await {
            Ok(progress) => self.poll_reply(&progress, if_none_match),
            Err(reply) => reply,
        }
    }

    /// Answers a poll when the record changes, or after `wait`. A client that names another tag
    /// than the current one is answered at once, because its copy is outdated.
    pub(crate) async fn long_poll(
        &self,
        viewer: &Viewer,
        id: &str,
        if_none_match: Option<&str>,
        wait: Duration,
    ) -> Reply {
        let until = Instant::now() + wait;
        let mut progress = match self.find(viewer, id).await {
            Ok(progress) => progress,
            Err(reply) => return reply,
        };
        // Over the waiter limit: reply immediately, without `Preference-Applied`.
        let Ok(_permit) = self.state.waiters.try_acquire() else {
            return self.poll_reply(&progress, if_none_match);
        };
        let first = self.tag(&progress);
        if if_none_match.is_none_or(|known| tag::matches(Some(known), &first)) {
            let mut watch = self.state.jobs.store().watch(progress.id);
            while progress.status.is_active() && self.tag(&progress) == first {
                if timeout_at(until, self.changed(&progress, &mut watch)).await.is_err() {
                    break;
                }
                progress = match self.read(watch.read()).await {
                    Ok(Some(progress)) => progress,
                    Ok(None) => return Reply::not_found(),
                    Err(reply) => return reply,
                };
            }
        }
        let applied = format!("wait={}", wait.as_secs());
        self.poll_reply(&progress, if_none_match).with_header("preference-applied", applied)
    }

    fn poll_reply(&self, progress: &Progress, if_none_match: Option<&str>) -> Reply {
        let etag = self.tag(progress);
        let reply = if tag::matches(if_none_match, &etag) {
            Reply::empty(304)
        } else {
            Reply::json(200, &self.record(progress))
        };
        let reply = reply.with_header("etag", etag);
        if progress.status.is_active() {
            reply.with_header(
                "retry-after",
                whole_seconds_up(self.state.poll_after).max(1).to_string(),
            )
        } else {
            reply
        }
    }

    /// Waits until the reply may differ: because the record changed, or because enough time has
    /// passed to change what is shown without a write.
    pub(crate) async fn changed(&self, progress: &Progress, watch: &mut Watch) {
        match tag::valid_for(progress, self.state.stale_after) {
            Some(time) => drop(timeout(time, watch.changed()).await),
            None => watch.changed().await,
        }
    }

    pub(crate) async fn events(
        &self,
        viewer: &Viewer,
        id: &str,
        last_event_id: Option<&str>,
    ) -> Answer {
        let progress = match self.find(viewer, id).await {
            Ok(progress) => progress,
            Err(reply) => return Answer::Whole(reply),
        };
        let last = last_event_id.map(|id| format!("\"{id}\""));
        if progress.status.is_finished() && last.as_ref() == Some(&self.tag(&progress)) {
            // 204 tells a browser not to reconnect (WHATWG HTML, section 9.2.3).
            return Answer::Whole(Reply::empty(204));
        }
        let permit = Arc::clone(&self.state.waiters).try_acquire_owned().ok();
        let watch = self.state.jobs.store().watch(progress.id);
        Answer::Events(
            Events::head(),
            Events::new(events::StreamState { api: self.clone(), watch, last, permit }),
        )
    }

    /// Formats a record as an event. The event's id is the record's tag, which the client sends
    /// when it reconnects. `None` if the record cannot be serialised.
    pub(crate) fn event(&self, progress: &Progress, tag: &str) -> Option<String> {
        let record = serde_json::to_string(&self.record(progress)).ok()?;
        Some(format!("id: {}\ndata: {record}\n\n", tag.trim_matches('"')))
    }

    pub(crate) fn tag(&self, progress: &Progress) -> String {
        tag::of(progress, self.state.stale_after)
    }

    pub(crate) async fn list(
        &self,
        viewer: &Viewer,
        query: Option<&str>,
        only_active: bool,
    ) -> Reply {
        let parameters = Parameters::parse(query);
        let listing = match parameters.listing(viewer, only_active) {
            Ok(listing) => listing,
            Err(reply) => return reply,
        };
        let page = match &listing {
            Listing::Page(query) => self.read(self.state.jobs.list(query)).await,
            Listing::Ids(ids) => {
                let found = self.read(self.state.jobs.store().get_many(ids)).await;
                found.map(|found| {
                    let visible =
                        found.into_iter().flatten().filter(|progress| viewer.may_see(progress));
                    ProgressPage { items: visible.collect(), next: None }
                })
            }
        };
        match page {
            Ok(page) => {
                let reply =
                    Reply::json(200, &PageJson::new(&page, |progress| self.record(progress)));
                match page.next {
                    // Relative to the requested address, whatever its prefix (RFC 8288).
                    Some(next) => {
                        let link = format!(
                            "<{}>; rel=\"next\"",
                            parameters.with_cursor(&next.to_string())
                        );
                        reply.with_header("link", link)
                    }
                    None => reply,
                }
            }
            Err(reply) => reply,
        }
    }

    pub(crate) async fn log(&self, viewer: &Viewer, id: &str, query: Option<&str>) -> Reply {
        let (after, limit) = match Parameters::parse(query).log() {
            Ok(range) => range,
            Err(reply) => return reply,
        };
        let progress = match self.find(viewer, id).await {
            Ok(progress) => progress,
            Err(reply) => return reply,
        };
        match self.read(self.state.jobs.store().entries(progress.id, after, limit)).await {
            Ok(page) => Reply::json(200, &LogJson::new(&page)),
            Err(reply) => reply,
        }
    }

    pub(crate) async fn cancel(&self, viewer: &Viewer, id: &str) -> Reply {
        let id = match self.find(viewer, id).await {
            Ok(progress) => progress.id,
            Err(reply) => return reply,
        };
        match self.write(self.state.jobs.cancel(id)).await {
            Ok(Ok(progress)) if progress.status == Status::Cancelled => {
                Reply::json(200, &self.record(&progress))
            }
            Ok(Ok(progress)) => Reply::json(202, &self.record(&progress)),
            // Already cancelled by another request: the outcome is the one that was asked for.
            Ok(Err(Status::Cancelled)) => self.poll(viewer, &id.to_string(), None).await,
            Ok(Err(status)) => Reply::problem(409, &format!("the job has already ended: {status}")),
            Err(reply) => reply,
        }
    }

    pub(crate) async fn delete(&self, viewer: &Viewer, id: &str) -> Reply {
        let id = match self.find(viewer, id).await {
            Ok(progress) => progress.id,
            Err(reply) => return reply,
        };
        match self.write(self.state.jobs.store().delete(id)).await {
            Ok(Ok(())) => Reply::empty(204),
            Ok(Err(status)) => {
                Reply::problem(409, &format!("the job is still {status}; cancel it first"))
            }
            Err(reply) => reply,
        }
    }

    fn record<'a>(&self, progress: &'a Progress) -> RecordJson<'a> {
        RecordJson::new(progress, self.state.poll_after, self.state.stale_after)
    }

    /// Finds the record, if this viewer may see it. A malformed id causes no read of the store.
    async fn find(&self, viewer: &Viewer, id: &str) -> Result<Arc<Progress>, Reply> {
        let id: ProgressId = id.parse().map_err(|_| Reply::not_found())?;
        let progress = self.read(self.state.jobs.store().read(id)).await?;
        progress.filter(|progress| viewer.may_see(progress)).ok_or_else(Reply::not_found)
    }

    pub(crate) async fn read<T>(
        &self,
        call: impl Future<Output = Result<T, ProgressError>>,
    ) -> Result<T, Reply> {
        self.within(self.state.read_deadline, call).await?.map_err(|_| Reply::not_found())
    }

    /// The inner error is the job's status, because of which the store refused the write.
    async fn write<T>(
        &self,
        call: impl Future<Output = Result<T, ProgressError>>,
    ) -> Result<Result<T, Status>, Reply> {
        match self.within(self.state.write_deadline, call).await? {
            Ok(done) => Ok(Ok(done)),
            Err(ProgressError::Refused { status, .. }) => Ok(Err(status)),
            Err(_) => Err(Reply::not_found()),
        }
    }

    /// Turns a failure of the store into 503. The inner error is about the record.
    async fn within<T>(
        &self,
        deadline: Duration,
        call: impl Future<Output = Result<T, ProgressError>>,
    ) -> Result<Result<T, ProgressError>, Reply> {
        // A third-party store may panic. Viewers must not see its message, and the connection stays
        // open.
        let call = AssertUnwindSafe(call).catch_unwind();
        let call = async { call.await.unwrap_or_else(|panic| Err(panicked(&*panic))) };
        match timeout(deadline, call).await {
            Err(elapsed) => Err(self.store_unavailable(&elapsed)),
            Ok(Err(error)) if !is_about_the_record(&error) => Err(self.store_unavailable(&error)),
            Ok(answer) => {
                // Loaded before it is swapped, because requests on all processors pass here.
                let is_failing = &self.state.is_failing;
                if is_failing.load(Ordering::Relaxed) && is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("progress store recovered");
                }
                Ok(answer)
            }
        }
    }

    fn store_unavailable(&self, error: &(dyn std::error::Error + 'static)) -> Reply {
        if !self.state.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "progress store failed, viewers get 503 until it recovers");
        }
        Reply::unavailable()
    }
}

/// Returns true if the store responded, and the error is about the record.
fn is_about_the_record(error: &ProgressError) -> bool {
    matches!(
        error,
        ProgressError::AlreadyExists(_)
            | ProgressError::NotFound(_)
            | ProgressError::Refused { .. }
            | ProgressError::Invalid(_)
    )
}

fn panicked(panic: &(dyn Any + Send)) -> ProgressError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    ProgressError::store(format!("the store panicked: {}", text.unwrap_or("no message")))
}
