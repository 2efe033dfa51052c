//! Answers to polls that are kept with the version that they are about.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use progress_core::Progress;

use crate::wire::RecordJson;
use crate::{Viewer, reply, tag};

/// What an answer depends on, beside the record and the viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) poll_after: Duration,
    pub(crate) stale_after: Duration,
    /// Stands for these settings in entity tags.
    pub(crate) tag: u16,
}

/// The answers to polls of one snapshot. Many pages that show a job share them.
#[derive(Debug)]
pub(crate) struct Prepared {
    settings: Settings,
    for_admins: OnceLock<PreparedPoll>,
    for_others: OnceLock<PreparedPoll>,
}

/// The answer to a poll of some viewers.
#[derive(Debug)]
pub(crate) struct PreparedPoll {
    pub(crate) tag: String,
    /// `None` if the record cannot be written as JSON.
    body: OnceLock<Option<Bytes>>,
}

impl Prepared {
    pub(crate) const fn new(settings: Settings) -> Self {
        Self { settings, for_admins: OnceLock::new(), for_others: OnceLock::new() }
    }

    pub(crate) fn is_for(&self, settings: Settings) -> bool {
        self.settings == settings
    }

    /// Returns the answer for a viewer. Administrators get another body than owners, and so another
    /// tag.
    pub(crate) fn poll(&self, progress: &Progress, viewer: &Viewer) -> &PreparedPoll {
        let is_admin = *viewer == Viewer::Admin;
        let kept = if is_admin { &self.for_admins } else { &self.for_others };
        kept.get_or_init(|| PreparedPoll {
            tag: tag::of(progress, self.settings, is_admin),
            body: OnceLock::new(),
        })
    }
}

impl PreparedPoll {
    pub(crate) fn body(
        &self,
        progress: &Progress,
        viewer: &Viewer,
        settings: Settings,
    ) -> Option<Bytes> {
        let write = || reply::json(&RecordJson::new(progress, viewer, settings));
        self.body.get_or_init(write).clone()
    }
}
