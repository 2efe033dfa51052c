//! The transaction of a batch: lock, decide, write back.

use std::collections::{HashMap, HashSet};

use progress_core::{Progress, ProgressError, ProgressId};
use serde::Serialize;

use crate::dialect::Dialect;
use crate::error::error_per_update;
use crate::loaded_record::LoadedRecord;
use crate::row;
use crate::rows::{self, Advance, Change, Writer};
use crate::store::{Operation, Session};
use crate::update::Group;
use crate::value::{Value, to_json, to_json_arrays, values};

/// The outcome of each update, with its position in the call.
pub(crate) type Outcomes = Vec<(usize, Result<Progress, ProgressError>)>;

pub(crate) struct UpdateBatch<'a> {
    pub(crate) groups: &'a [&'a Group<'a>],
    /// Whether to wait for the lock of the first record.
    pub(crate) waits_for_lock: bool,
    pub(crate) log_limit: u32,
}

impl<D: Dialect> Operation<D> for UpdateBatch<'_> {
    const WRITES: bool = true;
    /// The outcomes, and the records that other sessions had locked.
    type Output = (Outcomes, HashSet<ProgressId>);

    fn waits_for_lock(&self) -> bool {
        self.waits_for_lock
    }

    async fn run(&self, session: &mut Session<'_, D>) -> Result<Self::Output, ProgressError> {
        if let Some(first) = self.groups.first().filter(|_| self.waits_for_lock) {
            // This transaction holds no other lock, so waiting transactions cannot deadlock.
            session.fetch(D::STATEMENTS.wait, values![first.id.to_string()]).await?;
        }
        let mut records = self.lock(session).await?;
        let locked = self.locked_by_others(session, &records).await?;
        self.read_stamps(session, &mut records).await?;

        let mut outcomes = Outcomes::new();
        for group in self.groups {
            let positions = group.updates.iter().map(|(position, _)| *position);
            match records.get_mut(&group.id) {
                Some(Ok(record)) => outcomes.extend(
                    group
                        .updates
                        .iter()
                        .map(|(position, update)| (*position, record.update(update))),
                ),
                Some(Err(_)) => {}
                None if locked.contains(&group.id) => {}
                None => outcomes.extend(
                    positions.map(|position| (position, Err(ProgressError::NotFound(group.id)))),
                ),
            }
        }
        self.write_back(session, &records).await?;
        for group in self.groups {
            if let Some(Err(_)) = records.get(&group.id)
                && let Some(Err(error)) = records.remove(&group.id)
            {
                let errors = error_per_update(error, group.updates.len()).into_iter().map(Err);
                outcomes.extend(group.updates.iter().map(|(position, _)| *position).zip(errors));
            }
        }
        Ok((outcomes, locked))
    }
}

/// The locked records of a batch. A record that cannot be read does not affect the others.
type LockedRecords = HashMap<ProgressId, Result<LoadedRecord, ProgressError>>;

