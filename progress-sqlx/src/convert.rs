//! Values on their way to a database: what fits into its signed 64-bit integers and its text.

use std::time::Duration;

use progress_core::limits::MAX_COUNT;
use progress_core::{NewEntry, ProgressError};
use serde_json::Value;

/// A count, stopped where records stop.
pub(crate) fn count(count: u64) -> i64 {
    whole(count.min(MAX_COUNT))
}

/// A number that is only compared with counts: beyond them, any large number will do.
pub(crate) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A span in whole milliseconds. Rounding down is exact: times are whole milliseconds, so "longer ago than 1.5 ms" and
/// "longer ago than 1 ms" are the same times.
pub(crate) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A stamp's number, all 64 bits of it, as a signed integer of the same order: 0 becomes the smallest.
pub(crate) fn ordered(seq: u64) -> i64 {
    (seq ^ (1 << 63)).cast_signed()
}

/// JSON as text.
///
/// # Errors
///
/// [`ProgressError::Invalid`] when the text could not be read back: serde_json writes any depth and reads 127.
pub(crate) fn json(what: &'static str, value: &Value) -> Result<String, ProgressError> {
    let text = value.to_string();
    match serde_json::from_str::<Value>(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(ProgressError::invalid(format!("{what} is nested deeper than 127 levels"))),
    }
}

/// Entries as one JSON array, so that one statement inserts them all.
pub(crate) fn entries(entries: &[NewEntry]) -> String {
    let rows = entries.iter().map(|entry| {
        Value::from(vec![Some(entry.level().as_str()), entry.item(), Some(entry.message())])
    });
    Value::Array(rows.collect()).to_string()
}

/// Words or ids as one JSON array, so that one literal statement takes any number of them.
pub(crate) fn list(items: impl Iterator<Item = impl ToString>) -> String {
    Value::from(items.map(|item| item.to_string()).collect::<Vec<_>>()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_stamps_keep_their_order() {
        let numbers = [0, 1, 2, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX];
        assert!(numbers.map(ordered).is_sorted_by(|left, right| left < right));
        assert_eq!((ordered(0), ordered(u64::MAX)), (i64::MIN, i64::MAX));
    }

    #[test]
    fn nothing_overflows() {
        assert_eq!(millis(Duration::MAX), i64::MAX);
        assert_eq!(millis(Duration::from_micros(1_999)), 1);
        assert_eq!(count(u64::MAX), 9_007_199_254_740_991);
        assert_eq!(whole(u64::MAX), i64::MAX);
    }

    #[test]
    fn json_that_could_not_be_read_back_is_refused() {
        let nested = |levels| (0..levels).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        assert!(json("metadata", &nested(127)).is_ok());
        assert!(matches!(json("metadata", &nested(128)), Err(ProgressError::Invalid(_))));
    }
}
