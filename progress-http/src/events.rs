//! Server-sent events (WHATWG HTML, section 9.2): pushes a record's changes to clients that do not
//! poll.

use std::future::pending;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use progress_core::Watch;
use tokio::time::Instant;

use crate::wait::is_in_time;
use crate::waiters::Place;
use crate::{ProgressApi, Reply, Viewer};

/// How long a stream lasts. A browser reconnects then, with the cookies of its session.
pub(crate) const LIFETIME: Duration = Duration::from_secs(300);

/// The longest pause before a browser reconnects.
const MAX_RETRY: Duration = Duration::from_secs(10);

/// The pause before another read of a store that is unavailable.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// The longest silence of a stream. It is shorter than the timeouts of proxies and browsers, and a
/// write is the only way to notice that the client has disconnected.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The events of one job: its record after each change, as a poll would return it.
///
/// A stream of text. It ends with the job. The browser then reconnects once with `Last-Event-ID`,
/// and the reply 204 tells it to stop. The stream also ends when the viewer may not see the record
/// any more, when the server shuts down, and after five minutes, so that the application checks the
/// viewer's session again. While the store cannot be read, the stream waits.
pub struct Events {
    next: Pin<Box<dyn Future<Output = Option<NextEvent>> + Send>>,
}

/// The next text to send, and the state after it.
type NextEvent = (String, StreamState);

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

pub(crate) struct StreamState {
    pub(crate) api: ProgressApi,
    pub(crate) viewer: Viewer,
    pub(crate) watch: Watch,
    /// The tag of the last record sent.
    pub(crate) last: Option<String>,
    /// `None` over the waiter limit: the stream then ends after the current record, and the client
    /// reconnects.
    pub(crate) place: Option<Place>,
    /// When the stream ends.
    pub(crate) until: Instant,
}

impl Events {
    pub(crate) fn head() -> Reply {
        Reply::empty(200)
            .with_header("content-type", "text/event-stream")
            // Otherwise nginx buffers the events.
            .with_header("x-accel-buffering", "no")
    }

    pub(crate) fn new(state: StreamState) -> Self {
        let retry = state.api.poll_after().min(MAX_RETRY).as_millis();
        // Sent at once, so that the client knows that the stream works.
        let first = format!("retry: {retry}\n\n");
        Self { next: Box::pin(std::future::ready(Some((first, state)))) }
    }
}

impl Stream for Events {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<String>> {
        let next = std::task::ready!(self.next.as_mut().poll(context));
        Poll::Ready(match next {
            Some((text, state)) => {
                self.next = Box::pin(state.next());
                Some(text)
            }
            None => {
                self.next = Box::pin(std::future::ready(None));
                None
            }
        })
    }
}

/// Named, so that a page which does not know it does not take it for a record.
const PING: &str = "event: ping\ndata: {}\n\n";

impl StreamState {
    #[expect(clippy::manual_async_fn, reason = "an `async fn` has room for its arguments twice")]
    fn next(mut self) -> impl Future<Output = Option<NextEvent>> + Send {
        async move {
            let text = self.next_event().await?;
            Some((text, self))
        }
    }

    /// Waits for the next event. `None` when there will be no more.
    async fn next_event(&mut self) -> Option<String> {
        let ping_at = Instant::now() + KEEP_ALIVE_INTERVAL;
        let until = ping_at.min(self.until);
        loop {
            let is_in_time = match self.api.read(self.watch.read()).await {
                Ok(Some(progress)) if self.viewer.may_see(&progress) => {
                    let tag = self.api.tag(&self.viewer, &progress);
                    if self.last.as_ref() != Some(&tag) {
                        let event = self.api.event(&self.viewer, &progress);
                        self.last = Some(tag);
                        return event;
                    }
                    if progress.status.is_finished() {
                        return None;
                    }
                    let valid_for = self.api.valid_for(&progress);
                    let change = pin!(self.watch.changed());
                    is_in_time(until, valid_for, self.place.as_ref()?, change).await
                }
                Err(reply) if reply.status == 503 => {
                    let change = pin!(pending::<()>());
                    is_in_time(until, Some(READ_PAUSE), self.place.as_ref()?, change).await
                }
                Ok(_) | Err(_) => return None,
            };
            if !is_in_time {
                let now = Instant::now();
                return (ping_at <= now && now < self.until).then(|| PING.to_owned());
            }
        }
    }
}
