use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::rt::net::TcpStream;
use actix_web::web::{self, Data, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::limits::{BODY, BODY_SIZE};
use crate::serve::{GRACE, HEAD, limit_stalling};
use crate::test_routes::{Answer, TestRoutes};
use crate::viewer::Named;

pub(crate) async fn serve(
    listener: TcpListener,
    routes: TestRoutes,
    is_limited: bool,
    workers: Option<usize>,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let routes = Data::new(routes);
    let app = move || {
        App::new()
            .app_data(routes.clone())
            .service(progress_actix::scope::<Named>("/progress", routes.api.clone()))
            .route("/bare", web::get().to(bare))
            .route("/select/{id}", web::get().to(select))
            .route("/test/{rest:.*}", web::to(test))
    };
    let server = HttpServer::new(app);
    let server = match workers {
        Some(workers) => server.workers(workers),
        None => server,
    };
    let server = server
        .client_request_timeout(if is_limited { HEAD } else { Duration::ZERO })
        .client_disconnect_timeout(GRACE)
        // A client that has closed its connection does not wait for a response. Otherwise its long
        // poll, and the store reads for it, would go on until the time is up.
        .h1_allow_half_closed(false)
        .shutdown_timeout(GRACE.as_secs())
        .on_connect(move |connection, _| {
            if let Some(stream) = connection.downcast_ref::<TcpStream>().filter(|_| is_limited) {
                limit_stalling(stream);
            }
        })
        .disable_signals()
        .listen(listener.into_std()?)?
        .run();
    let handle = server.handle();
    let running = tokio::spawn(server);
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return ended?,
        () = stop => {}
    }
    handle.stop(true).await;
    running.await?
}

async fn bare(routes: Data<TestRoutes>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(routes.bare.clone())
}

async fn select(routes: Data<TestRoutes>, id: web::Path<String>) -> HttpResponse {
    response(routes.select(&id).await)
}

async fn test(routes: Data<TestRoutes>, request: HttpRequest, body: Payload) -> HttpResponse {
    let answer = match timeout(BODY, body.to_bytes_limited(BODY_SIZE)).await {
        Ok(Ok(Ok(body))) => {
            routes.answer(request.method().as_str(), request.uri().path(), &body).await
        }
        Ok(_) => Answer::problem(400, "the body is too large or incomplete"),
        Err(_) => Answer::problem(408, "the body took too long to arrive"),
    };
    response(answer)
}

fn response(answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).insert_header((CONTENT_TYPE, answer.content_type)).body(answer.body)
}
