use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Path, Request};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::limits::{BODY, BODY_SIZE};
use crate::test_routes::{Answer, TestRoutes};
use crate::viewer::Named;

pub(crate) async fn serve(
    listener: TcpListener,
    routes: TestRoutes,
    is_limited: bool,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let bare = routes.bare.clone();
    let select = routes.clone();
    let app = Router::new()
        .merge(progress_axum::router::<Named, _>("/progress", routes.api.clone()))
        .route("/bare", get(async move || ([(CONTENT_TYPE, "application/json")], bare)))
        .route(
            "/select/{id}",
            get(async move |Path(id): Path<String>| response(select.select(&id).await)),
        )
        .route(
            "/test/{*rest}",
            any(async move |request: Request| response(test(&routes, request).await)),
        );
    if is_limited {
        crate::serve::serve(listener, app, stop).await;
        return Ok(());
    }
    tokio::select! {
        ended = async { axum::serve(listener, app).await } => ended,
        () = stop => Ok(()),
    }
}

async fn test(routes: &TestRoutes, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    match timeout(BODY, to_bytes(body, BODY_SIZE)).await {
        Ok(Ok(body)) => routes.answer(head.method.as_str(), head.uri.path(), &body).await,
        Ok(Err(_)) => Answer::problem(400, "the body is too large or incomplete"),
        Err(_) => Answer::problem(408, "the body took too long to arrive"),
    }
}

fn response(answer: Answer) -> Response {
    let status = axum::http::StatusCode::from_u16(answer.status);
    let status = status.unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, answer.content_type)], answer.body).into_response()
}
