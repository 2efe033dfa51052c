//! Entity tags (RFC 9110, section 8.8.3).

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use chrono::TimeDelta;
use progress_core::{Progress, Status};

use crate::prepared::Settings;

/// Returns the tag of a record's body. The version identifies the content, except for what depends
/// on the time of reading. The creation time tells a record from an earlier one with the same id.
pub(crate) fn of(progress: &Progress, settings: Settings, is_admin: bool) -> String {
    let created = progress.created_at.timestamp_millis();
    let for_viewer = settings.tag | u16::from(is_admin);
    let mut tag = String::with_capacity(CAPACITY);
    // Writing to a string cannot fail.
    let _ = write!(tag, "\"{created:x}-{}-{for_viewer:x}", progress.version);
    for (shows, suffix) in
        time_dependent_flags(progress, settings.stale_after).into_iter().zip(SUFFIXES)
    {
        if shows {
            tag.push_str(suffix);
        }
    }
    tag.push('"');
    tag
}

/// Enough for most tags.
const CAPACITY: usize = 48;

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

/// Returns the tag of a list, which depends on the tags of its records and on the next page. An
/// empty list depends on the settings as well.
pub(crate) fn of_list(
    tags: impl Iterator<Item = impl Hash>,
    next: Option<&str>,
    settings: u16,
) -> String {
    let mut hasher = DefaultHasher::new();
    tags.for_each(|tag| tag.hash(&mut hasher));
    (next, settings).hash(&mut hasher);
    format!("\"list-{:x}\"", hasher.finish())
}

/// Returns a number that stands for the settings and the version of this crate.
pub(crate) fn of_settings(settings: impl Hash) -> u16 {
    let mut hasher = DefaultHasher::new();
    (settings, env!("CARGO_PKG_VERSION")).hash(&mut hasher);
    // The lowest bit is left to the viewer.
    (hasher.finish() & 0xfffe) as u16
}

/// Returns the tag of bytes that do not change while the program runs. Builds with different bytes
/// have different tags.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    // The hash need not resist attacks, because the content is ours.
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("\"{:x}\"", hasher.finish())
}

/// Returns true if `If-None-Match` names this tag. The comparison is weak, as RFC 9110 (section
/// 13.1.2) requires, and overlooks the name of a content coding that a proxy has added. A value
/// that is no list of tags matches nothing; a full reply is always correct.
pub(crate) fn matches(if_none_match: Option<&str>, tag: &str) -> bool {
    if_none_match.is_some_and(|known| {
        // The first, because a page sends back what it got.
        known == tag
            || known.trim() == "*"
            || listed(known).any(|known| known == tag.trim_matches('"'))
    })
}

/// Returns true if a client that sends this `If-None-Match` should wait for another tag: unless it
/// names an earlier tag of the same resource. A tag that is not ours, such as one that a proxy has
/// made, says nothing, and a client that got an answer at once would ask again at once.
pub(crate) fn should_wait(if_none_match: Option<&str>, tag: &str) -> bool {
    matches(if_none_match, tag) || !if_none_match.is_some_and(|known| listed(known).any(is_ours))
}

/// Returns true if [`of`] or [`of_list`] may have made this tag.
fn is_ours(tag: &str) -> bool {
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut parts = tag.split('-');
    match [parts.next(), parts.next(), parts.next()] {
        [Some("list"), Some(hash), None] => is_hex(hash),
        [Some(created), Some(version), Some(settings)] => {
            is_hex(created) && version.parse::<u64>().is_ok() && is_hex(settings)
        }
        _ => false,
    }
}

/// Returns the tags of a list, without quotes and without the suffix of a content coding, up to the
/// first error of syntax. Apache adds `-gzip`, others `--gzip`, `-br` and the like.
fn listed(mut list: &str) -> impl Iterator<Item = &str> {
    const CODINGS: [&str; 4] = ["-gzip", "-br", "-zstd", "-deflate"];
    std::iter::from_fn(move || {
        list = list.trim_start_matches([',', ' ', '\t']);
        let tag = list.strip_prefix("W/").unwrap_or(list).strip_prefix('"')?;
        let (tag, rest) = tag.split_once('"')?;
        let rest = rest.trim_start();
        // After an error of syntax there are no more tags; this one still counts.
        list = if rest.starts_with(',') { rest } else { "" };
        let coded = CODINGS.iter().find_map(|coding| tag.strip_suffix(coding));
        Some(coded.map_or(tag, |tag| tag.strip_suffix('-').unwrap_or(tag)))
    })
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
