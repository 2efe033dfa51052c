use std::io::Read as _;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use progress_core::{Jobs, MemoryStore, NewProgress};
use progress_http::{Answer as Reply, ProgressApi, Request, RequestHeaders, Route, Viewer};

use crate::servers::{
    BEGAN, CANCELLED, COMPLETED, FAILED, Mount, PENDING, PENDING_TO_CANCEL, RUNNING, STALE, THEIRS,
    UNKNOWN, UNOWNED,
};
use crate::wire::{Answer, text};

/// A row of the table: a request, and what both frameworks must answer.
pub(crate) struct Row {
    method: &'static str,
    target: Vec<u8>,
    headers: Vec<Vec<u8>>,
    body: &'static str,
    expected: Expected,
}

struct Expected {
    status: u16,
    headers: Vec<(&'static str, Option<String>)>,
    body: Body,
}

enum Body {
    Any,
    Empty,
    Contains(String),
    /// This text, compressed.
    Gzipped(&'static str),
    /// The problem document for an unknown job, without a reason.
    NotFound,
}

/// A request to the mount point, followed by this path. The viewer is Ann, unless changed.
fn row(method: &'static str, path: impl AsRef<[u8]>, status: u16) -> Row {
    let target = [b"{mount}", path.as_ref()].concat();
    let headers = vec![b"x-viewer: owner:ann".to_vec()];
    Row {
        method,
        target,
        headers,
        body: "",
        expected: Expected { status, headers: vec![], body: Body::Any },
    }
}

fn get(path: impl AsRef<[u8]>, status: u16) -> Row {
    row("GET", path, status)
}

/// The same response, whatever the reason.
fn not_found(method: &'static str, path: impl AsRef<[u8]>) -> Row {
    let row = row(method, path, 404).has("content-type", "application/problem+json").lacks("etag");
    let row = row
        .has("cache-control", "no-store")
        .has("x-content-type-options", "nosniff")
        .lacks("allow");
    if method == "HEAD" {
        row.empty()
    } else {
        Row { expected: Expected { body: Body::NotFound, ..row.expected }, ..row }
    }
}

impl Row {
    fn by(mut self, viewer: &str) -> Self {
        self.headers[0] = format!("x-viewer: {viewer}").into_bytes();
        self
    }

    fn anonymous(mut self) -> Self {
        self.headers.remove(0);
        self
    }

    fn with(mut self, header: impl AsRef<[u8]>) -> Self {
        self.headers.push(header.as_ref().to_vec());
        self
    }

    fn with_body(mut self, body: &'static str) -> Self {
        self.body = body;
        self.with(format!("content-length: {}", body.len()))
    }

    /// Replaces the path under the mount point.
    fn target(mut self, target: impl AsRef<[u8]>) -> Self {
        self.target = target.as_ref().to_vec();
        self
    }

    fn has(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.expected.headers.push((name, Some(value.into())));
        self
    }

    fn lacks(mut self, name: &'static str) -> Self {
        self.expected.headers.push((name, None));
        self
    }

    fn empty(mut self) -> Self {
        self.expected.body = Body::Empty;
        self
    }

    fn says(mut self, part: impl Into<String>) -> Self {
        self.expected.body = Body::Contains(part.into());
        self
    }

    fn gzipped(mut self, content: &'static str) -> Self {
        self.expected.body = Body::Gzipped(content);
        self.has("content-encoding", "gzip")
    }

    pub(crate) fn request(&self, mount: Mount, connection: &str) -> Vec<u8> {
        let mut request = format!("{} ", self.method).into_bytes();
        request.extend(text_replaced(&self.target, mount.path()));
        request.extend(b" HTTP/1.1\r\nhost: shop.example.com\r\n");
        for header in &self.headers {
            request.extend(header);
            request.extend(b"\r\n");
        }
        request.extend(format!("connection: {connection}\r\n\r\n{}", self.body).into_bytes());
        request
    }

    pub(crate) fn name(&self) -> String {
        let headers = self.headers.iter().map(|header| text(header)).collect::<Vec<_>>().join(", ");
        format!("{} {} [{headers}]", self.method, text(&self.target))
    }

    pub(crate) fn is_get(&self) -> bool {
        self.method == "GET"
    }

    pub(crate) fn sends_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// Whether the response may have a body.
    pub(crate) fn has_body(&self) -> bool {
        self.method != "HEAD"
    }

    /// The same request with HEAD.
    pub(crate) fn head(&self) -> Self {
        let expected =
            Expected { status: self.expected.status, headers: vec![], body: Body::Empty };
        let (target, headers) = (self.target.clone(), self.headers.clone());
        Self { method: "HEAD", target, headers, body: self.body, expected }
    }

