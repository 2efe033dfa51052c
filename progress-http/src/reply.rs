use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::tag;

/// A reply, independent of any framework; an adapter copies it into its framework's type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers: names in lower case, values in visible ASCII.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body; empty if the reply has none.
    pub body: Bytes,
}

/// An error that programs and people can read (RFC 9457).
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct Problem<'a> {
    /// Specific to this occurrence.
    detail: &'a str,
    status: u16,
    /// Summary of the problem type.
    title: &'a str,
    /// `about:blank`, or the address of a section of the documentation that describes the type.
    #[serde(rename = "type")]
    kind: &'a str,
}

/// What tells problems of the same status apart. A client may compare their addresses.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ProblemType {
    /// The status says it all.
    General,
    CrossSite,
    NoOwner,
    Ended,
    Active,
}

impl ProblemType {
    const fn uri(self) -> &'static str {
        match self {
            Self::General => "about:blank",
            Self::CrossSite => "https://docs.rs/progress-http/latest/progress_http/#cross-site",
            Self::NoOwner => "https://docs.rs/progress-http/latest/progress_http/#no-owner",
            Self::Ended => "https://docs.rs/progress-http/latest/progress_http/#job-has-ended",
            Self::Active => "https://docs.rs/progress-http/latest/progress_http/#job-is-active",
        }
    }
}

/// Enough for most records and their headers, without a reallocation.
const BODY_CAPACITY: usize = 1_024;
const HEADERS_CAPACITY: usize = 6;

/// Writes a document as JSON. `None` cannot happen with our own types, whose keys are strings; the
/// page then gets 500.
pub(crate) fn json(document: &impl Serialize) -> Option<Bytes> {
    let mut body = Vec::with_capacity(BODY_CAPACITY);
    match serde_json::to_writer(&mut body, document) {
        Ok(()) => Some(Bytes::from(body)),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "failed to write a reply as JSON"
            );
            None
        }
    }
}

impl Reply {
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::with_capacity(HEADERS_CAPACITY), body: Bytes::new() }
            .with_data_headers()
    }

    /// Builds a JSON document that caches must not store.
    pub(crate) fn json(status: u16, document: &impl Serialize) -> Self {
        Self::document(status, "application/json", document)
    }

    /// Builds an HTML document that caches must not store.
    pub(crate) fn html(status: u16, html: String) -> Self {
        let mut reply = Self::empty(status);
        reply.body = Bytes::from(html);
        reply.with_header("content-type", "text/html; charset=utf-8")
    }

    /// Builds an error, as a problem document (RFC 9457). `detail` is for people, and must not
    /// contain a store's error message.
    pub(crate) fn problem(status: u16, detail: &str) -> Self {
        Self::problem_of(ProblemType::General, status, detail)
    }

    /// As [`problem`](Self::problem) where several problems have the same status.
    pub(crate) fn problem_of(kind: ProblemType, status: u16, detail: &str) -> Self {
        let title = match status {
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            406 => "Not Acceptable",
            409 => "Conflict",
            503 => "Service Unavailable",
            _ => "Error",
        };
        let problem = Problem { detail, status, title, kind: kind.uri() };
        Self::document(status, "application/problem+json", &problem)
    }

    /// The same reply for an id that is malformed, unknown, deleted or owned by another viewer, so
    /// that the client cannot tell which.
    pub(crate) fn not_found() -> Self {
        Self::problem(404, "there is no such job")
    }

    /// The store failed or was too slow; a retry may succeed.
    pub(crate) fn unavailable() -> Self {
        Self::problem(503, "the job store is temporarily unavailable, please try again")
            .with_header("retry-after", "1")
    }

    /// Builds the reply for a file that does not change while the program runs. The caller adds
    /// `cache-control`.
    pub(crate) fn file(
        content_type: &'static str,
        content: Bytes,
        etag: impl Into<Cow<'static, str>>,
        if_none_match: Option<&str>,
    ) -> Self {
        let etag = etag.into();
        let is_known = !etag.is_empty() && tag::matches(if_none_match, &etag);
        let mut reply = Self {
            status: if is_known { 304 } else { 200 },
            headers: vec![("x-content-type-options", Cow::Borrowed("nosniff"))],
            body: if is_known { Bytes::new() } else { content },
        };
        if !is_known {
            reply = reply.with_header("content-type", content_type);
        }
        if etag.is_empty() { reply } else { reply.with_header("etag", etag) }
    }

    pub(crate) fn cached(self, how: &'static str) -> Self {
        self.with_header("cache-control", how)
    }

    fn document(status: u16, content_type: &'static str, document: &impl Serialize) -> Self {
        Self::with_json(status, content_type, json(document))
    }

    /// Builds a reply of JSON that is ready; `None` if the document could not be written.
    pub(crate) fn with_json(status: u16, content_type: &'static str, body: Option<Bytes>) -> Self {
        let Some(body) = body else { return Self::empty(500) };
        Self { status, headers: Vec::with_capacity(HEADERS_CAPACITY), body }
            .with_header("content-type", content_type)
            .with_data_headers()
    }

    fn with_data_headers(self) -> Self {
        self.with_header("cache-control", "no-store")
            .with_header("x-content-type-options", "nosniff")
    }

    pub(crate) fn with_header(
        mut self,
        name: &'static str,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Says that the reply may have been delayed (RFC 7240, section 3).
    pub(crate) fn after_wait(self, wait: Duration) -> Self {
        self.with_header("preference-applied", format!("wait={}", wait.as_secs()))
    }

    /// Returns the reply to the same request made with HEAD: the headers, including the length,
    /// without the body (RFC 9110, section 9.3.2).
    pub(crate) fn without_body(mut self) -> Self {
        if !matches!(self.status, 204 | 304) {
            let length = self.body.len().to_string();
            self = self.with_header("content-length", length);
        }
        self.body = Bytes::new();
        self
    }

    /// Returns the value of a header.
    ///
    /// ```
    /// # use progress_core::{Jobs, MemoryStore};
    /// # let api = progress_http::ProgressApi::new(Jobs::new(MemoryStore::new()));
    /// # use progress_http::{Request, Route};
    /// let request = Request { method: "OPTIONS", path: "/active", ..Default::default() };
    /// let Route::Answered(reply) = api.route(&request) else { panic!("needs no viewer") };
    /// assert_eq!(reply.header("allow"), Some("GET, HEAD, OPTIONS"));
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_ref())
    }
}
