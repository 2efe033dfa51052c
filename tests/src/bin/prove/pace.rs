//! The times of a check about leases: those that the library has by default, or all of them shorter by one factor.

use std::time::Duration;

use progress_core::{DEFAULT_LEASE, Janitor, Jobs, NewProgress, TrackerOptions};

use crate::report::Report;

/// How many times faster than by default leases, heartbeats and sweeps are. What does not become faster are the pauses
/// between attempts to write (4 s at most) and the deadlines of stores: where these matter, 3 times is the most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace(u32);

impl Pace {
    /// The default settings in the full form; so many times faster in the quick one.
    pub(crate) fn new(report: &Report, quick: u32) -> Self {
        Self(report.rounds(1, quick))
    }

    pub(crate) const fn times_faster(factor: u32) -> Self {
        Self(factor)
    }

    pub(crate) const fn factor(self) -> u32 {
        self.0
    }

    /// A time at default settings, at this pace.
    pub(crate) fn time(self, seconds: u64) -> Duration {
        Duration::from_secs(seconds) / self.0
    }

    pub(crate) fn lease(self) -> Duration {
        DEFAULT_LEASE / self.0
    }

    pub(crate) fn job(self) -> NewProgress {
        NewProgress::new("prove").with_lease(self.lease())
    }

    pub(crate) fn janitor(self, jobs: &Jobs) -> Janitor {
        jobs.janitor().with_sweep_interval(self.time(5))
    }

    pub(crate) fn tracker(self) -> TrackerOptions {
        TrackerOptions::new().with_heartbeat_interval(self.time(5))
    }
}
