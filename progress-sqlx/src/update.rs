//! One update, inside a transaction that somebody else begins and ends.

use progress_core::{
    Delta, Progress, ProgressError, ProgressId, ProgressUpdate, Stamp, TotalChange, Transition,
};

use crate::dialect::{Dialect, Value, values};
use crate::error::classify;
use crate::{convert, row};

/// How often a change is tried that was refused by a status which the record no longer has when it is read. It can leave
/// a status twice, and a new record can take the place of a deleted one; more often than this is not to be believed.
pub(crate) const LOOKS: usize = 5;

/// Does what `Progress::apply` does, to the record in the database. After an error the transaction must be rolled back:
/// a refused update may have left its stamp.
pub(crate) async fn apply<D: Dialect>(
    transaction: &mut D::Connection,
    id: ProgressId,
    update: &ProgressUpdate,
    log_limit: u32,
) -> Result<Progress, ProgressError> {
    if let Some(stamp) = update.stamp()
        && !is_new::<D>(transaction, id, stamp).await?
    {
        return read::<D>(transaction, id).await;
    }
    for _ in 0..LOOKS {
        if let Some(changed) = change::<D>(transaction, id, update).await? {
            return finish::<D>(transaction, changed, update, log_limit).await;
        }
        if let Some(progress) = explain::<D>(transaction, id, update).await? {
            return Ok(progress);
        }
    }
    Err(ProgressError::unavailable("the record changed faster than it could be read"))
}

/// Keeps the stamp; false when it was kept before.
async fn is_new<D: Dialect>(
    transaction: &mut D::Connection,
    id: ProgressId,
    stamp: Stamp,
) -> Result<bool, ProgressError> {
    let stamp = values![id.to_string(), stamp.writer.to_string(), convert::ordered(stamp.seq)];
    D::stamp(transaction, stamp).await.map_err(classify)
}

async fn change<D: Dialect>(
    transaction: &mut D::Connection,
    id: ProgressId,
    update: &ProgressUpdate,
) -> Result<Option<Progress>, ProgressError> {
    let (statement, values) = statement::<D>(id, update)?;
    let changed = D::change(transaction, statement, values).await.map_err(classify)?;
    changed.as_ref().map(row::progress::<D>).transpose()
}

fn statement<D: Dialect>(
    id: ProgressId,
    update: &ProgressUpdate,
) -> Result<(&'static str, Vec<Value>), ProgressError> {
    let statements = D::STATEMENTS;
    let mut values = with_delta(id, update.delta());
    let statement = match update.transition() {
        Transition::Start => statements.start,
        Transition::Advance if update.is_heartbeat() => {
            return Ok((statements.heartbeat, values![id.to_string()]));
        }
        Transition::Advance => statements.advance,
        Transition::Complete(completion) => {
            let result =
                completion.result().map(|result| convert::json("result", result)).transpose()?;
            values.extend(values![completion.message().map(str::to_owned), result]);
            statements.complete
        }
        Transition::Fail(error) => {
            values.extend(values![error.clone()]);
            statements.fail
        }
        Transition::Cancel => statements.cancel,
        Transition::RequestCancel => {
            return Ok((statements.request_cancel, values![id.to_string()]));
        }
    };
    Ok((statement, values))
}

/// The seven parameters that all changes begin with.
fn with_delta(id: ProgressId, delta: &Delta) -> Vec<Value> {
    let (set, added) = match delta.total() {
        TotalChange::Keep => (None, None),
        TotalChange::Set(total) => (Some(convert::count(total)), None),
        TotalChange::Add(more) => (None, Some(convert::count(more))),
    };
    values![
        id.to_string(),
        convert::count(delta.succeeded()),
        convert::count(delta.failed()),
        set,
        added,
        delta.message().map(str::to_owned),
        convert::count(delta.entry_count()),
    ]
}

/// What belongs to a change beside it.
async fn finish<D: Dialect>(
    transaction: &mut D::Connection,
    mut progress: Progress,
    update: &ProgressUpdate,
    log_limit: u32,
) -> Result<Progress, ProgressError> {
    let is_at_work = matches!(update.transition(), Transition::Start | Transition::Advance);
    if is_at_work && !update.is_heartbeat() && progress.is_due_to_complete() {
        let completed =
            D::change(transaction, D::STATEMENTS.auto_complete, values![progress.id.to_string()])
                .await;
        let completed = completed
            .map_err(classify)?
            .ok_or_else(|| ProgressError::store("a job ended while its record was locked"))?;
        progress = row::progress::<D>(&completed)?;
    }
    append::<D>(transaction, &progress, update.delta(), log_limit).await?;
    Ok(progress)
}

/// Says why the guard let nothing through; `None` when it would now. Without a lock the record may have changed since.
async fn explain<D: Dialect>(
    transaction: &mut D::Connection,
    id: ProgressId,
    update: &ProgressUpdate,
) -> Result<Option<Progress>, ProgressError> {
    let progress = read::<D>(transaction, id).await?;
    if !update.transition().accepted_in(progress.status) {
        return Err(ProgressError::Refused { id, status: progress.status });
    }
    let asks_again = *update.transition() == Transition::RequestCancel && progress.cancel_requested;
    Ok(asks_again.then_some(progress))
}

async fn append<D: Dialect>(
    transaction: &mut D::Connection,
    progress: &Progress,
    delta: &Delta,
    log_limit: u32,
) -> Result<(), ProgressError> {
    // Those that would be trimmed at once are not even written.
    let surplus = delta.entries().len().saturating_sub(log_limit as usize);
    let newest = &delta.entries()[surplus..];
    if newest.is_empty() {
        return Ok(());
    }
    let id = progress.id.to_string();
    let first = (progress.last_entry + 1).saturating_sub(newest.len() as u64);
    // A change that brings entries is one that viewers see: its time is theirs.
    let at = progress.updated_at.timestamp_millis();
    let appended = values![id.clone(), convert::count(first), at, convert::entries(newest)];
    D::execute(transaction, D::STATEMENTS.append, appended).await.map_err(classify)?;
    // As long as fewer were ever counted, none is too many.
    if progress.last_entry > u64::from(log_limit) {
        let kept = values![id, i64::from(log_limit)];
        D::execute(transaction, D::STATEMENTS.trim, kept).await.map_err(classify)?;
    }
    Ok(())
}

pub(crate) async fn read<D: Dialect>(
    connection: &mut D::Connection,
    id: ProgressId,
) -> Result<Progress, ProgressError> {
    let found =
        D::fetch(connection, D::STATEMENTS.get, values![id.to_string()]).await.map_err(classify)?;
    row::progress::<D>(found.first().ok_or(ProgressError::NotFound(id))?)
}
