use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::failed_read;
use crate::{MAX_PAGE, Progress, ProgressError, ProgressId, ProgressStore};

/// The minimum interval between calls. A read that comes sooner waits, and shares the next call
/// with the reads that come meanwhile. A longer interval makes a read cheaper, but a person should
/// not see the wait: 25 ms are one or two frames of a screen at 60 Hz.
pub(super) const MIN_INTERVAL: Duration = Duration::from_millis(25);

/// The size of a batch that is worth waiting for. After a smaller one, reads do not wait: few pages
/// poll, or a program reads one record after the other.
const MIN_BATCH: usize = 4;

/// How long reads do not wait after a small batch.
const PAUSE: Duration = Duration::from_millis(100);

/// Gathers reads of single records into calls that read several. A thousand pages that poll a job
/// each then cost forty calls a second.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Before this time, reads wait for others.
    next_call: Option<Instant>,
    /// Before this time, reads do not wait after all, because the last batch was small.
    paused_until: Option<Instant>,
    /// The reads that share the next call. Empty if none waits.
    batch: Vec<Member>,
    /// How many batches were taken, so that a read can tell whether the batch is still its own.
    taken: u64,
}

/// A read that waits for the call of a batch.
#[derive(Debug)]
struct Member {
    id: ProgressId,
    outcome: oneshot::Sender<Outcome>,
}

/// The error says that the store is unavailable.
type Outcome = Result<Option<Progress>, ()>;

/// How a read gets its record.
enum Role {
    /// By a call of its own.
    Alone,
    /// By the call of its batch, which another read makes.
    Member,
    /// It opened the batch, and makes its call at this time unless another read has done so.
    First { taken: u64, due: Instant },
    /// It closed the batch, and makes its call now.
    Last(Vec<Member>),
}

impl State {
    fn take(&mut self, now: Instant) -> Vec<Member> {
        self.next_call = Some(now + MIN_INTERVAL);
        self.paused_until = (self.batch.len() < MIN_BATCH).then(|| now + PAUSE);
        self.taken += 1;
        std::mem::take(&mut self.batch)
    }
}

impl Gatherer {
    /// Reads a record, perhaps together with others.
    ///
    /// If the store is unavailable, all reads of a batch fail. If the call fails for another
    /// reason, which may be a single record, or if its caller is dropped, each read is repeated
    /// alone.
    pub(super) async fn read(
        &self,
        store: &dyn ProgressStore,
        id: ProgressId,
    ) -> Result<Option<Progress>, ProgressError> {
        let (sender, mut outcome) = oneshot::channel();
        let outcome = match self.join(Member { id, outcome: sender }) {
            Role::Alone => return store.get(id).await,
            Role::Member => outcome.await,
            Role::First { taken, due } => {
                let _on_drop = DissolveOnDrop { gatherer: self, taken };
                match timeout_at(due, &mut outcome).await {
                    Ok(outcome) => outcome,
                    Err(_) => {
                        if let Some(batch) = self.take(taken) {
                            call(store, batch).await?;
                        }
                        outcome.await
                    }
                }
            }
            Role::Last(batch) => {
                call(store, batch).await?;
                outcome.await
            }
        };
        match outcome {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(())) => Err(failed_read()),
            Err(_) => store.get(id).await,
        }
    }

    fn join(&self, member: Member) -> Role {
        let mut state = self.state();
        let now = Instant::now();
        let due = state.next_call.unwrap_or(now);
        let is_paused = state.paused_until.is_some_and(|until| now < until);
        if state.batch.is_empty() && (is_paused || due <= now) {
            state.next_call = Some(now + MIN_INTERVAL);
            return Role::Alone;
        }
        state.batch.push(member);
        // An overdue batch does not wait for its first read, whose thread may be blocked.
        if due <= now || state.batch.len() == MAX_PAGE as usize {
            Role::Last(state.take(now))
        } else if state.batch.len() == 1 {
            Role::First { taken: state.taken, due }
        } else {
            Role::Member
        }
    }

    /// Takes a batch, unless it was taken.
    fn take(&self, taken: u64) -> Option<Vec<Member>> {
        let mut state = self.state();
        (state.taken == taken).then(|| state.take(Instant::now()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the call of a batch. An error is the caller's own; the others get theirs, or are dropped.
async fn call(store: &dyn ProgressStore, batch: Vec<Member>) -> Result<(), ProgressError> {
    let ids: Vec<_> = batch.iter().map(|member| member.id).collect();
    match store.get_many(&ids).await {
        Ok(found) => {
            for (member, found) in batch.into_iter().zip(found) {
                // A read that was dropped needs no outcome.
                let _ = member.outcome.send(Ok(found));
            }
            Ok(())
        }
        Err(error) if error.is_transient() => {
            for member in batch {
                let _ = member.outcome.send(Err(()));
            }
            Err(error)
        }
        // Drops the members, which then read alone.
        Err(_) => Ok(()),
    }
}

/// Dissolves a batch on drop, unless it was taken: its members then read alone.
struct DissolveOnDrop<'a> {
    gatherer: &'a Gatherer,
    taken: u64,
}

impl Drop for DissolveOnDrop<'_> {
    fn drop(&mut self) {
        let mut state = self.gatherer.state();
        if state.taken == self.taken {
            state.batch.clear();
        }
    }
}
