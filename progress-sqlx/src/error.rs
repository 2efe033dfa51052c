//! What the errors of a driver mean to a caller: try again, or do not.

use std::time::Duration;

use progress_core::{BoxError, ProgressError};
use sqlx::error::DatabaseError;

/// Sorts an error into "the same call may succeed later" and "it will not".
pub(crate) fn classify(error: sqlx::Error) -> ProgressError {
    if is_passing(&error) { ProgressError::unavailable(error) } else { ProgressError::store(error) }
}

fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Io(_)
        | sqlx::Error::WorkerCrashed
        // The connection and its database disagree about whether there is a transaction; the next call gets another one.
        | sqlx::Error::InvalidSavePointStatement
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(error) => is_passing_answer(&**error),
        _ => false,
    }
}

/// What a database says that it will not say for ever.
fn is_passing_answer(error: &dyn DatabaseError) -> bool {
    #[cfg(feature = "_sqlite")]
    if let Some(error) = error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
        return error.code().is_some_and(|code| crate::sqlite::codes::is_passing(&code));
    }
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        return crate::postgres::codes::is_passing(error.code());
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return crate::mysql::codes::is_passing(error.number());
    }
    let _ = error;
    false
}

/// Whether the database undid the transaction because of somebody else's, so that it did not happen, and may be repeated
/// at once.
fn is_conflict(source: &BoxError) -> bool {
    let Some(error) = answer(source) else { return false };
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        return crate::postgres::codes::is_conflict(error.code());
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return crate::mysql::codes::is_conflict(error.number());
    }
    let _ = error;
    false
}

/// Whether the database can only be read, as far as the connection knows that was asked.
pub(crate) fn is_read_only(source: &BoxError) -> bool {
    let Some(error) = answer(source) else { return false };
    #[cfg(feature = "_sqlite")]
    if let Some(error) = error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
        return error.code().is_some_and(|code| crate::sqlite::codes::is_read_only(&code));
    }
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        return crate::postgres::codes::is_read_only(error.code());
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return crate::mysql::codes::is_read_only(error.number());
    }
    let _ = error;
    false
}

/// What the database said, if it is the cause.
fn answer(source: &BoxError) -> Option<&dyn DatabaseError> {
    source.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error)
}

/// Lets a transaction be repeated that lost against others, a few times; and once one that met a connection which can only
/// read, for the next one is new.
pub(crate) struct Attempts {
    left: u32,
    has_met_read_only: bool,
}

impl Attempts {
    pub(crate) fn new() -> Self {
        Self { left: 5, has_met_read_only: false }
    }

    /// Returns after a pause, true when there should be another attempt.
    pub(crate) async fn again(&mut self, error: &ProgressError) -> bool {
        // The winner is done within a few round trips.
        const PAUSE: Duration = Duration::from_millis(5);
        let ProgressError::Unavailable(source) = error else { return false };
        let is_first_read_only = is_read_only(source) && !self.has_met_read_only;
        self.has_met_read_only |= is_first_read_only;
        if self.left == 0 || !(is_first_read_only || is_conflict(source)) {
            return false;
        }
        self.left -= 1;
        tokio::time::sleep(PAUSE).await;
        true
    }
}

/// One error for each of several calls that failed together.
pub(crate) fn for_each(error: ProgressError, calls: usize) -> impl Iterator<Item = ProgressError> {
    let is_transient = error.is_transient();
    let cause: BoxError = match error {
        ProgressError::Unavailable(source) | ProgressError::Store(source) => source,
        other => other.into(),
    };
    let cause: std::sync::Arc<dyn std::error::Error + Send + Sync> = cause.into();
    std::iter::repeat_n(cause, calls).map(move |cause| {
        if is_transient { ProgressError::unavailable(cause) } else { ProgressError::store(cause) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_cause_is_told_to_each() {
        let errors: Vec<_> = for_each(classify(sqlx::Error::PoolTimedOut), 3).collect();
        assert_eq!(errors.len(), 3);
        assert!(errors.iter().all(ProgressError::is_transient));
        assert!(for_each(classify(sqlx::Error::RowNotFound), 1).all(|error| !error.is_transient()));
    }
}
