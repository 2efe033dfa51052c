use std::time::Duration;

use progress_core::{Failure, TrackerHandle};

/// Counts to seven; the work of every program. The first attempt fails after the third item, or
/// with `QUEUE_PROGRAMS_HANG` it hangs there, until the tests kill it.
pub async fn count(tracker: TrackerHandle) -> Result<(), Failure> {
    let counted = tracker.cursor::<u64>()?.unwrap_or(0);
    for item in counted..7 {
        if item == 3 && tracker.attempt() == 1 {
            if std::env::var_os("QUEUE_PROGRAMS_HANG").is_some() {
                std::future::pending::<()>().await;
            }
            return Err(Failure::new("The disk is full.").retry_after(Duration::from_secs(1)));
        }
        tracker.checkpoint().await?;
        tracker.inc(1);
        tracker.save(&(item + 1))?;
    }
    Ok(())
}
