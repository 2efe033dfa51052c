//! Hints from a store that records have changed, so that watchers need not ask all the time.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::{ProgressError, ProgressId};

/// So many hints may wait to be taken. With more, all records count as changed.
const MAX_PENDING: usize = 10_000;

/// How long to wait before another attempt to subscribe.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A subscription sends itself a message this often.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// A subscription that hears nothing for this time, not even itself, is broken.
const MAX_SILENCE: Duration = Duration::from_secs(10);

/// Hints that records were changed, by this process or another: see
/// [`ProgressStore::changes`](crate::ProgressStore::changes).
///
/// A hint is never the truth: it says that a record is worth reading. Hints may be lost, repeated
/// or wrong, so a receiver still reads each record from time to time.
/// [`CachedStore`](crate::CachedStore) receives the hints of its store.
///
/// ```
/// use std::collections::HashMap;
/// use progress_core::{Changed, Changes, ProgressId};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut changes) = Changes::channel();
/// assert!(!changes.is_live());
/// sender.set_live(true);
/// assert_eq!(changes.next().await, Changed::Any, "there may have been changes before");
///
/// let id = ProgressId::new();
/// sender.send([(id, 2), (id, 3)]);
/// assert_eq!(changes.next().await, Changed::Records(HashMap::from([(id, 3)])));
/// # });
/// ```
#[derive(Debug)]
pub struct Changes {
    shared: Arc<Shared>,
}

/// What has changed since the last hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// These records, which have at least this version now. [`DELETED`](Changes::DELETED) if the
    /// record was deleted.
    Records(HashMap<ProgressId, u64>),
    /// Any record.
    Any,
}

/// The sender of a store's hints.
#[derive(Debug)]
pub struct ChangesSender {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes a sender that waits for a message.
    heard: Notify,
    /// Wakes the receiver.
    sent: Notify,
    /// Wakes a sender that waits in `wanted`.
    wanted: Notify,
    /// Wakes a sender that waits in `closed`.
    closed: Notify,
}

#[derive(Debug, Default)]
struct State {
    pending: Option<Changed>,
    is_live: bool,
    is_awaited: bool,
    is_closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, id: ProgressId, version: u64) {
        match self.pending.get_or_insert_with(|| Changed::Records(HashMap::new())) {
            Changed::Records(records) if records.len() < MAX_PENDING => {
                let known = records.entry(id).or_default();
                *known = version.max(*known);
            }
            pending => *pending = Changed::Any,
        }
    }
}

impl Changes {
    /// The version of a hint that a record was deleted.
    pub const DELETED: u64 = u64::MAX;

    /// Creates a receiver and its sender. The channel merges the hints that wait to be taken, so it
    /// never grows beyond a limit.
    #[must_use]
    pub fn channel() -> (ChangesSender, Self) {
        let shared = Arc::<Shared>::default();
        (ChangesSender { shared: Arc::clone(&shared) }, Self { shared })
    }

    /// Writes hints as the text of a message from one process to others. Takes at most 58 bytes a
    /// record.
    ///
    /// ```
    /// use progress_core::{Changes, ProgressId};
    ///
    /// let id = ProgressId::new();
    /// assert_eq!(Changes::message([(id, 7)]), format!("{id}:7 "));
    /// ```
    #[must_use]
    pub fn message(records: impl IntoIterator<Item = (ProgressId, u64)>) -> String {
        let mut text = String::new();
        for (id, version) in records {
            // Writing to a string cannot fail.
            let _ = write!(text, "{id}:{version} ");
        }
        text
    }

