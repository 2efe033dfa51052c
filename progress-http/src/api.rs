use std::any::Any;
use std::borrow::Cow;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use progress_core::{
    Jobs, Progress, ProgressError, ProgressId, ProgressPage, ProgressStore, Snapshot, Status,
};
use tokio::time::{Instant, timeout};

use crate::prepared::{Prepared, PreparedPoll, Settings};
use crate::query::{Listing, Parameters};
use crate::reply::ProblemType;
use crate::wait::PageRead;
use crate::waiters::Waiters;
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
    settings: Settings,
    read_deadline: Duration,
    write_deadline: Duration,
    trusted_origins: Vec<String>,
    has_page: bool,
    waiters: Arc<Waiters>,
    /// The pace of polls in whole seconds: the header `Retry-After`.
    retry_after: Cow<'static, str>,
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
            settings: Settings {
                poll_after: Duration::from_millis(500),
                stale_after: Duration::from_secs(15),
                tag: 0,
            },
            read_deadline: Duration::from_secs(1),
            write_deadline: Duration::from_secs(5),
            trusted_origins: Vec::new(),
            has_page: false,
            waiters: Arc::new(Waiters::new(MAX_WAITERS)),
            retry_after: Cow::Borrowed(""),
            is_failing: Arc::default(),
        };
        let mut api = Self { state: Arc::new(state) };
        api.update_tag();
        api
    }

    /// Sets how long a page should wait before it polls again, from 50 ms to a day. The page gets
    /// it in whole milliseconds (`poll_after_ms`), and in seconds, rounded up (`Retry-After`).
    #[must_use]
    pub fn with_poll_after(mut self, poll_after: Duration) -> Self {
        self.change().settings.poll_after =
            poll_after.clamp(Duration::from_millis(50), Duration::from_secs(86_400));
        self.update_tag();
        self
    }

    /// Sets how long a worker may be silent before its job is shown as stale: three heartbeats or
    /// more. The page gets this time as well (`stale_after_ms`), so that the widget can show how
    /// long the worker has been silent.
    #[must_use]
    pub fn with_stale_after(mut self, stale_after: Duration) -> Self {
        self.change().settings.stale_after = stale_after;
        self.update_tag();
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
    /// 10,000. A request over the limit is answered at once, as if it had not asked to wait. One
    /// identified viewer may have 100 of them, and unidentified viewers leave a tenth to others.
    #[must_use]
    pub fn with_max_waiters(mut self, waiters: usize) -> Self {
        self.change().waiters = Arc::new(Waiters::new(waiters));
        self
    }

    /// Adds an origin, such as `https://app.example.com`, whose pages may cancel and delete jobs: a
    /// page on another host, or the public address if a proxy hides it (see
    /// [`refuse_cross_site`](crate::refuse_cross_site)). Reading from another origin needs CORS
    /// headers, which are the framework's.
    #[must_use]
    pub fn with_trusted_origin(mut self, origin: impl Into<String>) -> Self {
        self.change().trusted_origins.push(origin.into());
        self
    }

    /// Serves a ready page with the viewer's jobs as `list.html`: its address is below the path of
    /// the routes, such as `/progress/list.html`. Without this setting the address gives 404.
    ///
    /// The page has the same bytes for every viewer, and gets the jobs from the other routes. Like
    /// these, it asks the application for the viewer. So a viewer who must sign in first is refused
    /// or redirected as on every other route, and an administrator
    /// ([`Viewer::Admin`]) sees all jobs and their owners. The page has its own, strict
    /// Content-Security-Policy.
    ///
    /// ```
    /// # use progress_core::{Jobs, MemoryStore};
    /// use progress_http::{Answer, ProgressApi, Request, Route, Viewer};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    /// # runtime.unwrap().block_on(async {
    /// let api = ProgressApi::new(Jobs::new(MemoryStore::new())).with_page();
    /// let request = Request { method: "GET", path: "/list.html", ..Request::default() };
    /// let Route::Call(call) = api.route(&request) else { panic!("needs a viewer") };
    /// let Answer::Whole(page) = call.answer(&Viewer::Admin).await else { panic!("not a stream") };
    /// assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    /// # });
    /// ```
    #[must_use]
    pub fn with_page(mut self) -> Self {
        self.change().has_page = true;
        self
    }

    /// The settings of this clone, detached from those of other clones.
    fn change(&mut self) -> &mut ApiState {
        Arc::make_mut(&mut self.state)
    }

    /// Answers all requests that wait, ends all event streams, and lets no request wait any more:
    /// call it when the server shuts down, so that a graceful shutdown need not wait for them. All
    /// clones of this API are closed.
    ///
    /// ```
    /// # use progress_core::{Jobs, MemoryStore};
    /// # use progress_http::ProgressApi;
    /// let api = ProgressApi::new(Jobs::new(MemoryStore::new()));
    /// let routes = api.clone(); // for `router` or `scope`
    /// let shutdown = async move { api.close() }; // for `with_graceful_shutdown`
    /// # drop((routes, shutdown));
    /// ```
    pub fn close(&self) {
        self.state.waiters.close();
    }

    fn update_tag(&mut self) {
        let settings = &mut self.change().settings;
        settings.tag = tag::of_settings((settings.poll_after, settings.stale_after));
        let seconds = whole_seconds_up(settings.poll_after).max(1);
        // The usual second needs no copy for each reply.
        self.change().retry_after =
            if seconds == 1 { Cow::Borrowed("1") } else { Cow::Owned(seconds.to_string()) };
    }

    pub(crate) fn jobs(&self) -> &Jobs {
        &self.state.jobs
    }

    pub(crate) fn waiters(&self) -> &Arc<Waiters> {
        &self.state.waiters
    }

    pub(crate) fn poll_after(&self) -> Duration {
        self.state.settings.poll_after
    }

    pub(crate) fn stale_after(&self) -> Duration {
        self.state.settings.stale_after
    }

    pub(crate) fn has_page(&self) -> bool {
        self.state.has_page
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
        self.poll_by_id(viewer, id.parse().ok(), if_none_match).await
    }

    pub(crate) async fn poll_by_id(
        &self,
        viewer: &Viewer,
        id: Option<ProgressId>,
        if_none_match: Option<&str>,
    ) -> Reply {
        match self.find(viewer, id).await {
            Ok(record) => self.poll_reply(viewer, &record, if_none_match),
            Err(reply) => reply,
        }
    }

    /// Answers a poll without waiting for anything; `None` if the store must be read first.
    pub(crate) fn poll_fresh(
        &self,
        viewer: &Viewer,
        id: Option<ProgressId>,
        if_none_match: Option<&str>,
    ) -> Option<Reply> {
        let record = self.state.jobs.store().fresh(id?)?;
        Some(if viewer.may_see(&record) {
            self.poll_reply(viewer, &record, if_none_match)
        } else {
            Reply::not_found()
        })
    }

    pub(crate) fn poll_reply(
        &self,
        viewer: &Viewer,
        record: &Snapshot,
        if_none_match: Option<&str>,
    ) -> Reply {
        let settings = self.state.settings;
        let reply = self.with_prepared(viewer, record, |prepared| {
            let reply = if tag::matches(if_none_match, &prepared.tag) {
                Reply::empty(304)
            } else {
                let body = prepared.body(record, viewer, settings);
                Reply::with_json(200, "application/json", body)
            };
            reply.with_header("etag", prepared.tag.clone())
        });
        if record.status.is_active() {
            reply.with_header("retry-after", self.state.retry_after.clone())
        } else {
            reply
        }
    }

    pub(crate) async fn events(
        &self,
        viewer: &Viewer,
        id: Option<ProgressId>,
        last_event_id: Option<&str>,
    ) -> Answer {
        let Some(id) = id else { return Answer::Whole(Reply::not_found()) };
        let last = last_event_id.map(|id| format!("\"{id}\""));
        match self.find_by_id(viewer, id).await {
            Ok(progress) => {
                let is_known = last.as_ref() == Some(&self.tag(viewer, &progress));
                if progress.status.is_finished() && is_known {
                    // 204 tells a browser not to reconnect (WHATWG HTML, section 9.2.3).
                    return Answer::Whole(Reply::empty(204));
                }
            }
            // A browser never reconnects after 503, so the stream begins and waits for the store.
            Err(reply) if reply.status == 503 => {}
            Err(reply) => return Answer::Whole(reply),
        }
        let state = events::StreamState {
            api: self.clone(),
            viewer: viewer.clone(),
            watch: self.state.jobs.store().watch(id),
            last,
            place: self.state.waiters.enter(viewer),
            until: Instant::now() + events::LIFETIME,
        };
        Answer::Events(Events::head(), Events::new(state))
    }

    /// Formats a record as an event. The event's id is the record's tag, which the client sends
    /// when it reconnects. `None` if the record cannot be serialised.
    pub(crate) fn event(&self, viewer: &Viewer, record: &Snapshot) -> Option<String> {
        self.with_prepared(viewer, record, |prepared| {
            let body = prepared.body(record, viewer, self.state.settings)?;
            let body = std::str::from_utf8(&body).ok()?;
            Some(format!("id: {}\ndata: {body}\n\n", prepared.tag.trim_matches('"')))
        })
    }

    pub(crate) fn tag(&self, viewer: &Viewer, progress: &Progress) -> String {
        tag::of(progress, self.state.settings, *viewer == Viewer::Admin)
    }

    /// Uses the answer to a poll that is kept with a record. Of several APIs with different
    /// settings on the same jobs, the first one keeps its answers.
    fn with_prepared<T>(
        &self,
        viewer: &Viewer,
        record: &Snapshot,
        uses: impl FnOnce(&PreparedPoll) -> T,
    ) -> T {
        let settings = self.state.settings;
        match record.derived(|_| Prepared::new(settings)) {
            Some(kept) if kept.is_for(settings) => uses(kept.poll(record, viewer)),
            _ => uses(Prepared::new(settings).poll(record, viewer)),
        }
    }

    /// Answers a list, or 304 if the client's copy is current. With `wait`, the list is answered
    /// when it changes.
    pub(crate) async fn list(
        &self,
        viewer: &Viewer,
        query: Option<&str>,
        only_active: bool,
        if_none_match: Option<&str>,
        wait: Option<Duration>,
    ) -> Reply {
        let parameters = Parameters::parse(query);
        let listing = match parameters.listing(viewer, only_active) {
            Ok(listing) => listing,
            Err(reply) => return reply,
        };
        match (listing, wait) {
            (Listing::Page(query), None) => match self.read(self.state.jobs.list(&query)).await {
                Ok(page) => self.page_reply(viewer, &parameters, &page, if_none_match),
                Err(reply) => reply,
            },
            (Listing::Page(query), Some(wait)) => {
                let read = PageRead { viewer, parameters: &parameters, query: &query };
                self.wait_for_page(read, if_none_match, wait).await
            }
            (Listing::Ids(ids), None) => match self.visible(viewer, &ids).await {
                Ok(jobs) => self.list_reply(viewer, &jobs, None, if_none_match),
                Err(reply) => reply,
            },
            (Listing::Ids(ids), Some(wait)) => {
                self.wait_for_any(viewer, &ids, if_none_match, wait).await
            }
        }
    }

    pub(crate) fn page_reply(
        &self,
        viewer: &Viewer,
        parameters: &Parameters<'_>,
        page: &ProgressPage,
        if_none_match: Option<&str>,
    ) -> Reply {
        let next = page.next.map(|next| next.to_string());
        // Relative to the requested address, whatever its prefix (RFC 8288).
        let link = next.as_ref().map(|next| parameters.with_cursor(next));
        let reply = self.list_reply(viewer, &page.items, next, if_none_match);
        match link {
            Some(next) => reply.with_header("link", format!("<{next}>; rel=\"next\"")),
            None => reply,
        }
    }

    pub(crate) fn page_tag(&self, viewer: &Viewer, page: &ProgressPage) -> String {
        self.list_tag(viewer, &page.items, page.next.map(|next| next.to_string()).as_deref())
    }

    /// Reads the jobs of these ids that the viewer may see.
    pub(crate) async fn visible(
        &self,
        viewer: &Viewer,
        ids: &[ProgressId],
    ) -> Result<Vec<Progress>, Reply> {
        let found = self.read(self.state.jobs.store().get_many(ids)).await?;
        Ok(found.into_iter().flatten().filter(|progress| viewer.may_see(progress)).collect())
    }

    pub(crate) fn list_reply(
        &self,
        viewer: &Viewer,
        jobs: &[Progress],
        next: Option<String>,
        if_none_match: Option<&str>,
    ) -> Reply {
        let etag = self.list_tag(viewer, jobs, next.as_deref());
        let reply = if tag::matches(if_none_match, &etag) {
            Reply::empty(304)
        } else {
            let records = jobs.iter().map(|progress| self.record(viewer, progress));
            Reply::json(
                200,
                &PageJson::new(records.collect(), next, self.state.settings.poll_after),
            )
        };
        reply.with_header("etag", etag)
    }

    pub(crate) fn list_tag(
        &self,
        viewer: &Viewer,
        jobs: &[Progress],
        next: Option<&str>,
    ) -> String {
        let settings = self.state.settings.tag;
        tag::of_list(jobs.iter().map(|progress| self.tag(viewer, progress)), next, settings)
    }

    pub(crate) async fn log(
        &self,
        viewer: &Viewer,
        id: Option<ProgressId>,
        query: Option<&str>,
    ) -> Reply {
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

    pub(crate) async fn cancel(&self, viewer: &Viewer, id: Option<ProgressId>) -> Reply {
        let id = match self.find(viewer, id).await {
            Ok(progress) => progress.id,
            Err(reply) => return reply,
        };
        match self.write(self.state.jobs.cancel(id)).await {
            Ok(Ok(progress)) if progress.status == Status::Cancelled => {
                Reply::json(200, &self.record(viewer, &progress))
            }
            Ok(Ok(progress)) => Reply::json(202, &self.record(viewer, &progress)),
            // Already cancelled by another request: the outcome is the one that was asked for.
            Ok(Err(Status::Cancelled)) => self.poll_by_id(viewer, Some(id), None).await,
            Ok(Err(status)) => {
                let detail = format!("the job has already ended: {status}");
                Reply::problem_of(ProblemType::Ended, 409, &detail)
            }
            Err(reply) => reply,
        }
    }

    pub(crate) async fn delete(&self, viewer: &Viewer, id: Option<ProgressId>) -> Reply {
        let id = match self.find(viewer, id).await {
            Ok(progress) => progress.id,
            Err(reply) => return reply,
        };
        match self.write(self.state.jobs.store().delete(id)).await {
            Ok(Ok(())) => Reply::empty(204),
            Ok(Err(status)) => {
                let detail = format!("the job is still {status}; cancel it first");
                Reply::problem_of(ProblemType::Active, 409, &detail)
            }
            Err(reply) => reply,
        }
    }

    fn record<'a>(&self, viewer: &Viewer, progress: &'a Progress) -> RecordJson<'a> {
        RecordJson::new(progress, viewer, self.state.settings)
    }

    /// Finds the record, if this viewer may see it. `None` stands for a malformed id, which causes
    /// no read of the store.
    pub(crate) async fn find(
        &self,
        viewer: &Viewer,
        id: Option<ProgressId>,
    ) -> Result<Arc<Snapshot>, Reply> {
        self.find_by_id(viewer, id.ok_or_else(Reply::not_found)?).await
    }

    async fn find_by_id(&self, viewer: &Viewer, id: ProgressId) -> Result<Arc<Snapshot>, Reply> {
        let record = self.read(self.state.jobs.store().read(id)).await?;
        record.filter(|record| viewer.may_see(record)).ok_or_else(Reply::not_found)
    }

    pub(crate) fn read<'a, T: 'a>(
        &'a self,
        call: impl Future<Output = Result<T, ProgressError>> + Send + 'a,
    ) -> impl Future<Output = Result<T, Reply>> + Send + 'a {
        let call = self.within(self.state.read_deadline, Box::pin(call));
        async { call.await?.map_err(|_| Reply::not_found()) }
    }

    /// The inner error is the job's status, because of which the store refused the write.
    fn write<'a, T: 'a>(
        &'a self,
        call: impl Future<Output = Result<T, ProgressError>> + Send + 'a,
    ) -> impl Future<Output = Result<Result<T, Status>, Reply>> + Send + 'a {
        let call = self.within(self.state.write_deadline, Box::pin(call));
        async {
            match call.await? {
                Ok(done) => Ok(Ok(done)),
                Err(ProgressError::Refused { status, .. }) => Ok(Err(status)),
                Err(_) => Err(Reply::not_found()),
            }
        }
    }

    /// Turns a failure of the store into 503. The inner error is about the record.
    ///
    /// The call is boxed, because a request that waits later keeps the room of its reads.
    async fn within<T>(
        &self,
        deadline: Duration,
        call: BoxFuture<'_, Result<T, ProgressError>>,
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
