use std::net::TcpListener;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, Uri};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use progress_axum::Anyone;
use tokio::sync::oneshot;

use crate::served::{POLICY, SCRIPT, Served};

/// Serves until it is told to stop. Then the runtime ends, and every connection with it.
pub(crate) fn serve(listener: TcpListener, served: Served, stop: oneshot::Receiver<()>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        tokio::select! {
            outcome = axum::serve(listener, app(served)) => outcome.unwrap(),
            _ = stop => {}
        }
    });
}

fn app(served: Served) -> Router {
    let site = Router::new()
        .route("/", get(async |State(served): State<Served>| Html(served.page())))
        .route("/page.js", get(async || ([(CONTENT_TYPE, "text/javascript")], SCRIPT)))
        .route("/jobs", post(async |State(served): State<Served>| served.start().await))
        .merge(progress_axum::router::<Anyone, _>("/progress", served.starter.jobs().clone()))
        .with_state(served.clone());
    let base = served.base;
    let site = if base.is_empty() { site } else { Router::new().nest(&format!("{base}/"), site) };
    site.layer(middleware::from_fn_with_state(served, note))
}

async fn note(State(served): State<Served>, target: Uri, request: Request, next: Next) -> Response {
    served.note(&target.to_string());
    let mut response = next.run(request).await.into_response();
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
