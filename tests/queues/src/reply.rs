use std::time::Duration;

use progress_core::{Progress, ProgressError, Status};

/// What the queue should do with a message.
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// Remove it, because the record has ended.
    Done,
    /// Deliver it again after this time.
    Again(Duration),
}

/// Translates what `jobs.run` returned.
pub fn reply(ended: Result<Progress, ProgressError>) -> Reply {
    // The pause if the job names none, and while another worker runs it or the store is away.
    const PAUSE: Duration = Duration::from_secs(5);
    match ended {
        Ok(record) if record.status == Status::Pending => {
            // Both times are of the store's clock.
            let delay = record.retry_at.map(|at| (at - record.updated_at).to_std());
            Reply::Again(delay.map_or(PAUSE, Result::unwrap_or_default))
        }
        Ok(_) | Err(ProgressError::NotFound(_)) => Reply::Done,
        Err(ProgressError::Refused { status, .. }) if status.is_finished() => Reply::Done,
        Err(_) => Reply::Again(PAUSE),
    }
}