    /// Describes all that is wrong with a response.
    pub(crate) fn complaints(&self, answer: &Answer) -> Vec<String> {
        let mut complaints = Vec::new();
        if answer.status() != self.expected.status {
            complaints
                .push(format!("status {}, expected {}", answer.status_line, self.expected.status));
        }
        for (name, value) in &self.expected.headers {
            if answer.header(name) != value.as_deref() {
                complaints.push(format!("{name} is {:?}, expected {value:?}", answer.header(name)));
            }
        }
        let body = text(&answer.body);
        let body_is_right = match &self.expected.body {
            Body::Any => true,
            Body::Empty => answer.body.is_empty(),
            Body::Contains(part) => String::from_utf8_lossy(&answer.body).contains(part.as_str()),
            Body::Gzipped(content) => {
                let mut decoded = String::new();
                GzDecoder::new(&*answer.body).read_to_string(&mut decoded).is_ok()
                    && decoded == *content
            }
            Body::NotFound => {
                let document = concat!(
                    r#"{"detail":"there is no such job","status":404,"#,
                    r#""title":"Not Found","type":"about:blank"}"#
                );
                body == document
            }
        };
        if !body_is_right {
            complaints.push(format!("the body is {body:?}"));
        }
        // A body that comes in chunks has no announced length.
        let is_whole = self.has_body()
            && !matches!(answer.status(), 204 | 304)
            && answer.header("transfer-encoding").is_none();
        if is_whole && answer.announced() != answer.body.len() {
            complaints.push(format!(
                "{} bytes announced, {} sent",
                answer.announced(),
                answer.body.len()
            ));
        }
        complaints
    }
}

fn text_replaced(target: &[u8], mount: &str) -> Vec<u8> {
    let Some(at) = target.windows(7).position(|window| window == b"{mount}") else {
        return target.to_vec();
    };
    [&target[..at], mount.as_bytes(), &target[at + 7..]].concat()
}

/// Returns the tag of a record that was created this many seconds after the first one. The version
/// may be followed by a suffix, such as `2-stale`.
fn tag(seconds: i64, version: &str) -> String {
    let (number, suffix) = version.split_at(version.find('-').unwrap_or(version.len()));
    format!("\"{:x}-{number}-{}{suffix}\"", BEGAN + seconds * 1_000, *SETTINGS)
}

/// The part of a tag that stands for the settings: those of the servers are the default ones.
static SETTINGS: LazyLock<String> = LazyLock::new(|| {
    // In a thread, because the tests that ask for it are in a runtime already.
    let reply = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let jobs = Jobs::new(MemoryStore::new());
            let id = jobs.create(NewProgress::new("test")).await.unwrap().id.to_string();
            ProgressApi::new(jobs).poll(&Viewer::Anyone, &id, None).await
        })
    });
    let reply = reply.join().unwrap();
    let tag = reply.header("etag").unwrap().trim_matches('"');
    tag.split('-').nth(2).unwrap().to_owned()
});

/// Returns every row, in order: those at the end change records.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(polls());
    rows.extend(waiting());
    rows.extend(events());
    rows.extend(html());
    rows.extend(clients_that_cannot_read());
    rows.extend(lists_and_logs());
    rows.extend(ids_that_name_nothing());
    rows.extend(methods());
    rows.extend(files());
    rows.extend(page());
    rows.extend(viewers());
    rows.extend(forged_requests());
    rows.extend(changes());
    rows
}

fn polls() -> Vec<Row> {
    let running = tag(61, "3");
    let active = |row: Row| row.has("retry-after", "1").has("cache-control", "no-store");
    let finished = |path: &str, tag: String, status: &str| {
        let row = get(format!("/{path}"), 200).has("etag", tag).lacks("retry-after");
        row.says(format!("\"status\":\"{status}\"")).has("content-type", "application/json")
    };
    let mut rows = vec![
        active(get(format!("/{RUNNING}"), 200)).has("etag", &running).says("\"poll_after_ms\":500"),
        active(get(format!("/{RUNNING}/"), 200)).has("etag", &running),
        active(get(format!("/{RUNNING}?"), 200)),
        active(get(format!("/{RUNNING}?x=%zz%&=&&%ff"), 200)),
        active(get(format!("/{RUNNING}?_=/../%2e%2e/x"), 200)),
        active(get("", 200).target(format!("http://shop.example.com{{mount}}/{RUNNING}"))),
        active(get(format!("/{RUNNING}#not-for-servers"), 200)),
        active(get(format!("/{RUNNING}?{}", "a".repeat(30_000)), 200)),
        active(
            get(format!("/{RUNNING}"), 200).with("range: bytes=0-3\r\naccept-encoding: gzip, br"),
        ),
        active(get(format!("/{PENDING}"), 200))
            .has("etag", tag(60, "1"))
            .says("\"status\":\"pending\""),
        // Silent for a minute: the version is the same, the tag is not.
        active(get(format!("/{STALE}"), 200)).has("etag", tag(0, "2-stale")).says("\"stale\":true"),
        get(format!("/{STALE}"), 200).with(format!("if-none-match: {}", tag(0, "2"))),
        get(format!("/{STALE}"), 304).with(format!("if-none-match: {}", tag(0, "2-stale"))).empty(),
        finished(COMPLETED, tag(61, "4"), "completed").says("\"progress_percentage\":100"),
        finished(FAILED, tag(61, "4"), "failed").says("\"error_message\":\"disk full\""),
        finished(CANCELLED, tag(61, "4"), "cancelled"),
        get(format!("/{COMPLETED}"), 304)
            .with(format!("if-none-match: {}", tag(61, "4")))
            .lacks("retry-after"),
        get(format!("/{UNOWNED}"), 200),
    ];
    for matching in [
        running.clone(),
        format!("W/{running}"),
        format!("\"a\", W/\"b,c\" ,,{running}"),
        "*".to_owned(),
        format!("  {running}\t"),
        format!("\"a\"\r\nif-none-match: {running}"),
        format!("\"a\"\r\nIf-None-Match: \"b\", W/{running}\r\nif-none-match: \"c\""),
        format!("{running}, \u{e9}"),
    ] {
        let row = get(format!("/{RUNNING}"), 304).with(format!("if-none-match: {matching}"));
        rows.push(active(
            row.has("etag", &running).lacks("content-type").lacks("content-length").empty(),
        ));
    }
    let others: [&[u8]; 12] = [
        b"\"a\"",
        b"",
        b"W/",
        b"\"a\", *",
        b"**",
        b"\"",
        b"\"\"",
        b"\xff\xfe",
        b"\"\xe9\"",
        b"\"a\" \"b\"",
        b"*\r\nif-none-match: \"a\"",
        b"\"18bcfe56800-3",
    ];
    for other in others {
        let row = get(format!("/{RUNNING}"), 200).with([b"if-none-match: ", other].concat());
        rows.push(active(row.has("etag", &running)));
    }
    rows.push(active(get(format!("/{RUNNING}"), 200).with(format!("if-none-match: w/{running}"))));
    rows.push(active(
        get(format!("/{RUNNING}"), 200).with(format!("if-none-match: {}", running.to_uppercase())),
    ));
    rows
}

