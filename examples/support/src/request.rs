//! The body of `POST /invoices/send`. Parsing is strict, because a typing error must not send mail.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use crate::language::Language;

/// The most invoices that one job sends.
pub const MAX_COUNT: u32 = 100_000;
/// How many invoices are sent if the request names no count, and how many rows a response has.
pub const DEFAULT_COUNT: u32 = 200;

/// A valid request to send invoices.
#[derive(Debug, PartialEq, Eq)]
pub struct SendRequest {
    /// How many invoices, 1 to [`MAX_COUNT`].
    pub count: u32,
    /// The job's own title, if it has one.
    pub title: Option<String>,
}

/// Why a request to send invoices is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// Neither a form nor JSON.
    ContentType,
    /// Not a JSON object.
    Json,
    /// Not a whole number from 1 to [`MAX_COUNT`].
    Count,
    /// A title that is not text.
    Title,
    /// An unknown field.
    Field,
}

impl Mistake {
    /// Returns a sentence that says what would be valid.
    #[must_use]
    pub fn describe(self, language: Language) -> String {
        let text = match self {
            Self::ContentType => language.pick(
                "Send a form or JSON, with its content type.",
                "Envoyez un formulaire ou du JSON, avec son type de contenu.",
            ),
            Self::Json => language.pick(
                "The body is not a JSON object such as {\"count\": 50}.",
                "Le corps n’est pas un objet JSON tel que {\"count\": 50}.",
            ),
            Self::Count => {
                return language.pick(
                    format!("The number of invoices is a whole number from 1 to {MAX_COUNT}."),
                    format!("Le nombre de factures est un entier de 1 à {MAX_COUNT}."),
                );
            }
            Self::Title => language.pick("The title is text.", "Le titre est un texte."),
            Self::Field => language.pick(
                "There are two fields, count and title, and both may be left out.",
                "Il y a deux champs, count et title, tous deux facultatifs.",
            ),
        };
        text.to_owned()
    }
}

impl SendRequest {
    /// Parses a form or a JSON object, depending on the content type. An empty body means
    /// [`DEFAULT_COUNT`] invoices.
    ///
    /// # Errors
    ///
    /// The first [`Mistake`] in the body.
    pub fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, Mistake> {
        let content_type =
            headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let fields = if body.iter().all(u8::is_ascii_whitespace) {
            Map::new()
        } else if media_type.eq_ignore_ascii_case("application/json") {
            serde_json::from_slice(body).map_err(|_| Mistake::Json)?
        } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let mut fields = Map::new();
            for (name, value) in form_urlencoded::parse(body) {
                // A form sends everything as text, numbers as well.
                let value =
                    value.parse::<u64>().map_or_else(|_| Value::from(value.as_ref()), Value::from);
                fields.insert(name.into_owned(), value);
            }
            fields
        } else {
            return Err(Mistake::ContentType);
        };
        Self::from_fields(fields)
    }

    fn from_fields(fields: Map<String, Value>) -> Result<Self, Mistake> {
        let mut request = Self { count: DEFAULT_COUNT, title: None };
        for (name, value) in fields {
            match name.as_str() {
                "count" => {
                    let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
                    let count = count.filter(|count| (1..=MAX_COUNT).contains(count));
                    request.count = count.ok_or(Mistake::Count)?;
                }
                "title" => match value {
                    Value::String(title) => request.title = Some(title),
                    Value::Number(title) => request.title = Some(title.to_string()),
                    _ => return Err(Mistake::Title),
                },
                _ => return Err(Mistake::Field),
            }
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(content_type: &'static str, body: &str) -> Result<u32, Mistake> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        SendRequest::parse(&headers, body.as_bytes()).map(|request| request.count)
    }

    #[test]
    fn a_count_is_parsed_or_explained() {
        const JSON: &str = "application/json; charset=utf-8";
        const FORM: &str = "application/x-www-form-urlencoded";
        assert_eq!(SendRequest::parse(&HeaderMap::new(), b"").unwrap().count, DEFAULT_COUNT);
        assert_eq!(parse(JSON, "{}"), Ok(DEFAULT_COUNT));
        assert_eq!(parse(JSON, "{\"count\": 100000}"), Ok(100_000));
        assert_eq!(parse(FORM, "count=1"), Ok(1));
        for bad in
            ["0", "-1", "\"x\"", "1000000000000", "100001", "1.5", "null", "true", "[1]", "1e3"]
        {
            let error = parse(JSON, &format!("{{\"count\": {bad}}}")).unwrap_err();
            assert_eq!(error, Mistake::Count, "{bad}");
        }
        for bad in ["count=0", "count=-1", "count=x", "count=", "count=1000000000000", "count=%00"]
        {
            assert_eq!(parse(FORM, bad), Err(Mistake::Count), "{bad}");
        }
        for bad in ["[]", "5", "{", "{\"cuont\": 5}", "\u{0}"] {
            assert!(parse(JSON, bad).is_err(), "{bad}");
        }
        assert!(parse("text/plain", "count=5").is_err());
    }
}
