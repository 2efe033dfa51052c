//! Where the job is read: from a server, or from its store with the same routes in this process.

use std::sync::Arc;
use std::time::Duration;

use progress_core::{Jobs, ProgressId};
use progress_http::{Answer, ProgressApi, Request, RequestHeaders, Route, Viewer};
use ureq::http;

/// How long a request may take, besides the time that it asks the server to wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest reply that is read. A record has at most about 50 KiB, a page of a log 2 MiB.
const LONGEST_REPLY: u64 = 4 << 20;

/// A job and the way to it.
#[derive(Clone)]
pub(crate) enum Source {
    Http(Arc<Http>),
    Store(ProgressApi, ProgressId),
}

pub(crate) struct Http {
    agent: ureq::Agent,
    /// The address up to the id, and its query.
    base: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
}

/// A request about the job.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) is_post: bool,
    /// What follows the id in the path, such as `/cancel`.
    pub(crate) suffix: &'static str,
    pub(crate) query: Option<String>,
    pub(crate) if_none_match: Option<String>,
    /// How long the server should wait for a change, in seconds.
    pub(crate) wait: Option<u64>,
}

/// The parts of a reply that matter here.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) retry_after: Option<u64>,
    /// Whether the server has waited for a change.
    pub(crate) waited: bool,
    pub(crate) body: Vec<u8>,
}

impl Source {
    /// # Errors
    ///
    /// Says what is wrong with an argument, without repeating it, because it may hold a secret.
    pub(crate) fn http(address: &str, headers: &[String]) -> Result<Self, String> {
        if !(address.starts_with("http://") || address.starts_with("https://")) {
            let expected = "the job is an address that begins with http:// or https://";
            return Err(format!("{expected}, or an id if --database is given"));
        }
        let address = address.split('#').next().unwrap_or_default();
        let (base, query) = match address.split_once('?') {
            Some((base, query)) => (base, Some(query.to_owned())),
            None => (address, None),
        };
        let base = base.trim_end_matches('/').to_owned();
        base.parse::<http::Uri>().map_err(|_| "the address of the job is malformed")?;
        let headers = headers.iter().map(|header| {
            let (name, value) = header.split_once(':')?;
            let (name, value) = (name.trim(), value.trim());
            name.parse::<http::HeaderName>().ok()?;
            value.parse::<http::HeaderValue>().ok()?;
            Some((name.to_owned(), value.to_owned()))
        });
        let headers: Option<Vec<_>> = headers.collect();
        let headers = headers.ok_or("a header is written as 'Name: value'")?;
        // A redirect leads to a page that asks for a password, so it is not followed, and the
        // headers stay with this server.
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(PATIENCE))
            .build()
            .into();
        Ok(Self::Http(Arc::new(Http { agent, base, query, headers })))
    }

    /// # Errors
    ///
    /// Says why the store cannot be opened, without its address.
    pub(crate) async fn store(database: &str, id: &str) -> Result<Self, String> {
        let id = id.parse().map_err(|_| "with --database, the job is an id: a UUID")?;
        // A typing error must not create an empty database.
        let is_file = database.starts_with("sqlite:") && !database.contains('?');
        let database = if is_file { format!("{database}?mode=rw") } else { database.to_owned() };
        let store = progress_sqlx::connect_any(&database).await;
        let store = store.map_err(|error| format!("--database: {error}"))?;
        Ok(Self::Store(ProgressApi::new(Jobs::new(store)), id))
    }

    /// # Errors
    ///
    /// Says why there is no reply.
    pub(crate) async fn send(&self, call: Call) -> Result<Reply, String> {
        match self {
            Self::Http(server) => {
                let server = server.clone();
                let reply = tokio::task::spawn_blocking(move || server.send(&call)).await;
                let reply = reply.map_err(|error| error.to_string())?;
                reply.map_err(|error| format!("no reply from the server: {error}"))
            }
            Self::Store(api, id) => Ok(ask(api, *id, &call).await),
        }
    }
}

impl Http {
    fn send(&self, call: &Call) -> Result<Reply, ureq::Error> {
        let query: Vec<_> = self.query.iter().chain(&call.query).map(String::as_str).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let address = format!("{}{}{mark}{}", self.base, call.suffix, query.join("&"));
        let mut request = http::Request::builder()
            .method(if call.is_post { "POST" } else { "GET" })
            .uri(address)
            .header("accept", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(tag) = &call.if_none_match {
            request = request.header("if-none-match", tag);
        }
        if let Some(wait) = call.wait {
            request = request.header("prefer", format!("wait={wait}"));
        }
        let request = request.body(())?;
        let patience = PATIENCE + Duration::from_secs(call.wait.unwrap_or(0));
        let request = self.agent.configure_request(request).timeout_global(Some(patience)).build();
        let mut reply = self.agent.run(request)?;
        let body = reply.body_mut().with_config().limit(LONGEST_REPLY).read_to_vec()?;
        let header = |name: &str| {
            let value = reply.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        Ok(Reply {
            status: reply.status().as_u16(),
            etag: header("etag"),
            retry_after: header("retry-after").and_then(|seconds| seconds.trim().parse().ok()),
            waited: header("preference-applied").is_some(),
            body,
        })
    }
}

/// Answers the call with the routes of progress-http, as an operator, who may see every job.
async fn ask(api: &ProgressApi, id: ProgressId, call: &Call) -> Reply {
    let wait = call.wait.map(|wait| format!("wait={wait}"));
    let lines = [("if-none-match", call.if_none_match.as_deref()), ("prefer", wait.as_deref())];
    let lines = lines.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let headers = RequestHeaders::collect(lines);
    let request = Request {
        method: if call.is_post { "POST" } else { "GET" },
        path: &format!("/{id}{}", call.suffix),
        query: call.query.as_deref(),
        headers,
        ..Request::default()
    };
    let reply = match api.route(&request) {
        Route::Answered(reply) => reply,
        Route::Call(call) => match call.answer(&Viewer::Admin).await {
            Answer::Whole(reply) | Answer::Events(reply, _) => reply,
        },
    };
    Reply {
        status: reply.status,
        etag: reply.header("etag").map(str::to_owned),
        retry_after: reply.header("retry-after").and_then(|seconds| seconds.parse().ok()),
        waited: reply.header("preference-applied").is_some(),
        body: reply.body.to_vec(),
    }
}