fn waiting() -> Vec<Row> {
    let waits = |path: &str, prefer: &str, status| {
        get(format!("/{path}"), status).with(format!("prefer: {prefer}"))
    };
    let running = format!("if-none-match: {}", tag(61, "3"));
    let earlier = format!("if-none-match: {}", tag(61, "2"));
    vec![
        // The client's tag is not the current one, so there is nothing to wait for.
        waits(RUNNING, "wait=20", 200).with(&earlier).has("preference-applied", "wait=20"),
        waits(RUNNING, "wait=3600", 200).with(&earlier).has("preference-applied", "wait=25"),
        waits(RUNNING, "respond-async, Wait=\"20\"; x", 200)
            .with(&earlier)
            .has("preference-applied", "wait=20"),
        waits(RUNNING, "foo\r\nprefer: wait=7\r\nprefer: wait=9", 200)
            .with(&earlier)
            .has("preference-applied", "wait=7"),
        // Nothing follows from a tag that a proxy has made.
        waits(RUNNING, "wait=1", 200)
            .with("if-none-match: \"a\"")
            .has("preference-applied", "wait=1"),
        waits(COMPLETED, "wait=20", 200).has("preference-applied", "wait=20").lacks("retry-after"),
        waits(COMPLETED, "wait=20", 304).with(format!("if-none-match: {}", tag(61, "4"))),
        waits(RUNNING, "wait=0", 304).with(&running).has("preference-applied", "wait=0"),
        waits(RUNNING, "wait=1", 304)
            .with(&running)
            .has("preference-applied", "wait=1")
            .has("retry-after", "1"),
        waits(RUNNING, "wait=1", 200).has("etag", tag(61, "3")).has("preference-applied", "wait=1"),
        waits(RUNNING, "wait", 304).with(&running).lacks("preference-applied"),
        waits(RUNNING, "wait=-1", 304).with(&running).lacks("preference-applied"),
        waits(RUNNING, "wait=\u{e9}", 304).with(&running).lacks("preference-applied"),
        waits(THEIRS, "wait=20", 404).lacks("preference-applied"),
        waits(UNKNOWN, "wait=20", 404),
        waits("x", "wait=20", 404),
    ]
}

fn events() -> Vec<Row> {
    let last = tag(61, "4");
    let last = last.trim_matches('"');
    let stream = |path: &str| {
        let row = get(format!("/{path}"), 200).has("content-type", "text/event-stream");
        row.has("cache-control", "no-store").lacks("content-length").lacks("etag")
    };
    vec![
        stream(&format!("{COMPLETED}/events")).says("retry: 500\n\n"),
        stream(&format!("{COMPLETED}/events"))
            .says(format!("id: {last}\ndata: {{\"job_id\":\"{COMPLETED}\"")),
        stream(&format!("{COMPLETED}/events/")).says("\"finished\":true"),
        stream(&format!("{FAILED}/events")).with("last-event-id: 1").says("\"status\":\"failed\""),
        stream(&format!("{CANCELLED}/events"))
            .with("last-event-id: ")
            .says("\"status\":\"cancelled\""),
        get(format!("/{COMPLETED}/events"), 204).with(format!("last-event-id: {last}")).empty(),
        not_found("GET", format!("/{THEIRS}/events")),
        not_found("GET", format!("/{UNKNOWN}/events")),
        not_found("GET", "/x/events"),
        row("POST", format!("/{RUNNING}/events"), 405).has("allow", "GET, HEAD, OPTIONS"),
        row("OPTIONS", format!("/{RUNNING}/events"), 204).has("allow", "GET, HEAD, OPTIONS"),
    ]
}

