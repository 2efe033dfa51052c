//! Which request means what: the same in every framework, because no framework is asked.

use crate::{ProgressApi, Reply, Request, Viewer, refuse_cross_site, widget};

/// What becomes of a request.
#[derive(Debug)]
pub enum Route {
    /// Answered; who asks does not matter.
    Answered(Reply),
    /// It depends on who asks: the adapter finds that out and calls [`Call::answer`].
    Call(Call),
}

/// A request that was understood and waits for its viewer.
#[derive(Debug)]
pub struct Call {
    api: ProgressApi,
    action: Action,
    query: Option<String>,
    if_none_match: Option<String>,
    is_head: bool,
}

#[derive(Debug)]
enum Action {
    List { only_active: bool },
    Poll(String),
    Delete(String),
    Log(String),
    Cancel(String),
}

/// What stands behind an address.
enum Resource<'a> {
    Jobs,
    ActiveJobs,
    Job(&'a str),
    Log(&'a str),
    Cancel(&'a str),
    File(&'static widget::WidgetFile),
    Nothing,
}

impl<'a> Resource<'a> {
    fn at(path: &'a str) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut segments = path.split('/');
        // split() gives at least one.
        let first = segments.next().unwrap_or_default();
        match (first, segments.next(), segments.next()) {
            ("", None, _) => Self::Jobs,
            ("active", None, _) => Self::ActiveJobs,
            (name, None, _) => widget::find(name).map_or(Self::Job(name), Self::File),
            (id, Some("log"), None) => Self::Log(id),
            (id, Some("cancel"), None) => Self::Cancel(id),
            _ => Self::Nothing,
        }
    }

    fn allow(&self) -> &'static str {
        match self {
            Self::Jobs | Self::ActiveJobs | Self::Log(_) | Self::File(_) => "GET, HEAD, OPTIONS",
            Self::Job(_) => "GET, HEAD, DELETE, OPTIONS",
            Self::Cancel(_) => "POST, OPTIONS",
            Self::Nothing => "",
        }
    }
}

impl ProgressApi {
    /// Understands a request, and answers it when its viewer does not matter: files of the widget, `OPTIONS`, methods
    /// that are not allowed, forged requests of other sites.
    #[must_use]
    pub fn route(&self, request: &Request<'_>) -> Route {
        let resource = Resource::at(request.path);
        let if_none_match = request.headers.get("if-none-match");
        let is_head = request.method == "HEAD";
        let action = match (&resource, request.method) {
            (Resource::Nothing, _) => return Route::Answered(head(is_head, Reply::not_found())),
            (_, "OPTIONS") => {
                return Route::Answered(Reply::empty(204).with_header("allow", resource.allow()));
            }
            (Resource::File(file), "GET" | "HEAD") => {
                return Route::Answered(head(is_head, widget::serve(file, if_none_match)));
            }
            (Resource::Jobs, "GET" | "HEAD") => Action::List { only_active: false },
            (Resource::ActiveJobs, "GET" | "HEAD") => Action::List { only_active: true },
            (Resource::Job(id), "GET" | "HEAD") => Action::Poll((*id).to_owned()),
            (Resource::Log(id), "GET" | "HEAD") => Action::Log((*id).to_owned()),
            (Resource::Job(id), "DELETE") => Action::Delete((*id).to_owned()),
            (Resource::Cancel(id), "POST") => Action::Cancel((*id).to_owned()),
            _ => {
                let allow = resource.allow();
                let reply = Reply::problem(405, &format!("this address takes {allow}"));
                return Route::Answered(head(is_head, reply.with_header("allow", allow)));
            }
        };
        if matches!(action, Action::Delete(_) | Action::Cancel(_))
            && let Some(refusal) = refuse_cross_site(&request.headers, &self.trusted_origins)
        {
            return Route::Answered(refusal);
        }
        Route::Call(Call {
            api: self.clone(),
            action,
            query: request.query.map(str::to_owned),
            if_none_match: if_none_match.map(str::to_owned),
            is_head,
        })
    }
}

impl Call {
    /// Answers the request for this viewer.
    pub async fn answer(self, viewer: &Viewer) -> Reply {
        let query = self.query.as_deref();
        let reply = match &self.action {
            Action::List { only_active } => self.api.list(viewer, query, *only_active).await,
            Action::Poll(id) => self.api.poll(viewer, id, self.if_none_match.as_deref()).await,
            Action::Log(id) => self.api.log(viewer, id, query).await,
            Action::Cancel(id) => self.api.cancel(viewer, id).await,
            Action::Delete(id) => self.api.delete(viewer, id).await,
        };
        head(self.is_head, reply)
    }
}

fn head(is_head: bool, reply: Reply) -> Reply {
    if is_head { reply.without_body() } else { reply }
}
