//! Server-sent events (WHATWG HTML, section 9.2), for those who want to be told and not to ask.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use progress_core::{Progress, Watch};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::{ProgressApi, Reply};

/// How long a stream is silent at most: shorter than proxies and browsers wait, and the only way to notice that nobody reads.
const SILENCE: Duration = Duration::from_secs(15);

/// The events of one job: each time that its record changes, the record, as a poll would give it.
///
/// A stream of text. It ends with the job; a browser then asks once more where it goes on (`Last-Event-ID`) and is told that
/// it does not, by 204. It also ends when the store cannot be read or the record is gone, and the browser finds out which by
/// coming back.
pub struct Events {
    next: Pin<Box<dyn Future<Output = Option<Step>> + Send>>,
}

/// What is said next, and where it goes on from there.
type Step = (String, State);

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

pub(crate) struct State {
    pub(crate) api: ProgressApi,
    pub(crate) watch: Watch,
    /// The tag of what was sent last.
    pub(crate) last: Option<String>,
    /// `None` where too many wait already: then what there is to say is said, and the client comes back.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

impl Events {
    pub(crate) fn head() -> Reply {
        Reply::empty(200)
            .with_header("content-type", "text/event-stream")
            // nginx would keep events until there are enough of them.
            .with_header("x-accel-buffering", "no")
    }

    pub(crate) fn new(state: State) -> Self {
        let retry = state.api.poll_after().as_millis();
        // Said first, so that whoever listens knows at once that there is somebody.
        let hello = format!("retry: {retry}\n\n");
        Self { next: Box::pin(std::future::ready(Some((hello, state)))) }
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

impl State {
    async fn next(mut self) -> Option<Step> {
        let quiet = timeout(SILENCE, self.news()).await;
        match quiet {
            Ok(Some(text)) => Some((text, self)),
            Ok(None) => None,
            // A comment, which no page sees.
            Err(_) => Some((":\n\n".to_owned(), self)),
        }
    }

    /// The next event; `None` when there will be none.
    async fn news(&mut self) -> Option<String> {
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
