use std::borrow::Cow;

/// The parts of a request that an adapter passes on.
///
/// `path` and `query` are raw, as on the request line, so that this crate decides what to decode
/// and when, and not each framework.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path up to the mount point, such as `/progress`, which the OpenAPI document and the HTML
    /// of a job name.
    pub mount: &'a str,
    /// The path after the mount point: empty, or beginning with a slash.
    pub path: &'a str,
    /// The text after the question mark.
    pub query: Option<&'a str>,
    /// The headers that [`HEADERS`] lists.
    pub headers: RequestHeaders<'a>,
}

/// The request headers that are used, in lower case; an adapter needs to pass on no others.
pub const HEADERS: [&str; 11] = [
    "accept",
    "accept-encoding",
    "host",
    "hx-request",
    "if-none-match",
    "last-event-id",
    "origin",
    "prefer",
    "sec-fetch-site",
    "x-forwarded-host",
    "x-forwarded-prefix",
];

/// The values of [`HEADERS`]. Several lines of one header are joined by commas (RFC 9110, section
/// 5.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestHeaders<'a> {
    values: [Option<Cow<'a, str>>; HEADERS.len()],
}

impl<'a> RequestHeaders<'a> {
    /// Collects the headers among the lines of a request, which are names in lower case and values.
    /// A value that is not UTF-8 is kept with replacement characters, and then matches nothing.
    ///
    /// ```
    /// use progress_http::RequestHeaders;
    ///
    /// let headers = RequestHeaders::collect([
    ///     ("if-none-match", "\"a\""),
    ///     ("user-agent", "example"),
    ///     ("if-none-match", "\"b\""),
    /// ]);
    /// assert_eq!(headers.get("if-none-match"), Some("\"a\", \"b\""));
    /// assert_eq!(headers.get("origin"), None);
    /// ```
    pub fn collect<V>(lines: impl IntoIterator<Item = (&'a str, &'a V)>) -> Self
    where
        V: AsRef<[u8]> + ?Sized + 'a,
    {
        let mut headers = Self::default();
        for (name, line) in lines {
            let Some(index) = HEADERS.iter().position(|known| *known == name) else { continue };
            // A second pass is needed only for a line that no browser sends.
            let line = std::str::from_utf8(line.as_ref())
                .map_or_else(|_| String::from_utf8_lossy(line.as_ref()), Cow::Borrowed);
            let value = &mut headers.values[index];
            // A single line, the usual case, is not copied.
            *value = Some(match value.take() {
                Some(lines) => lines + ", " + line,
                None => line,
            });
        }
        headers
    }

    /// Sets `host` if the request has no such header: over HTTP/2 the host is in the address
    /// (RFC 9113, section 8.3.1).
    ///
    /// ```
    /// use progress_http::RequestHeaders;
    ///
    /// let headers = RequestHeaders::default().or_host(Some("app.example.com"));
    /// assert_eq!(headers.get("host"), Some("app.example.com"));
    /// assert_eq!(headers.or_host(Some("other")).get("host"), Some("app.example.com"));
    /// ```
    #[must_use]
    #[inline]
    pub fn or_host(mut self, authority: Option<&'a str>) -> Self {
        if let Some(index) = HEADERS.iter().position(|known| *known == "host")
            && self.values[index].is_none()
        {
            self.values[index] = authority.map(Cow::Borrowed);
        }
        self
    }

    /// Returns the value of a header that [`HEADERS`] lists.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let index = HEADERS.iter().position(|known| *known == name)?;
        self.values[index].as_deref()
    }
}
