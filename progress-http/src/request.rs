use std::borrow::Cow;

/// What an adapter hands over of a request.
///
/// `path` and `query` are raw, as they stood on the request line: what is decoded, and when, is decided here and not by
/// each framework.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// What follows the mount point: empty, or beginning with a slash.
    pub path: &'a str,
    /// What follows the question mark.
    pub query: Option<&'a str>,
    /// The headers that [`HEADERS`] names.
    pub headers: RequestHeaders<'a>,
}

/// The request headers that matter here, in lower case; an adapter looks up no other.
pub const HEADERS: [&str; 8] = [
    "accept",
    "accept-encoding",
    "host",
    "if-none-match",
    "last-event-id",
    "origin",
    "prefer",
    "sec-fetch-site",
];

/// The values of [`HEADERS`], several lines of one joined by a comma (RFC 9110, section 5.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestHeaders<'a> {
    values: [Option<Cow<'a, str>>; HEADERS.len()],
}

impl<'a> RequestHeaders<'a> {
    /// Collects the headers: `lines` gives the values of a header's lines, in order. A value that is not UTF-8 counts as
    /// one that says nothing we understand.
    ///
    /// ```
    /// use progress_http::RequestHeaders;
    ///
    /// let headers = RequestHeaders::collect(|name| match name {
    ///     "if-none-match" => vec![&b"\"a\""[..], &b"\"b\""[..]],
    ///     _ => vec![],
    /// });
    /// assert_eq!(headers.get("if-none-match"), Some("\"a\", \"b\""));
    /// assert_eq!(headers.get("origin"), None);
    /// ```
    pub fn collect<I: IntoIterator<Item = &'a [u8]>>(lines: impl Fn(&'static str) -> I) -> Self {
        let values = HEADERS.map(|name| {
            // One line, as nearly always, is not copied.
            lines(name)
                .into_iter()
                .map(String::from_utf8_lossy)
                .reduce(|lines, line| lines + ", " + line)
        });
        Self { values }
    }

    /// The value of a header that [`HEADERS`] names.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let index = HEADERS.iter().position(|known| *known == name)?;
        self.values[index].as_deref()
    }
}
