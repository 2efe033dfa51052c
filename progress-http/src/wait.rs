//! Requests that are answered when something changes.

use std::future::pending;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use progress_core::{Progress, ProgressId, ProgressQuery};
use tokio::time::{Instant, timeout_at};

use crate::query::Parameters;
use crate::waiters::Place;
use crate::{ProgressApi, Reply, Viewer, tag};

/// A request that waits for a page of a list pauses for so many times as long as it reads, so that
/// reading takes at most a tenth of the time.
const LIST_PAUSE: u32 = 9;

/// What is needed to read a page of a list.
pub(crate) struct PageRead<'a> {
    pub(crate) viewer: &'a Viewer,
    pub(crate) parameters: &'a Parameters<'a>,
    pub(crate) query: &'a ProgressQuery,
}

/// Waits for a change, but at most for `valid_for`: then the reply may differ without one. Returns
/// false if the time is over, or the server shuts down.
///
/// The change is pinned by the caller, because a future keeps the room of its arguments. There is
/// one timer for both times, because timers are much of what a waiting request takes.
pub(crate) fn is_in_time(
    until: Instant,
    valid_for: Option<Duration>,
    place: &Place,
    change: Pin<&mut impl Future>,
) -> impl Future<Output = bool> {
    let valid_until = valid_for.map(|time| Instant::now() + time).filter(|end| *end < until);
    let (end, in_time_at_end) = (valid_until.unwrap_or(until), valid_until.is_some());
    async move {
        tokio::select! {
            outcome = timeout_at(end, change) => outcome.is_ok() || in_time_at_end,
            () = place.closed() => false,
        }
    }
}

impl ProgressApi {
    /// Returns how long the reply about a record stays the same unless the record changes.
    pub(crate) fn valid_for(&self, progress: &Progress) -> Option<Duration> {
        tag::valid_for(progress, self.stale_after())
    }

    /// Answers a poll when the record changes, or after `wait`. A client that names an earlier tag
    /// is answered at once, because its copy is outdated.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` has room for its arguments twice")]
    pub(crate) fn long_poll(
        &self,
        viewer: &Viewer,
        id: Option<ProgressId>,
        if_none_match: Option<&str>,
        wait: Duration,
    ) -> impl Future<Output = Reply> {
        async move {
            let until = Instant::now() + wait;
            // Boxed, because the request keeps the room of this read while it waits.
            let first = match Box::pin(self.find(viewer, id)).await {
                Ok(progress) => progress,
                Err(reply) => return reply,
            };
            // Over the waiter limit: reply immediately, without `Preference-Applied`.
            let Some(place) = self.waiters().enter(viewer) else {
                return self.poll_reply(viewer, &first, if_none_match);
            };
            let mut progress = Arc::clone(&first);
            if tag::should_wait(if_none_match, &self.tag(viewer, &first)) {
                let mut watch = self.jobs().store().watch_since(&first);
                // The record, and not its tag, because all who wait share it.
                while progress.status.is_active()
                    && self.tag(viewer, &progress) == self.tag(viewer, &first)
                {
                    let is_in_time = {
                        let change = pin!(watch.changed());
                        is_in_time(until, self.valid_for(&progress), &place, change).await
                    };
                    if !is_in_time {
                        break;
                    }
                    progress = match Box::pin(self.read(watch.read())).await {
                        // The id may have been deleted meanwhile, and used again for another owner.
                        Ok(Some(progress)) if viewer.may_see(&progress) => progress,
                        Ok(_) => return Reply::not_found(),
                        Err(reply) => return reply,
                    };
                }
            }
            self.poll_reply(viewer, &progress, if_none_match).after_wait(wait)
        }
    }

    /// Answers a page when it changes: because one of its jobs does, or because a job was created
    /// or deleted. The store cannot tell, so the page is read again and again.
    pub(crate) async fn wait_for_page(
        &self,
        PageRead { viewer, parameters, query }: PageRead<'_>,
        if_none_match: Option<&str>,
        wait: Duration,
    ) -> Reply {
        let began = Instant::now();
        let until = began + wait;
        let mut page = match self.read(self.jobs().list(query)).await {
            Ok(page) => page,
            Err(reply) => return reply,
        };
        let mut took = began.elapsed();
        let Some(place) = self.waiters().enter(viewer) else {
            return self.page_reply(viewer, parameters, &page, if_none_match);
        };
        let first = self.page_tag(viewer, &page);
        let mut outage = None;
        if tag::should_wait(if_none_match, &first) {
            while self.page_tag(viewer, &page) == first {
                // A filter that selects few jobs may read many, so the pause grows with the read.
                let pause = self.poll_after().max(took * LIST_PAUSE);
                if !is_in_time(until, Some(pause), &place, pin!(pending::<()>())).await {
                    break;
                }
                let began = Instant::now();
                // An outage is no change: with 503, all waiting clients would ask again at once.
                match self.read(self.jobs().list(query)).await {
                    Ok(read) => (page, outage) = (read, None),
                    Err(reply) => outage = Some(reply),
                }
                took = began.elapsed();
            }
        }
        let reply =
            outage.unwrap_or_else(|| self.page_reply(viewer, parameters, &page, if_none_match));
        reply.after_wait(wait)
    }

    pub(crate) async fn wait_for_any(
        &self,
        viewer: &Viewer,
        ids: &[ProgressId],
        if_none_match: Option<&str>,
        wait: Duration,
    ) -> Reply {
        let until = Instant::now() + wait;
        let mut jobs = match self.visible(viewer, ids).await {
            Ok(jobs) => jobs,
            Err(reply) => return reply,
        };
        let Some(place) = self.waiters().enter(viewer) else {
            return self.list_reply(viewer, &jobs, None, if_none_match);
        };
        let first = self.list_tag(viewer, &jobs, None);
        if tag::should_wait(if_none_match, &first) {
            let store = self.jobs().store();
            let mut watches: Vec<_> = jobs.iter().map(|job| store.watch_since(job)).collect();
            while jobs.iter().any(|job| job.status.is_active())
                && self.list_tag(viewer, &jobs, None) == first
            {
                let valid_for = jobs.iter().filter_map(|job| self.valid_for(job)).min();
                let active = jobs.iter().zip(&mut watches);
                let changes = active.filter(|(job, _)| job.status.is_active());
                let changes = select_all(changes.map(|(_, watch)| Box::pin(watch.changed())));
                if !is_in_time(until, valid_for, &place, pin!(changes)).await {
                    break;
                }
                let mut seen = Vec::new();
                for watch in &mut watches {
                    match self.read(watch.read()).await {
                        Ok(Some(job)) if viewer.may_see(&job) => seen.push(Progress::clone(&job)),
                        // Deleted: the list has changed.
                        Ok(_) => {}
                        Err(reply) => return reply,
                    }
                }
                if seen.len() < jobs.len() {
                    jobs = seen;
                    break;
                }
                jobs = seen;
            }
        }
        self.list_reply(viewer, &jobs, None, if_none_match).after_wait(wait)
    }
}
