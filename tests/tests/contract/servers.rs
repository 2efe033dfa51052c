use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{FromRequest, HttpRequest, HttpResponse};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::DateTime;
use progress_core::testing::{Fault, FaultyStore};
use progress_core::{
    Completion, Delta, Jobs, NewEntry, NewProgress, ProgressId, ProgressStore, ProgressUpdate,
};
use progress_http::{ProgressApi, Viewer};

use crate::frozen::FrozenStore;
use crate::wire::{self, Answer};

/// Where the application mounts the routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mount {
    /// `/progress`, and nothing else.
    Plain,
    /// `/jobs/progress`, inside the application's own `/jobs`, beside its wildcard route.
    BesideWildcard,
    /// `/{team}/progress`, with a team that needs escapes.
    UnderParameter,
}

impl Mount {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Plain => "/progress",
            Self::BesideWildcard => "/jobs/progress",
            Self::UnderParameter => "/caf%C3%A9%20%2f%2541/progress",
        }
    }
}

/// The application's viewer: `x-viewer: owner:ann`, `admin` or `anyone`; without the header, 401.
struct Member(Viewer);

impl Member {
    const UNKNOWN: &str = "please sign in";

    fn from_header(value: Option<&str>) -> Option<Self> {
        match value? {
            "admin" => Some(Self(Viewer::Admin)),
            "anyone" => Some(Self(Viewer::Anyone)),
            value => {
                value.strip_prefix("owner:").map(|owner| Self(Viewer::Owner(owner.to_owned())))
            }
        }
    }
}

impl From<Member> for Viewer {
    fn from(member: Member) -> Self {
        member.0
    }
}

impl<S: Sync> FromRequestParts<S> for Member {
    type Rejection = (axum::http::StatusCode, [(&'static str, &'static str); 1], &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Self::from_header(parts.headers.get("x-viewer").and_then(|value| value.to_str().ok()))
            .ok_or((
                axum::http::StatusCode::UNAUTHORIZED,
                [("www-authenticate", "Cookie")],
                Self::UNKNOWN,
            ))
    }
}

impl FromRequest for Member {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        let viewer = request.headers().get("x-viewer").and_then(|value| value.to_str().ok());
        ready(Self::from_header(viewer).ok_or_else(|| {
            let mut response = HttpResponse::Unauthorized();
            response
                .content_type("text/plain; charset=utf-8")
                .insert_header(("www-authenticate", "Cookie"));
            let response = response.body(Self::UNKNOWN);
            actix_web::error::InternalError::from_response("no viewer", response).into()
        }))
    }
}

const WILDCARD: &str = "the application's own";

/// One server, and the store behind it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) store: Arc<FaultyStore>,
    clock: Arc<FrozenStore>,
}

impl Server {
    async fn new(
        serve: impl AsyncFnOnce(ProgressApi) -> SocketAddr,
        change: fn(ProgressApi) -> ProgressApi,
    ) -> Self {
        let began = DateTime::from_timestamp_millis(BEGAN).unwrap();
        let clock = Arc::new(FrozenStore::new(began));
        let store = Arc::new(FaultyStore::new(clock.clone()));
        // Longer than a test takes, so that the number of reads does not depend on its speed.
        let jobs = Jobs::with_freshness(store.clone(), Duration::from_secs(60));
        let api = ProgressApi::new(jobs).with_trusted_origin("https://app.example.com").with_page();
        let server = Self { address: serve(change(api)).await, store, clock };
        server.fill().await;
        server
    }