    /// Whether hints of all changes arrive at present. If not, the receiver must read as often as
    /// without hints.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.shared.state().is_live
    }

    /// Waits for a hint. [`Changed::Any`] if [`is_live`](Self::is_live) has changed; never returns
    /// after the sender was dropped and the last hint was taken.
    ///
    /// Cancel safe: dropping the future loses no hint.
    pub async fn next(&mut self) -> Changed {
        /// Says that the receiver waits, until it is dropped.
        struct Waiting<'a>(&'a Shared);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.state().is_awaited = false;
            }
        }
        let waiting = Waiting(&self.shared);
        loop {
            let taken = {
                let mut state = self.shared.state();
                state.is_awaited = true;
                state.pending.take()
            };
            if let Some(changed) = taken {
                return changed;
            }
            waiting.0.wanted.notify_one();
            waiting.0.sent.notified().await;
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.shared.state().is_closed = true;
        self.shared.closed.notify_one();
    }
}

impl ChangesSender {
    /// Sends hints about records that have at least these versions now.
    pub fn send(&self, records: impl IntoIterator<Item = (ProgressId, u64)>) {
        let mut state = self.shared.state();
        records.into_iter().for_each(|(id, version)| state.add(id, version));
        drop(state);
        self.shared.sent.notify_one();
    }

    /// Sends the hints in a [`message`](Changes::message) that a subscription heard, and says that
    /// it is live. Ignores what is not readable, because others may send to the same channel.
    pub fn heard(&self, message: &str) {
        self.shared.heard.notify_one();
        self.set_live(true);
        self.send(message.split_ascii_whitespace().filter_map(|record| {
            let (id, version) = record.split_once(':')?;
            Some((id.parse().ok()?, version.parse().ok()?))
        }));
    }

    /// Runs a subscription until it breaks: `hear` passes each message to [`heard`](Self::heard),
    /// and `ping` sends an empty message to all subscriptions, so that each hears itself.
    ///
    /// # Errors
    ///
    /// The error of `ping` or `hear`, and [`ProgressError::Unavailable`] if nothing was heard for
    /// ten seconds.
    pub async fn subscribe<P>(
        &self,
        ping: impl Fn() -> P,
        hear: impl Future<Output = Result<Infallible, ProgressError>>,
    ) -> Result<Infallible, ProgressError>
    where
        P: Future<Output = Result<(), ProgressError>>,
    {
        let ping = async {
            loop {
                ping().await?;
                sleep(PING_INTERVAL).await;
            }
        };
        let silence = async {
            loop {
                let heard = timeout(MAX_SILENCE, self.shared.heard.notified()).await;
                heard.map_err(ProgressError::unavailable)?;
            }
        };
        tokio::select! {
            outcome = ping => outcome,
            outcome = hear => outcome,
            outcome = silence => outcome,
        }
    }

    /// Sends the hint that any record may have changed.
    pub fn send_any(&self) {
        self.shared.state().pending = Some(Changed::Any);
        self.shared.sent.notify_one();
    }

    /// Says whether hints of all changes arrive from now on. When this changes, the receiver learns
    /// that any record may have changed.
    pub fn set_live(&self, is_live: bool) {
        let was_live = std::mem::replace(&mut self.shared.state().is_live, is_live);
        if was_live != is_live {
            self.send_any();
        }
    }

    /// Waits until the receiver waits for a hint. A sender that must look for changes need not do
    /// so before.
    pub async fn wanted(&self) {
        loop {
            {
                let state = self.shared.state();
                if state.is_awaited && state.pending.is_none() {
                    return;
                }
            }
            self.shared.wanted.notified().await;
        }
    }

    /// Runs a subscription until the receiver is dropped. Each attempt sends hints, and says when
    /// it is live; when it fails, the sender is not live, and the next attempt begins a second
    /// later.
    pub async fn retry<F>(self, attempt: impl Fn(Arc<Self>) -> F)
    where
        F: Future<Output = Result<Infallible, ProgressError>>,
    {
        let sender = Arc::new(self);
        let attempts = async {
            loop {
                let Err(error) = attempt(Arc::clone(&sender)).await;
                sender.set_live(false);
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "no hints about changes, will retry"
                );
                sleep(RETRY_DELAY).await;
            }
        };
        tokio::select! {
            () = attempts => {}
            () = sender.closed() => {}
        }
    }

    /// Waits until the receiver was dropped.
    pub async fn closed(&self) {
        while !self.shared.state().is_closed {
            self.shared.closed.notified().await;
        }
    }
}

