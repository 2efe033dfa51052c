//! What the errors of a driver mean to a caller: try again, or do not.

use progress_core::{BoxError, ProgressError};

/// Whether an error of the driver, not of the database behind it, may be gone the next time.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Io(_)
        | sqlx::Error::WorkerCrashed
        // The connection and SQLite disagree about whether there is a transaction; the next call gets another one.
        | sqlx::Error::InvalidSavePointStatement
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| passing_code(&code)),
        _ => false,
    }
}

/// Sorts an error into "the same call may succeed later" and "it will not".
pub(crate) fn classify(error: sqlx::Error) -> ProgressError {
    if is_passing(&error) { ProgressError::unavailable(error) } else { ProgressError::store(error) }
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

// Primary result codes of SQLite (https://sqlite.org/rescode.html) that pass. CORRUPT and NOTADB, say, do not.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NOMEM: i32 = 7;
const READONLY: i32 = 8;
const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const PROTOCOL: i32 = 15;

fn passing_code(code: &str) -> bool {
    matches!(
        primary(code),
        Some(BUSY | LOCKED | NOMEM | READONLY | INTERRUPT | IOERR | FULL | CANTOPEN | PROTOCOL)
    )
}

/// Whether another connection is in the way right now. PROTOCOL is what is left after a hundred attempts to read a
/// write-ahead log that others are setting up.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| matches!(primary(&code), Some(BUSY | LOCKED | PROTOCOL)))
}

/// The low byte: sqlx hands over extended codes, such as 517 for a kind of BUSY.
fn primary(code: &str) -> Option<i32> {
    code.parse::<i32>().ok().map(|code| code & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_codes_are_sorted_by_their_low_byte() {
        for (code, passes) in [
            ("5", true),
            ("517", true),
            ("13", true),
            ("1032", true),
            ("1", false),
            ("11", false),
            ("26", false),
            ("1555", false),
            ("x", false),
        ] {
            assert_eq!(passing_code(code), passes, "{code}");
        }
    }

    #[test]
    fn a_common_cause_is_told_to_each() {
        let errors: Vec<_> = for_each(classify(sqlx::Error::PoolTimedOut), 3).collect();
        assert_eq!(errors.len(), 3);
        assert!(errors.iter().all(ProgressError::is_transient));
        assert!(for_each(classify(sqlx::Error::RowNotFound), 1).all(|error| !error.is_transient()));
    }
}
