use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::{Progress, ProgressId, Status};

/// The last heartbeat of a running job's worker, as a store lists it for its janitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// The job.
    pub id: ProgressId,
    /// [`heartbeat_at`](crate::Progress::heartbeat_at) of the record.
    pub at: DateTime<Utc>,
    /// [`lease`](crate::Progress::lease) of the record.
    pub lease: Duration,
}

impl Heartbeat {
    /// Returns the heartbeat of a running job; `None` if the job is not running.
    #[must_use]
    pub fn of(progress: &Progress) -> Option<Self> {
        let at = progress.heartbeat_at.filter(|_| progress.status == Status::Running)?;
        Some(Self { id: progress.id, at, lease: progress.lease })
    }
}

/// Detects lost workers by watching whether their heartbeats change.
///
/// A job is lost when its heartbeat has stayed the same for as long as its lease. The silence is
/// measured between looks, by the monotonic clock of the watching process. The times in the records
/// are only compared for equality, so a wrong clock neither fails a living job nor keeps a dead
/// one running.
///
/// Silence counts only while the worker could have sent a heartbeat:
///
/// - [`interrupted`](Self::interrupted) after a failed look discards all silence so far, because
///   the worker's own writes may have failed as well;
/// - of the time between two looks, at most a third of the lease counts, because the machine may
///   have been paused meanwhile, or the store unavailable;
/// - a store that can be read may still reject writes, and a single record may be locked. So a job
///   is lost only when a third of its lease has passed since the record was
///   [written](crate::ProgressUpdate::probe) under the same heartbeat.
///
/// [`Janitor`](crate::Janitor) uses it for every store.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use progress_core::{Heartbeat, HeartbeatWatch, ProgressId};
///
/// let at = chrono::DateTime::UNIX_EPOCH;
/// let heartbeat = Heartbeat { id: ProgressId::new(), at, lease: Duration::from_secs(45) };
/// let (start, mut watch) = (Instant::now(), HeartbeatWatch::new());
/// for second in (0..45).step_by(5) {
///     let silent = watch.look(&[heartbeat], start + Duration::from_secs(second));
///     assert!(silent.lost.is_empty());
///     for heartbeat in silent.unconfirmed {
///         // Here a janitor writes to the record.
///         watch.confirm(&heartbeat);
///     }
/// }
/// let silent = watch.look(&[heartbeat], start + Duration::from_secs(45));
/// assert_eq!(silent.lost, [heartbeat]);
/// ```
#[derive(Debug, Default)]
pub struct HeartbeatWatch {
    last_look: Option<Instant>,
    seen: HashMap<ProgressId, Seen>,
}

/// The result of a look: the jobs whose workers have been silent for too long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Silent {
    /// Silent for two thirds of the lease: write to the record, then
    /// [confirm](HeartbeatWatch::confirm) it.
    pub unconfirmed: Vec<Heartbeat>,
    /// Silent for the whole lease although the record could be written: the worker is lost.
    pub lost: Vec<Heartbeat>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: DateTime<Utc>,
    silence: Duration,
    /// How long the worker had been silent when the record was written.
    confirmed: Option<Duration>,
}

impl Seen {
    const fn new(at: DateTime<Utc>) -> Self {
        Self { at, silence: Duration::ZERO, confirmed: None }
    }
}

impl HeartbeatWatch {
    /// Creates a watch that has seen no heartbeat. Silence counts from its first look.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records the heartbeats of all running jobs, read at `now`, and returns those that have been
    /// silent for too long. Forgets jobs that no longer run.
    pub fn look(&mut self, heartbeats: &[Heartbeat], now: Instant) -> Silent {
        let elapsed = self.last_look.map_or(Duration::ZERO, |last| now.duration_since(last));
        self.last_look = Some(now);
        let mut silent = Silent::default();
        let seen = heartbeats.iter().map(|heartbeat| {
            let third = heartbeat.lease / 3;
            let known = self.seen.get(&heartbeat.id).filter(|seen| seen.at == heartbeat.at);
            let seen = known.map_or(Seen::new(heartbeat.at), |seen| Seen {
                silence: seen.silence.saturating_add(elapsed.min(third)),
                ..*seen
            });
            match seen.confirmed {
                None if seen.silence >= 2 * third => silent.unconfirmed.push(*heartbeat),
                Some(since) if seen.silence >= heartbeat.lease.max(since + third) => {
                    silent.lost.push(*heartbeat);
                }
                _ => {}
            }
            (heartbeat.id, seen)
        });
        self.seen = seen.collect();
        silent
    }

