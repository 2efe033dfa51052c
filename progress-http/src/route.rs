//! Routes requests without a framework, so that every framework behaves the same.

use std::time::Duration;

use progress_core::ProgressId;

use crate::html::{self, HtmlRequest};
use crate::{
    Events, ProgressApi, Reply, Request, RequestHeaders, Viewer, negotiate, page,
    refuse_cross_site, widget,
};

/// The result of routing a request.
#[derive(Debug)]
pub enum Route {
    /// The reply, which does not depend on the viewer.
    Answered(Reply),
    /// The reply depends on the viewer: the adapter identifies it and calls [`Call::answer`].
    Call(Call),
}

/// The reply to a [`Call`].
#[derive(Debug)]
pub enum Answer {
    /// A complete reply.
    Whole(Reply),
    /// The head of a reply, and its body as a stream.
    Events(Reply, Events),
}

/// A routed request that needs its viewer.
#[derive(Debug)]
pub struct Call {
    api: ProgressApi,
    action: Action,
    if_none_match: Option<String>,
    wait: Option<Duration>,
    is_head: bool,
}

/// An id is `None` if it is malformed: then there is no such job.
#[derive(Debug)]
enum Action {
    List {
        only_active: bool,
        query: Option<String>,
    },
    Poll(Option<ProgressId>),
    Html(HtmlRequest),
    Delete(Option<ProgressId>),
    Log(Option<ProgressId>, Option<String>),
    /// With the id of the last event that the client has got.
    Events(Option<ProgressId>, Option<String>),
    Cancel(Option<ProgressId>),
    Page,
}