impl UpdateBatch<'_> {
    /// Locks the records that no other session has locked. It never waits, so the order does not
    /// matter.
    async fn lock<D: Dialect>(
        &self,
        session: &mut Session<'_, D>,
    ) -> Result<LockedRecords, ProgressError> {
        let found = match self.groups {
            [group] => session.fetch(D::STATEMENTS.lock, values![group.id.to_string()]).await?,
            groups => {
                let ids = rows::ids(groups.iter().map(|group| group.id))?;
                session.fetch(D::STATEMENTS.lock_many, values![ids]).await?
            }
        };
        let read =
            |found| Ok((row::id::<D>(found)?, row::record::<D>(found).map(LoadedRecord::new)));
        found.iter().map(read).collect()
    }

    /// Returns the records that exist, but were not found because another session has locked them.
    async fn locked_by_others<D: Dialect>(
        &self,
        session: &mut Session<'_, D>,
        records: &LockedRecords,
    ) -> Result<HashSet<ProgressId>, ProgressError> {
        let missing: Vec<_> = self
            .groups
            .iter()
            .map(|group| group.id)
            .filter(|id| !records.contains_key(id))
            .collect();
        if missing.is_empty() {
            return Ok(HashSet::new());
        }
        let ids = rows::ids(missing.into_iter())?;
        let existing = session.fetch(D::STATEMENTS.existing, values![ids]).await?;
        existing.iter().map(row::id::<D>).collect()
    }

    /// Reads the stamps of writers that are not the last writer of their record. This is a separate
    /// statement after the lock: under READ COMMITTED, a locking statement that waited sees the new
    /// version of the rows that it locks, but the old version of joined rows.
    async fn read_stamps<D: Dialect>(
        &self,
        session: &mut Session<'_, D>,
        records: &mut LockedRecords,
    ) -> Result<(), ProgressError> {
        let mut writers = Vec::new();
        for group in self.groups {
            let Some(Ok(LoadedRecord { stamp: Some(last), .. })) = records.get(&group.id) else {
                continue;
            };
            let stamps = group.updates.iter().filter_map(|(_, update)| update.stamp());
            writers.extend(
                stamps.filter(|stamp| stamp.writer != last.writer).map(|stamp| Writer {
                    progress_id: group.id,
                    writer: stamp.writer.to_string(),
                }),
            );
        }
        if writers.is_empty() {
            return Ok(());
        }
        for found in &session.fetch(D::STATEMENTS.stamps, values![to_json(writers)?]).await? {
            let (id, stamp) = row::earlier_stamp::<D>(found)?;
            if let (Some(Ok(locked)), Some(stamp)) = (records.get_mut(&id), stamp) {
                locked.record.stamps.insert(stamp.writer, stamp.seq);
            }
        }
        Ok(())
    }

    async fn write_back<D: Dialect>(
        &self,
        session: &mut Session<'_, D>,
        records: &LockedRecords,
    ) -> Result<(), ProgressError> {
        let changed: Vec<_> = records
            .values()
            .filter_map(|record| record.as_ref().ok().filter(|record| record.is_changed))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let (advanced, others): (Vec<&LoadedRecord>, Vec<&LoadedRecord>) =
            changed.iter().partition(|record| record.is_advance());
        let changes = others.iter().map(|record| record.change()).collect();
        let statements = (D::STATEMENTS.save, D::STATEMENTS.save_many);
        save(session, statements, changes, Change::into_values).await?;
        let advances = advanced.iter().map(|record| record.advance()).collect();
        let statements = (D::STATEMENTS.advance, D::STATEMENTS.advance_many);
        save(session, statements, advances, Advance::into_values).await?;
        let stamps: Vec<_> = changed.iter().flat_map(|record| record.earlier_stamps()).collect();
        save_rows(session, D::STATEMENTS.save_stamps, &stamps).await?;
        let entries: Vec<_> =
            changed.iter().flat_map(|record| record.log_entries(self.log_limit)).collect();
        save_rows(session, D::STATEMENTS.append, &entries).await?;
        let full = changed.iter().filter(|record| record.is_log_full(self.log_limit));
        let full: Vec<_> = full.map(|record| record.record.progress.id).collect();
        if !full.is_empty() {
            let values = values![self.log_limit, to_json(full)?];
            session.fetch(D::STATEMENTS.trim, values).await?;
        }
        Ok(())
    }
}

/// Writes rows back, with plain parameters if there is only one.
async fn save<D: Dialect, Row: Serialize + Send + Sync>(
    session: &mut Session<'_, D>,
    (one, many): (&'static str, &'static str),
    mut rows: Vec<Row>,
    into_values: fn(Row) -> Vec<Value>,
) -> Result<(), ProgressError> {
    if rows.len() > 1 {
        return save_rows(session, many, &rows).await;
    }
    match rows.pop() {
        Some(row) => session.fetch(one, into_values(row)).await.map(drop),
        None => Ok(()),
    }
}

/// Writes any number of rows, by as few statements as should be sent.
async fn save_rows<D: Dialect, Row: Serialize + Sync>(
    session: &mut Session<'_, D>,
    statement: &'static str,
    rows: &[Row],
) -> Result<(), ProgressError> {
    for rows in to_json_arrays(rows, D::MAX_ROWS_LENGTH)? {
        session.fetch(statement, values![rows]).await?;
    }
    Ok(())
}
