use crate::{Checkpoint, Progress, Stages};

/// What a worker knows of the record with which it started.
#[derive(Debug)]
pub(super) struct StartRecord {
    pub(super) attempt: u32,
    pub(super) has_attempts: bool,
    pub(super) total: Option<u64>,
    pub(super) processed: u64,
    resume: Option<Box<Resume>>,
}

/// Where a job with attempts or stages continues.
#[derive(Debug)]
struct Resume {
    checkpoint: Option<Checkpoint>,
    stages: Option<Stages>,
}

impl StartRecord {
    pub(super) fn new(record: Progress) -> Self {
        Self {
            attempt: record.attempt,
            has_attempts: record.max_attempts.is_some(),
            total: record.total,
            processed: record.processed(),
            resume: (record.checkpoint.is_some() || record.stages.is_some())
                .then(|| Box::new(Resume { checkpoint: record.checkpoint, stages: record.stages })),
        }
    }

    pub(super) fn checkpoint(&self) -> Option<&Checkpoint> {
        self.resume.as_ref()?.checkpoint.as_ref()
    }

    pub(super) fn stages(&self) -> Option<&Stages> {
        self.resume.as_ref()?.stages.as_ref()
    }
}
