//! What both frameworks serve: the page, its script, and a record of each request.

use std::sync::{Arc, Mutex};

use progress_http::widget;
use serde_json::json;

use crate::job::Starter;

/// Nothing from elsewhere, nothing inline, no text that becomes code.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
pub(crate) const SCRIPT: &str = include_str!("page/page.js");

#[derive(Debug, Clone, Copy)]
pub(crate) enum Framework {
    Axum,
    Actix,
}

/// The state that the handlers share.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    /// The path prefix; empty for the root of the site.
    pub(crate) base: &'static str,
    pub(crate) starter: Starter,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Served {
    pub(crate) fn new(base: &'static str, starter: Starter) -> Self {
        Self { base, starter, asked: Arc::default() }
    }

    pub(crate) fn page(&self) -> String {
        let tags = widget::tags(&format!("{}/progress", self.base));
        include_str!("page/index.html").replace("{{tags}}", &tags)
    }

    /// Starts a job and returns the body of the response.
    pub(crate) async fn start(&self) -> String {
        json!({"success": true, "job_id": self.starter.start().await}).to_string()
    }

    /// Records a request: its path and query.
    pub(crate) fn note(&self, target: &str) {
        self.asked.lock().unwrap().push(target.to_owned());
    }

    /// Returns the requests to the library's routes since the last call, without those for the
    /// widget's files.
    pub(crate) fn take_asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let ours = format!("{}/progress", self.base);
        asked
            .into_iter()
            .filter(|target| target.starts_with(&ours) && !target.contains("/progress-polling."))
            .collect()
    }
}
