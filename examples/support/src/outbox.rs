//! The routes behind the outbox page, which shows what the mail catcher has received.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::catcher::Catcher;
use crate::language::Language;
use crate::problem::problem;

/// Returns the routes `/outbox/messages` and `/outbox/messages/{id}/attachment`. Without a catcher
/// the list is empty and says that a real mail server is in use.
pub fn router<S: Clone + Send + Sync + 'static>(catcher: Option<Arc<Catcher>>) -> Router<S> {
    let list = catcher.clone();
    Router::new().route("/outbox/messages", get(async move || messages(list.as_deref()))).route(
        "/outbox/messages/{id}/attachment",
        get(async move |Path(id): Path<u64>, headers: HeaderMap| {
            attachment(catcher.as_deref(), id, &headers)
        }),
    )
}

fn messages(catcher: Option<&Catcher>) -> Response {
    let body = match catcher {
        Some(catcher) => json!({
            "built_in": true, "smtp_url": catcher.url(),
            "total": catcher.total(), "messages": catcher.messages(),
        }),
        None => json!({"built_in": false, "smtp_url": null, "total": 0, "messages": []}),
    };
    ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

fn attachment(catcher: Option<&Catcher>, id: u64, headers: &HeaderMap) -> Response {
    let mail = catcher.and_then(|catcher| catcher.message(id));
    let attachment =
        mail.and_then(|mail| Some((mail.attachment()?, mail.summary.attachment?.name)));
    let Some((bytes, name)) = attachment else {
        return problem(StatusCode::NOT_FOUND, Language::of(headers).no_such_mail());
    };
    // The sender of the mail chose the name. Only characters that cannot end the quoted string or
    // the header are kept.
    let name: String = name
        .chars()
        .filter(|character| character.is_ascii_alphanumeric() || " .-_".contains(*character))
        .collect();
    let headers = [
        (CONTENT_TYPE, "application/pdf".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, bytes).into_response()
}
