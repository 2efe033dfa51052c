use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::Serialize;
use serde_json::Value;

use super::TrackerHandle;
use crate::ProgressError;

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

    /// Saves a cursor with each item that is counted: `cursor` returns where the next attempt
    /// continues after the item (see [`TrackerHandle::save`]).
    ///
    /// ```
    /// # use progress_core::{Jobs, MemoryStore, NewProgress, TrackIterator};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    /// # runtime.unwrap().block_on(async {
    /// # let jobs = Jobs::new(MemoryStore::new());
    /// # let job = NewProgress::new("import").with_total(3).with_attempts(2);
    /// # let id = jobs.create(job).await?.id;
    /// let ended = jobs.run(id, async |tracker| {
    ///     let imported = tracker.cursor::<usize>()?.unwrap_or(0);
    ///     let lines = ["a", "b", "c"].iter().enumerate().skip(imported);
    ///     for (_, line) in lines.track(&tracker).resumable(|(number, _)| number + 1)? {
    ///         assert_eq!(line.len(), 1);
    ///     }
    ///     Ok(())
    /// }).await?;
    /// assert_eq!(ended.succeeded, 3);
    /// # Ok::<(), progress_core::ProgressError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`ProgressError::Invalid`] if the job has no
    /// [attempts](crate::NewProgress::with_attempts). A single cursor that cannot be saved, because
    /// it takes more than 16 KiB, is logged, and the next attempt continues at the one before.
    pub fn resumable<Item, T, F>(self, cursor: F) -> Result<Resumable<I, F>, ProgressError>
    where
        F: FnMut(&Item) -> T,
        T: Serialize,
    {
        // Any small cursor shows whether the job keeps one.
        self.tracker.to_cursor(&Value::Null)?;
        Ok(Resumable { tracked: self, cursor, last: None })
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

/// An iterator or a stream that also saves a cursor with each item. Made by [`Tracked::resumable`].
pub struct Resumable<I, F> {
    tracked: Tracked<I>,
    cursor: F,
    /// The cursor after the item that the loop is processing.
    last: Option<Result<Value, ProgressError>>,
}

// Closures do not implement `Debug`.
impl<I: fmt::Debug, F> fmt::Debug for Resumable<I, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resumable")
            .field("tracked", &self.tracked)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl<I, F> Resumable<I, F> {
    /// Saves the cursor of the item that was just counted, and notes that of the next one.
    fn advance<Item, T: Serialize>(&mut self, next: Option<&Item>)
    where
        F: FnMut(&Item) -> T,
    {
        let tracker = &self.tracked.tracker;
        match self.last.take() {
            Some(Ok(cursor)) => drop(tracker.reports.save(cursor, None)),
            Some(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(id = %tracker.id(), error, "a cursor could not be saved");
            }
            None => {}
        }
        self.last = next.map(|item| tracker.to_cursor(&(self.cursor)(item)));
    }
}

impl<I: Iterator, T: Serialize, F: FnMut(&I::Item) -> T> Iterator for Resumable<I, F> {
    type Item = I::Item;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.tracked.next();
        self.advance(item.as_ref());
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.tracked.size_hint()
    }
}

impl<S, T, F> Stream for Resumable<S, F>
where
    S: Stream + Unpin,
    T: Serialize,
    F: FnMut(&S::Item) -> T + Unpin,
{
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let had_open_item = self.tracked.has_open_item;
        let polled = Pin::new(&mut self.tracked).poll_next(context);
        match &polled {
            Poll::Ready(item) => self.advance(item.as_ref()),
            // The last item is counted even if the next one is not there yet.
            Poll::Pending if had_open_item => self.advance(None),
            Poll::Pending => {}
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.tracked.size_hint()
    }
}
