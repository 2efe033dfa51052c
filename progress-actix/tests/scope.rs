//! What is specific to actix-web: where the routes can be mounted, and which part of a path they
//! get. The `tests` crate shows over real sockets that the replies equal those of progress-axum.
#![allow(clippy::unwrap_used, reason = "a test reports failures by panicking")]

use std::future::Future;
use std::pin::Pin;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::{DefaultHeaders, NormalizePath};
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, Error, FromRequest, HttpRequest, Scope, error, guard, web};
use progress_actix::{
    Anyone, Jobs, MemoryStore, NewProgress, ProgressId, SameOrigin, Viewer, scope, scope_with,
};

/// An extractor that needs the application's data, and time, as real ones do.
struct Member(Viewer);

struct Admin(&'static str);

impl FromRequest for Member {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            actix_web::rt::task::yield_now().await;
            let user = request.headers().get("x-user").and_then(|user| user.to_str().ok());
            let user = user.ok_or_else(|| error::ErrorUnauthorized("please sign in"))?;
            let admin = request.app_data::<web::Data<Admin>>().unwrap().0;
            Ok(Self(if user == admin { Viewer::Admin } else { Viewer::Owner(user.to_owned()) }))
        })
    }
}

impl From<Member> for Viewer {
    fn from(member: Member) -> Self {
        member.0
    }
}

async fn ask(app: Scope, method: &str, path: &str) -> ServiceResponse {
    let app = App::new().app_data(web::Data::new(Admin("root"))).service(app);
    let app = init_service(app.route("/{rest:.*}", web::to(async || "elsewhere"))).await;
    let request =
        TestRequest::with_uri(path).method(Method::from_bytes(method.as_bytes()).unwrap());
    call_service(&app, request.insert_header(("x-user", "ann")).to_request())
        .await
        .map_into_boxed_body()
}

fn no_jobs() -> Jobs {
    Jobs::new(MemoryStore::new())
}

async fn one_job() -> (Jobs, ProgressId) {
    let jobs = no_jobs();
    let id = jobs.create(NewProgress::new("t").with_owner("ann")).await.unwrap().id;
    (jobs, id)
}

#[actix_web::test]
async fn the_scope_stands_under_any_path() {
    for (mount, address) in [
        ("/progress", "/progress"),
        ("progress", "/progress"),
        ("/progress/", "/progress"),
        ("/a/b/c", "/a/b/c"),
        ("/teams/{team}/progress", "/teams/7/progress"),
        ("/teams/{team}/progress", "/teams/a%20%2f%2541%c3%a9%ff/progress"),
        ("/größe", "/gr%C3%B6%C3%9Fe"),
        ("/{a}-{b:\\d+}/x", "/%41-7/x"),
        ("/", ""),
        ("", ""),
    ] {
        for (method, path, expected) in [
            ("GET", "/{id}", 200),
            ("GET", "/{id}/", 200),
            ("GET", "/{id}?a=/b/c", 200),
            ("GET", "/{id}/log", 200),
            ("GET", "/", 200),
            ("GET", "/active", 200),
            ("PUT", "/{id}", 405),
            ("GET", "//{id}", 404),
            ("GET", "/a%2f{id}", 404),
            ("DELETE", "/{id}", 409),
            ("POST", "/{id}/cancel", 200),
            ("DELETE", "/{id}", 204),
        ] {
            // One store per request, so that earlier requests have no effect.
            let (jobs, id) = one_job().await;
            if (method, expected) == ("DELETE", 204) {
                jobs.cancel(id).await.unwrap();
            }
            let path = format!("{address}{}", path.replace("{id}", &id.to_string()));
            let response = ask(scope::<Member>(mount, jobs), method, &path).await;
            assert_eq!(response.status().as_u16(), expected, "{method} {path} at {mount:?}");
            assert_ne!(read_body(response).await, "elsewhere", "{method} {path} at {mount:?}");
        }
    }
}

