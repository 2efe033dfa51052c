//! The timing of checks about leases: the library's defaults, or all of them divided by one factor.

use std::time::Duration;

use progress_core::{DEFAULT_LEASE, Janitor, Jobs, NewProgress, TrackerOptions};

use crate::report::Report;

/// How many times shorter than by default leases, heartbeats and sweeps are. The pauses between
/// attempts to write (4 s at most) and the deadlines of stores stay the same. Where these matter,
/// the factor is 3 at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace(u32);

impl Pace {
    /// The default settings at full scale, `quick` times faster at quick scale.
    pub(crate) fn new(report: &Report, quick: u32) -> Self {
        Self(report.rounds(1, quick))
    }

    pub(crate) const fn times_faster(factor: u32) -> Self {
        Self(factor)
    }

    pub(crate) const fn factor(self) -> u32 {
        self.0
    }

    /// Scales a time, given in seconds at default settings, to this pace.
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