impl Drop for ChangesSender {
    fn drop(&mut self) {
        self.set_live(false);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_flood_of_hints_becomes_one() {
        let (sender, mut changes) = Changes::channel();
        let ids: Vec<_> = (0..MAX_PENDING).map(|_| ProgressId::new()).collect();
        sender.send(ids.iter().map(|id| (*id, 1)));
        assert!(
            matches!(changes.next().await, Changed::Records(records) if records.len() == 10_000)
        );
        sender.send(ids.iter().map(|id| (*id, 1)));
        sender.send([(ProgressId::new(), 1)]);
        assert_eq!(changes.next().await, Changed::Any);
    }

    #[tokio::test]
    async fn a_message_is_read_back() {
        let records = HashMap::from([(ProgressId::new(), 1), (ProgressId::new(), 20)]);
        let (sender, mut changes) = Changes::channel();
        sender.set_live(true);
        assert_eq!(changes.next().await, Changed::Any);
        sender.heard(&Changes::message(records.clone()));
        assert_eq!(changes.next().await, Changed::Records(records));
        let id = ProgressId::new();
        sender.heard(&format!("hello {id} {id}:x x:1 {id}:7"));
        assert_eq!(changes.next().await, Changed::Records(HashMap::from([(id, 7)])));
        let longest = Changes::message([(id, Changes::DELETED)]);
        assert_eq!(longest.len(), 58, "documented");
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_that_hears_nothing_has_failed() {
        let (sender, mut changes) = Changes::channel();
        let (messages, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let begun = tokio::time::Instant::now();
        let ping = || async {
            // The server loses the messages after a minute.
            if begun.elapsed() < Duration::from_secs(60) {
                let _ = messages.send(String::new());
            }
            Ok(())
        };
        let hear = async {
            while let Some(message) = heard.recv().await {
                sender.heard(&message);
            }
            Err(ProgressError::unavailable("the connection has ended"))
        };
        let Err(error) = sender.subscribe(ping, hear).await;
        assert!(error.is_transient(), "{error}");
        assert_eq!(changes.next().await, Changed::Any);
        assert_eq!(begun.elapsed(), Duration::from_secs(65));
    }

    #[tokio::test]
    async fn a_receiver_learns_that_the_sender_is_gone() {
        let (sender, mut changes) = Changes::channel();
        sender.set_live(true);
        changes.next().await;
        drop(sender);
        assert_eq!(changes.next().await, Changed::Any);
        assert!(!changes.is_live());
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_is_repeated_until_its_receiver_is_gone() {
        let (sender, mut changes) = Changes::channel();
        let subscription = tokio::spawn(sender.retry(|sender| async move {
            sender.set_live(true);
            Err(ProgressError::unavailable("the connection has ended"))
        }));
        for _ in 0..3 {
            assert_eq!(changes.next().await, Changed::Any);
            assert!(!changes.is_live());
        }
        drop(changes);
        subscription.await.unwrap();
    }

    #[tokio::test]
    async fn a_sender_learns_whether_its_hints_are_wanted() {
        let (sender, mut changes) = Changes::channel();
        let mut wanted = Box::pin(sender.wanted());
        assert_eq!((&mut wanted).now_or_never(), None, "the receiver does not wait");
        assert_eq!(changes.next().now_or_never(), None);
        assert_eq!((&mut wanted).now_or_never(), None, "it waits no more");
        let mut next = Box::pin(changes.next());
        assert_eq!((&mut next).now_or_never(), None);
        assert_eq!((&mut wanted).now_or_never(), Some(()));
        sender.send_any();
        assert_eq!(sender.wanted().now_or_never(), None, "it has not taken the last hint");
        drop(next);
        drop(changes);
        assert_eq!(sender.wanted().now_or_never(), None);
        sender.closed().await;
    }
}