#[actix_web::test]
async fn a_mount_point_is_whole_segments() {
    let (jobs, _) = one_job().await;
    for path in ["/progressive", "/progress.js", "/progress%2fx", "/Progress/x", "/x/progress"] {
        let response = ask(scope::<Member>("/progress", jobs.clone()), "GET", path).await;
        assert_eq!(read_body(response).await, "elsewhere", "{path}");
    }
}

#[actix_web::test]
async fn it_is_a_scope_like_any_other() {
    let (jobs, id) = one_job().await;
    let routes = scope::<Member>("/progress", jobs)
        .guard(guard::Header("x-user", "ann"))
        .wrap(DefaultHeaders::new().add(("x-app", "ours")))
        .wrap(NormalizePath::trim());
    let app = App::new()
        .app_data(web::Data::new(Admin("root")))
        .service(web::scope("/{team}").service(routes));
    let app = init_service(app).await;
    let request = TestRequest::with_uri(&format!("/%C3%A9/progress//{id}//"))
        .insert_header(("x-user", "ann"));
    let response = call_service(&app, request.to_request()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers().get("x-app").unwrap(), "ours");
    let request =
        TestRequest::with_uri(&format!("/7/progress/{id}")).insert_header(("x-user", "root"));
    assert_eq!(
        call_service(&app, request.to_request()).await.status(),
        404,
        "the guard refuses it"
    );
}

#[actix_web::test]
async fn the_error_of_the_extractor_is_the_applications_own() {
    let (jobs, id) = one_job().await;
    let app =
        App::new().app_data(web::Data::new(Admin("root"))).service(scope::<Member>("/p", jobs));
    let app = init_service(app).await;
    let response =
        call_service(&app, TestRequest::with_uri(&format!("/p/{id}")).to_request()).await;
    assert_eq!(response.status(), 401);
    assert!(response.response().error().is_some(), "the application's middleware sees it");
    assert_eq!(read_body(response).await, "please sign in");
    let request = TestRequest::with_uri("/p/progress-polling.css");
    assert_eq!(
        call_service(&app, request.to_request()).await.status(),
        200,
        "a file needs no viewer"
    );
}

#[actix_web::test]
async fn a_function_may_identify_the_viewer() {
    let (jobs, id) = one_job().await;
    let viewer = |request: &HttpRequest| match request.headers().get("x-user") {
        Some(user) => Viewer::Owner(user.to_str().unwrap().to_owned()),
        None => Viewer::Anyone,
    };
    let app = App::new().route("/start", web::post().to(async |_: SameOrigin| "started"));
    let app = init_service(app.service(scope_with("/jobs", jobs, viewer))).await;
    for (user, status) in [("ann", 200), ("bob", 404)] {
        let request = TestRequest::with_uri(&format!("/jobs/{id}"));
        let request = request.insert_header(("x-user", user)).to_request();
        assert_eq!(call_service(&app, request).await.status(), status, "{user}");
    }
    for (site, status) in [("same-origin", 200), ("none", 200), ("cross-site", 403)] {
        let request = TestRequest::post().uri("/start");
        let request = request.insert_header(("sec-fetch-site", site)).to_request();
        assert_eq!(call_service(&app, request).await.status(), status, "{site}");
    }
}

#[actix_web::test]
async fn head_announces_a_length_and_sends_nothing() {
    let (_, id) = one_job().await;
    let get = ask(scope::<Anyone>("/p", no_jobs()), "GET", &format!("/p/{id}")).await;
    let head = ask(scope::<Anyone>("/p", no_jobs()), "HEAD", &format!("/p/{id}")).await;
    let BodySize::Sized(length) = get.response().body().size() else { panic!("a known length") };
    assert!(length > 0);
    assert_eq!(head.response().body().size(), BodySize::Sized(length));
    assert_eq!(read_body(head).await, "");
}

/// A scope cannot be built without a type that identifies the viewer.
#[test]
fn without_a_viewer_it_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile/*.rs");
}
