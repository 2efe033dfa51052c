//! The keys. All have the same hash tag, the text in braces, so that one script may use them
//! together on a Redis Cluster.

use progress_core::{Cursor, Progress, ProgressId, Status};

/// The names of all keys of a store.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(namespace: &str) -> Self {
        Self { prefix: format!("{{{namespace}}}:") }
    }

    /// A hash: the revision and the document of a record.
    pub(crate) fn record(&self, id: ProgressId) -> String {
        format!("{}record:{id}", self.prefix)
    }

    /// A sorted set: the entries of a record's log, by their number.
    pub(crate) fn log(&self, id: ProgressId) -> String {
        format!("{}log:{id}", self.prefix)
    }

    /// A hash: the heartbeat and the lease of every running job, by its id.
    pub(crate) fn running(&self) -> String {
        format!("{}running", self.prefix)
    }

    /// The channel that tells of changes.
    pub(crate) fn changes(&self) -> String {
        format!("{}changes", self.prefix)
    }

    /// A sorted set: the ids of the jobs that have ended, by the time when their retention begins.
    pub(crate) fn finished(&self) -> String {
        format!("{}finished", self.prefix)
    }

    /// A sorted set: the ids of the jobs whose end is to be announced, by the time when this is
    /// due.
    pub(crate) fn unannounced(&self) -> String {
        format!("{}unannounced", self.prefix)
    }

    /// A sorted set: the [`place`]s of the records with a status; of an owner, of a type, of both,
    /// or all.
    pub(crate) fn list(
        &self,
        status: Status,
        owner: Option<&str>,
        task_type: Option<&str>,
    ) -> String {
        let list = format!("{}list:{status}", self.prefix);
        match (owner, task_type) {
            (None, None) => list,
            (Some(owner), None) => format!("{list}:owner:{owner}"),
            (None, Some(task_type)) => format!("{list}:type:{task_type}"),
            // Both may contain a colon.
            (Some(owner), Some(task_type)) => {
                format!("{list}:both:{}:{owner}:{task_type}", owner.len())
            }
        }
    }

    /// The lists that contain a record while it has this status.
    pub(crate) fn lists(&self, progress: &Progress, status: Status) -> Vec<String> {
        let task_type = Some(progress.task_type.as_str());
        let mut lists = vec![self.list(status, None, None), self.list(status, None, task_type)];
        if let owner @ Some(_) = progress.owner.as_deref() {
            lists.push(self.list(status, owner, None));
            lists.push(self.list(status, owner, task_type));
        }
        lists
    }

    /// Returns the first keys of `write.lua` and `delete.lua`. The lists follow.
    pub(crate) fn of(&self, progress: &Progress) -> Vec<String> {
        vec![
            self.record(progress.id),
            self.log(progress.id),
            self.running(),
            self.finished(),
            self.unannounced(),
        ]
    }
}

/// Returns the place of a record in a list: text that sorts by time of creation, then by id.
pub(crate) fn place(cursor: Cursor) -> String {
    format!("{:016}{}", cursor.created_at().timestamp_millis().max(0), cursor.id())
}

/// Returns the id of the record at a place in a list.
pub(crate) fn id_at(place: &str) -> Option<ProgressId> {
    place.get(16..)?.parse().ok()
}
