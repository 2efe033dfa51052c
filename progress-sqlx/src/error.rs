//! Error classification: what a driver error means to a caller.

use std::fmt;
use std::time::Duration;

use progress_core::{BoxError, ProgressError};
use sqlx::error::DatabaseError;

/// What can be done about a driver error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(any(feature = "postgres", feature = "mysql")),
    allow(dead_code, reason = "SQLite files have no logins and no concurrent writers")
)]
pub(crate) enum Kind {
    /// The same call may succeed later.
    Transient,
    /// The transaction was rolled back in favour of another one: repeat it at once.
    Conflict,
    /// Another session holds a lock for longer than a call waits.
    Locked,
    /// The session is read-only. A new session may be able to write.
    ReadOnly,
    /// This connection is unusable. A new one works.
    Connection,
    /// The server refused the login: a password may be rotating.
    Login,
    /// A table is missing.
    NoTables,
    /// Repeating the call does not help.
    Permanent,
}

const TABLES_MISSING: &str = "the progress tables are missing: \
    call `migrate()` on the store, or run its `migrations_sql()`";

/// Converts a driver error to a store error.
pub(crate) fn classify(error: sqlx::Error) -> ProgressError {
    match kind(&error) {
        Kind::NoTables => ProgressError::setup(TABLES_MISSING),
        Kind::Permanent => ProgressError::store(error),
        _ => ProgressError::unavailable(error),
    }
}

/// Returns the kind of a driver error.
pub(crate) fn kind(error: &sqlx::Error) -> Kind {
    match error {
        sqlx::Error::PoolTimedOut => Kind::Transient,
        // The pool was replaced, and the new one is open.
        sqlx::Error::PoolClosed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed
        // The connection and the database disagree about whether there is a transaction.
        | sqlx::Error::InvalidSavePointStatement
        | sqlx::Error::BeginFailed => Kind::Connection,
        sqlx::Error::Database(error) => kind_of_database_error(&**error),
        _ => Kind::Permanent,
    }
}

fn kind_of_database_error(error: &dyn DatabaseError) -> Kind {
    #[cfg(feature = "_sqlite")]
    if let Some(error) = error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
        return crate::sqlite::codes::kind(&error.code().unwrap_or_default(), error.message());
    }
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        return crate::postgres::codes::kind(error.code(), error.routine());
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return crate::mysql::codes::kind(error.number());
    }
    let _ = error;
    Kind::Permanent
}

/// Returns the kind of the driver error in a store error, or `None` if it contains none.
pub(crate) fn kind_of(error: &ProgressError) -> Option<Kind> {
    let ProgressError::Unavailable(source) = error else { return None };
    source.downcast_ref().map(kind)
}

/// The connection was lost during the commit, so it is unknown whether the transaction took effect.
/// Only the caller knows whether repeating it is harmless.
#[derive(Debug)]
struct CommitUnknown(sqlx::Error);

impl fmt::Display for CommitUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the database did not acknowledge the commit")
    }
}

impl std::error::Error for CommitUnknown {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Like [`classify`], but reports a connection that was lost during a commit as [`CommitUnknown`].
pub(crate) fn classify_commit(error: sqlx::Error) -> ProgressError {
    match kind(&error) {
        Kind::Connection => ProgressError::unavailable(CommitUnknown(error)),
        _ => classify(error),
    }
}

/// Decides whether a call is repeated at once.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    conflicts: u32,
    reconnects: u32,
}

impl Attempts {
    /// Each repetition is less likely to conflict again, so five are enough.
    const MAX_CONFLICTS: u32 = 5;
    /// The transaction that won a conflict ends within a few round trips.
    const CONFLICT_DELAY: Duration = Duration::from_millis(5);

    /// Returns true if there should be another attempt. Pauses first if there was a conflict.
    pub(crate) async fn should_retry(&mut self, error: &ProgressError) -> bool {
        match kind_of(error) {
            Some(Kind::Conflict) if self.conflicts < Self::MAX_CONFLICTS => self.conflicts += 1,
            // Only once: the next attempt gets a new connection.
            Some(Kind::ReadOnly | Kind::Connection | Kind::Login) if self.reconnects == 0 => {
                self.reconnects += 1;
                return true;
            }
            _ => return false,
        }
        tokio::time::sleep(Self::CONFLICT_DELAY).await;
        true
    }
}

/// Returns one error for each of several updates that failed together.
pub(crate) fn error_per_update(error: ProgressError, updates: usize) -> Vec<ProgressError> {
    if updates == 1 {
        return vec![error];
    }
    let wrap: fn(SharedError) -> ProgressError = match &error {
        ProgressError::Unavailable(_) => ProgressError::unavailable,
        _ => ProgressError::store,
    };
    let cause: BoxError = match error {
        ProgressError::Setup(text) => {
            return std::iter::repeat_with(|| ProgressError::Setup(text.clone()))
                .take(updates)
                .collect();
        }
        ProgressError::Unavailable(source) | ProgressError::Store(source) => source,
        other => other.into(),
    };
    std::iter::repeat_n(SharedError::from(cause), updates).map(wrap).collect()
}

type SharedError = std::sync::Arc<dyn std::error::Error + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_update_gets_the_common_error() {
        let errors = error_per_update(classify(sqlx::Error::PoolTimedOut), 3);
        assert_eq!(errors.len(), 3);
        assert!(errors.iter().all(ProgressError::is_transient));
        let errors = error_per_update(classify(sqlx::Error::RowNotFound), 2);
        assert!(errors.iter().all(|error| matches!(error, ProgressError::Store(_))));
        let errors = error_per_update(ProgressError::setup(TABLES_MISSING), 2);
        assert!(errors.iter().all(|error| error.to_string() == TABLES_MISSING));
    }

    #[test]
    fn connection_errors_are_transient() {
        let io = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        for error in [
            io(),
            sqlx::Error::Tls("certificate expired".into()),
            sqlx::Error::Protocol("unexpected packet".to_owned()),
            sqlx::Error::BeginFailed,
            sqlx::Error::PoolClosed,
        ] {
            assert_eq!(kind(&error), Kind::Connection, "{error:?}");
            assert!(classify(error).is_transient());
        }
        assert!(classify_commit(io()).is_transient());
    }

    #[tokio::test]
    async fn a_commit_with_an_unknown_outcome_is_not_repeated() {
        let lost = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        let mut attempts = Attempts::default();
        assert!(!attempts.should_retry(&classify_commit(lost())).await);
        assert!(attempts.should_retry(&classify(lost())).await);
        assert!(!attempts.should_retry(&classify(lost())).await, "only once");
        assert!(!attempts.should_retry(&classify(sqlx::Error::PoolTimedOut)).await);
    }
}
