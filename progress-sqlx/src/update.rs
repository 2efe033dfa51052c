//! Updates in batches: one transaction locks the records of a batch, lets [`Record::update`]
//! decide, and writes back what it changed. A single update is a batch of one.
//!
//! [`Record::update`]: progress_core::Record::update

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use progress_core::{Progress, ProgressError, ProgressId, ProgressUpdate};

use crate::compare_and_set::CompareAndSet;
use crate::dialect::Dialect;
use crate::error::{Kind, error_per_update, kind_of};
use crate::store::SqlStore;
use crate::transaction::{Outcomes, UpdateBatch};

/// The updates of one record, with their positions in the call.
pub(crate) struct Group<'a> {
    pub(crate) id: ProgressId,
    pub(crate) updates: Vec<(usize, &'a ProgressUpdate)>,
}

/// Maximum number of records in one transaction. Halved when a batch misses its deadline, because
/// half of it may fit, and doubled again when a full batch fits.
#[derive(Debug)]
pub(crate) struct BatchSize {
    records: AtomicUsize,
    /// Where the next call begins: after the records for which the last call had time.
    next_start: AtomicUsize,
}

impl Default for BatchSize {
    fn default() -> Self {
        Self { records: AtomicUsize::new(Self::MAX), next_start: AtomicUsize::new(0) }
    }
}

impl BatchSize {
    /// The size of the batches of a tracker's flush loop. More would gain little and lock for
    /// longer.
    const MAX: usize = 128;

    fn get(&self) -> usize {
        self.records.load(Ordering::Relaxed)
    }

    fn record_fit(&self, records: usize) {
        if records >= self.get() {
            self.records.store((records * 2).min(Self::MAX), Ordering::Relaxed);
        }
    }

    /// A single record that does not fit says nothing about batches, so it changes nothing.
    fn record_miss(&self, records: usize) {
        if records > 1 {
            self.records.store(records / 2, Ordering::Relaxed);
        }
    }
}

/// How an attempt treats records that other sessions have locked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LockPolicy {
    /// Skips them.
    Skip,
    /// Waits for the first of them while it holds no other lock, and skips the others.
    WaitForFirst,
    /// Skips them for the last time.
    LastAttempt,
}

