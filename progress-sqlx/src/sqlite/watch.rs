//! Who has fallen silent, by what was seen of them.
//!
//! SQLite has no clock of its own: a heartbeat bears the time of the process that wrote it, and processes disagree about the
//! time, or change their minds. So a job is lost when the same heartbeat has been seen for too long, measured by a clock that
//! never jumps. The times in the records only say more where they cannot do harm: see [`Watch::look`].

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What the sweeps of a store have seen of the jobs that run. It holds these and no others.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The time of the last look; before the first, of the store's opening.
    looked_at: Instant,
    seen: HashMap<String, Heartbeat>,
}

#[derive(Debug, Clone, Copy)]
struct Heartbeat {
    at: i64,
    since: Instant,
}

/// A running job, as one look finds it.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) id: String,
    /// The times in milliseconds: by the clock of whoever wrote the heartbeat, and by that of whoever reads it.
    pub(super) heartbeat_at: i64,
    pub(super) observed_at: i64,
}

impl Default for Watch {
    fn default() -> Self {
        Self { looked_at: Instant::now(), seen: HashMap::new() }
    }
}

impl Watch {
    /// Notes all that run. `now` lies within the turn in which they were read: nobody else writes in it.
    ///
    /// A heartbeat that was not there at the last look came after that look, so it is no older than that, whatever the
    /// clocks say; where they say less, they are believed. So with clocks that agree its age is exact, and with others it
    /// is at most one interval between sweeps too much, or too little.
    pub(super) fn look(&mut self, running: impl Iterator<Item = Running>, now: Instant) {
        let seen = running.map(|job| {
            let since = match self.seen.get(&job.id) {
                Some(heartbeat) if heartbeat.at == job.heartbeat_at => heartbeat.since,
                _ => now
                    .checked_sub(job.age())
                    .map_or(self.looked_at, |since| since.max(self.looked_at)),
            };
            (job.id, Heartbeat { at: job.heartbeat_at, since })
        });
        self.seen = seen.collect();
        self.looked_at = now;
    }

    /// Those of the last look that had been silent for longer than this.
    pub(super) fn silent_for(&self, time: Duration) -> impl Iterator<Item = &String> {
        let is_silent =
            move |heartbeat: &Heartbeat| self.looked_at.duration_since(heartbeat.since) > time;
        self.seen.iter().filter(move |(_, heartbeat)| is_silent(heartbeat)).map(|(id, _)| id)
    }
}

