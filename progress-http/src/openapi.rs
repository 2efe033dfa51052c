//! The description of the routes (OpenAPI 3.1), made of the types that are sent.

#![allow(dead_code, reason = "what is described here is answered in route.rs")]

use std::borrow::Cow;
use std::sync::LazyLock;

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Content, Header, Ref, RefOr, Response, ResponseBuilder, Schema};
use utoipa::{OpenApi, PartialSchema, ToSchema};

use crate::reply::Problem;
use crate::wire::{Log, Page, Record};
use crate::{Reply, tag};

/// Its name under the mount point.
pub(crate) const NAME: &str = "openapi.json";

static DOCUMENT: LazyLock<(Vec<u8>, String)> = LazyLock::new(|| {
    // Its types are known here, so it can be written; should it not, the address is empty and nothing else is hurt.
    let document = document().to_pretty_json().unwrap_or_default().into_bytes();
    let etag = tag::of_bytes(&document);
    (document, etag)
});

/// The document is as long-lived as this build.
pub(crate) fn serve(if_none_match: Option<&str>) -> Reply {
    let (document, etag) = &*DOCUMENT;
    Reply::file("application/json", Cow::Borrowed(document), etag.as_str(), if_none_match)
        .cached("no-cache")
}

fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post, &mut item.delete].into_iter().flatten() {
            let refusals = REFUSALS.iter().filter(|(_, _, operations)| {
                operation
                    .operation_id
                    .as_deref()
                    .is_some_and(|id| operations.is_empty() || operations.contains(&id))
            });
            for (status, description, _) in refusals {
                operation
                    .responses
                    .responses
                    .insert(status.to_string(), refusal(*status, description).into());
            }
        }
    }
    document
}

/// What is answered instead, why, and by which operations; by all of them where none is named.
const REFUSALS: [(u16, &str, &[&str]); 8] = [
    (400, "A parameter is not what it may be", &["list_jobs", "list_active_jobs", "read_log"]),
    (403, "Nobody in particular has no list", &["list_jobs", "list_active_jobs"]),
    (403, "A page of another site asked for it", &["delete_job", "cancel_job"]),
    (
        404,
        "There is no such job",
        &["poll_job", "delete_job", "read_log", "follow_job", "cancel_job"],
    ),
    (
        406,
        "The client does not read what there is",
        &["list_jobs", "list_active_jobs", "poll_job", "read_log", "follow_job", "cancel_job"],
    ),
    (409, "The job has not ended", &["delete_job"]),
    (409, "The job has ended otherwise", &["cancel_job"]),
    (503, "The store is away", &[]),
];

fn refusal(status: u16, description: &str) -> Response {
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", problem);
    if status == 503 {
        response.header("retry-after", Header::new(u64::schema()))
    } else {
        response
    }
    .build()
}

/// The states of a job.
pub(crate) struct Status;

/// Whether an entry tells of an error.
pub(crate) struct EntryLevel;

macro_rules! names {
    ($schema:ty, $type:ty, $values:expr) => {
        impl PartialSchema for $schema {
            fn schema() -> RefOr<Schema> {
                let names = $values.map(|value: $type| value.as_str());
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
            }
        }

        impl ToSchema for $schema {}
    };
}

names!(Status, progress_core::Status, progress_core::Status::ALL);
names!(
    EntryLevel,
    progress_core::EntryLevel,
    [progress_core::EntryLevel::Info, progress_core::EntryLevel::Error]
);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Progress of jobs",
        description = "How far long jobs have come. Every state of a job is 200; an id that is malformed, unknown, deleted or somebody else's is 404. Methods other than those described are 405.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
        contact()
    ),
    // Relative to the document, wherever the application has put the routes (RFC 3986, section 5).
    servers((url = ".")),
    paths(list, active, poll, delete, log, events, cancel),
    components(schemas(Problem<'static>))
)]
struct Document;

#[utoipa::path(get, path = "/", operation_id = "list_jobs", summary = "The viewer's jobs, newest first",
    params(
        ("status" = inline(Option<Status>), Query, description = "Only those in this state"),
        ("task_type" = Option<String>, Query, description = "Only those of this kind"),
        ("active" = Option<bool>, Query, description = "Only those that are pending or running, or only the others"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "How many to a page"),
        ("cursor" = Option<String>, Query, pattern = "^[0-9]{1,13}[.][0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", description = "The `next` of the page before"),
        ("ids" = Option<Vec<String>>, Query, style = Form, explode = false, max_items = 100, description = "These and no others, in this order, as far as they are there to see; everything else is ignored then"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<'static>, headers(("link" = String, description = "`rel=\"next\"`, when there is more (RFC 8288)"))),
    ))]
fn list() {}

