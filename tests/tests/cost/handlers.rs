//! The handlers whose cost is compared, without a socket.

use actix_http::Request as ActixRequest;
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::{App, HttpResponse, test, web};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use progress_core::{Delta, Jobs, MemoryStore, NewProgress, ProgressStore, ProgressUpdate};
use tower_service::Service as _;

/// What a request is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// A handler that does nothing, with a short body.
    Bare,
    /// The same with the headers and the body of a poll, which are ready.
    Ready,
    /// The same with the job's id in the path, as a handler without this library would have it.
    ReadyById,
    /// A handler that does nothing but send the status 304.
    Bare304,
    /// A poll: the page has an older version.
    Poll,
    /// A poll: the page has this version.
    Poll304,
}

pub(crate) const CASES: [Case; 6] =
    [Case::Bare, Case::Ready, Case::ReadyById, Case::Bare304, Case::Poll, Case::Poll304];

const HELLO: &str = "a handler that does nothing but send this text, which is about as long as \
    the answers of small interfaces often are, so that the cost of a body is part of the cost of \
    the handler: two hundred and fifty-eight bytes in all, without any header of its own...";

impl Case {
    fn path(self, job: &str) -> String {
        match self {
            Self::Bare => "/bare".to_owned(),
            Self::Ready => "/ready".to_owned(),
            Self::ReadyById => format!("/ready/{job}"),
            Self::Bare304 => "/bare-304".to_owned(),
            Self::Poll | Self::Poll304 => format!("/progress/{job}"),
        }
    }

    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::Bare | Self::Ready | Self::ReadyById | Self::Poll => 200,
            Self::Bare304 | Self::Poll304 => 304,
        }
    }
}

/// A job that runs, its id, and the tag and the body of a poll.
struct Job {
    jobs: Jobs,
    id: String,
    tag: String,
    body: &'static [u8],
}

impl Job {
    async fn new() -> Self {
        let jobs = Jobs::new(MemoryStore::new());
        let job = NewProgress::new("export").with_total(10_000).with_title("Exporting invoices");
        let id = jobs.create(job).await.unwrap().id;
        let delta = Delta::new().with_succeeded(4_711).with_message("Sent to a@example.com");
        for update in [ProgressUpdate::start(), ProgressUpdate::advance(delta)] {
            jobs.store().update(id, &update).await.unwrap();
        }
        let api = progress_http::ProgressApi::new(jobs.clone());
        let reply = api.poll(&progress_http::Viewer::Anyone, &id.to_string(), None).await;
        let tag = reply.header("etag").unwrap().to_owned();
        Self { jobs, id: id.to_string(), tag, body: reply.body.to_vec().leak() }
    }
}

pub(crate) struct Axum {
    router: Router,
    job: Job,
}

impl Axum {
    pub(crate) async fn new() -> Self {
        let job = Job::new().await;
        let (body, tag) = (job.body, &*job.tag.clone().leak());
        let ready = move || async move {
            let headers = [
                (header::CONTENT_TYPE, "application/json"),
                (header::CACHE_CONTROL, "no-store"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::ETAG, tag),
                (header::RETRY_AFTER, "1"),
            ];
            (headers, body)
        };
        let router = Router::new()
            .route("/bare", get(|| async { HELLO }))
            .route("/ready", get(ready))
            .route("/ready/{id}", get(move |_: axum::extract::Path<String>| ready()))
            .route("/bare-304", get(|| async { StatusCode::NOT_MODIFIED.into_response() }))
            .merge(progress_axum::router::<progress_axum::Anyone, _>("/progress", job.jobs.clone()))
            .with_state(());
        Self { router, job }
    }

    pub(crate) fn request(&self, case: Case) -> Request<Body> {
        let request = Request::get(case.path(&self.job.id)).header("host", "app.example.com");
        let request = if case == Case::Poll304 {
            request.header("if-none-match", &self.job.tag)
        } else {
            request
        };
        request.body(Body::empty()).unwrap()
    }

    pub(crate) async fn answer(&mut self, request: Request<Body>) -> Response {
        self.router.call(request).await.unwrap()
    }
}

type BoxedApp = Box<dyn AppService>;

/// An application of actix-web, whose type cannot be named.
trait AppService {
    fn call(
        &self,
        request: ActixRequest,
    ) -> std::pin::Pin<Box<dyn Future<Output = ServiceResponse> + '_>>;
}

struct App1<S>(S);

impl<S, B> AppService for App1<S>
where
    S: Service<ActixRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody + 'static,
{
    fn call(
        &self,
        request: ActixRequest,
    ) -> std::pin::Pin<Box<dyn Future<Output = ServiceResponse> + '_>> {
        Box::pin(async { self.0.call(request).await.unwrap().map_into_boxed_body() })
    }
}

pub(crate) struct Actix {
    app: BoxedApp,
    job: Job,
}

impl Actix {
    pub(crate) async fn new() -> Self {
        let job = Job::new().await;
        let (body, tag) = (job.body, &*job.tag.clone().leak());
        let ready = move || async move {
            HttpResponse::Ok()
                .insert_header(("content-type", "application/json"))
                .insert_header(("cache-control", "no-store"))
                .insert_header(("x-content-type-options", "nosniff"))
                .insert_header(("etag", tag))
                .insert_header(("retry-after", "1"))
                .body(body)
        };
        let jobs = job.jobs.clone();
        let app = App::new()
            .route("/bare", web::get().to(|| async { HELLO }))
            .service(progress_actix::scope::<progress_actix::Anyone>("/progress", jobs))
            .route("/ready", web::get().to(ready))
            .route("/bare-304", web::get().to(|| async { HttpResponse::NotModified().finish() }))
            // Last, because actix-web tries its regular expression on all paths that come to it.
            .route("/ready/{id}", web::get().to(move |_: web::Path<String>| ready()));
        Self { app: Box::new(App1(test::init_service(app).await)), job }
    }

    pub(crate) fn request(&self, case: Case) -> ActixRequest {
        let request = test::TestRequest::get().uri(&case.path(&self.job.id));
        let request = request.insert_header(("host", "app.example.com"));
        if case == Case::Poll304 {
            request.insert_header(("if-none-match", self.job.tag.as_str())).to_request()
        } else {
            request.to_request()
        }
    }

    pub(crate) async fn answer(&self, request: ActixRequest) -> ServiceResponse {
        self.app.call(request).await
    }
}
