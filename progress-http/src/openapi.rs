//! The description of the routes (OpenAPI 3.1), derived from the types that are sent.

#![allow(dead_code, reason = "the routes described here are implemented in route.rs")]

use std::sync::LazyLock;

use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{Content, Header, Ref, RefOr, Response, ResponseBuilder, Schema, Server};
use utoipa::{OpenApi, PartialSchema, ToSchema};

use crate::reply::Problem;
use crate::wire::{LogJson, PageJson, RecordJson};
use crate::{Reply, tag};

/// The document's name under the mount point.
pub(crate) const NAME: &str = "openapi.json";

static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(document);

/// Serves the document, which changes only with the build and the mount point.
pub(crate) fn serve(mount: &str, if_none_match: Option<&str>) -> Reply {
    let mut document = DOCUMENT.clone();
    document.servers = Some(vec![Server::new(server(mount))]);
    // Serialising these known types cannot fail. If it did, the document would be empty, and
    // nothing else would be affected.
    let document = document.to_pretty_json().unwrap_or_default().into_bytes();
    let etag = tag::of_bytes(&document);
    Reply::file("application/json", document.into(), etag, if_none_match).cached("no-cache")
}

/// Returns the address of the mount point, relative to the document (RFC 3986, section 5), because
/// a proxy may have removed a prefix. Without a slash at its end, because each path begins with
/// one.
fn server(mount: &str) -> String {
    match mount.rsplit('/').next() {
        Some(last) if !last.is_empty() => format!("../{last}"),
        _ => "/".to_owned(),
    }
}

fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post, &mut item.delete].into_iter().flatten() {
            operation.parameters.iter_mut().flatten().for_each(forbid_null);
            let errors = ERROR_RESPONSES.iter().filter(|(_, _, operations)| {
                operation
                    .operation_id
                    .as_deref()
                    .is_some_and(|id| operations.is_empty() || operations.contains(&id))
            });
            for (status, description, _) in errors {
                // Unless the operation describes its own.
                let responses = &mut operation.responses.responses;
                let response = || error_response(*status, description).into();
                responses.entry(status.to_string()).or_insert_with(response);
            }
        }
    }
    document
}

/// Corrects the derived schema: an optional parameter can be left out, but it cannot be null.
fn forbid_null(parameter: &mut RefOr<Parameter>) {
    if let RefOr::T(Parameter { schema: Some(RefOr::T(Schema::Object(schema))), .. }) = parameter
        && let SchemaType::Array(types) = &schema.schema_type
        && let Some(only) = types.iter().find(|only| **only != Type::Null)
    {
        schema.schema_type = SchemaType::Type(only.clone());
    }
}

/// The error responses: status, description, and the operations that send it (all, if none is
/// named).
const ERROR_RESPONSES: [(u16, &str, &[&str]); 11] = [
    (401, "The application asks the client to sign in; the response is the application's own", &[]),
    (400, "Invalid parameter", &["list_jobs", "list_active_jobs", "read_log"]),
    (403, "Listing requires an identified viewer", &["list_jobs", "list_active_jobs"]),
    (403, "The request was made by a page of another site", &["delete_job", "cancel_job"]),
    (404, "No such job", &["poll_job", "delete_job", "read_log", "follow_job", "cancel_job"]),
    (
        406,
        "Not acceptable: only application/json is available",
        &["list_jobs", "list_active_jobs", "poll_job", "read_log", "cancel_job"],
    ),
    (406, "Not acceptable: only text/html is available", &["show_job"]),
    (406, "Not acceptable: only text/event-stream is available", &["follow_job"]),
    (409, "The job has not ended", &["delete_job"]),
    (409, "The job has already completed or failed", &["cancel_job"]),
    (503, "The store is unavailable or slow", &[]),
];

fn error_response(status: u16, description: &str) -> Response {
    let response = ResponseBuilder::new().description(description);
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    match status {
        401 => response,
        503 => response
            .content("application/problem+json", problem)
            .header("retry-after", Header::new(u64::schema())),
        _ => response.content("application/problem+json", problem),
    }
    .build()
}

