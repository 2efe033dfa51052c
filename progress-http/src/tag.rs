//! Entity tags (RFC 9110, section 8.8.3).

use std::time::Duration;

use chrono::TimeDelta;
use progress_core::{Progress, Status};

/// Returns the tag of a record's body. The version identifies the content, except for what depends
/// on the time of reading. The creation time tells a record from an earlier one with the same id.
pub(crate) fn of(progress: &Progress, stale_after: Duration) -> String {
    let mut tag = format!("\"{:x}-{}", progress.created_at.timestamp_millis(), progress.version);
    for (shows, suffix) in time_dependent_flags(progress, stale_after).into_iter().zip(SUFFIXES) {
        if shows {
            tag.push_str(suffix);
        }
    }
    tag.push('"');
    tag
}

const SUFFIXES: [&str; 3] = ["-stale", "-stalled", "-quiet"];

/// Returns what depends on the time of reading: whether the record is `stale`, whether it is
/// `stalled`, and whether its `estimated_remaining_time` has become unknown.
fn time_dependent_flags(progress: &Progress, stale_after: Duration) -> [bool; 3] {
    // Without a total or a rate there never was an estimate.
    let had_estimate = progress.remaining().is_some() && progress.rate().is_some();
    let is_quiet = had_estimate && progress.is_quiet();
    [progress.is_stale(stale_after), progress.is_stalled(), is_quiet]
}

/// Returns how long a reader that waits for another tag may rely on the record's version alone.
/// `None` if only a new version can change the tag.
///
/// Without updates, each value that depends on time changes at most once. So bisection finds the
/// first change, to 100 ms. More precision is useless, because a cached record may be older.
pub(crate) fn valid_for(progress: &Progress, stale_after: Duration) -> Option<Duration> {
    const LOOK_AHEAD: i64 = 30_000;
    const PRECISION: i64 = 100;
    if progress.status != Status::Running {
        return None;
    }
    if progress.is_stale(stale_after) {
        // A heartbeat ends this without changing the version.
        return Some(Duration::from_secs(1));
    }
    let now = time_dependent_flags(progress, stale_after);
    let mut later = progress.clone();
    let (mut same, mut other) = (0, LOOK_AHEAD);
    while other - same > PRECISION {
        let middle = i64::midpoint(same, other);
        later.observed_at = progress.observed_at + TimeDelta::milliseconds(middle);
        if time_dependent_flags(&later, stale_after) == now {
            same = middle;
        } else {
            other = middle;
        }
    }
    Some(Duration::from_millis(other.unsigned_abs()))
}

/// Returns the tag of bytes that do not change while the program runs. Builds with different bytes
/// have different tags.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    use std::hash::Hasher;

    // The hash need not resist attacks, because the content is ours.
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(bytes);
    format!("\"{:x}\"", hasher.finish())
}

/// Returns true if `If-None-Match` names this tag. The comparison is weak, as RFC 9110 (section
/// 13.1.2) requires. A value that is no list of tags matches nothing; a full reply is always
/// correct.
pub(crate) fn matches(if_none_match: Option<&str>, tag: &str) -> bool {
    let Some(mut rest) = if_none_match.map(str::trim) else {
        return false;
    };
    if rest == "*" {
        return true;
    }
    while !rest.is_empty() {
        let candidate = rest.strip_prefix("W/").unwrap_or(rest);
        let Some(inside) = candidate.strip_prefix('"') else {
            return false;
        };
        let Some(end) = inside.find('"') else { return false };
        if candidate.get(..end + 2) == Some(tag) {
            return true;
        }
        rest = inside[end + 1..].trim_start();
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start_matches([',', ' ', '\t']),
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_weak_tags_and_the_asterisk_match() {
        let tag = "\"18f-12\"";
        for matching in [
            "\"18f-12\"",
            "W/\"18f-12\"",
            "*",
            " * ",
            "\"a\", \"18f-12\"",
            "\"a,b\" , W/\"18f-12\",\"c\"",
            "\"\",,\"18f-12\"",
        ] {
            assert!(matches(Some(matching), tag), "{matching}");
        }
        for other in [
            "",
            "\"18f-1\"",
            "18f-12",
            "\"18f-12",
            "w/\"18f-12\"",
            "\"18f-12\"x, \"y",
            "*, \"a\"",
            "\"a\" \"18f-12\"",
            "\"é\"",
            ",",
            "W/",
        ] {
            // A tag that matches before the list becomes malformed still counts.
            assert_eq!(matches(Some(other), tag), other.starts_with(tag), "{other}");
        }
        assert!(!matches(None, tag));
    }
}
