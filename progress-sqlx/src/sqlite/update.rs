//! One update, inside a transaction that somebody else begins and ends.

use progress_core::{
    Delta, Progress, ProgressError, ProgressId, ProgressUpdate, Stamp, TotalChange, Transition,
};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};

use super::{row, statements};
use crate::convert;
use crate::error::classify;

/// Does what `Progress::apply` does, to the record in the database. After an error the transaction must be rolled back:
/// a refused update may have left its stamp.
pub(super) async fn apply(
    transaction: &mut SqliteConnection,
    id: ProgressId,
    update: &ProgressUpdate,
    log_limit: u32,
) -> Result<Progress, ProgressError> {
    if let Some(stamp) = update.stamp()
        && !is_new(transaction, id, stamp).await?
    {
        return read(transaction, id).await;
    }
    let changed = change(id, update)?.fetch_optional(&mut *transaction).await.map_err(classify)?;
    let Some(changed) = changed else {
        return explain(transaction, id, update).await;
    };
    let mut progress = row::progress(&changed)?;
    let is_at_work = matches!(update.transition(), Transition::Start | Transition::Advance);
    if is_at_work && !update.is_heartbeat() && progress.is_due_to_complete() {
        progress = fetch(sqlx::query(statements::AUTO_COMPLETE).bind(id.to_string()), transaction)
            .await?
            .ok_or_else(|| ProgressError::store("a job ended while its record was locked"))?;
    }
    append(transaction, &progress, update.delta(), log_limit).await?;
    Ok(progress)
}

/// Keeps the stamp; false when it was kept before.
async fn is_new(
    transaction: &mut SqliteConnection,
    id: ProgressId,
    stamp: Stamp,
) -> Result<bool, ProgressError> {
    let outcome = sqlx::query(statements::STAMP)
        .bind(id.to_string())
        .bind(stamp.writer.to_string())
        .bind(convert::ordered(stamp.seq))
        .execute(transaction)
        .await;
    Ok(outcome.map_err(classify)?.rows_affected() > 0)
}

type Statement = Query<'static, Sqlite, SqliteArguments>;

fn change(id: ProgressId, update: &ProgressUpdate) -> Result<Statement, ProgressError> {
    let delta = update.delta();
    Ok(match update.transition() {
        Transition::Start => with_delta(statements::START, id, delta),
        Transition::Advance if update.is_heartbeat() => {
            sqlx::query(statements::HEARTBEAT).bind(id.to_string())
        }
        Transition::Advance => with_delta(statements::ADVANCE, id, delta),
        Transition::Complete(completion) => {
            let result = completion.result().map(|result| convert::json("result", result));
            with_delta(statements::COMPLETE, id, delta)
                .bind(completion.message().map(str::to_owned))
                .bind(result.transpose()?)
        }
        Transition::Fail(error) => with_delta(statements::FAIL, id, delta).bind(error.clone()),
        Transition::Cancel => with_delta(statements::CANCEL, id, delta),
        Transition::RequestCancel => sqlx::query(statements::REQUEST_CANCEL).bind(id.to_string()),
    })
}

/// The seven parameters that all changes begin with.
fn with_delta(statement: &'static str, id: ProgressId, delta: &Delta) -> Statement {
    let (set, added) = match delta.total() {
        TotalChange::Keep => (None, None),
        TotalChange::Set(total) => (Some(convert::count(total)), None),
        TotalChange::Add(more) => (None, Some(convert::count(more))),
    };
    sqlx::query(statement)
        .bind(id.to_string())
        .bind(convert::count(delta.succeeded()))
        .bind(convert::count(delta.failed()))
        .bind(set)
        .bind(added)
        .bind(delta.message().map(str::to_owned))
        .bind(convert::count(delta.entry_count()))
}

/// Says why the guard let nothing through.
async fn explain(
    transaction: &mut SqliteConnection,
    id: ProgressId,
    update: &ProgressUpdate,
) -> Result<Progress, ProgressError> {
    let progress = read(transaction, id).await?;
    let asks_again = *update.transition() == Transition::RequestCancel && progress.cancel_requested;
    if asks_again && progress.status.is_active() {
        return Ok(progress);
    }
    Err(ProgressError::Refused { id, status: progress.status })
}

async fn append(
    transaction: &mut SqliteConnection,
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
    sqlx::query(statements::APPEND)
        .bind(id.as_str())
        .bind(convert::count(first))
        .bind(progress.observed_at.timestamp_millis())
        .bind(convert::entries(newest))
        .execute(&mut *transaction)
        .await
        .map_err(classify)?;
    // As long as fewer were ever counted, none is too many.
    if progress.last_entry > u64::from(log_limit) {
        sqlx::query(statements::TRIM)
            .bind(id.as_str())
            .bind(i64::from(log_limit))
            .execute(transaction)
            .await
            .map_err(classify)?;
    }
    Ok(())
}

pub(super) async fn read(
    connection: &mut SqliteConnection,
    id: ProgressId,
) -> Result<Progress, ProgressError> {
    fetch(sqlx::query(statements::GET).bind(id.to_string()), connection)
        .await?
        .ok_or(ProgressError::NotFound(id))
}

async fn fetch(
    query: Statement,
    connection: &mut SqliteConnection,
) -> Result<Option<Progress>, ProgressError> {
    let found = query.fetch_optional(connection).await.map_err(classify)?;
    found.as_ref().map(row::progress).transpose()
}