/// A server-sent event. A stream contains events as text, not as JSON.
#[derive(ToSchema)]
struct Event {
    /// `message`: the record has changed. `ping`: nothing has happened for 15 s.
    #[schema(value_type = Option<String>, nullable = false)]
    event: Option<&'static str>,
    /// The record as JSON, as `GET /{id}` returns it; `{}` for a `ping`.
    #[schema(content_media_type = "application/json")]
    data: String,
    /// Identifies this state of the record. Sent back as `Last-Event-ID`.
    #[schema(nullable = false)]
    id: Option<String>,
}

/// The body of a stream. Some programs apply its schema to each event, and others to the whole
/// text.
struct EventStream;

impl PartialSchema for EventStream {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(Ref::from_schema_name("Event"))
            .item(ObjectBuilder::new().schema_type(Type::String))
            .into()
    }
}

impl ToSchema for EventStream {}

/// The states of a job.
pub(crate) struct Status;

/// The level of a log entry.
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
        title = "Job progress",
        description = "The progress of long-running jobs. A job in any state is returned with 200. \
            An id that is malformed, unknown, deleted or owned by another viewer returns 404. \
            Methods other than those described return 405.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
        contact()
    ),
    tags((name = "progress", description = "Reading and cancelling jobs")),
    paths(list, active, poll, html, delete, log, events, cancel),
    components(schemas(Problem<'static>, Event))
)]
struct Document;

#[utoipa::path(get, path = "/", operation_id = "list_jobs", tag = "progress",
    summary = "List the viewer's jobs, newest first",
    params(
        ("status" = inline(Option<Status>), Query, description = "Only jobs in this state"),
        ("task_type" = Option<String>, Query, description = "Only jobs of this type"),
        ("active" = Option<bool>, Query,
            description = "`true`: only pending and running jobs; `false`: only finished jobs"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100,
            description = "The maximum number of jobs on a page"),
        ("cursor" = Option<String>, Query,
            pattern = "^[0-9]{1,13}[.][0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
            description = "The `next` of the previous page"),
        ("ids" = Option<Vec<String>>, Query, style = Form, explode = false, max_items = 100,
            description = "Only these jobs, in this order; those that do not exist or that the \
                viewer may not see are left out, and all other filters have no effect"),
        ("if-none-match" = Option<String>, Header,
            description = "The `ETag` of the client's copy"),
        ("prefer" = Option<String>, Header,
            description = "`wait=N` delays the response until the list or one of its jobs changes, \
                for at most N seconds, and never more than 25 (RFC 7240)"),
    ),
    responses(
        (status = 200, description = "A page of jobs", body = PageJson<'static>, headers(
            ("etag" = String, description = "Identifies this state of the page"),
            ("preference-applied" = String,
                description = "The longest time that the response may have been delayed"),
            ("link" = String,
                description = "`rel=\"next\"`, if there are more jobs (RFC 8288)"))),
        (status = 304, description = "The client's copy is current",
            headers(("etag" = String, description = "Identifies this state of the page"))),
    ))]
fn list() {}

#[utoipa::path(get, path = "/active", operation_id = "list_active_jobs", tag = "progress",
    summary = "List the viewer's pending and running jobs, newest first",
    params(
        ("status" = inline(Option<Status>), Query, description = "Only jobs in this state"),
        ("task_type" = Option<String>, Query, description = "Only jobs of this type"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100,
            description = "The maximum number of jobs on a page"),
        ("cursor" = Option<String>, Query,
            pattern = "^[0-9]{1,13}[.][0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
            description = "The `next` of the previous page"),
        ("if-none-match" = Option<String>, Header,
            description = "The `ETag` of the client's copy"),
        ("prefer" = Option<String>, Header,
            description = "`wait=N` delays the response until the list or one of its jobs changes, \
                for at most N seconds, and never more than 25 (RFC 7240)"),
    ),
    responses(
        (status = 200, description = "A page of jobs", body = PageJson<'static>, headers(
            ("etag" = String, description = "Identifies this state of the page"),
            ("preference-applied" = String,
                description = "The longest time that the response may have been delayed"),
            ("link" = String,
                description = "`rel=\"next\"`, if there are more jobs (RFC 8288)"))),
        (status = 304, description = "The client's copy is current",
            headers(("etag" = String, description = "Identifies this state of the page"))),
    ))]