/// A job as HTML: a page, and its part for htmx.
fn html() -> Vec<Row> {
    let known = |seconds: i64, version: &str, kind: &str| {
        format!("\"{}-{kind}\"", tag(seconds, version).trim_matches('"'))
    };
    let (page_tag, part_tag) = (known(61, "3", "page"), known(61, "3", "part"));
    let whole = |path: &str, status| {
        let row = get(format!("/{path}.html"), status).has("vary", "HX-Request");
        row.has("cache-control", "no-store").has("x-content-type-options", "nosniff")
    };
    let with_html = |row: Row| {
        row.has("content-type", "text/html; charset=utf-8")
            .has("referrer-policy", "no-referrer")
            .has(
                "content-security-policy",
                "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'self'",
            )
    };
    let page = |path: &str, status| with_html(whole(path, status));
    let part = |path: &str, status| page(path, status).with("hx-request: true").lacks("refresh");
    let last = |path: &str| part(path, 286).lacks("retry-after");
    let mut rows = vec![
        page(RUNNING, 200).has("refresh", "3").has("etag", &page_tag).says("<!doctype html>"),
        page(RUNNING, 200).with("accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
        page(RUNNING, 200).with("hx-request: false").says("<link rel=\"stylesheet\""),
        page(RUNNING, 200).with(format!("if-none-match: {part_tag}")),
        page(STALE, 200).says("data-state=\"stale\" data-tone=\"warning\""),
        page(COMPLETED, 200)
            .lacks("refresh")
            .says("data-state=\"completed\" data-tone=\"warning\""),
        page(FAILED, 200).lacks("refresh").says("role=\"alert\" dir=\"auto\">disk full</span>"),
        page(CANCELLED, 200).lacks("refresh").says("data-state=\"cancelled\""),
        page(UNOWNED, 200),
        page(RUNNING, 200).by("admin"),
        part(RUNNING, 200).has("etag", &part_tag).says(format!("/{RUNNING}.html\" hx-trigger=")),
        part(RUNNING, 200).says("hx-trigger=\"every 500ms\" hx-target=\"this\""),
        part(RUNNING, 200).with(format!("if-none-match: {page_tag}")),
        part(RUNNING, 200).with("x-forwarded-prefix: /app/").says("hx-get=\"/app/"),
        part(RUNNING, 200).with("x-forwarded-prefix: \"><x, /b").says("hx-get=\"/&quot;&gt;&lt;x/"),
        last(COMPLETED).says("data-state=\"completed\""),
        last(COMPLETED).with(format!("if-none-match: {}", known(61, "4", "part"))),
        last(FAILED).says("data-state=\"failed\""),
        whole(RUNNING, 304)
            .with(format!("if-none-match: {page_tag}"))
            .has("etag", &page_tag)
            .empty(),
        whole(RUNNING, 204)
            .with("hx-request: true")
            .with(format!("if-none-match: {part_tag}"))
            .lacks("content-type")
            .empty(),
        get(format!("/{RUNNING}.html"), 406)
            .with("accept: application/json")
            .says("only text/html is available"),
        row("POST", format!("/{RUNNING}.html"), 405).has("allow", "GET, HEAD, OPTIONS"),
        row("DELETE", format!("/{COMPLETED}.html"), 405).has("allow", "GET, HEAD, OPTIONS"),
        row("OPTIONS", format!("/{RUNNING}.html"), 204).has("allow", "GET, HEAD, OPTIONS"),
        not_found("GET", format!("/{RUNNING}.html/")),
        not_found("GET", format!("/{RUNNING}.HTML")),
        not_found("GET", format!("/{RUNNING}.html/log")),
        get("/progress-html.css", 200).has("content-type", "text/css; charset=utf-8"),
        get("/progress-html.css", 200).anonymous().says("accent-color"),
    ];
    let upper = RUNNING.to_uppercase();
    for id in [THEIRS, UNKNOWN, &upper, "index", "", "%2e%2e", "%00", "%ff", "..%2f"] {
        rows.push(page(id, 404).lacks("etag").lacks("refresh").says("Job not found."));
        rows.push(last(id).lacks("etag").says("role=\"alert\">Job not found."));
    }
    rows.push(page(RUNNING, 404).by("anyone"));
    rows.push(page(RUNNING, 404).by("owner:bob"));
    rows
}

/// A client that does not accept the response is told so first, whether or not there is such a job.
fn clients_that_cannot_read() -> Vec<Row> {
    let mut rows = Vec::new();
    for path in [
        "",
        "/",
        "/active",
        &format!("/{RUNNING}"),
        &format!("/{THEIRS}"),
        "/x",
        &format!("/{RUNNING}/log"),
    ] {
        for accept in [
            "text/html",
            "application/json;q=0, */*",
            "text/event-stream",
            "x",
            "application/xml, image/*",
        ] {
            let row = get(path, 406).with(format!("accept: {accept}")).lacks("etag");
            rows.push(
                row.has("content-type", "application/problem+json")
                    .says("only application/json is available"),
            );
        }
        let found = if path.contains(THEIRS) || path == "/x" { 404 } else { 200 };
        for accept in [
            "",
            "*/*",
            "application/*",
            "text/html\r\naccept: application/json;q=0.1",
            "\u{e9}, */*;q=0.1",
        ] {
            rows.push(get(path, found).with(format!("accept: {accept}")));
        }
    }
    rows.push(row("POST", format!("/{RUNNING}/cancel"), 406).with("accept: text/html"));
    rows.push(get(format!("/{COMPLETED}/events"), 406).with("accept: application/json"));
    rows.push(get(format!("/{COMPLETED}/events"), 200).with("accept: text/event-stream, */*;q=0"));
    rows.push(row("DELETE", format!("/{RUNNING}"), 409).with("accept: text/html"));
    rows.push(get("/progress-polling.js", 200).with("accept: text/html"));
    rows
}

fn lists_and_logs() -> Vec<Row> {
    let page = |path: &str, count: usize| get(path, 200).says(format!("{{\"count\":{count},"));
    // Ann's seven, newest first: the four of one moment by id, the two pending ones, the stale one.
    let after_two = format!("{}.{CANCELLED}", BEGAN + 61_000);
    let mut rows = vec![
        page("", 7).lacks("link").has("cache-control", "no-store"),
        page("/", 7),
        page("//", 7),
        page("?", 7),
        page("/?", 7),
        page("?limit=7", 7).lacks("link"),
        page("?limit=2", 2).has("link", format!("<?limit=2&cursor={after_two}>; rel=\"next\"")),
        page("/?limit=2", 2).has("link", format!("<?limit=2&cursor={after_two}>; rel=\"next\"")),
        page(&format!("?limit=2&cursor={after_two}"), 2),
        page("?limit=2&limit=0&own=%C3%A9+%zz", 2)
            .has("link", format!("<?limit=2&cursor={after_two}>; rel=\"next\"")),
        page("?%6Cimit=2", 2),
        page("/active", 4),
        page("/active/", 4),
        page("/active?limit=1&task_type=import", 1),
        page("?active=true", 4),
        page("?active=false", 3),
        page("?status=completed", 1),
        page("?task_type=no%20such", 0),
        page("?task_type=%ff", 0),
        page(&format!("?ids={RUNNING},{THEIRS},{UNKNOWN},x,%00,{UNOWNED}"), 2),
        page(&format!("?ids={RUNNING}%2C{PENDING}"), 2),
        page("?ids=", 0),
        page("", 9).by("admin"),
        page("", 7).says("\"poll_after_ms\":500}"),
        // Nothing to wait for, and an outdated copy.
        page("", 7).with("prefer: wait=0").has("preference-applied", "wait=0"),
        page("", 7)
            .with("prefer: wait=20\r\nif-none-match: \"list-1\"")
            .has("preference-applied", "wait=20"),
        page("/active", 4)
            .with("prefer: wait=20\r\nif-none-match: \"list-1\"")
            .has("preference-applied", "wait=20"),
        page(&format!("?ids={RUNNING},{UNOWNED}"), 1).by("anyone"),
        get("", 403).by("anyone").has("content-type", "application/problem+json"),
        get("/active", 403).by("anyone"),
    ];
    for bad in [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=%2B1",
        "limit=1.5",
        "limit=",
        "limit=9999999999999999999999",
        "limit=%ff",
        "cursor=",
        "cursor=x",
        "cursor=1.",
        "cursor=%00",
        "status=",
        "status=Running",
        "active=1",
        "active=",
    ] {
        rows.push(get(format!("?{bad}"), 400).has("content-type", "application/problem+json"));
        rows.push(get(format!("/active?{bad}"), 400));
    }
    let hundred_and_one = [UNKNOWN; 101].join(",");
    rows.push(get(format!("?ids={hundred_and_one}"), 400));
    let log = |path: &str, next: u64| {
        get(format!("/{RUNNING}/log{path}"), 200)
            .says(format!("\"next_after\":{next},\"dropped\":0"))
            .lacks("etag")
    };
    rows.extend([
        log("", 3),
        log("/", 3),
        log("?limit=2", 2),
        log("?after=2&limit=2", 3),
        log("?after=3", 3),
    ]);
    rows.push(log("?after=9007199254740993", 9_007_199_254_740_993));
    for bad in ["after=-1", "after=x", "after=", "limit=0", "limit=1001"] {
        rows.push(get(format!("/{RUNNING}/log?{bad}"), 400));
    }
    rows
}

fn ids_that_name_nothing() -> Vec<Row> {
    let braces = format!("{{{RUNNING}}}");
    let urn = format!("urn:uuid:{RUNNING}");
    let upper = RUNNING.to_uppercase();
    let plain = RUNNING.replace('-', "");
    let escaped = RUNNING.replace('a', "%61");
    let long = "a".repeat(4096);
    let ids: Vec<&[u8]> = vec![
        UNKNOWN.as_bytes(),
        THEIRS.as_bytes(),
        braces.as_bytes(),
        urn.as_bytes(),
        upper.as_bytes(),
        plain.as_bytes(),
        escaped.as_bytes(),
        long.as_bytes(),
        b"x",
        b"%00",
        b"%ff",
        b"%",
        b"%2",
        b"%zz",
        b"%2e%2e",
        b"%2e",
        b"..",
        b".",
        b"../x",
        b"x/..",
        b"%2f",
        b"a%2fb",
        b"a/b",
        b"a/b/c/d",
        b"%20",
        b"+",
        b"*",
        b"%25",
        b"%252e",
        b"a;b=c",
        b"a:b@c",
        b"%F0%9F%92%A9",
        b"progress-polling.js%00",
        b"progress-polling.map",
        b"log",
        b"cancel",
        b"Active",
        b"act%69ve",
    ];
    // Not tested: bytes beyond ASCII have no place in a request line (RFC 3986), and the servers
    // handle them before the application does. hyper passes UTF-8 on (the response is 404 then),
    // actix responds with 400 and its own body.
    let mut rows = Vec::new();
    for id in ids {
        let at = |rest: &str| [b"/", id, rest.as_bytes()].concat();
        rows.push(not_found("GET", at("")));
        rows.push(not_found("HEAD", at("")));
        rows.push(not_found("GET", at("/")));
        rows.push(not_found("GET", at("/log")));
        rows.push(not_found("POST", at("/cancel")));
        rows.push(not_found("POST", at("/cancel/")));
        rows.push(not_found("DELETE", at("")));
        rows.push(not_found("GET", at("")).with("if-none-match: *"));
    }
    for path in [
        format!("/{}", "a/".repeat(15_000)),
        format!("//{RUNNING}"),
        format!("/{RUNNING}//"),
        format!("/{RUNNING}//log"),
        format!("/{RUNNING}/log//"),
        format!("/{RUNNING}/log/x"),
        format!("/{RUNNING}/LOG"),
        format!("/{RUNNING}/lo%67"),
        format!("/{RUNNING}%2flog"),
        format!("/{RUNNING}/../{RUNNING}"),
        format!("/./{RUNNING}"),
        "///".to_owned(),
        "/progress-polling.js/log".to_owned(),
        "/active/log".to_owned(),
    ] {
        rows.push(not_found("GET", &path));
    }
    rows
}

fn methods() -> Vec<Row> {
    let resources = [
        (String::new(), "GET, HEAD, OPTIONS"),
        ("/".to_owned(), "GET, HEAD, OPTIONS"),
        ("/active".to_owned(), "GET, HEAD, OPTIONS"),
        (format!("/{RUNNING}"), "GET, HEAD, DELETE, OPTIONS"),
        (format!("/{RUNNING}/"), "GET, HEAD, DELETE, OPTIONS"),
        (format!("/{UNKNOWN}"), "GET, HEAD, DELETE, OPTIONS"),
        (format!("/{RUNNING}/log"), "GET, HEAD, OPTIONS"),
        (format!("/{RUNNING}/cancel"), "POST, OPTIONS"),
        ("/progress-polling.js".to_owned(), "GET, HEAD, OPTIONS"),
    ];
    let mut rows = Vec::new();
    for (path, allow) in &resources {
        rows.push(row("OPTIONS", path, 204).has("allow", *allow).lacks("content-length").empty());
        rows.push(row("OPTIONS", path, 204).has("allow", *allow).anonymous());
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "QUERY", "FOO",
            "get", "Delete", "M-SEARCH", "PRI",
        ] {
            if !allow.split(", ").any(|allowed| allowed == method) {
                let row = row(method, path, 405).has("allow", *allow).lacks("retry-after");
                rows.push(if method == "HEAD" {
                    row.empty()
                } else {
                    row.says("this address allows")
                });
            }
        }
        rows.push(
            row("PUT", path, 405).has("allow", *allow).with_body("{\"status\": \"completed\"}"),
        );
    }
    rows.push(row("OPTIONS", "/a/b/c", 404));
    rows
}