    /// Creates the records that the table uses.
    async fn fill(&self) {
        let create = async |id: &str, owner: Option<&str>, task_type: &str| {
            let job = NewProgress::new(task_type)
                .with_id(id.parse().unwrap())
                .with_total(3)
                .with_title("Größe <b>");
            let job = match owner {
                Some(owner) => job.with_owner(owner),
                None => job,
            };
            self.store
                .create(&job.with_metadata(serde_json::json!({"a": [1, "é\u{0}"]})))
                .await
                .unwrap()
                .id
        };
        let update = async |id: ProgressId, update: ProgressUpdate| {
            self.store.update(id, &update).await.unwrap();
        };
        let stale = create(STALE, ANN, "import").await;
        update(stale, ProgressUpdate::start()).await;
        self.clock.wait(60);
        for id in [PENDING, PENDING_TO_CANCEL] {
            create(id, ANN, "import").await;
        }
        self.clock.wait(1);
        for id in [RUNNING, COMPLETED, FAILED, CANCELLED] {
            let id = create(id, ANN, "export").await;
            update(id, ProgressUpdate::start()).await;
            let delta = Delta::new().with_succeeded(1).with_failed(1).with_message("two of three");
            let delta = delta.with_entry(NewEntry::info("one")).with_entry(NewEntry::info("two"));
            let delta = delta.with_entry(NewEntry::error("three <i>é</i>").with_item("CCT123"));
            update(id, ProgressUpdate::advance(delta)).await;
        }
        self.clock.wait(2);
        let completion =
            Completion::new().with_message("done").try_with_result(serde_json::json!({"file": 7}));
        for (id, ending) in [
            (COMPLETED, ProgressUpdate::complete(Delta::new(), completion.unwrap())),
            (FAILED, ProgressUpdate::fail(Delta::new(), "disk full")),
            (CANCELLED, ProgressUpdate::cancel(Delta::new())),
        ] {
            update(id.parse().unwrap(), ending).await;
        }
        create(UNOWNED, None, "public").await;
        create(THEIRS, Some("bob"), "export").await;
    }
}

/// Creation time of the first record: 2023-11-14, in milliseconds.
pub(crate) const BEGAN: i64 = 1_700_000_000_000;
const ANN: Option<&str> = Some("ann");

pub(crate) const STALE: &str = "00000000-0000-4000-8000-000000000001";
pub(crate) const PENDING: &str = "00000000-0000-4000-8000-000000000002";
pub(crate) const RUNNING: &str = "a0000000-0000-4000-8000-00000000000b";
pub(crate) const COMPLETED: &str = "00000000-0000-4000-8000-000000000004";
pub(crate) const FAILED: &str = "00000000-0000-4000-8000-000000000005";
pub(crate) const CANCELLED: &str = "00000000-0000-4000-8000-000000000006";
pub(crate) const UNOWNED: &str = "00000000-0000-4000-8000-000000000007";
pub(crate) const THEIRS: &str = "00000000-0000-4000-8000-000000000008";
pub(crate) const PENDING_TO_CANCEL: &str = "00000000-0000-4000-8000-000000000009";
pub(crate) const UNKNOWN: &str = "00000000-0000-4000-8000-0000000000ff";

/// The same application in both frameworks, on stores with the same content.
pub(crate) struct Both {
    pub(crate) axum: Server,
    pub(crate) actix: Server,
}

impl Both {
    pub(crate) async fn start(mount: Mount) -> Self {
        Self::with_actix_changed(mount, |api| api).await
    }

    /// Changes one server, to show that a difference is detected.
    pub(crate) async fn with_actix_changed(
        mount: Mount,
        change: fn(ProgressApi) -> ProgressApi,
    ) -> Self {
        Self {
            axum: Server::new(async |api| serve_axum(mount, api).await, |api| api).await,
            actix: Server::new(async |api| serve_actix(mount, api), change).await,
        }
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.axum.store.set(fault);
        self.actix.store.set(fault);
    }

    /// Sends a request to both at the same time.
    pub(crate) async fn ask(&self, request: &[u8]) -> (Answer, Answer) {
        tokio::join!(wire::ask(self.axum.address, request), wire::ask(self.actix.address, request))
    }
}

async fn serve_axum(mount: Mount, api: ProgressApi) -> SocketAddr {
    use axum::Router;
    use axum::routing::any;

    let routes = |path| progress_axum::router::<Member, ()>(path, api.clone());
    let app = match mount {
        Mount::Plain => routes("/progress"),
        Mount::BesideWildcard => Router::new()
            .nest("/jobs", routes("/progress"))
            .route("/", any(async || WILDCARD))
            .route("/{*rest}", any(async || WILDCARD)),
        Mount::UnderParameter => routes("/{team}/progress"),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn serve_actix(mount: Mount, api: ProgressApi) -> SocketAddr {
    use actix_web::{App, HttpServer, web};

    let server = HttpServer::new(move || {
        let routes = |path| progress_actix::scope::<Member>(path, api.clone());
        match mount {
            Mount::Plain => App::new().service(routes("/progress")),
            // A scope does not pass on unknown paths, so the application has its own route twice.
            Mount::BesideWildcard => App::new()
                .service(
                    web::scope("/jobs")
                        .service(routes("/progress"))
                        .default_service(web::to(async || WILDCARD)),
                )
                .route("/{rest:.*}", web::to(async || WILDCARD)),
            Mount::UnderParameter => App::new().service(routes("/{team}/progress")),
        }
    });
    let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    tokio::spawn(server.run());
    address
}
