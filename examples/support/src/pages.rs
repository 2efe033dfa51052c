//! Pages in the reader's language, and the files that they load.
//!
//! All links in them are relative, so that they work behind a proxy under any path.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::language::{COOKIE_NAME, Language};

/// Returns the routes of pages and of the files that they load from `page/`.
///
/// `pages` are paths and HTML, in which `{{name}}` stands for a text. `files` are names and
/// contents. Two of them have the texts of a language: `en.json` and `fr.json`, JSON objects of
/// strings.
pub fn router<S: Clone + Send + Sync + 'static>(
    pages: &[(&str, &str)],
    files: &'static [(&'static str, &'static str)],
) -> Router<S> {
    let mut router = Router::new()
        .route("/page/{name}", get(async move |Path(name): Path<String>| file(files, &name)));
    for (path, template) in pages {
        let [english, french]: [Arc<str>; 2] =
            Language::ALL.map(|language| fill(template, &texts(files, language)).into());
        router = router.route(
            path,
            get(async move |Query(choice): Query<Choice>, headers: HeaderMap| {
                let chosen = choice.lang.as_deref().and_then(Language::from_tag);
                let language = chosen.unwrap_or_else(|| Language::of(&headers));
                page(chosen, &language.pick(english, french))
            }),
        );
    }
    router
}

/// The language chosen by a link on the page.
#[derive(Debug, Deserialize)]
struct Choice {
    lang: Option<String>,
}

fn page(chosen: Option<Language>, html: &str) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
        (VARY, "accept-language, cookie"),
    ];
    let response = (headers, html.to_owned()).into_response();
    let Some(language) = chosen else { return response };
    // For a year. Without a path it applies to all pages here, also under the path of a proxy.
    let cookie =
        format!("{COOKIE_NAME}={}; Max-Age=31536000; SameSite=Lax; HttpOnly", language.tag());
    ([(SET_COOKIE, cookie)], response).into_response()
}

fn file(files: &'static [(&'static str, &'static str)], name: &str) -> Response {
    let Some((name, content)) = files.iter().find(|(known, _)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let content_type = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-cache")], *content).into_response()
}

/// Returns the texts of a language by their names; none if the file is missing or malformed.
fn texts(files: &[(&str, &str)], language: Language) -> HashMap<String, String> {
    let name = format!("{}.json", language.tag());
    let content = files.iter().find(|(known, _)| *known == name).map_or("", |(_, content)| content);
    serde_json::from_str(content).unwrap_or_default()
}

/// Replaces each `{{name}}` by its text, escaped for HTML.
fn fill(template: &str, texts: &HashMap<String, String>) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        page.push_str(&escape(texts.get(name).map_or(name, String::as_str)));
        page.push_str(rest);
    }
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let texts = HashMap::from([("x".to_owned(), "<b> & \"c\"".to_owned())]);
        assert_eq!(
            fill("<p title=\"{{x}}\">{{x}}", &texts),
            "<p title=\"&lt;b> &amp; &quot;c&quot;\">&lt;b> &amp; &quot;c&quot;"
        );
    }
}
