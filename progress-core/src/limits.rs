//! The limits of a record's contents, applied before any store sees it.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};

use crate::ProgressError;

/// The largest count: 2^53 − 1, the largest integer that a browser reads exactly (ECMA-262,
/// `Number.MAX_SAFE_INTEGER`). Counters stop there.
pub const MAX_COUNT: u64 = (1 << 53) - 1;
/// The maximum length of a title, a task type and an entry's item, in characters.
pub const MAX_TITLE: usize = 200;
/// The maximum length of a message, a completion message and an entry's message, in characters.
pub const MAX_MESSAGE: usize = 500;
/// The maximum length of the public error text, in characters.
pub const MAX_ERROR: usize = 2_000;
/// The maximum length of an owner, in characters. A longer owner is an error, because cutting could
/// make two owners equal.
pub const MAX_OWNER: usize = 200;
/// The maximum size of the metadata and of the result, each, in bytes of compact JSON.
pub const MAX_JSON: usize = 16 * 1024;

/// The maximum number of stages of a job.
pub const MAX_STAGES: usize = 20;
/// The maximum weight of a stage. The minimum is 1.
pub const MAX_STAGE_WEIGHT: u32 = 1_000;

/// The maximum nesting depth of arrays and objects in the metadata and in the result. Deeper JSON
/// could be written but not read back, because serde_json stops at 128.
pub const MAX_JSON_DEPTH: usize = 100;

/// Cuts text to `max` characters, never within one, and replaces NUL by U+FFFD, because PostgreSQL
/// rejects NUL.
pub(crate) fn text(text: impl Into<String>, max: usize) -> String {
    let mut text = text.into();
    if let Some((end, _)) = text.char_indices().nth(max) {
        text.truncate(end);
        // The first 500 characters of a 64 MiB message must not keep 64 MiB allocated.
        text.shrink_to_fit();
    }
    if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text }
}

/// Replaces the content of `buffer` by at most `max` characters of `text`, without an allocation if
/// the buffer is large enough. Unlike [`text`], it keeps NUL.
pub(crate) fn cut_into(buffer: &mut String, text: &str, max: usize) {
    // Each character takes at least one byte.
    let is_short = text.len() <= max;
    let end = if is_short { None } else { text.char_indices().nth(max) };
    buffer.clear();
    buffer.push_str(end.map_or(text, |(end, _)| &text[..end]));
}

/// Caps a count at [`MAX_COUNT`].
pub(crate) const fn count(count: u64) -> u64 {
    if count > MAX_COUNT { MAX_COUNT } else { count }
}

/// Adds two counts, capped at [`MAX_COUNT`].
pub(crate) const fn sum(left: u64, right: u64) -> u64 {
    count(left.saturating_add(right))
}

/// Truncates to whole milliseconds, which every database and every browser keeps exactly.
pub(crate) fn time(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(3)
}

/// Rounds a span to whole milliseconds from 1 ms to 365 days, which every store keeps exactly.
pub(crate) fn span(span: Duration) -> Duration {
    const LONGEST: Duration = Duration::from_secs(365 * 86_400);
    let millis = span.clamp(Duration::from_millis(1), LONGEST).as_millis();
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// Rejects JSON that is too large or too deep, because half a document would be worse than none.
pub(crate) fn json(what: &'static str, value: &serde_json::Value) -> Result<(), ProgressError> {
    // The depth is checked first, because everything else recurses as deep as the document.
    if !is_within(value, MAX_JSON_DEPTH) {
        return Err(ProgressError::invalid(format!(
            "{what} is nested more than {MAX_JSON_DEPTH} levels deep"
        )));
    }
    let text = value.to_string();
    if text.len() > MAX_JSON {
        return Err(ProgressError::invalid(format!(
            "{what} takes {} bytes as JSON; the maximum is {MAX_JSON}",
            text.len()
        )));
    }
    Ok(())
}

fn is_within(value: &serde_json::Value, depth: usize) -> bool {
    use serde_json::Value;
    match value {
        Value::Array(items) => depth > 0 && items.iter().all(|item| is_within(item, depth - 1)),
        Value::Object(fields) => {
            depth > 0 && fields.values().all(|field| is_within(field, depth - 1))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(text("héllo", 2), "hé");
        assert_eq!(text("💡💡💡", 2), "💡💡");
        assert_eq!(text("short", 200), "short");
        assert_eq!(text("a\0b", 3), "a\u{FFFD}b");
        let long = text("e\u{301}".repeat(10_000), MAX_MESSAGE);
        assert_eq!(long.chars().count(), MAX_MESSAGE);
        assert!(long.capacity() < 10_000);
    }

    #[test]
    fn text_that_was_cut_into_a_buffer_is_the_same_text() {
        let long = "e\u{301}".repeat(10_000);
        let mut buffer = String::new();
        let cases = [("short", 200), ("", 3), ("a\0b", 3), (&long, MAX_MESSAGE), ("éé", 3)];
        for (given, max) in cases {
            cut_into(&mut buffer, given, max);
            assert_eq!(text(&*buffer, max), text(given, max));
        }
        assert!(buffer.capacity() < 10_000);
    }

    #[test]
    fn counts_stop_where_browsers_do() {
        assert_eq!(sum(u64::MAX, u64::MAX), MAX_COUNT);
        assert_eq!(sum(MAX_COUNT - 1, 1), MAX_COUNT);
        assert_eq!(sum(MAX_COUNT, 1), MAX_COUNT);
    }

    #[test]
    fn large_json_is_an_error_that_says_the_limit() {
        let error =
            json("metadata", &serde_json::json!("x".repeat(MAX_JSON))).unwrap_err().to_string();
        assert!(error.contains("16384"), "{error}");
        assert!(json("metadata", &serde_json::json!("x".repeat(MAX_JSON - 2))).is_ok());
    }

    #[test]
    fn deep_json_is_refused_before_anything_recurses_into_it() {
        let nested =
            |depth| (0..depth).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
        assert!(json("result", &nested(MAX_JSON_DEPTH)).is_ok());
        let error = json("result", &nested(MAX_JSON_DEPTH + 1)).unwrap_err().to_string();
        assert!(error.contains("100"), "{error}");
        let text = nested(MAX_JSON_DEPTH).to_string();
        assert!(
            serde_json::from_str::<serde_json::Value>(&text).is_ok(),
            "accepted JSON can be read back"
        );
    }
}