fn files() -> Vec<Row> {
    let mut rows = Vec::new();
    let names = progress_http::widget::FILES.into_iter();
    for (file, name) in names.flat_map(|file| [(file, file.name), (file, file.hashed_name())]) {
        let path = format!("/{name}");
        let cached =
            if name == file.name { "no-cache" } else { "public, max-age=31536000, immutable" };
        let ask =
            |status| get(&path, status).has("cache-control", cached).has("vary", "accept-encoding");
        let fresh = || ask(200).has("content-type", file.content_type);
        let plain = || fresh().lacks("content-encoding").says(file.content);
        let known = |tag: &str| {
            let row = ask(304).with(format!("if-none-match: {tag}")).lacks("content-type");
            row.lacks("content-encoding").lacks("content-length").empty()
        };
        rows.push(plain().has("content-length", file.content.len().to_string()));
        rows.push(get(&path, 200).anonymous());
        rows.push(get(format!("{path}?v=1"), 200));
        rows.push(get(format!("{path}/"), 200));
        rows.push(known("*"));
        rows.push(plain().with("if-none-match: \"a\""));

        for none in ["", "identity", "br, zstd", "gzip;q=0, *", "*;q=0", "gzip;q=x", "\u{e9}"] {
            rows.push(plain().with(format!("accept-encoding: {none}")));
        }
        for gzip in
            ["gzip", "gzip, deflate, br, zstd", "*", "br;q=1.0\r\naccept-encoding: x-gzip;q=0.5"]
        {
            rows.push(fresh().gzipped(file.content).with(format!("accept-encoding: {gzip}")));
        }
        // Each coding has its own tag, and only that of the coding to be sent gives 304.
        let tag_of_plain = format!("\"{}\"", file.integrity().replace("sha384-", ""));
        let tag_of_gzip = etag(&path, "gzip");
        rows.push(plain().has("etag", &tag_of_plain));
        rows.push(
            fresh().gzipped(file.content).with("accept-encoding: gzip").has("etag", &tag_of_gzip),
        );
        rows.push(known(&tag_of_plain).has("etag", &tag_of_plain));
        rows.push(known(&tag_of_gzip).with("accept-encoding: gzip").has("etag", &tag_of_gzip));
        rows.push(known("*").with("accept-encoding: gzip").has("etag", &tag_of_gzip));
        rows.push(plain().with(format!("if-none-match: {tag_of_gzip}")));
        let tag_of_other = format!("if-none-match: {tag_of_plain}");
        rows.push(fresh().gzipped(file.content).with("accept-encoding: gzip").with(tag_of_other));
    }
    rows
}

