//! The files of the pages, compiled in, and the pages themselves in the reader's language.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::{Path, Query};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::language::{COOKIE_NAME, Language};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";
const ENGLISH: &str = include_str!("../page/en.json");
const FRENCH: &str = include_str!("../page/fr.json");

/// What the two pages load, all of it from here.
const FILES: [(&str, &str, &str); 14] = [
    ("page.css", "text/css; charset=utf-8", include_str!("../page/page.css")),
    ("favicon.svg", "image/svg+xml", include_str!("../page/favicon.svg")),
    ("en.json", JSON, ENGLISH),
    ("fr.json", JSON, FRENCH),
    ("page.js", SCRIPT, include_str!("../page/page.js")),
    ("outbox.js", SCRIPT, include_str!("../page/outbox.js")),
    ("bars.js", SCRIPT, include_str!("../page/bars.js")),
    ("elements.js", SCRIPT, include_str!("../page/elements.js")),
    ("history.js", SCRIPT, include_str!("../page/history.js")),
    ("invoices.js", SCRIPT, include_str!("../page/invoices.js")),
    ("pacing.js", SCRIPT, include_str!("../page/pacing.js")),
    ("requests.js", SCRIPT, include_str!("../page/requests.js")),
    ("send-form.js", SCRIPT, include_str!("../page/send-form.js")),
    ("words.js", SCRIPT, include_str!("../page/words.js")),
];

/// `/`, `/outbox`, and what they load from `/page/…`.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(
            "/",
            get(async |choice, headers: HeaderMap| page(choice, &headers, |pages| &pages.invoices)),
        )
        .route(
            "/outbox",
            get(async |choice, headers: HeaderMap| page(choice, &headers, |pages| &pages.outbox)),
        )
        .route("/page/{name}", get(file))
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, content_type, content)) => {
            ([(CONTENT_TYPE, *content_type), (CACHE_CONTROL, "no-cache")], *content).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The language that a link on the page asks for.
#[derive(Debug, Deserialize)]
struct Choice {
    lang: Option<String>,
}

/// A page in the language that was chosen now or earlier, or that the browser prefers.
fn page(
    Query(choice): Query<Choice>,
    headers: &HeaderMap,
    which: impl FnOnce(&Pages) -> &String,
) -> Response {
    let chosen = choice.lang.as_deref().and_then(Language::from_tag);
    let pages = match chosen.unwrap_or_else(|| Language::of(headers)) {
        Language::English => &*IN_ENGLISH,
        Language::French => &*IN_FRENCH,
    };
    let headers =
        [(CONTENT_TYPE, HTML), (CACHE_CONTROL, "no-cache"), (VARY, "accept-language, cookie")];
    let response = (headers, which(pages).clone());
    match chosen {
        // A year; and not for requests that other sites make.
        Some(language) => {
            let cookie = format!(
                "{COOKIE_NAME}={}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly",
                language.tag()
            );
            ([(SET_COOKIE, cookie)], response).into_response()
        }
        None => response.into_response(),
    }
}

/// Both pages in one language.
struct Pages {
    invoices: String,
    outbox: String,
}

static IN_ENGLISH: LazyLock<Pages> = LazyLock::new(|| Pages::of(ENGLISH));
static IN_FRENCH: LazyLock<Pages> = LazyLock::new(|| Pages::of(FRENCH));

impl Pages {
    fn of(words: &str) -> Self {
        let words = read(words);
        Self {
            invoices: fill(include_str!("../page/index.html"), &words),
            outbox: fill(include_str!("../page/outbox.html"), &words),
        }
    }
}

/// The tests see to it that there is something to read.
fn read(words: &str) -> HashMap<String, String> {
    serde_json::from_str(words).unwrap_or_default()
}

/// Puts each text in the place of its `{{name}}`.
fn fill(template: &str, words: &HashMap<String, String>) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        page.push_str(&escape(words.get(name).map_or(name, String::as_str)));
        page.push_str(rest);
    }
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(words: &str) -> BTreeSet<String> {
        serde_json::from_str::<HashMap<String, String>>(words).unwrap().into_keys().collect()
    }

    /// The values that a text expects.
    fn values(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).map(|part| part.split('}').next().unwrap()).collect()
    }

    /// The history says in the reader's language what the library writes into a record.
    #[test]
    fn the_words_of_a_lost_worker_are_known() {
        let (_, _, history) = FILES.into_iter().find(|(name, ..)| *name == "history.js").unwrap();
        for words in [progress_axum::WORKER_LOST, progress_axum::WORKER_STOPPED] {
            assert!(history.contains(&format!("['{words}',")), "{words:?}");
        }
    }

    #[test]
    fn both_languages_have_the_same_texts_with_the_same_values() {
        assert_eq!(names(ENGLISH), names(FRENCH));
        let (english, french) = (read(ENGLISH), read(FRENCH));
        for (name, text) in &english {
            assert_eq!(values(text), values(&french[name]), "{name}");
            assert!(!text.trim().is_empty() && !french[name].trim().is_empty(), "{name}");
        }
        for (words, language) in [(&english, Language::English), (&french, Language::French)] {
            assert_eq!(words["tag"], language.tag());
            assert_ne!(words["other_tag"], language.tag());
        }
    }

    /// Every text is used, and none is missing.
    #[test]
    fn pages_and_texts_belong_together() {
        let known = names(ENGLISH);
        let templates = [include_str!("../page/index.html"), include_str!("../page/outbox.html")];
        for template in templates {
            for part in template.split("{{").skip(1) {
                let name = part.split_once("}}").unwrap().0;
                assert!(known.contains(name), "{name}");
            }
        }
        let scripts = FILES.iter().filter(|(_, content_type, _)| *content_type == SCRIPT);
        let scripts: Vec<_> = scripts.map(|(_, _, content)| *content).collect();
        for script in &scripts {
            for part in script.split("text('").skip(1) {
                let name = part.split_once('\'').unwrap().0;
                assert!(known.contains(name), "{name}");
            }
        }
        let all = templates.concat() + &scripts.concat();
        for name in &known {
            // Some names are put together: `job_` and a state, a name and the form of its plural.
            let parts: Vec<_> = name.split('_').collect();
            let is_composed = ["job", "invoice"].contains(&parts[0])
                || ["one", "other"].contains(parts.last().unwrap());
            let is_used = [format!("{{{{{name}}}}}"), format!("'{name}'")]
                .iter()
                .any(|use_| all.contains(use_));
            assert!(
                is_used || is_composed || all.contains(&format!("text({name})")),
                "{name} is not used"
            );
        }
    }

    #[test]
    fn a_text_is_text() {
        let words = HashMap::from([("x".to_owned(), "<b> & \"c\"".to_owned())]);
        assert_eq!(
            fill("<p title=\"{{x}}\">{{x}}", &words),
            "<p title=\"&lt;b> &amp; &quot;c&quot;\">&lt;b> &amp; &quot;c&quot;"
        );
    }
}
