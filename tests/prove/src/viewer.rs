//! A viewer that reads running jobs as long as a check lasts.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use progress_core::{ProgressId, ProgressStore, Status};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Reads jobs until it is stopped.
pub(crate) struct Viewer {
    is_over: Arc<AtomicBool>,
    looking: JoinHandle<Seen>,
}

/// What a viewer saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The longest time since a heartbeat of a running job.
    longest_silence: Duration,
    /// How long load, or the database, held up a single read of the viewer.
    held_up: Duration,
    pub(crate) failed: HashSet<ProgressId>,
}

impl Seen {
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.failed.extend(other.failed);
        self.longest_silence = self.longest_silence.max(other.longest_silence);
        self.held_up = self.held_up.max(other.held_up);
        self
    }

    /// Whether no job was silent for longer than this, apart from the time that the viewer was held
    /// up.
    pub(crate) fn is_silent_within(&self, limit: Duration) -> bool {
        self.longest_silence.saturating_sub(self.held_up) <= limit
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { longest_silence, held_up, .. } = self;
        write!(f, "silent for {longest_silence:.1?} at most (the viewer held up for {held_up:.1?})")
    }
}

impl Viewer {
    pub(crate) fn start(
        runtime: &Handle,
        store: Arc<dyn ProgressStore>,
        jobs: Vec<ProgressId>,
        pause: Duration,
    ) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let looking = runtime.spawn(look(store, jobs, pause, Arc::clone(&is_over)));
        Self { is_over, looking }
    }

    pub(crate) async fn stop(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        self.looking.await.unwrap()
    }
}

async fn look(
    store: Arc<dyn ProgressStore>,
    jobs: Vec<ProgressId>,
    pause: Duration,
    is_over: Arc<AtomicBool>,
) -> Seen {
    let mut seen = Seen::default();
    while !is_over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        tokio::time::sleep(pause).await;
        // A read that fails is repeated in the next round.
        for job in store.get_many(&jobs).await.unwrap_or_default().into_iter().flatten() {
            let silence = job.silent_for().unwrap_or_default();
            seen.longest_silence = seen.longest_silence.max(silence);
            if job.status == Status::Failed {
                seen.failed.insert(job.id);
            }
        }
        seen.held_up = seen.held_up.max(begun.elapsed().saturating_sub(pause));
    }
    seen
}