fn active() {}

#[utoipa::path(get, path = "/{id}", operation_id = "poll_job", tag = "progress",
    summary = "Get one job",
    params(
        ("id" = String, Path,
            description = "The job's id: a lower-case UUID with hyphens; anything else is a 404"),
        ("if-none-match" = Option<String>, Header,
            description = "The `ETag` of the client's copy"),
        ("prefer" = Option<String>, Header,
            description = "`wait=N` delays the response until the record changes, for at most N \
                seconds, and never more than 25 (RFC 7240)"),
    ),
    responses(
        (status = 200, description = "The record", body = RecordJson<'static>, headers(
            ("etag" = String, description = "Identifies this state of the record"),
            ("retry-after" = u64,
                description = "Seconds until the next poll, while the job is active"),
            ("preference-applied" = String,
                description = "The longest time that the response may have been delayed"))),
        (status = 304, description = "The client's copy is current",
            headers(("etag" = String, description = "Identifies this state of the record"))),
    ))]
fn poll() {}

#[utoipa::path(get, path = "/{id}.html", operation_id = "show_job", tag = "progress",
    summary = "Get one job as HTML, a page or a part of one",
    params(
        ("id" = String, Path,
            description = "The job's id: a lower-case UUID with hyphens; anything else is a 404"),
        ("if-none-match" = Option<String>, Header,
            description = "The `ETag` of the client's copy"),
        ("hx-request" = Option<String>, Header,
            description = "`true`: the part of a page that htmx swaps, and the status codes that \
                htmx knows"),
    ),
    responses(
        (status = 200, description = "The page or its part", body = String,
            content_type = "text/html", headers(
            ("etag" = String, description = "Identifies this state of the page or its part"),
            ("refresh" = u64,
                description = "Seconds until a browser loads the page again, while the job is \
                    active"))),
        (status = 204, description = "The part that the client has is current",
            headers(("etag" = String, description = "Identifies this state of the part"))),
        (status = 286, description = "The last part, because the job has ended or there is no such \
            job: htmx stops polling", body = String, content_type = "text/html"),
        (status = 304, description = "The page that the client has is current",
            headers(("etag" = String, description = "Identifies this state of the page"))),
        (status = 404, description = "No such job", body = String, content_type = "text/html"),
        (status = 503, description = "The store is unavailable or slow", body = String,
            content_type = "text/html", headers(
            ("retry-after" = u64, description = "Seconds until the next request"))),
    ))]
fn html() {}

#[utoipa::path(delete, path = "/{id}", operation_id = "delete_job", tag = "progress",
    summary = "Delete a finished job",
    params(("id" = String, Path,
        description = "The job's id: a lower-case UUID with hyphens; anything else is a 404")),
    responses(
        (status = 204, description = "The job was deleted"),
    ))]
fn delete() {}

#[utoipa::path(get, path = "/{id}/log", operation_id = "read_log", tag = "progress",
    summary = "Read a job's log, oldest entry first",
    params(
        ("id" = String, Path,
            description = "The job's id: a lower-case UUID with hyphens; anything else is a 404"),
        ("after" = Option<u64>, Query,
            minimum = 0, maximum = 18_446_744_073_709_551_615_u64,
            description = "The `next_after` of the previous page"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1_000,
            description = "The maximum number of entries on a page"),
    ),
    responses(
        (status = 200, description = "A page of the log", body = LogJson<'static>),
    ))]
fn log() {}