/// The resource at an address.
enum Resource<'a> {
    Jobs,
    ActiveJobs,
    /// `None` if the id is malformed.
    Job(Option<ProgressId>),
    /// The same as HTML.
    Html(&'a str),
    HtmlStyle,
    Log(&'a str),
    Events(&'a str),
    Cancel(&'a str),
    File(&'static widget::File, bool),
    Page,
    #[cfg(feature = "openapi")]
    Description,
    Unknown,
}

impl<'a> Resource<'a> {
    fn at(path: &'a str, has_page: bool) -> Self {
        // Not with a slash at the end, with which its links would lead elsewhere.
        if path == page::PATH {
            return if has_page { Self::Page } else { Self::Unknown };
        }
        let path = path.strip_prefix('/').unwrap_or(path);
        let has_slash = path.ends_with('/');
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut segments = path.split('/');
        // `split` yields at least one segment.
        let first = segments.next().unwrap_or_default();
        match (first, segments.next(), segments.next()) {
            ("", None, _) => Self::Jobs,
            ("active", None, _) => Self::ActiveJobs,
            (html::STYLE_SHEET, None, _) => Self::HtmlStyle,
            #[cfg(feature = "openapi")]
            (crate::openapi::NAME, None, _) => Self::Description,
            // Not with a slash at its end, with which the page's relative addresses would be wrong.
            (name, None, _) if !has_slash && name.ends_with(html::EXTENSION) => {
                Self::Html(name.strip_suffix(html::EXTENSION).unwrap_or(name))
            }
            (name, None, _) => match name.parse() {
                // First, because most requests are polls.
                Ok(id) => Self::Job(Some(id)),
                Err(_) => widget::find(name)
                    .map_or(Self::Job(None), |(file, is_hashed)| Self::File(file, is_hashed)),
            },
            (id, Some("log"), None) => Self::Log(id),
            (id, Some("events"), None) => Self::Events(id),
            (id, Some("cancel"), None) => Self::Cancel(id),
            _ => Self::Unknown,
        }
    }

    fn allow(&self) -> &'static str {
        match self {
            Self::Jobs | Self::ActiveJobs | Self::Log(_) | Self::Events(_) | Self::File(..) => {
                "GET, HEAD, OPTIONS"
            }
            Self::Html(_) | Self::HtmlStyle | Self::Page => "GET, HEAD, OPTIONS",
            #[cfg(feature = "openapi")]
            Self::Description => "GET, HEAD, OPTIONS",
            Self::Job(_) => "GET, HEAD, DELETE, OPTIONS",
            Self::Cancel(_) => "POST, OPTIONS",
            Self::Unknown => "",
        }
    }
}

impl ProgressApi {
    /// Routes a request, and answers it if its viewer does not matter: files of the widget,
    /// `OPTIONS`, methods that are not allowed, clients that accept none of the media types, and
    /// forged requests of other sites.
    #[must_use]
    pub fn route(&self, request: &Request<'_>) -> Route {
        let resource = Resource::at(request.path, self.has_page());
        let if_none_match = request.headers.get("if-none-match");
        let is_head = request.method == "HEAD";
        let query = || request.query.map(str::to_owned);
        let action = match (&resource, request.method) {
            (Resource::Unknown, _) => return Route::Answered(head(is_head, Reply::not_found())),
            (_, "OPTIONS") => {
                return Route::Answered(Reply::empty(204).with_header("allow", resource.allow()));
            }
            (Resource::File(file, is_hashed), "GET" | "HEAD") => {
                return Route::Answered(head(
                    is_head,
                    widget::serve(file, *is_hashed, &request.headers),
                ));
            }
            (Resource::HtmlStyle, "GET" | "HEAD") => {
                return Route::Answered(head(is_head, html::style_sheet(if_none_match)));
            }
            #[cfg(feature = "openapi")]
            (Resource::Description, "GET" | "HEAD") => {
                return Route::Answered(head(
                    is_head,
                    crate::openapi::serve(request.mount, if_none_match),
                ));
            }
            (Resource::Jobs, "GET" | "HEAD") => Action::List { only_active: false, query: query() },
            (Resource::ActiveJobs, "GET" | "HEAD") => {
                Action::List { only_active: true, query: query() }
            }
            (Resource::Page, "GET" | "HEAD") => Action::Page,
            (Resource::Job(id), "GET" | "HEAD") => Action::Poll(*id),
            (Resource::Html(id), "GET" | "HEAD") => Action::Html(HtmlRequest {
                id: id.parse().ok(),
                mount: html::public_mount(request),
                is_part: request.headers.get("hx-request") == Some("true"),
            }),
            (Resource::Log(id), "GET" | "HEAD") => Action::Log(id.parse().ok(), query()),
            (Resource::Events(id), "GET" | "HEAD") => {
                let last_event_id = request.headers.get("last-event-id");
                Action::Events(id.parse().ok(), last_event_id.map(str::to_owned))
            }
            (Resource::Job(id), "DELETE") => Action::Delete(*id),
            (Resource::Cancel(id), "POST") => Action::Cancel(id.parse().ok()),
            _ => {
                let allow = resource.allow();
                let reply = Reply::problem(405, &format!("this address allows {allow}"));
                return Route::Answered(head(is_head, reply.with_header("allow", allow)));
            }
        };
        if let Some(refusal) = action.refuse_not_acceptable(&request.headers) {
            return Route::Answered(head(is_head, refusal));
        }
        if matches!(action, Action::Delete(_) | Action::Cancel(_))
            && let Some(refusal) = refuse_cross_site(&request.headers, self.trusted_origins())
        {
            return Route::Answered(refusal);
        }
        Route::Call(Call {
            api: self.clone(),
            action,
            if_none_match: if_none_match.map(str::to_owned),
            wait: negotiate::wait(request.headers.get("prefer")),
            is_head,
        })
    }
}

impl Action {
    /// Returns 406 if the client does not accept the media type of the reply.
    fn refuse_not_acceptable(&self, headers: &RequestHeaders<'_>) -> Option<Reply> {
        let media_type = match self {
            // The reply has no body.
            Self::Delete(_) => return None,
            Self::Events(..) => "text/event-stream",
            Self::Html(_) | Self::Page => "text/html",
            _ => "application/json",
        };
        let is_acceptable = negotiate::accepts(headers.get("accept"), media_type);
        (!is_acceptable).then(|| {
            Reply::problem(406, &format!("not acceptable: only {media_type} is available"))
        })
    }
}

impl Call {
    /// Answers the request for this viewer.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` has room for its arguments twice")]
    pub fn answer(self, viewer: &Viewer) -> impl Future<Output = Answer> + Send {
        async move {
            if let (Action::Poll(id), None) = (&self.action, self.wait)
                && let Some(reply) = self.api.poll_fresh(viewer, *id, self.if_none_match.as_deref())
            {
                return Answer::Whole(head(self.is_head, reply));
            }
            // Boxed, so that the usual poll does not carry the states of all other actions around.
            Box::pin(self.answer_by_reading(viewer)).await
        }
    }

    #[expect(clippy::manual_async_fn, reason = "an `async fn` has room for its arguments twice")]
    fn answer_by_reading(self, viewer: &Viewer) -> impl Future<Output = Answer> {
        async move {
            let if_none_match = self.if_none_match.as_deref();
            // The larger ones are boxed, so that a request that waits does not keep room for them.
            let reply = match self.action {
                Action::List { only_active, query } => {
                    let query = query.as_deref();
                    Box::pin(self.api.list(viewer, query, only_active, if_none_match, self.wait))
                        .await
                }
                Action::Poll(id) => match self.wait {
                    Some(wait) => self.api.long_poll(viewer, id, if_none_match, wait).await,
                    None => self.api.poll_by_id(viewer, id, if_none_match).await,
                },
                Action::Html(request) => {
                    Box::pin(self.api.html(viewer, &request, if_none_match)).await
                }
                Action::Log(id, query) => {
                    Box::pin(self.api.log(viewer, id, query.as_deref())).await
                }
                Action::Events(id, last_event_id) => {
                    match Box::pin(self.api.events(viewer, id, last_event_id.as_deref())).await {
                        Answer::Whole(reply) => reply,
                        // Without a length, which is unknown.
                        Answer::Events(head, _) if self.is_head => return Answer::Whole(head),
                        events @ Answer::Events(..) => return events,
                    }
                }
                Action::Cancel(id) => Box::pin(self.api.cancel(viewer, id)).await,
                Action::Delete(id) => Box::pin(self.api.delete(viewer, id)).await,
                // The viewer was asked for, but the page is the same for all.
                Action::Page => page::serve(if_none_match),
            };
            Answer::Whole(head(self.is_head, reply))
        }
    }
}

fn head(is_head: bool, reply: Reply) -> Reply {
    if is_head { reply.without_body() } else { reply }
}
