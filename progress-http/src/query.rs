//! The query parameters of lists and logs.

use std::collections::HashSet;

use progress_core::{MAX_PAGE, ProgressId, ProgressQuery};

use crate::reply::ProblemType;
use crate::{Reply, Viewer};

/// The most entries of a log in one reply.
const MAX_ENTRIES: u32 = 1_000;

/// The decoded parameters. Of a repeated name the first counts. Unknown names are ignored, because
/// they belong to the application.
#[derive(Debug)]
pub(crate) struct Parameters<'a>(Vec<(std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>);

/// The jobs that a list request asks for.
#[derive(Debug)]
pub(crate) enum Listing {
    Page(ProgressQuery),
    /// These jobs, if they exist and the viewer may see them.
    Ids(Vec<ProgressId>),
}

impl<'a> Parameters<'a> {
    pub(crate) fn parse(query: Option<&'a str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    fn number(&self, name: &str) -> Option<Option<u64>> {
        // `parse` alone would accept a plus sign, which in a query usually stands for a space.
        self.get(name).map(|text| {
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
        })
    }

    /// # Errors
    ///
    /// The reply that says which values are allowed.
    pub(crate) fn listing(&self, viewer: &Viewer, only_active: bool) -> Result<Listing, Reply> {
        let bad = |detail: &str| Reply::problem(400, detail);
        let mut query = ProgressQuery::new();
        if only_active {
            query = query.with_active();
        }
        if let Some(status) = self.get("status") {
            let status = status.parse();
            query = query.with_status(status.map_err(|_| {
                bad("status must be one of pending, running, completed, failed, cancelled")
            })?);
        }
        match self.get("active") {
            None => {}
            Some("true") => query = query.with_active(),
            Some("false") => query = query.with_finished(),
            Some(_) => return Err(bad("active must be true or false")),
        }
        if let Some(task_type) = self.get("task_type") {
            query = query.with_task_type(task_type);
        }
        if let Some(limit) =
            self.limit(MAX_PAGE).map_err(|()| bad("limit must be a whole number from 1 to 100"))?
        {
            query = query.with_limit(limit);
        }
        if let Some(cursor) = self.get("cursor") {
            let cursor = cursor.parse();
            query = query.with_cursor(
                cursor.map_err(|_| bad("cursor must be the value of next on an earlier page"))?,
            );
        }
        // Ignores the other parameters, but not if they are invalid.
        if self.get("ids").is_some() {
            return self
                .ids()
                .map(Listing::Ids)
                .ok_or_else(|| bad("ids may name at most 100 jobs, separated by commas"));
        }
        match viewer {
            Viewer::Admin => Ok(Listing::Page(query)),
            Viewer::Owner(owner) => Ok(Listing::Page(query.with_owner(owner))),
            Viewer::Anyone => Err(Reply::problem_of(
                ProblemType::NoOwner,
                403,
                "listing jobs requires an identified viewer; request a single job by id",
            )),
        }
    }

    /// Returns the jobs that all parameters `ids` name, each once; `None` if they are too many. A
    /// malformed id is treated as an unknown one, as on all routes.
    fn ids(&self) -> Option<Vec<ProgressId>> {
        let lists = self.0.iter().filter(|(name, _)| name == "ids");
        let named: Vec<_> = lists.flat_map(|(_, list)| list.split(',')).collect();
        let mut seen = HashSet::new();
        let ids = named.iter().filter_map(|id| id.parse().ok()).filter(|id| seen.insert(*id));
        (named.len() <= MAX_PAGE as usize).then(|| ids.collect())
    }

    /// Returns the entry after which the log continues, and the most entries to return.
    ///
    /// # Errors
    ///
    /// The reply that says which values are allowed.
    pub(crate) fn log(&self) -> Result<(u64, u32), Reply> {
        let after = match self.number("after") {
            None => 0,
            Some(Some(after)) => after,
            Some(None) => {
                return Err(Reply::problem(400, "after must be the seq of an entry, or 0"));
            }
        };
        let limit = self.limit(MAX_ENTRIES);
        let limit = limit
            .map_err(|()| Reply::problem(400, "limit must be a whole number from 1 to 1000"))?;
        Ok((after, limit.unwrap_or(100)))
    }

    fn limit(&self, max: u32) -> Result<Option<u32>, ()> {
        match self.number("limit") {
            None => Ok(None),
            Some(limit) => {
                let limit = limit
                    .and_then(|limit| u32::try_from(limit).ok())
                    .filter(|limit| (1..=max).contains(limit));
                limit.map(Some).ok_or(())
            }
        }
    }

    /// Returns the parameters of this library with another cursor: the address of the next page,
    /// relative to this one. Other parameters may be secrets of the application.
    pub(crate) fn with_cursor(&self, cursor: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for name in ["status", "task_type", "active", "limit"] {
            if let Some(value) = self.get(name) {
                query.append_pair(name, value);
            }
        }
        format!("?{}", query.append_pair("cursor", cursor).finish())
    }
}