#[utoipa::path(get, path = "/{id}/events", operation_id = "follow_job", tag = "progress",
    summary = "Follow a job's record as server-sent events, one for each change",
    params(
        ("id" = String, Path,
            description = "The job's id: a lower-case UUID with hyphens; anything else is a 404"),
        ("last-event-id" = Option<String>, Header,
            description = "The id of the last event that the client received"),
    ),
    responses(
        (status = 200,
            description = "Events whose data is the record, in JSON; the stream ends with the job",
            body = inline(EventStream), content_type = "text/event-stream"),
        (status = 204, description = "The job has ended, and the client has its last event"),
    ))]
fn events() {}

#[utoipa::path(post, path = "/{id}/cancel", operation_id = "cancel_job", tag = "progress",
    summary = "Request that a job stops",
    params(("id" = String, Path,
        description = "The job's id: a lower-case UUID with hyphens; anything else is a 404")),
    responses(
        (status = 200, description = "The job is cancelled", body = RecordJson<'static>),
        (status = 202, description = "The job was asked to stop", body = RecordJson<'static>),
    ))]
fn cancel() {}

#[cfg(test)]
mod tests {
    use progress_core::{NewProgress, Progress};
    use serde_json::Value;

    use super::*;
    use crate::prepared::Settings;

    fn described() -> Value {
        serde_json::from_slice(&serve("/jobs/progress", None).body).unwrap()
    }

    /// The fields of a record that may be left out.
    const OPTIONAL: [&str; 8] = [
        "owner",
        "attempt",
        "max_attempts",
        "retrying",
        "retry_at",
        "stages",
        "stage",
        "stage_percentage",
    ];

    #[test]
    fn the_schema_names_every_field() {
        let progress =
            Progress::new(&NewProgress::new("test"), chrono::DateTime::UNIX_EPOCH).unwrap();
        let second = std::time::Duration::from_secs(1);
        let settings = Settings { poll_after: second, stale_after: second, tag: 0 };
        let record = RecordJson::new(&progress, &crate::Viewer::Anyone, settings);
        let sent = serde_json::to_value(record).unwrap();
        let schema = &described()["components"]["schemas"]["Record"];
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let mut properties = names(&schema["properties"]);
        properties.retain(|name| !OPTIONAL.contains(&name.as_str()));
        assert_eq!(properties, names(&sent));
        let mut required: Vec<_> = schema["required"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        required.sort_unstable();
        assert_eq!(required, names(&sent), "every other field is always present");
    }

    #[test]
    fn the_document_is_served_with_a_tag() {
        let first = serve("/jobs/progress", None);
        assert_eq!((first.status, first.header("content-type")), (200, Some("application/json")));
        assert_eq!(described()["openapi"], "3.1.0");
        assert_eq!(serve("/jobs/progress", first.header("etag")).status, 304);
        let document = String::from_utf8(serve("/jobs/progress", None).body.to_vec()).unwrap();
        for reference in document.split("#/components/schemas/").skip(1) {
            let (name, _) = reference.split_once('"').unwrap();
            assert!(described()["components"]["schemas"][name].is_object(), "{name} is described");
        }
        let operations = described()["paths"].as_object().unwrap().len();
        assert_eq!(operations, 7);
    }

    /// Generated clients would otherwise send null, or expect it.
    #[test]
    fn nothing_that_can_only_be_left_out_may_be_null() {
        let document = described();
        let mut seen = 0;
        let mut check = |schema: &Value, name: &Value| {
            assert!(schema["type"].is_string(), "{name}: {schema}");
            seen += 1;
        };
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                for parameter in operation["parameters"].as_array().unwrap() {
                    check(&parameter["schema"], &parameter["name"]);
                }
                for response in operation["responses"].as_object().unwrap().values() {
                    for (name, header) in response["headers"].as_object().into_iter().flatten() {
                        check(&header["schema"], &name.as_str().into());
                    }
                }
            }
        }
        for name in OPTIONAL {
            let properties = &document["components"]["schemas"]["Record"]["properties"];
            check(&properties[name], &name.into());
        }
        assert!(seen > 30, "{seen}");
    }

    #[test]
    fn every_operation_lists_its_error_responses() {
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
