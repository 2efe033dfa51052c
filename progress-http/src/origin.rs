use std::sync::Once;

use crate::reply::ProblemType;
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
/// Browsers send `Sec-Fetch-Site` over https and to this machine only. Over plain http the `Origin`
/// must therefore name the host of `X-Forwarded-Host` or of `Host`. A page of another site cannot
/// set either. A proxy that changes `Host` should send `X-Forwarded-Host`, or the public origin is
/// added to `trusted`. The first refusal for this reason is logged with both names.
///
/// ```
/// use progress_http::{RequestHeaders, refuse_cross_site};
///
/// let from = |name, value: &'static str| RequestHeaders::collect([(name, value)]);
/// assert!(refuse_cross_site(&from("sec-fetch-site", "cross-site"), &[]).is_some());
/// assert!(refuse_cross_site(&from("sec-fetch-site", "same-origin"), &[]).is_none());
/// ```
#[must_use]
pub fn refuse_cross_site(headers: &RequestHeaders<'_>, trusted: &[String]) -> Option<Reply> {
    let origin = headers.get("origin");
    if origin.is_some_and(|origin| trusted.iter().any(|trusted| is_same_origin(trusted, origin))) {
        return None;
    }
    let is_ours = match headers.get("sec-fetch-site") {
        // "none" is a user's own navigation, such as the address bar. "same-site" is another origin
        // of the same site, and not trusted.
        Some(site) => matches!(site, "same-origin" | "none"),
        None => origin.is_none_or(|origin| names_the_host(origin, headers)),
    };
    (!is_ours).then(|| {
        let detail = "this request was made by a page of another site";
        Reply::problem_of(ProblemType::CrossSite, 403, detail)
    })
}

/// Compares an origin that the application has listed. Scheme and host are case-insensitive, and a
/// slash at the end is a usual slip.
fn is_same_origin(trusted: &str, origin: &str) -> bool {
    trusted.trim_end_matches('/').eq_ignore_ascii_case(origin)
}

/// Returns true if the origin is the requested host. The scheme is not compared, because a proxy
/// may terminate TLS.
fn names_the_host(origin: &str, headers: &RequestHeaders<'_>) -> bool {
    // "null" is a sandboxed frame or a cross-site redirect.
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let without_port = |host: &str| {
        let host = host.trim().to_ascii_lowercase();
        host.strip_suffix(default_port).map(str::to_owned).unwrap_or(host)
    };
    let forwarded = headers.get("x-forwarded-host").and_then(|hosts| hosts.split(',').next());
    let origin = without_port(authority);
    let mut hosts = forwarded.into_iter().chain(headers.get("host"));
    if hosts.any(|host| without_port(host) == origin) {
        return true;
    }
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            origin = ?origin,
            host = ?headers.get("host"),
            "refused a request whose Origin is not its Host; if a proxy changes Host, let it send \
             X-Forwarded-Host, or add the origin with `with_trusted_origin`"
        );
    });
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(lines: &[(&'static str, &'static str)]) -> bool {
        let headers = RequestHeaders::collect(lines.iter().copied());
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

    #[test]
    fn the_public_name_counts_behind_a_proxy() {
        let inner = ("host", "127.0.0.1:3000");
        let forwarded = ("x-forwarded-host", "shop.example.com");
        let origin = ("origin", "http://shop.example.com");
        assert!(is_refused(&[inner, origin]));
        assert!(!is_refused(&[inner, forwarded, origin]));
        assert!(!is_refused(&[inner, ("x-forwarded-host", "shop.example.com, proxy"), origin]));
        assert!(is_refused(&[inner, forwarded, ("origin", "http://evil.example")]));
        assert!(is_refused(&[inner, forwarded, origin, ("sec-fetch-site", "cross-site")]));
        // A default port may be written or not.
        for (host, origin) in [
            ("shop.example.com:443", "https://shop.example.com"),
            ("shop.example.com:80", "http://shop.example.com"),
            ("shop.example.com", "https://shop.example.com:443"),
        ] {
            assert!(!is_refused(&[("host", host), ("origin", origin)]), "{host} {origin}");
        }
        assert!(is_refused(&[
            ("host", "shop.example.com:443"),
            ("origin", "http://shop.example.com")
        ]));
    }

    #[test]
    fn trusted_origins_are_compared_as_origins() {
        let trusted = ["https://App.example.com/".to_owned()];
        let lines = [("sec-fetch-site", "cross-site"), ("origin", "https://app.example.com")];
        let headers = RequestHeaders::collect(lines);
        assert!(refuse_cross_site(&headers, &trusted).is_none());
    }
}
