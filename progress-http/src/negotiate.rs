//! The preferences that a client sends: how long it would wait (RFC 7240), which media types it
//! accepts (RFC 9110, section 12.5.1) and which content codings (section 12.5.3).

use std::time::Duration;

/// The longest delay of a reply, whatever the client asks for, because proxies give up after 30 s
/// or more.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(25);

/// Returns the `wait` of a `Prefer` header, at most [`MAX_WAIT`]. The first one counts, and an
/// unreadable value is ignored (RFC 7240, section 2).
pub(crate) fn wait(prefer: Option<&str>) -> Option<Duration> {
    let value = elements(prefer?, ',').find_map(|preference| {
        // Parameters follow a semicolon; `wait` has none.
        let preference = elements(preference, ';').next()?;
        let (name, value) = preference.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then_some(value.trim())
    })?;
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // A number too large to parse exceeds the maximum as well.
    Some(value.parse().map_or(MAX_WAIT, Duration::from_secs).min(MAX_WAIT))
}

/// Returns true if a client that sends this `Accept` header accepts a media type. The most specific
/// range that matches decides. Parameters other than the weight are ignored.
pub(crate) fn accepts(accept: Option<&str>, media_type: &str) -> bool {
    let Some(accept) = accept.map(str::trim).filter(|accept| !accept.is_empty()) else {
        return true;
    };
    // What scripts send, most of the time.
    if accept == "*/*" || accept == media_type {
        return true;
    }
    let (family, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    let weights = elements(accept, ',').filter_map(|range| {
        let mut parts = elements(range, ';');
        let range = parts.next()?.trim().to_ascii_lowercase();
        let specificity = match range.strip_suffix("/*") {
            _ if range == media_type => 2,
            Some("*") => 0,
            Some(known) if known == family => 1,
            _ => return None,
        };
        // Any spelling of zero refuses; an unreadable weight does not.
        let is_refused = weight(parts).is_some_and(|weight| weight.parse() == Ok(0.0_f32));
        Some((specificity, !is_refused))
    });
    weights.max().is_some_and(|(_, is_accepted)| is_accepted)
}

/// Returns true if a client that sends this `Accept-Encoding` header prefers gzip to identity, or
/// likes both equally. Falls back to identity for an unparsable header, even if identity is
/// refused.
pub(crate) fn prefers_gzip(accept_encoding: Option<&str>) -> bool {
    let weight_of = |names: &[&str]| {
        elements(accept_encoding?, ',').find_map(|element| {
            let mut parts = elements(element, ';');
            let coding = parts.next()?.trim();
            let is_meant = names.iter().any(|name| coding.eq_ignore_ascii_case(name));
            is_meant
                .then(|| weight(parts).map_or(1.0, |weight| valid_weight(weight).unwrap_or(0.0)))
        })
    };
    // `*` stands for every coding that is not named.
    let others = weight_of(&["*"]);
    let gzip = weight_of(&["gzip", "x-gzip"]).or(others).unwrap_or(0.0);
    // Unless it is named, identity is only the fallback.
    let identity = weight_of(&["identity"]).or(others).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity
}

/// Returns the weight among the parameters of an element (RFC 9110, section 12.4.2), unparsed.
fn weight<'a>(mut parameters: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    })
}

fn valid_weight(weight: &str) -> Option<f32> {
    weight.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))
}

/// Splits a list at the separator, except inside quotes.
fn elements(list: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    list.split(move |character| {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => return character == separator && !is_quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_preference_is_parsed() {
        for (prefer, seconds) in [
            ("wait=10", Some(10)),
            ("Wait = 10", Some(10)),
            ("wait=\"10\"", Some(10)),
            ("respond-async, wait=10", Some(10)),
            ("foo=\"a, wait=3\", wait=10", Some(10)),
            ("foo=\"\\\", wait=3\", wait=10", Some(10)),
            ("wait=10; x=y, wait=3", Some(10)),
            ("wait=0", Some(0)),
            ("wait=25", Some(25)),
            ("wait=26", Some(25)),
            ("wait=99999999999999999999999999", Some(25)),
            ("wait", None),
            ("wait=", None),
            ("wait=-1", None),
            ("wait=+1", None),
            ("wait=1.5", None),
            ("wait=soon", None),
            ("await=1", None),
            ("\"wait=1", None),
            ("", None),
            (",,;=", None),
        ] {
            assert_eq!(wait(Some(prefer)), seconds.map(Duration::from_secs), "{prefer}");
        }
        assert_eq!(wait(None), None);
    }

    #[test]
    fn accept_selects_the_media_type() {
        for (accept, expected) in [
            ("", true),
            ("*/*", true),
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/*", true),
            ("text/html, */*;q=0.1", true),
            ("application/json;q=0.001", true),
            ("application/json;q=0, */*", false),
            ("application/json; Q=0.000", false),
            ("application/json;q=x", true),
            ("*/*;q=0", false),
            ("application/*;q=0, application/json", true),
            ("text/html", false),
            ("text/*, image/png", false),
            ("application/problem+json", false),
            ("application/jsonx", false),
            ("nonsense", false),
            ("text/html;x=\",application/json\"", false),
        ] {
            assert_eq!(accepts(Some(accept), "application/json"), expected, "{accept}");
        }
        assert!(accepts(None, "application/json"));
    }

    #[test]
    fn accept_encoding_selects_gzip() {
        for (accept_encoding, expected) in [
            ("gzip", true),
            ("GZIP", true),
            ("x-gzip", true),
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", true),
            ("deflate , gzip ; Q=0.001", true),
            ("gzip;q=1.000", true),
            ("*", true),
            ("*;q=0.5", true),
            ("identity;q=0, *", true),
            ("identity;q=0.5, gzip;q=0.5", true),
            ("gzip, *;q=0", true),
            ("br, gzip;q=0.2, identity;q=0.1", true),
            (",, gzip ,", true),
            ("gzip;level=9;q=0.5", true),
            ("", false),
            ("identity", false),
            ("br", false),
            ("gzip;q=0", false),
            ("gzip; q = 0.000", false),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("identity, gzip;q=0.5", false),
            ("identity, *;q=0.5", false),
            ("gzip;q=0.5, *", false),
            // The client refuses both, so it gets identity, the fallback.
            ("gzip;q=0, identity;q=0", false),
            ("identity;q=0", false),
            ("gzip;q=", false),
            ("gzip;q=x", false),
            ("gzip;q=x, *", false),
            ("gzip;q=-1", false),
            ("gzip;q=2", false),
            ("gzip;q=NaN", false),
            ("gzip;q=inf", false),
            ("gzipped", false),
            ("gzip=1", false),
            ("gzip br", false),
            ("\"gzip\"", false),
            ("br;x=\",gzip\"", false),
            ("\u{e9}", false),
            (",;=", false),
        ] {
            assert_eq!(prefers_gzip(Some(accept_encoding)), expected, "{accept_encoding}");
        }
        assert!(!prefers_gzip(None));
    }
}
