//! The parameters of statements: signed 64-bit integers, and text.

use std::time::Duration;

/// Collects the parameters of a statement, in order.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::value::Value::from($value)),*]
    };
}
pub(crate) use values;

/// A parameter. Only integers and text are ever bound.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
}

macro_rules! from {
    ($($type:ty => $variant:ident($make:expr)),* $(,)?) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant($make(value))
            }
        })*
    };
}

from! {
    i64 => Integer(Some),
    Option<i64> => Integer(std::convert::identity),
    u32 => Integer(|number| Some(i64::from(number))),
    bool => Integer(|flag| Some(i64::from(flag))),
    u64 => Integer(|number| Some(to_i64(number))),
    Option<u64> => Integer(|number: Option<u64>| number.map(to_i64)),
    String => Text(Some),
    &str => Text(|text: &str| Some(text.to_owned())),
    Option<String> => Text(std::convert::identity),
    Option<&str> => Text(|text: Option<&str>| text.map(str::to_owned)),
}

/// Converts a count to a signed integer. Counts stop far below its limit; larger values are only
/// compared.
pub(crate) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Converts a duration to whole milliseconds. Rounding down is exact, because times are whole
/// milliseconds.
pub(crate) fn to_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Converts a stamp's 64-bit number to a signed integer of the same order: 0 becomes the smallest.
pub(crate) fn to_ordered(seq: u64) -> i64 {
    (seq ^ (1 << 63)).cast_signed()
}

/// The inverse of [`to_ordered`].
pub(crate) fn from_ordered(seq: i64) -> u64 {
    seq.cast_unsigned() ^ (1 << 63)
}

/// Converts rows to one JSON array, so that one literal statement takes any number of them.
pub(crate) fn to_json(rows: impl serde::Serialize) -> Result<String, progress_core::ProgressError> {
    serde_json::to_string(&rows).map_err(progress_core::ProgressError::store)
}

/// Converts rows to JSON arrays of at most `limit` bytes. A row that is longer has one for itself.
pub(crate) fn to_json_arrays<Row: serde::Serialize>(
    rows: &[Row],
    limit: usize,
) -> Result<Vec<String>, progress_core::ProgressError> {
    let mut arrays: Vec<String> = Vec::new();
    for row in rows {
        let row = to_json(row)?;
        match arrays.last_mut() {
            // With a comma, and the bracket at the end.
            Some(array) if array.len() + row.len() + 2 <= limit => {
                array.push(',');
                array.push_str(&row);
            }
            _ => arrays.push(format!("[{row}")),
        }
    }
    arrays.iter_mut().for_each(|array| array.push(']'));
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_hold_as_many_rows_as_fit() {
        let arrays = |limit| to_json_arrays(&["a", "b", "long one", "c", "d"], limit).unwrap();
        let all = r#"["a","b","long one","c","d"]"#;
        assert_eq!(arrays(usize::MAX), [all]);
        assert_eq!(arrays(all.len()), [all]);
        assert_eq!(arrays(all.len() - 1), [r#"["a","b","long one","c"]"#, r#"["d"]"#]);
        assert_eq!(arrays(9), [r#"["a","b"]"#, r#"["long one"]"#, r#"["c","d"]"#]);
        assert_eq!(arrays(0).len(), 5);
        assert!(to_json_arrays::<u8>(&[], 9).unwrap().is_empty());
    }

    #[test]
    fn converted_sequence_numbers_keep_their_order() {
        let numbers = [0, 1, 2, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX];
        assert!(numbers.map(to_ordered).is_sorted_by(|left, right| left < right));
        assert_eq!(numbers.map(|number| from_ordered(to_ordered(number))), numbers);
        assert_eq!((to_ordered(0), to_ordered(u64::MAX)), (i64::MIN, i64::MAX));
    }

    #[test]
    fn conversions_do_not_overflow() {
        assert_eq!(to_millis(Duration::MAX), i64::MAX);
        assert_eq!(to_millis(Duration::from_micros(1_999)), 1);
        assert_eq!(to_i64(u64::MAX), i64::MAX);
    }
}