/// The page with the viewer's jobs: the same for every viewer that the application lets in.
fn page() -> Vec<Row> {
    let page = || {
        get("/list.html", 200)
            .has("content-type", "text/html; charset=utf-8")
            .has("cache-control", "no-cache")
            .has("x-content-type-options", "nosniff")
            .lacks("content-encoding")
            .says("<progress-list page allow-cancel allow-delete></progress-list>")
    };
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
        base-uri 'none'; form-action 'none'; frame-ancestors 'self'; \
        require-trusted-types-for 'script'; trusted-types 'none'";
    let tag = etag_of_page();
    vec![
        page().has("content-security-policy", policy).has("etag", &tag),
        page().by("admin").has("etag", &tag),
        page().by("owner:bob").has("etag", &tag),
        page().by("anyone").has("etag", &tag),
        page().with("accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
        page().with("accept-encoding: gzip, br"),
        page().target("{mount}/list.html?x=%zz"),
        get("/list.html", 304).with(format!("if-none-match: {tag}")).has("etag", &tag).empty(),
        get("/list.html", 401).anonymous().says("please sign in"),
        get("/list.html", 406).with("accept: application/json"),
        row("OPTIONS", "/list.html", 204).has("allow", "GET, HEAD, OPTIONS").empty(),
        row("POST", "/list.html", 405).has("allow", "GET, HEAD, OPTIONS"),
        row("DELETE", "/list.html", 405).has("allow", "GET, HEAD, OPTIONS"),
        not_found("GET", "/list.html/"),
        not_found("GET", "/list.htm"),
        not_found("GET", "/list%2ehtml"),
        not_found("GET", "/list.html/log"),
        not_found("POST", "/list.html/cancel"),
    ]
}

/// The tag of the page, which the viewer does not change.
fn etag_of_page() -> String {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let api = ProgressApi::new(Jobs::new(MemoryStore::new())).with_page();
        let request = Request { method: "GET", path: "/list.html", ..Request::default() };
        let Route::Call(call) = api.route(&request) else { panic!("the page needs a viewer") };
        match runtime.block_on(call.answer(&Viewer::Anyone)) {
            Reply::Whole(page) => page.header("etag").unwrap().to_owned(),
            Reply::Events(..) => panic!("the page is not a stream"),
        }
    })
    .join()
    .unwrap()
}

