//! Result codes of SQLite (<https://sqlite.org/rescode.html>).

use sqlx::error::DatabaseError;

use crate::error::Kind;

pub(crate) fn kind(code: &str, message: &str) -> Kind {
    // Other codes, such as CORRUPT and NOTADB, are permanent.
    match primary(code) {
        Some(ERROR) if message.starts_with("no such table: progress_") => Kind::NoTables,
        Some(READONLY) => Kind::ReadOnly,
        Some(BUSY | LOCKED | NOMEM | INTERRUPT | IOERR | FULL | CANTOPEN | PROTOCOL) => {
            Kind::Transient
        }
        _ => Kind::Permanent,
    }
}

const ERROR: i32 = 1;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NOMEM: i32 = 7;
/// The connection was opened while the file could not be written, and stays read-only.
const READONLY: i32 = 8;
const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const PROTOCOL: i32 = 15;

/// Whether another connection holds the lock at the moment. PROTOCOL is the result of a hundred
/// failed attempts to read a write-ahead log that others are setting up.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(DatabaseError::code)
        .is_some_and(|code| matches!(primary(&code), Some(BUSY | LOCKED | PROTOCOL)))
}

/// Returns the low byte, because sqlx reports extended codes, such as 517 for a kind of BUSY.
fn primary(code: &str) -> Option<i32> {
    code.parse::<i32>().ok().map(|code| code & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_codes_are_classified_by_their_low_byte() {
        for code in ["5", "517", "13", "9", "10", "14"] {
            assert_eq!(kind(code, ""), Kind::Transient, "{code}");
        }
        for code in ["8", "1032"] {
            assert_eq!(kind(code, ""), Kind::ReadOnly, "{code}");
        }
        for code in ["1", "11", "26", "1555", "x"] {
            assert_eq!(kind(code, "no such column"), Kind::Permanent, "{code}");
        }
        assert_eq!(kind("1", "no such table: progress_records"), Kind::NoTables);
        assert_eq!(kind("1", "no such table: invoices"), Kind::Permanent);
    }
}
