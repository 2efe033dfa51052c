use std::time::Duration;

/// Lower bound; keeps the flush loop from running without a pause.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// Upper bound; fits into 32 bits of milliseconds.
const LONGEST_INTERVAL: Duration = Duration::from_secs(30 * 86_400);

/// How often a tracker writes, and which jobs it accepts: an argument of
/// [`Jobs::run_with`](crate::Jobs::run_with) and [`Jobs::tracker_with`](crate::Jobs::tracker_with).
///
/// ```
/// use std::time::Duration;
/// use progress_core::TrackerOptions;
///
/// let options = TrackerOptions::new().with_flush_interval(Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TrackerOptions {
    pub(crate) intervals: Intervals,
    pub(crate) joins_running: bool,
}

/// In milliseconds, because each running job keeps them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Intervals {
    flush: u32,
    heartbeat: u32,
}

impl Intervals {
    pub(crate) fn flush(self) -> Duration {
        Duration::from_millis(self.flush.into())
    }

    pub(crate) fn heartbeat(self) -> Duration {
        Duration::from_millis(self.heartbeat.into())
    }
}

impl Default for TrackerOptions {
    fn default() -> Self {
        Self { intervals: Intervals { flush: 250, heartbeat: 5_000 }, joins_running: false }
    }
}

fn millis(interval: Duration) -> u32 {
    let millis = interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL).as_millis();
    u32::try_from(millis).unwrap_or(u32::MAX)
}

impl TrackerOptions {
    /// Returns the defaults: a write at most every 250 ms, a heartbeat every 5 s, pending jobs
    /// only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the shortest time between two writes, however many items are counted, in whole
    /// milliseconds; at least 10 ms and at most 30 days.
    #[must_use]
    pub fn with_flush_interval(mut self, interval: Duration) -> Self {
        self.intervals.flush = millis(interval);
        self
    }

    /// Sets the time between heartbeats when there is nothing else to write, in whole milliseconds;
    /// at least 10 ms and at most 30 days. A tracker sends at least three heartbeats per
    /// [lease](crate::NewProgress::with_lease), whatever this interval is. Keep the interval at a third of the time after which readers call
    /// a job stale, or less.
    #[must_use]
    pub fn with_heartbeat_interval(mut self, interval: Duration) -> Self {
        self.intervals.heartbeat = millis(interval);
        self
    }

    /// Also accepts a running job, so that several workers can share it. The job should be one that
    /// [completes by itself](crate::NewProgress::with_auto_complete), or the first worker to finish
    /// ends it for the others. Without this option a running job is refused, which protects a job
    /// that a queue delivers twice.
    #[must_use]
    pub fn with_joining(mut self) -> Self {
        self.joins_running = true;
        self
    }
}