/// The tag that the routes give to a file in this coding.
fn etag(path: &str, accept_encoding: &str) -> String {
    let headers = RequestHeaders::collect([("accept-encoding", accept_encoding)]);
    let api = ProgressApi::new(Jobs::new(MemoryStore::new()));
    match api.route(&Request { method: "GET", path, headers, ..Request::default() }) {
        Route::Answered(reply) => reply.header("etag").unwrap().to_owned(),
        Route::Call(_) => panic!("{path} should be a file"),
    }
}

fn viewers() -> Vec<Row> {
    let refused = |row: Row| row.anonymous().has("www-authenticate", "Cookie");
    vec![
        refused(get(format!("/{RUNNING}"), 401)).says("please sign in"),
        refused(get("/x", 401)),
        refused(get("", 401)),
        refused(get(format!("/{RUNNING}/log"), 401)),
        refused(row("POST", format!("/{RUNNING}/cancel"), 401)),
        refused(row("DELETE", format!("/{RUNNING}"), 401)),
        row("PUT", format!("/{RUNNING}"), 405).anonymous(),
        get(format!("/{RUNNING}"), 200).by("admin"),
        get(format!("/{THEIRS}"), 200).by("admin"),
        get(format!("/{THEIRS}"), 200).by("owner:bob"),
        get(format!("/{UNOWNED}"), 200).by("anyone"),
        not_found("GET", format!("/{RUNNING}")).by("anyone"),
        not_found("GET", format!("/{RUNNING}/log")).by("owner:bob"),
        not_found("POST", format!("/{RUNNING}/cancel")).by("owner:bob"),
        not_found("DELETE", format!("/{COMPLETED}")).by("owner:bob"),
        not_found("DELETE", format!("/{COMPLETED}")).by("anyone"),
    ]
}