impl Running {
    /// What the clocks say. A heartbeat from the future is as fresh as can be.
    fn age(&self) -> Duration {
        let age = self.observed_at.saturating_sub(self.heartbeat_at);
        Duration::from_millis(u64::try_from(age).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const SWEEP: u64 = 10;
    const LEASE: u64 = 45;

    /// One job and one janitor. Times are seconds since the store was opened, by the clock that never jumps.
    struct Scene {
        watch: Watch,
        opened: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let watch = Watch::default();
            Self { opened: watch.looked_at, watch }
        }

        /// A look that finds a heartbeat and a time of reading, both in milliseconds of whatever clocks; whether the job is
        /// lost.
        fn finds(&mut self, second: u64, heartbeat_at: i64, observed_at: i64) -> bool {
            let job = Running { id: "job".to_owned(), heartbeat_at, observed_at };
            let now = self.opened + Duration::from_secs(second);
            self.watch.look(std::iter::once(job), now);
            self.watch.silent_for(Duration::from_secs(LEASE)).next().is_some()
        }

        /// Sweeps to the end of two minutes; when the job was lost. The clocks of the worker and of the janitor are given
        /// as what they are ahead by, in milliseconds, in each second.
        fn lost_at(
            mut self,
            last_beat: u64,
            worker: impl Fn(u64) -> i64,
            janitor: impl Fn(u64) -> i64,
        ) -> Option<u64> {
            (0..=120).step_by(10).find(|&second| {
                // A heartbeat every 5 s, from long before on.
                let beat = (second - second % 5).min(last_beat);
                let read = |clock: &dyn Fn(u64) -> i64, second| seconds(second) + clock(second);
                self.finds(second, read(&worker, beat), read(&janitor, second))
            })
        }
    }

    fn seconds(seconds: u64) -> i64 {
        1_000_000 * HOUR + i64::try_from(seconds).unwrap() * 1_000
    }

    fn right(_: u64) -> i64 {
        0
    }

    /// Another hour in every minute.
    fn back_and_forth(second: u64) -> i64 {
        [HOUR, -HOUR, 0][usize::try_from(second / 20 % 3).unwrap()]
    }

    #[test]
    fn with_clocks_that_agree_ages_are_exact() {
        let mut scene = Scene::new();
        assert!(!scene.finds(10, seconds(7), seconds(10)));
        assert!(
            !scene.finds(52, seconds(7), seconds(52)),
            "45 s of silence are not more than 45 s"
        );
        assert!(scene.finds(53, seconds(7), seconds(53)));
        let is_silent_for = |millis| scene.watch.silent_for(Duration::from_millis(millis)).count();
        assert_eq!((is_silent_for(45_999), is_silent_for(46_000)), (1, 0));
    }

    #[test]
    fn at_first_sight_a_lease_may_have_run_out_if_the_store_was_open_so_long() {
        let mut scene = Scene::new();
        assert!(scene.finds(50, seconds(1), seconds(50)));
        assert!(!Scene::new().finds(50, seconds(10), seconds(50)));
        let mut just_now = Scene::new();
        just_now.finds(1, seconds(0), seconds(1));
        assert_eq!(just_now.watch.silent_for(Duration::ZERO).count(), 1);
    }

    #[test]
    fn workers_that_died_before_the_start_are_lost_one_lease_after_it() {
        let mut scene = Scene::new();
        assert!(
            !scene.finds(0, seconds(0) - HOUR, seconds(0)),
            "who knows what this clock is worth"
        );
        assert!(!scene.finds(LEASE, seconds(0) - HOUR, seconds(LEASE)));
        assert!(scene.finds(LEASE + 1, seconds(0) - HOUR, seconds(LEASE + 1)));
    }

    #[test]
    fn no_clock_kills_the_living() {
        let clocks: [&dyn Fn(u64) -> i64; 4] = [&right, &|_| HOUR, &|_| -HOUR, &back_and_forth];
        for worker in clocks {
            for janitor in clocks {
                assert_eq!(Scene::new().lost_at(u64::MAX, worker, janitor), None);
            }
        }
    }

    #[test]
    fn no_clock_keeps_the_dead() {
        assert_eq!(Scene::new().lost_at(20, right, right), Some(70));
        let clocks: [&dyn Fn(u64) -> i64; 4] = [&right, &|_| HOUR, &|_| -HOUR, &back_and_forth];
        for last_beat in [0, 5, 10, 15, 20, 25] {
            for worker in clocks {
                for janitor in clocks {
                    let lost_at = Scene::new().lost_at(last_beat, worker, janitor).unwrap();
                    let silence = lost_at - last_beat;
                    assert!((LEASE - SWEEP..=LEASE + 2 * SWEEP).contains(&silence), "{silence}");
                }
            }
        }
    }

    #[test]
    fn times_beyond_reason_are_only_numbers() {
        for (heartbeat_at, observed_at) in
            [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (i64::MIN, 0)]
        {
            let mut scene = Scene::new();
            assert!(!scene.finds(0, heartbeat_at, observed_at));
            assert!(scene.finds(LEASE + 1, heartbeat_at, observed_at));
        }
    }

    #[test]
    fn what_no_longer_runs_is_forgotten() {
        let mut scene = Scene::new();
        scene.finds(0, seconds(0), seconds(0));
        scene.watch.look(std::iter::empty(), scene.opened + Duration::from_secs(10));
        assert!(scene.watch.seen.is_empty());
    }
}
