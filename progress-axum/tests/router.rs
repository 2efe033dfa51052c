//! The routes as served by axum over a real socket.
#![allow(clippy::unwrap_used, reason = "a test reports failures by panicking")]

use std::net::SocketAddr;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{get, post};
use progress_axum::{
    Anyone, Jobs, MemoryStore, NewProgress, ProgressId, SameOrigin, Viewer, router_with,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An extractor that needs the application's state, as real ones do.
struct CurrentUser(String);

#[derive(Clone)]
struct App {
    admin: &'static str,
}

impl FromRequestParts<App> for CurrentUser {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, StatusCode> {
        let user = parts.headers.get("x-user").and_then(|user| user.to_str().ok());
        user.map(|user| Self(user.to_owned())).ok_or(StatusCode::UNAUTHORIZED)
    }
}

struct Member(Viewer);

impl FromRequestParts<App> for Member {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, StatusCode> {
        let user = CurrentUser::from_request_parts(parts, app).await?.0;
        Ok(Self(if user == app.admin { Viewer::Admin } else { Viewer::Owner(user) }))
    }
}

impl From<Member> for Viewer {
    fn from(member: Member) -> Self {
        member.0
    }
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Sends a request, and returns the status and the whole response, byte for byte.
async fn ask(address: SocketAddr, line: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

async fn member_server() -> (SocketAddr, Jobs) {
    let jobs = Jobs::new(MemoryStore::new());
    let app = Router::new()
        .route("/{*page}", get(|| async { "the application's own wildcard" }))
        .merge(progress_axum::router::<Member, App>("/jobs/progress", jobs.clone()))
        .with_state(App { admin: "root" });
    (serve(app).await, jobs)
}

#[tokio::test]
async fn the_routes_stand_under_any_path_beside_a_wildcard() {
    let (address, jobs) = member_server().await;
    let id = jobs.create(NewProgress::new("t").with_owner("ann")).await.unwrap().id;
    for (line, user, expected) in [
        (format!("GET /jobs/progress/{id}"), "ann", 200),
        (format!("GET /jobs/progress/{id}/"), "ann", 200),
        (format!("GET /jobs/progress/{id}/log?limit=5"), "ann", 200),
        (format!("GET /jobs/progress/{id}"), "bob", 404),
        (format!("GET /jobs/progress/{id}"), "root", 200),
        ("GET /jobs/progress".to_owned(), "ann", 200),
        ("GET /jobs/progress/".to_owned(), "ann", 200),
        ("GET /jobs/progress/active?limit=1".to_owned(), "ann", 200),
        ("GET /jobs/progress?limit=0".to_owned(), "ann", 400),
        (format!("PUT /jobs/progress/{id}"), "ann", 405),
        (format!("OPTIONS /jobs/progress/{id}"), "ann", 204),
        (format!("POST /jobs/progress/{id}/cancel"), "ann", 200),
        (format!("DELETE /jobs/progress/{id}"), "ann", 204),
        ("GET /jobs/progress/progress-polling.js".to_owned(), "ann", 200),
    ] {
        let (status, answer) = ask(address, &line, &format!("x-user: {user}\r\n")).await;
        assert_eq!(status, expected, "{line}: {answer}");
        assert!(
            answer.contains("x-content-type-options: nosniff"),
            "{line} was not answered by our routes: {answer}"
        );
    }
}

#[tokio::test]
async fn the_rejection_of_the_extractor_is_the_applications_own() {
    let (address, _) = member_server().await;
    assert_eq!(ask(address, &format!("GET /jobs/progress/{}", ProgressId::new()), "").await.0, 401);
    assert_eq!(
        ask(address, "GET /jobs/progress/progress-polling.css", "").await.0,
        200,
        "a file needs no viewer"
    );
}

#[tokio::test]
async fn a_function_may_identify_the_viewer() {
    let jobs = Jobs::new(MemoryStore::new());
    let id = jobs.create(NewProgress::new("t").with_owner("ann")).await.unwrap().id;
    let viewer = |request: &Parts| match request.headers.get("x-user") {
        Some(user) => Viewer::Owner(user.to_str().unwrap().to_owned()),
        None => Viewer::Anyone,
    };
    let app = Router::new().route("/start", post(async |_: SameOrigin| "started"));
    let address = serve(app.merge(router_with("/jobs", jobs, viewer))).await;
    for (headers, status) in [("x-user: ann\r\n", 200), ("x-user: bob\r\n", 404), ("", 404)] {
        assert_eq!(ask(address, &format!("GET /jobs/{id}"), headers).await.0, status, "{headers}");
    }

    let cross_site = "sec-fetch-site: cross-site\r\n";
    for (headers, status) in
        [("", 200), ("sec-fetch-site: same-origin\r\n", 200), (cross_site, 403)]
    {
        let (got, reply) = ask(address, "POST /start", headers).await;
        assert_eq!(got, status, "{reply}");
        assert_eq!(reply.contains("application/problem+json"), status == 403, "{reply}");
    }
}

#[tokio::test]
async fn what_is_no_id_gets_the_same_404_to_the_byte() {
    let (address, jobs) = member_server().await;
    let theirs = jobs.create(NewProgress::new("t").with_owner("bob")).await.unwrap().id;
    let timeless = |answer: String| {
        answer.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n")
    };
    let ann = "x-user: ann\r\n";
    let (status, unknown) =
        ask(address, &format!("GET /jobs/progress/{}", ProgressId::new()), ann).await;
    assert_eq!(status, 404);
    let unknown = timeless(unknown);
    assert!(unknown.contains("application/problem+json"), "{unknown}");
    for id in [
        theirs.to_string(),
        "%00".to_owned(),
        "..".to_owned(),
        "%ff".to_owned(),
        "a".repeat(4096),
        "x".to_owned(),
    ] {
        let (_, answer) = ask(address, &format!("GET /jobs/progress/{id}"), ann).await;
        assert_eq!(timeless(answer), unknown, "{id}");
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_over_the_wire() {
    let jobs = Jobs::new(MemoryStore::new());
    let id = jobs.create(NewProgress::new("t")).await.unwrap().id;
    let address =
        serve(Router::new().merge(progress_axum::router::<Anyone, _>("/progress", jobs))).await;
    for path in [
        format!("/progress/{id}"),
        "/progress/progress-polling.js".to_owned(),
        "/progress/x".to_owned(),
    ] {
        let head_of = |answer: &str| {
            let head = answer.split("\r\n\r\n").next().unwrap_or_default();
            let mut lines: Vec<_> =
                head.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let (_, get) = ask(address, &format!("GET {path}"), "").await;
        let (_, head) = ask(address, &format!("HEAD {path}"), "").await;
        assert_eq!(head_of(&head), head_of(&get), "{path}");
        assert!(head.ends_with("\r\n\r\n") && !get.ends_with("\r\n\r\n"));
    }
    let (_, answer) = ask(address, &format!("GET /progress/{id}"), "").await;
    let etag = answer.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let (status, again) =
        ask(address, &format!("GET /progress/{id}"), &format!("if-none-match: {etag}\r\n")).await;
    assert_eq!(status, 304);
    assert!(again.len() <= 300, "{} bytes: {again}", again.len());
    let (status, bare) =
        ask(address, &format!("HEAD /progress/{id}"), &format!("if-none-match: {etag}\r\n")).await;
    assert_eq!(status, 304);
    assert!(
        !bare.contains("content-length"),
        "the full reply has a body that is not empty: {bare}"
    );
}

#[tokio::test]
async fn a_mount_point_is_whole_segments_and_keeps_empty_ones() {
    let jobs = Jobs::new(MemoryStore::new());
    let id = jobs.create(NewProgress::new("t")).await.unwrap().id;
    let app = Router::new()
        .merge(progress_axum::router::<Anyone, _>("/progress", jobs.clone()))
        .merge(progress_axum::router::<Anyone, _>("/teams/{team}/progress", jobs.clone()))
        .nest("/{language}", progress_axum::router::<Anyone, _>("/progress/", jobs));
    let address = serve(app).await;
    for mount in ["/progress", "/teams/a%2fb%20c/progress", "/caf%C3%A9/progress"] {
        for (path, expected) in [
            (String::new(), 403),
            ("/".to_owned(), 403),
            ("?ids=".to_owned(), 200),
            ("?ids=&limit=0".to_owned(), 400),
            (format!("/{id}"), 200),
            (format!("/{id}/"), 200),
            (format!("//{id}"), 404),
            (format!("/a%2f{id}"), 404),
        ] {
            let (status, answer) = ask(address, &format!("GET {mount}{path}"), "").await;
            assert_eq!(status, expected, "{mount}{path}: {answer}");
        }
    }
    assert!(
        ask(address, "GET /progressive", "").await.1.contains("content-length: 0"),
        "not our route"
    );
}

/// A router cannot be built without a type that identifies the viewer.
#[test]
fn without_a_viewer_it_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile/*.rs");
}