fn forged_requests() -> Vec<Row> {
    let mut rows = Vec::new();
    for (method, path) in
        [("POST", format!("/{RUNNING}/cancel")), ("DELETE", format!("/{COMPLETED}"))]
    {
        for forged in [
            "sec-fetch-site: cross-site",
            "sec-fetch-site: same-site",
            "sec-fetch-site: none\r\nsec-fetch-site: cross-site",
            "sec-fetch-site: cross-site\r\norigin: https://shop.example.com",
            "sec-fetch-site: ",
            "origin: https://evil.example",
            "origin: null",
            "origin: https://shop.example.com:8443",
            "origin: ",
            "origin: https://app.example.com\r\norigin: https://evil.example",
        ] {
            rows.push(row(method, &path, 403).with(forged).says("another site"));
            rows.push(row(method, &path, 403).with(forged).anonymous());
        }
    }
    // A request from another site may read what its viewer may read.
    rows.push(get(format!("/{RUNNING}"), 200).with("sec-fetch-site: cross-site"));
    rows
}

fn changes() -> Vec<Row> {
    let cancel = |id: &str, status| row("POST", format!("/{id}/cancel"), status);
    let delete = |id: &str, status| row("DELETE", format!("/{id}"), status);
    vec![
        delete(RUNNING, 409).says("cancel it first"),
        delete(PENDING, 409),
        cancel(RUNNING, 202).says("\"cancel_requested\":true").lacks("etag"),
        cancel(RUNNING, 202).with_body("{}"),
        Row {
            body: "2\r\n{}\r\n0\r\n\r\n",
            ..cancel(RUNNING, 202).with("transfer-encoding: chunked")
        },
        row("POST", format!("/{RUNNING}/cancel/"), 202).with("sec-fetch-site: same-origin"),
        cancel(RUNNING, 202).with("origin: https://shop.example.com"),
        cancel(RUNNING, 202).with("origin: https://app.example.com\r\nsec-fetch-site: cross-site"),
        get(format!("/{RUNNING}"), 200)
            .with(format!("if-none-match: {}", tag(61, "3")))
            .has("etag", tag(61, "4")),
        cancel(PENDING_TO_CANCEL, 200).says("\"status\":\"cancelled\""),
        cancel(PENDING_TO_CANCEL, 200).says("\"finished\":true"),
        cancel(COMPLETED, 409).has("content-type", "application/problem+json"),
        cancel(FAILED, 409),
        cancel(CANCELLED, 200),
        delete(COMPLETED, 204).lacks("content-type").lacks("content-length").empty(),
        not_found("DELETE", format!("/{COMPLETED}")),
        not_found("GET", format!("/{COMPLETED}")),
        not_found("GET", format!("/{COMPLETED}/log")),
        not_found("POST", format!("/{COMPLETED}/cancel")),
        row("DELETE", format!("/{FAILED}/"), 204).with_body("x"),
        delete(CANCELLED, 204).by("admin"),
        delete(PENDING_TO_CANCEL, 204).with("sec-fetch-site: same-origin"),
        get("", 200).says("{\"count\":3,"),
    ]
}

/// Requests that need the store. While it fails, each gets the same response, without its error.
pub(crate) fn troubled() -> Vec<Row> {
    [
        get(format!("/{RUNNING}"), 503),
        get("", 503),
        get(format!("?ids={RUNNING}"), 503),
        get(format!("/{RUNNING}/log"), 503),
        row("POST", format!("/{RUNNING}/cancel"), 503),
        row("DELETE", format!("/{COMPLETED}"), 503),
    ]
    .map(|row| row.has("content-type", "application/problem+json"))
    .into_iter()
    .chain([
        get(format!("/{RUNNING}.html"), 503).has("refresh", "3"),
        get(format!("/{RUNNING}.html"), 503).with("hx-request: true").lacks("refresh"),
    ])
    .map(|row| row.has("retry-after", "1").says("please try again"))
    .collect()
}

/// Requests that need no store. While it fails, they are answered as usual.
pub(crate) fn untroubled() -> Vec<Row> {
    vec![
        not_found("GET", "/x"),
        get("/progress-polling.js", 200),
        row("OPTIONS", "", 204),
        row("PUT", format!("/{RUNNING}"), 405),
        get("?limit=0", 400),
    ]
}

/// Requests outside the mount point, which the application's wildcard route answers.
pub(crate) fn elsewhere() -> Vec<Row> {
    [
        "/",
        "/jobs",
        "/jobs/",
        "/jobs/progressive",
        "/jobs/progress%2f",
        "/jobs/progress.js",
        "/JOBS/progress",
        "/jobs//progress",
    ]
    .map(|target| get("", 200).target(target).says("the application's own"))
    .into()
}
