//! Primary result codes of SQLite (<https://sqlite.org/rescode.html>).

use sqlx::error::DatabaseError;

// Those that pass. CORRUPT and NOTADB, say, do not.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NOMEM: i32 = 7;
const READONLY: i32 = 8;
const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const PROTOCOL: i32 = 15;

pub(crate) fn is_passing(code: &str) -> bool {
    matches!(
        primary(code),
        Some(BUSY | LOCKED | NOMEM | READONLY | INTERRUPT | IOERR | FULL | CANTOPEN | PROTOCOL)
    )
}

/// Whether the connection can only read: it was made when the file could not be written, and stays like that.
pub(crate) fn is_read_only(code: &str) -> bool {
    primary(code) == Some(READONLY)
}

/// Whether another connection is in the way right now. PROTOCOL is what is left after a hundred attempts to read a
/// write-ahead log that others are setting up.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(DatabaseError::code)
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
            assert_eq!(is_passing(code), passes, "{code}");
        }
        assert!(is_read_only("8") && is_read_only("1032") && !is_read_only("778"));
    }
}