#[utoipa::path(get, path = "/active", operation_id = "list_active_jobs", summary = "The viewer's jobs that are pending or running, newest first",
    params(
        ("status" = inline(Option<Status>), Query, description = "Only those in this state"),
        ("task_type" = Option<String>, Query, description = "Only those of this kind"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "How many to a page"),
        ("cursor" = Option<String>, Query, pattern = "^[0-9]{1,13}[.][0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", description = "The `next` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<'static>, headers(("link" = String, description = "`rel=\"next\"`, when there is more (RFC 8288)"))),
    ))]
fn active() {}

#[utoipa::path(get, path = "/{id}", operation_id = "poll_job", summary = "One job",
    params(
        ("id" = String, Path, description = "The job's id: a UUID in lower case with hyphens; whatever is none names no job"),
        ("if-none-match" = Option<String>, Header, description = "The `ETag` of what the client has"),
        ("prefer" = Option<String>, Header, description = "`wait=N` holds the answer until the record is another, N seconds at most, and at most 25 (RFC 7240)"),
    ),
    responses(
        (status = 200, description = "The record", body = Record<'static>, headers(
            ("etag" = String, description = "Names this state of the record"),
            ("retry-after" = Option<u64>, description = "Seconds, while the job is active"),
            ("preference-applied" = Option<String>, description = "How long the answer may have been held"))),
        (status = 304, description = "The client has it", headers(("etag" = String, description = "As it was"))),
    ))]
fn poll() {}

#[utoipa::path(delete, path = "/{id}", operation_id = "delete_job", summary = "Forget a finished job",
    params(("id" = String, Path, description = "The job's id: a UUID in lower case with hyphens; whatever is none names no job")),
    responses(
        (status = 204, description = "It is gone"),
    ))]
fn delete() {}

#[utoipa::path(get, path = "/{id}/log", operation_id = "read_log", summary = "A job's log, oldest first",
    params(
        ("id" = String, Path, description = "The job's id: a UUID in lower case with hyphens; whatever is none names no job"),
        ("after" = Option<u64>, Query, minimum = 0, maximum = 18_446_744_073_709_551_615_u64, description = "The `next_after` of the stretch before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1_000, description = "How many entries"),
    ),
    responses(
        (status = 200, description = "A stretch", body = Log<'static>),
    ))]
fn log() {}

#[utoipa::path(get, path = "/{id}/events", operation_id = "follow_job", summary = "The record each time that it changes, as server-sent events",
    params(
        ("id" = String, Path, description = "The job's id: a UUID in lower case with hyphens; whatever is none names no job"),
        ("last-event-id" = Option<String>, Header, description = "The id of the last event that the client has"),
    ),
    responses(
        (status = 200, description = "Events whose data is the record; the stream ends with the job", body = serde_json::Value, content_type = "text/event-stream"),
        (status = 204, description = "The job has ended, and the client has its last event"),
    ))]
fn events() {}

#[utoipa::path(post, path = "/{id}/cancel", operation_id = "cancel_job", summary = "Ask a job to stop",
    params(("id" = String, Path, description = "The job's id: a UUID in lower case with hyphens; whatever is none names no job")),
    responses(
        (status = 200, description = "It is cancelled", body = Record<'static>),
        (status = 202, description = "It has been asked to stop", body = Record<'static>),
    ))]
fn cancel() {}

#[cfg(test)]
mod tests {
    use progress_core::{NewProgress, Progress};
    use serde_json::Value;

    use super::*;

    fn described() -> Value {
        serde_json::from_slice(&serve(None).body).unwrap()
    }

    #[test]
    fn it_names_what_is_sent() {
        let progress =
            Progress::new(&NewProgress::new("test"), chrono::DateTime::UNIX_EPOCH).unwrap();
        let second = std::time::Duration::from_secs(1);
        let record = Record::new(&progress, second, second);
        let sent = serde_json::to_value(record).unwrap();
        let schema = &described()["components"]["schemas"]["Record"];
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&schema["properties"]), names(&sent));
        let mut required: Vec<_> = schema["required"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        required.sort_unstable();
        assert_eq!(required, names(&sent), "every field is always there");
    }

    #[test]
    fn it_is_served_like_any_file() {
        let first = serve(None);
        assert_eq!((first.status, first.header("content-type")), (200, Some("application/json")));
        assert_eq!(described()["openapi"], "3.1.0");
        assert_eq!(serve(first.header("etag")).status, 304);
        let document = String::from_utf8(serve(None).body.into_owned()).unwrap();
        for reference in document.split("#/components/schemas/").skip(1) {
            let (name, _) = reference.split_once('"').unwrap();
            assert!(described()["components"]["schemas"][name].is_object(), "{name} is described");
        }
        let operations = described()["paths"].as_object().unwrap().len();
        assert_eq!(operations, 6);
    }

    #[test]
    fn every_operation_says_what_can_go_wrong() {
        for (path, item) in described()["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(operation["responses"]["503"].is_object(), "{method} {path}");
                assert_eq!(
                    operation["responses"]["404"].is_object(),
                    path.contains("{id}"),
                    "{method} {path}"
                );
            }
        }
    }
}
