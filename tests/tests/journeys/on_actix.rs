use std::net::TcpListener;

use actix_web::dev::Service as _;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, ContentType};
use actix_web::middleware::DefaultHeaders;
use actix_web::rt::System;
use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};
use progress_actix::Anyone;
use tokio::sync::oneshot;

use crate::served::{POLICY, SCRIPT, Served};

/// Serves until it is told to stop. Then the workers end, and every connection with them.
pub(crate) fn serve(listener: TcpListener, served: Served, stop: oneshot::Receiver<()>) {
    System::new().block_on(async {
        let app = move || {
            let noting = served.clone();
            let site = web::scope(served.base)
                .route("/", web::get().to(page))
                .route("/page.js", web::get().to(script))
                .route("/jobs", web::post().to(start))
                .service(progress_actix::scope::<Anyone>(
                    "/progress",
                    served.starter.jobs().clone(),
                ));
            App::new()
                .app_data(Data::new(served.clone()))
                .wrap(DefaultHeaders::new().add((CONTENT_SECURITY_POLICY, POLICY)))
                .wrap_fn(move |request, service| {
                    noting.note(&request.uri().to_string());
                    service.call(request)
                })
                .service(site)
        };
        let server =
            HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
        let handle = server.handle();
        let serving = actix_web::rt::spawn(server);
        let _ = stop.await;
        handle.stop(false).await;
        serving.await.unwrap().unwrap();
    });
}

async fn page(served: Data<Served>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::html()).body(served.page())
}

async fn script() -> HttpResponse {
    HttpResponse::Ok().content_type("text/javascript").body(SCRIPT)
}

async fn start(served: Data<Served>) -> HttpResponse {
    HttpResponse::Ok().body(served.start().await)
}
