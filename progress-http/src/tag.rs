//! Entity tags (RFC 9110, section 8.8.3).

use progress_core::Progress;

/// The tag of a record's body. One version of one record has one content, but for `stale`, which no write announces; the
/// time of creation tells a record from an earlier one of the same id.
pub(crate) fn of(progress: &Progress, is_stale: bool) -> String {
    let silence = if is_stale { "-stale" } else { "" };
    format!("\"{:x}-{}{silence}\"", progress.created_at.timestamp_millis(), progress.version)
}

/// The tag of bytes that are the same for as long as the program runs: two builds that differ have different ones.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    use std::hash::Hasher;

    // Not a hash for adversaries: the content is ours.
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(bytes);
    format!("\"{:x}\"", hasher.finish())
}

/// Whether `If-None-Match` names this tag. Compared weakly, as RFC 9110 (section 13.1.2) asks; what cannot be read as a
/// list of tags matches nothing, and the full answer is always a right one.
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
    fn lists_weak_tags_and_the_star_are_understood() {
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
            // A tag that is matched before the list goes wrong still names our content.
            assert_eq!(matches(Some(other), tag), other.starts_with(tag), "{other}");
        }
        assert!(!matches(None, tag));
    }
}
