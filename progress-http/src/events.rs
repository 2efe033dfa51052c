//! Server-sent events (WHATWG HTML, section 9.2): pushes a record's changes to clients that do not
//! poll.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use progress_core::{Progress, Watch};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::{ProgressApi, Reply};

/// The longest silence of a stream. It is shorter than the timeouts of proxies and browsers, and a
/// write is the only way to notice that the client has disconnected.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The events of one job: its record after each change, as a poll would return it.
///
/// A stream of text. It ends with the job. The browser then reconnects once with `Last-Event-ID`,
/// and the reply 204 tells it to stop. The stream also ends when the store cannot be read or the
/// record is gone. The browser learns which when it reconnects.
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
    pub(crate) watch: Watch,
    /// The tag of the last record sent.
    pub(crate) last: Option<String>,
    /// `None` over the waiter limit: the stream then ends after the current record, and the client
    /// reconnects.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

impl Events {
    pub(crate) fn head() -> Reply {
        Reply::empty(200)
            .with_header("content-type", "text/event-stream")
            // Otherwise nginx buffers the events.
            .with_header("x-accel-buffering", "no")
    }

    pub(crate) fn new(state: StreamState) -> Self {
        let retry = state.api.poll_after().as_millis();
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

impl StreamState {
    async fn next(mut self) -> Option<NextEvent> {
        let event = timeout(KEEP_ALIVE_INTERVAL, self.next_event()).await;
        match event {
            Ok(Some(text)) => Some((text, self)),
            Ok(None) => None,
            // A comment, which the browser does not pass on to the page.
            Err(_) => Some((":\n\n".to_owned(), self)),
        }
    }

    /// Waits for the next event. `None` when there will be no more.
    async fn next_event(&mut self) -> Option<String> {
        loop {
            let progress: Arc<Progress> = self.api.read(self.watch.read()).await.ok()??;
            let tag = self.api.tag(&progress);
            let is_finished = progress.status.is_finished();
            if self.last.as_ref() != Some(&tag) {
                let event = self.api.event(&progress, &tag);
                self.last = Some(tag);
                return event;
            }
            if is_finished || self.permit.is_none() {
                return None;
            }
            self.api.changed(&progress, &mut self.watch).await;
        }
    }
}
