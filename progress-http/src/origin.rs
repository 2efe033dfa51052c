use crate::{Reply, RequestHeaders};

/// Refuses a state-changing request that a browser makes on behalf of another site: 403, or `None`
/// if the request may pass. The routes of this library call this function. Call it in your own
/// handler that starts a job as well.
///
/// A browser sends the origin of a request in `Sec-Fetch-Site` (W3C, Fetch Metadata Request
/// Headers) and in `Origin` (WHATWG, Fetch). Other programs send neither, and cannot be tricked
/// into sending cookies. `trusted` lists further origins, such as `https://app.example.com`, whose
/// pages may call.
///
/// ```
/// use progress_http::{RequestHeaders, refuse_cross_site};
///
/// let from = |name: &str, value: &'static str| {
///     let name = name.to_owned();
///     RequestHeaders::collect(move |header| (header == name).then_some(value.as_bytes()))
/// };
/// assert!(refuse_cross_site(&from("sec-fetch-site", "cross-site"), &[]).is_some());
/// assert!(refuse_cross_site(&from("sec-fetch-site", "same-origin"), &[]).is_none());
/// ```
#[must_use]
pub fn refuse_cross_site(headers: &RequestHeaders<'_>, trusted: &[String]) -> Option<Reply> {
    let origin = headers.get("origin");
    if origin.is_some_and(|origin| trusted.iter().any(|trusted| trusted == origin)) {
        return None;
    }
    let is_same_origin = match headers.get("sec-fetch-site") {
        // "none" is a user's own navigation, such as the address bar. "same-site" is another origin
        // of the same site, and not trusted.
        Some(site) => matches!(site, "same-origin" | "none"),
        // An old browser: the origin must be the requested host. The scheme is not compared,
        // because a proxy may terminate TLS.
        None => match origin.map(|origin| origin.split_once("://")) {
            Some(Some((_, authority))) => {
                headers.get("host").is_some_and(|host| host.eq_ignore_ascii_case(authority))
            }
            // "null": a sandboxed frame or a cross-site redirect.
            Some(None) => false,
            None => true,
        },
    };
    (!is_same_origin)
        .then(|| Reply::problem(403, "this request was made by a page of another site"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(lines: &[(&'static str, &'static str)]) -> bool {
        let headers = RequestHeaders::collect(|name| {
            lines
                .iter()
                .filter(move |(header, _)| *header == name)
                .map(|(_, value)| value.as_bytes())
        });
        refuse_cross_site(&headers, &["https://app.example.com".to_owned()]).is_some()
    }

    #[test]
    fn only_same_origin_pages_and_programs_pass() {
        let host = ("host", "shop.example.com:8443");
        assert!(!is_refused(&[host]));
        assert!(!is_refused(&[
            host,
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://shop.example.com:8443")
        ]));
        assert!(!is_refused(&[host, ("sec-fetch-site", "none")]));
        assert!(!is_refused(&[host, ("origin", "https://Shop.example.com:8443")]));
        assert!(!is_refused(&[
            host,
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://app.example.com")
        ]));

        assert!(is_refused(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(is_refused(&[host, ("sec-fetch-site", "same-site")]));
        assert!(is_refused(&[
            host,
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://shop.example.com:8443")
        ]));
        assert!(is_refused(&[host, ("sec-fetch-site", "same-origin, cross-site")]));
        assert!(is_refused(&[host, ("origin", "https://evil.example")]));
        assert!(
            is_refused(&[host, ("origin", "https://shop.example.com")]),
            "another port is another origin"
        );
        assert!(is_refused(&[host, ("origin", "null")]));
        assert!(
            is_refused(&[("origin", "https://shop.example.com:8443")]),
            "no host to compare with"
        );
    }
}