    /// Notes that the job's record was written while the heartbeat was still the same.
    pub fn confirm(&mut self, heartbeat: &Heartbeat) {
        if let Some(seen) = self.seen.get_mut(&heartbeat.id).filter(|seen| seen.at == heartbeat.at)
        {
            seen.confirmed.get_or_insert(seen.silence);
        }
    }

    /// Notes that the store could not be read, or did not answer in time.
    pub fn interrupted(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const LEASE: Duration = Duration::from_secs(45);
    const SWEEP: u64 = 5;

    struct Scene {
        watch: HeartbeatWatch,
        start: Instant,
        id: ProgressId,
        is_writable: bool,
    }

    impl Scene {
        fn new() -> Self {
            Self {
                watch: HeartbeatWatch::new(),
                start: Instant::now(),
                id: ProgressId::new(),
                is_writable: true,
            }
        }

        /// Looks at `second`, finds the heartbeat `millisecond`, and returns whether the job is
        /// lost.
        fn finds(&mut self, second: u64, millisecond: i64) -> bool {
            let at = DateTime::UNIX_EPOCH + TimeDelta::milliseconds(millisecond);
            let heartbeat = Heartbeat { id: self.id, at, lease: LEASE };
            let now = self.start + Duration::from_secs(second);
            let silent = self.watch.look(&[heartbeat], now);
            if self.is_writable {
                silent.unconfirmed.iter().for_each(|heartbeat| self.watch.confirm(heartbeat));
            }
            !silent.lost.is_empty()
        }

        /// Looks every 5 s from `from` on, finding the same heartbeat, until the job is lost.
        /// Returns that second.
        fn lost_at(&mut self, from: u64, millisecond: i64) -> u64 {
            (from..).step_by(5).find(|&second| self.finds(second, millisecond)).unwrap()
        }
    }

    #[test]
    fn a_lease_of_silence_is_a_lost_worker_whatever_the_clocks_say() {
        for millisecond in [0, i64::from(i32::MIN), 86_400_000_000] {
            let mut scene = Scene::new();
            assert_eq!(scene.lost_at(0, millisecond), LEASE.as_secs());
        }
    }

    #[test]
    fn a_heartbeat_that_changes_is_a_sign_of_life_also_backwards() {
        let mut scene = Scene::new();
        for second in (0..600).step_by(5) {
            let clock = [3_600_000, -3_600_000, 0][usize::try_from(second / 20 % 3).unwrap()];
            assert!(!scene.finds(second, clock + i64::try_from(second).unwrap()));
        }
    }

    #[test]
    fn after_an_outage_workers_have_a_whole_lease_to_report() {
        let mut scene = Scene::new();
        assert!((0..45).step_by(5).all(|second| !scene.finds(second, 1)));
        scene.watch.interrupted();
        let lost_at = scene.lost_at(600, 1);
        assert!((645..=655).contains(&lost_at), "{lost_at}");
    }

    #[test]
    fn a_gap_between_looks_counts_a_third_of_the_lease() {
        let mut scene = Scene::new();
        assert!(!scene.finds(0, 1) && !scene.finds(5, 1));
        // The machine was paused, or the janitor was.
        assert!(!scene.finds(5 + 3_600, 1));
        let left = scene.lost_at(5 + 3_600, 1) - (5 + 3_600);
        assert!(left >= 45 - 15 - 5 - SWEEP, "lost after only {left} s");
    }

    #[test]
    fn while_a_record_cannot_be_written_its_worker_is_not_lost() {
        let mut scene = Scene::new();
        scene.is_writable = false;
        assert!((0..600).step_by(5).all(|second| !scene.finds(second, 1)));
        scene.is_writable = true;
        let left = scene.lost_at(600, 1) - 600;
        assert!((15..=25).contains(&left), "lost after {left} s");
    }

    #[test]
    fn a_confirmation_of_an_earlier_heartbeat_says_nothing() {
        let mut scene = Scene::new();
        assert!((0..40).step_by(5).all(|second| !scene.finds(second, 1)));
        scene.is_writable = false;
        assert!((40..600).step_by(5).all(|second| !scene.finds(second, 2)));
    }

    #[test]
    fn looks_further_apart_than_the_lease_find_the_dead_all_the_same() {
        let mut scene = Scene::new();
        let lost_at = (0..).step_by(120).find(|&second| scene.finds(second, 1)).unwrap();
        assert_eq!(lost_at, 3 * 120);
    }

    #[test]
    fn what_no_longer_runs_is_forgotten() {
        let mut scene = Scene::new();
        scene.finds(0, 1);
        scene.watch.look(&[], scene.start + Duration::from_secs(5));
        assert!(scene.watch.seen.is_empty());
    }
}
