//! The short way of an update that only counts: read the record, decide, and write it back if it is
//! still as it was read. This takes two round trips, where a transaction takes four.

use progress_core::{Progress, ProgressError, ProgressId, ProgressUpdate, Stamp, Transition};

use crate::dialect::Dialect;
use crate::loaded_record::LoadedRecord;
use crate::row;
use crate::store::{Operation, Session};
use crate::value::{to_ordered, values};

pub(crate) struct CompareAndSet<'a> {
    id: ProgressId,
    update: &'a ProgressUpdate,
    stamp: Stamp,
}

impl<'a> CompareAndSet<'a> {
    /// Returns `None` if the update needs a transaction in any case.
    ///
    /// Only updates with a stamp qualify. If it is unknown whether one has taken effect, the
    /// transaction that follows finds its stamp, and applies it once.
    pub(crate) fn new(id: ProgressId, update: &'a ProgressUpdate) -> Option<Self> {
        let only_counts = *update.transition() == Transition::Advance;
        let writes_one_row = update.delta().entries().is_empty();
        let stamp = update.stamp().filter(|_| only_counts && writes_one_row)?;
        Some(Self { id, update, stamp })
    }
}

impl<D: Dialect> Operation<D> for CompareAndSet<'_> {
    const WRITES: bool = true;
    const NEEDS_TRANSACTION: bool = false;
    /// The updated progress, or `None` if a transaction has to decide.
    type Output = Option<Progress>;

    async fn run(&self, session: &mut Session<'_, D>) -> Result<Self::Output, ProgressError> {
        let found =
            session.fetch(D::STATEMENTS.get_to_advance, values![self.id.to_string()]).await?;
        let Some(Ok(stored)) = found.first().map(row::record::<D>) else { return Ok(None) };
        let mut loaded = LoadedRecord::new(stored);
        let version = loaded.record.progress.version;
        // The stamps of other writers are in another table.
        let Some(last) = loaded.stamp.filter(|last| last.writer == self.stamp.writer) else {
            return Ok(None);
        };
        let Ok(progress) = loaded.update(self.update) else { return Ok(None) };
        if !loaded.is_changed || !loaded.is_advance() {
            return Ok(None);
        }
        // The version and the last stamp cover all that this statement writes, except a checkpoint
        // that comes without a stamp and changes nothing else. So an old one is not written back.
        if self.update.delta().checkpoint().is_none() {
            loaded.record.progress.checkpoint = None;
        }
        let mut values = loaded.advance().into_values();
        values.extend(values![version, last.writer.to_string(), to_ordered(last.seq)]);
        let written = session.execute(D::STATEMENTS.compare_and_advance, values).await?;
        Ok((written == 1).then_some(progress))
    }
}
