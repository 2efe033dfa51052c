use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::TrackerHandle;

/// Counts an iterator's items as the loop finishes them.
pub trait TrackIterator: Iterator + Sized {
    /// Counts an item as succeeded when the next one is requested, because the loop has then
    /// finished it. An item whose iteration ends in `break`, `return` or `?` is not counted.
    ///
    /// ```
    /// # use progress_core::{Jobs, MemoryStore, NewProgress, TrackIterator};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    /// # runtime.unwrap().block_on(async {
    /// # let jobs = Jobs::new(MemoryStore::new());
    /// # let id = jobs.create(NewProgress::new("import").with_total(3)).await?.id;
    /// let ended = jobs.run(id, async |tracker| {
    ///     for line in ["a", "b", "c"].iter().track(&tracker) {
    ///         assert_eq!(line.len(), 1);
    ///     }
    ///     Ok(())
    /// }).await?;
    /// assert_eq!(ended.succeeded, 3);
    /// # Ok::<(), progress_core::ProgressError>(())
    /// # }).unwrap();
    /// ```
    fn track(self, tracker: &TrackerHandle) -> Tracked<Self> {
        Tracked::new(self, tracker)
    }
}

impl<I: Iterator> TrackIterator for I {}

/// Counts a stream's items as the loop finishes them.
pub trait TrackStream: Stream + Sized {
    /// Counts an item as succeeded when the next one is requested, as [`TrackIterator::track`]
    /// does.
    fn track(self, tracker: &TrackerHandle) -> Tracked<Self> {
        Tracked::new(self, tracker)
    }
}

impl<S: Stream> TrackStream for S {}

/// An iterator or a stream that counts its items for a tracker. Made by [`TrackIterator::track`]
/// and [`TrackStream::track`].
#[derive(Debug)]
pub struct Tracked<I> {
    inner: I,
    tracker: TrackerHandle,
    has_open_item: bool,
}

impl<I> Tracked<I> {
    fn new(inner: I, tracker: &TrackerHandle) -> Self {
        Self { inner, tracker: tracker.clone(), has_open_item: false }
    }

    fn count_last(&mut self) {
        if std::mem::take(&mut self.has_open_item) {
            self.tracker.inc(1);
        }
    }
}

impl<I: Iterator> Iterator for Tracked<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<Self::Item> {
        self.count_last();
        let item = self.inner.next();
        self.has_open_item = item.is_some();
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

// `Unpin` makes the projection possible in safe code. `Box::pin` or `pin!` makes any stream
// `Unpin`.
impl<S: Stream + Unpin> Stream for Tracked<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.count_last();
        let polled = Pin::new(&mut self.inner).poll_next(context);
        self.has_open_item = matches!(polled, Poll::Ready(Some(_)));
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}