impl<D: Dialect> SqlStore<D> {
    pub(crate) async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        let group = Group { id, updates: vec![(0, update)] };
        let outcomes = self.update_batch(&[group], Instant::now()).await;
        let outcome = outcomes.into_iter().next().map(|(_, outcome)| outcome);
        let outcome = outcome.unwrap_or_else(|| Err(unfinished()));
        self.announce(versions(&outcome)).await;
        outcome
    }

    pub(crate) async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress, ProgressError>> {
        let begun = Instant::now();
        let mut groups: BTreeMap<ProgressId, Vec<_>> = BTreeMap::new();
        for (position, (id, update)) in updates.iter().enumerate() {
            groups.entry(*id).or_default().push((position, update));
        }
        let mut groups: Vec<_> =
            groups.into_iter().map(|(id, updates)| Group { id, updates }).collect();
        let sizes = &self.state.batch_size;
        let start = sizes.next_start.load(Ordering::Relaxed).checked_rem(groups.len()).unwrap_or(0);
        groups.rotate_left(start);
        let mut outcomes = BTreeMap::new();
        let mut remaining = &*groups;
        while !remaining.is_empty() && begun.elapsed() < self.deadlines.write {
            let (batch, rest) = remaining.split_at(sizes.get().min(remaining.len()));
            outcomes.extend(self.update_batch(batch, begun).await);
            remaining = rest;
        }
        sizes.next_start.store(start + groups.len() - remaining.len(), Ordering::Relaxed);
        self.announce(outcomes.values().flat_map(versions)).await;
        let positions = 0..updates.len();
        positions
            .map(|position| outcomes.remove(&position).unwrap_or_else(|| Err(unfinished())))
            .collect()
    }

    /// Writes a batch of one update without a transaction. `None` if a transaction has to decide:
    /// also after an error, which the transaction will meet again if it matters.
    async fn compare_and_set(
        &self,
        batch: &[Group<'_>],
        begun: Instant,
    ) -> Option<(usize, Result<Progress, ProgressError>)> {
        let [Group { id, updates }] = batch else { return None };
        let [(position, update)] = **updates else { return None };
        let operation = CompareAndSet::new(*id, update)?;
        let deadline = self.deadlines.write.saturating_sub(begun.elapsed());
        let started = Instant::now();
        let outcome = match tokio::time::timeout(deadline, self.attempt(&operation)).await {
            Ok(outcome) => outcome,
            Err(elapsed) => Err(ProgressError::unavailable(elapsed)),
        };
        self.state.pools.record(started, &outcome);
        Some((position, Ok(outcome.ok()??)))
    }

    /// Updates all records of a batch, and reports those that stay locked as unavailable. `begun`
    /// is the start of the call that this batch belongs to.
    async fn update_batch(&self, batch: &[Group<'_>], begun: Instant) -> Outcomes {
        if let Some(outcome) = self.compare_and_set(batch, begun).await {
            return vec![outcome];
        }
        let mut outcomes = Outcomes::new();
        let mut remaining: Vec<&Group<'_>> = batch.iter().collect();
        let mut policy = LockPolicy::Skip;
        let mut error = None;
        while !remaining.is_empty() {
            let operation = UpdateBatch {
                groups: &remaining,
                waits_for_lock: policy == LockPolicy::WaitForFirst,
                log_limit: self.log_limit,
            };
            let deadline = self.deadlines.write.saturating_sub(begun.elapsed());
            match self.call_within(operation, deadline).await {
                Ok((done, still_locked)) => {
                    outcomes.extend(done);
                    self.state.batch_size.record_fit(remaining.len());
                    remaining.retain(|group| still_locked.contains(&group.id));
                    if policy == LockPolicy::LastAttempt {
                        break;
                    }
                    policy = LockPolicy::WaitForFirst;
                }
                Err(timeout) if is_lock_timeout(&timeout) && policy == LockPolicy::WaitForFirst => {
                    policy = LockPolicy::LastAttempt;
                }
                Err(failure) => {
                    if is_elapsed(&failure) && policy == LockPolicy::Skip {
                        self.state.batch_size.record_miss(remaining.len());
                    }
                    error = Some(failure);
                    break;
                }
            }
        }
        let positions: Vec<_> = remaining
            .iter()
            .flat_map(|group| &group.updates)
            .map(|(position, _)| *position)
            .collect();
        let error = error.unwrap_or_else(|| {
            ProgressError::unavailable("the record is locked by another session")
        });
        outcomes.extend(
            positions
                .iter()
                .copied()
                .zip(error_per_update(error, positions.len()).into_iter().map(Err)),
        );
        outcomes
    }
}

/// Returns the id and the version of an updated record.
fn versions(outcome: &Result<Progress, ProgressError>) -> impl Iterator<Item = (ProgressId, u64)> {
    outcome.iter().map(|progress| (progress.id, progress.version))
}

fn is_lock_timeout(error: &ProgressError) -> bool {
    kind_of(error) == Some(Kind::Locked)
}

fn is_elapsed(error: &ProgressError) -> bool {
    let ProgressError::Unavailable(source) = error else { return false };
    source.is::<tokio::time::error::Elapsed>()
}

fn unfinished() -> ProgressError {
    ProgressError::unavailable("the deadline passed before this update was attempted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_shrink_until_they_fit_and_grow_again() {
        let size = BatchSize::default();
        let mut seen = Vec::new();
        for _ in 0..9 {
            size.record_miss(size.get());
            seen.push(size.get());
        }
        assert_eq!(seen, [64, 32, 16, 8, 4, 2, 1, 1, 1]);
        size.record_fit(1);
        size.record_fit(1);
        assert_eq!(size.get(), 2, "only a full batch that fits doubles the size");
        (0..9).for_each(|_| size.record_fit(size.get()));
        assert_eq!(size.get(), BatchSize::MAX);
        size.record_miss(20);
        assert_eq!(size.get(), 10);
    }
}
