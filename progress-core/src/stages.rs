//! The stages of a job whose work has several parts, one after the other.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Progress, ProgressError, Status, limits};

/// The stages of a job, set by [`NewProgress::with_stages`](crate::NewProgress::with_stages).
///
/// The counts and the total of the current stage are those of the [`Progress`]. They start anew
/// with each stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stages {
    /// All stages, in their order: at least one, at most [`MAX_STAGES`](limits::MAX_STAGES).
    pub all: Vec<Stage>,
    /// The index of the current stage in `all`. It only grows within an attempt.
    pub current: usize,
    /// When the current stage began; `None` if that was with the attempt.
    pub began_at: Option<DateTime<Utc>>,
}

/// A stage of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stage {
    /// What viewers read, such as "Import"; at most 200 characters.
    pub name: String,
    /// The share of this stage in the whole job, relative to the weights of the other stages.
    pub weight: u32,
    /// The number of items at the end of the stage, if it was known.
    pub total: Option<u64>,
    /// The number of items that had succeeded at the end of the stage; 0 before.
    pub succeeded: u64,
    /// The number of items that had failed at the end of the stage; 0 before.
    pub failed: u64,
}

impl Stages {
    pub(crate) fn new(stages: &[(String, u32)]) -> Self {
        let stage = |(name, weight): &(String, u32)| Stage {
            name: name.clone(),
            weight: *weight,
            total: None,
            succeeded: 0,
            failed: 0,
        };
        Self { all: stages.iter().map(stage).collect(), current: 0, began_at: None }
    }

    /// Returns the index of the stage with this name.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.all.iter().position(|stage| stage.name == name)
    }

    /// Whether no stage follows the current one.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.current + 1 >= self.all.len()
    }

    /// Returns the sum of the weights of these stages.
    fn weight(stages: &[Stage]) -> u128 {
        stages.iter().map(|stage| u128::from(stage.weight)).sum()
    }

    /// Makes `stage` the current one. Stages after it have no counts.
    fn continue_at(&mut self, stage: usize) {
        self.current = stage;
        self.began_at = None;
        for later in self.all.iter_mut().skip(stage) {
            (later.total, later.succeeded, later.failed) = (None, 0, 0);
        }
    }
}

pub(crate) fn check(stages: &[(String, u32)]) -> Result<(), ProgressError> {
    if stages.is_empty() || stages.len() > limits::MAX_STAGES {
        return Err(ProgressError::invalid(format!(
            "a job may have 1 to {} stages, not {}",
            limits::MAX_STAGES,
            stages.len()
        )));
    }
    for (index, (name, _)) in stages.iter().enumerate() {
        if name.is_empty() {
            return Err(ProgressError::invalid("a stage needs a name, which viewers read"));
        }
        if stages[..index].iter().any(|(other, _)| other == name) {
            return Err(ProgressError::invalid(format!("two stages have the name {name:?}")));
        }
    }
    Ok(())
}

impl Progress {
    /// Returns the number of items that failed in all stages so far; without stages, the same as
    /// [`failed`](Self::failed).
    #[must_use]
    pub fn failed_in_all_stages(&self) -> u64 {
        let before = self.stages.iter().flat_map(|stages| stages.all.iter().take(stages.current));
        before.fold(self.failed, |sum, stage| limits::sum(sum, stage.failed))
    }

    /// Returns how far the current stage has come, as [`percentage`](Self::percentage) does for a
    /// job without stages.
    #[must_use]
    pub fn stage_percentage(&self) -> Option<u8> {
        if self.status == Status::Completed {
            return Some(100);
        }
        let total = self.total.filter(|&total| total > 0)?;
        if self.processed() > total {
            return None;
        }
        // No overflow: counts stay below 2^53, times 100 below 2^60.
        u8::try_from(self.processed() * 100 / total).ok().map(|percent| percent.min(99))
    }

    /// Returns the weighted share of the stages that are done, and of the current one. An unknown
    /// total counts as nothing done. More items than announced count as all done, because the value
    /// must not fall when an item is processed.
    pub(crate) fn weighted_percentage(&self, stages: &Stages) -> u8 {
        let (before, rest) = stages.all.split_at(stages.current.min(stages.all.len()));
        let current = rest.first().map_or(0, |stage| u128::from(stage.weight));
        let (processed, total) = match (u128::from(self.processed()), self.total.map(u128::from)) {
            (processed, Some(total)) if processed > total => (1, 1),
            (processed, Some(total)) if total > 0 => (processed, total),
            _ => (0, 1),
        };
        let done = Stages::weight(before) * total + current * processed;
        let all = Stages::weight(&stages.all) * total;
        let percentage = (done * 100).checked_div(all).unwrap_or(0);
        u8::try_from(percentage).map_or(99, |percentage| percentage.min(99))
    }

    /// Ends the current stage with its counts, and begins another one. A stage that does not come
    /// after the current one, or does not exist, changes nothing.
    pub(crate) fn begin_stage(&mut self, stage: usize) {
        let Some(stages) = &mut self.stages else { return };
        if stage <= stages.current || stage >= stages.all.len() {
            return;
        }
        let Some(ended) = stages.all.get_mut(stages.current) else { return };
        (ended.total, ended.succeeded, ended.failed) = (
            self.total.take(),
            std::mem::take(&mut self.succeeded),
            std::mem::take(&mut self.failed),
        );
        stages.current = stage;
        stages.began_at = Some(self.updated_at);
        self.carried_over = 0;
        self.pace = 0;
        // It speaks of the stage before.
        self.message = None;
        if let Some(checkpoint) = &mut self.checkpoint {
            *checkpoint = crate::Checkpoint { stage, ..Default::default() };
        }
    }

    /// Returns to the stage where a new attempt continues.
    pub(crate) fn continue_stage(&mut self, stage: usize) {
        if let Some(stages) = &mut self.stages {
            stages.continue_at(stage);
        }
    }

    /// Returns the index of the current stage; 0 for a job without stages.
    pub(crate) fn current_stage(&self) -> usize {
        self.stages.as_ref().map_or(0, |stages| stages.current)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::testing::random::Random;
    use crate::{
        Checkpoint, Completion, Delta, NewProgress, ProgressUpdate, Record, TotalChange,
        WORKER_LOST,
    };

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn job() -> NewProgress {
        NewProgress::new("import").with_stages([("Read", 1), ("Check", 2), ("Import", 7)])
    }

    fn started(job: &NewProgress) -> Record {
        let mut record = Record::new(job, NOW).unwrap();
        record.update(&ProgressUpdate::start(), NOW).unwrap();
        record
    }

    fn advance(record: &mut Record, delta: Delta) {
        let now = record.progress.updated_at + TimeDelta::seconds(1);
        record.update(&ProgressUpdate::advance(delta), now).unwrap();
    }

    #[test]
    fn the_percentage_is_the_weighted_sum_of_the_stages() {
        let mut record = started(&job().with_total(4));
        let mut seen = vec![record.progress.percentage()];
        for delta in [
            Delta::new().with_succeeded(2),
            Delta::new().with_succeeded(9),
            Delta::new().with_stage(1),
            Delta::new().with_succeeded(100),
            Delta::new().with_total(TotalChange::Set(200)),
            Delta::new().with_failed(50).with_stage(2).with_total(TotalChange::Set(2)),
            Delta::new().with_succeeded(1),
            Delta::new().with_succeeded(1),
        ] {
            advance(&mut record, delta);
            seen.push(record.progress.percentage());
        }
        assert_eq!(seen, [0, 5, 10, 10, 10, 20, 30, 65, 99].map(Some));
        assert_eq!(record.progress.stage_percentage(), Some(99));
        let stages = record.progress.stages.as_ref().unwrap();
        let check = &stages.all[1];
        assert_eq!((check.total, check.succeeded, check.failed), (Some(200), 100, 50));
        assert_eq!(record.progress.failed_in_all_stages(), 50);
        record.update(&ProgressUpdate::complete(Delta::new(), Completion::new()), NOW).unwrap();
        assert_eq!(record.progress.percentage(), Some(100));
    }

    #[test]
    fn weights_and_counts_at_their_limits_do_not_overflow() {
        let stages = (0..limits::MAX_STAGES).map(|stage| (stage.to_string(), u32::MAX));
        let mut record = started(&NewProgress::new("t").with_stages(stages).with_total(u64::MAX));
        advance(&mut record, Delta::new().with_succeeded(u64::MAX).with_failed(u64::MAX));
        assert_eq!(record.progress.percentage(), Some(5));
        let last = Delta::new().with_stage(19).with_total(TotalChange::Set(u64::MAX));
        advance(&mut record, last.with_succeeded(u64::MAX));
        assert_eq!(record.progress.percentage(), Some(99));
    }

    #[test]
    fn a_stage_begins_without_what_belongs_to_the_one_before() {
        let mut record = started(&job().with_total(4).with_attempts(2));
        let checkpoint = |stage| Checkpoint { stage, succeeded: 1, ..Checkpoint::default() };
        let delta = Delta::new().with_message("line 1").with_checkpoint(checkpoint(0));
        advance(&mut record, delta.with_succeeded(1));
        advance(&mut record, Delta::new().with_stage(1));
        let progress = &record.progress;
        assert_eq!((progress.processed(), progress.total, &progress.message), (0, None, &None));
        assert_eq!(progress.checkpoint, Some(Checkpoint { stage: 1, ..Checkpoint::default() }));
        // Taken by the flush loop before the stage began.
        advance(&mut record, Delta::new().with_checkpoint(checkpoint(0)));
        assert_eq!(record.progress.checkpoint.as_ref().unwrap().stage, 1);
    }

    #[test]
    fn a_stage_does_not_go_back_and_one_that_does_not_exist_changes_nothing() {
        let mut record = started(&job());
        advance(&mut record, Delta::new().with_stage(2).with_succeeded(5));
        for stage in [0, 1, 2, 3, usize::MAX] {
            let before = record.progress.clone();
            advance(&mut record, Delta::new().with_stage(stage));
            let now = &record.progress;
            assert_eq!((now.succeeded, &now.stages), (before.succeeded, &before.stages));
        }
        let mut plain = started(&NewProgress::new("test").with_total(9));
        advance(&mut plain, Delta::new().with_succeeded(1).with_stage(1).with_succeeded(2));
        assert_eq!((plain.progress.succeeded, plain.progress.total), (3, Some(9)));
    }

    #[test]
    fn the_next_attempt_returns_to_the_stage_that_was_saved() {
        let mut record = started(&job().with_total(4).with_attempts(2));
        advance(&mut record, Delta::new().with_succeeded(4).with_stage(1).with_failed(3));
        record.update(&ProgressUpdate::lose(record.progress.heartbeat_at.unwrap()), NOW).unwrap();
        assert_eq!(record.progress.error.as_deref(), Some(WORKER_LOST));
        assert_eq!(record.progress.failed_in_all_stages(), 3, "until the next attempt starts");
        record.update(&ProgressUpdate::start(), NOW).unwrap();
        let progress = &record.progress;
        assert_eq!((progress.processed(), progress.carried_over, progress.total), (0, 0, None));
        let stages = progress.stages.as_ref().unwrap();
        assert_eq!((stages.current, stages.all[0].succeeded, stages.began_at), (1, 4, None));
    }

    #[test]
    fn the_rate_is_that_of_the_stage_and_the_estimate_that_of_the_last_one() {
        let mut record = started(&job().with_total(1_000));
        advance(&mut record, Delta::new().with_succeeded(500));
        assert!(record.progress.rate().is_some_and(|rate| rate > 400.0));
        assert_eq!(record.progress.estimated_remaining(), None, "other stages follow");
        advance(&mut record, Delta::new().with_stage(2).with_total(TotalChange::Set(10)));
        assert_eq!(record.progress.rate(), None);
        for _ in 0..5 {
            advance(&mut record, Delta::new().with_succeeded(1));
        }
        let (rate, left) = (record.progress.rate(), record.progress.estimated_remaining());
        assert!(rate.is_some_and(|rate| (rate - 1.0).abs() < 0.05), "{rate:?}");
        assert!(left.is_some_and(|left| (4..7).contains(&left.as_secs())), "{left:?}");
    }

    #[test]
    fn stages_that_viewers_could_not_tell_apart_are_refused() {
        let many =
            |count: usize| (0..count).map(|stage| (stage.to_string(), 1)).collect::<Vec<_>>();
        let long = "x".repeat(limits::MAX_TITLE);
        let twins = [(format!("{long}a"), 1), (format!("{long}b"), 1)];
        for (stages, word) in [
            (many(0), "not 0"),
            (many(21), "not 21"),
            (vec![(String::new(), 1)], "needs a name"),
            (twins.to_vec(), "two stages"),
        ] {
            let error = Record::new(&NewProgress::new("t").with_stages(stages), NOW).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
        Record::new(&NewProgress::new("t").with_stages(many(20)), NOW).unwrap();
        let shared = Record::new(&job().with_auto_complete(), NOW).unwrap_err();
        assert!(shared.to_string().contains("share"), "{shared}");
    }

    #[test]
    fn no_second_worker_joins_a_job_with_stages_or_attempts() {
        for job in [job(), NewProgress::new("test").with_attempts(2)] {
            let mut record = started(&job);
            let refusal = record.update(&ProgressUpdate::join(), NOW);
            assert!(matches!(refusal, Err(ProgressError::Refused { .. })), "{refusal:?}");
        }
    }

    fn delta(random: &mut Random) -> Delta {
        let mut delta = Delta::new();
        for _ in 0..=random.next() % 3 {
            delta = delta.with_succeeded(random.next() % 20).with_failed(random.next() % 3);
            if random.once_in(4) {
                delta = delta.with_total(TotalChange::Add(random.next() % 100));
            }
            if random.once_in(8) {
                delta = delta.with_total(TotalChange::Set(random.next() % 200));
            }
            if random.once_in(6) {
                delta = delta.with_stage(*random.pick(&[0, 1, 1, 2, 3]));
            }
        }
        delta
    }

    /// What a page could see that must not be.
    fn contradiction(before: &Progress, after: &Progress) -> Option<&'static str> {
        if after.attempt != before.attempt {
            return None;
        }
        let (stage, next) = (before.current_stage(), after.current_stage());
        if next < stage {
            return Some("the job went back to an earlier stage");
        }
        let counts = |of: &Progress| (of.succeeded, of.failed);
        let ((succeeded, failed), now) = (counts(before), counts(after));
        if next == stage && (now.0 < succeeded || now.1 < failed) {
            return Some("a count fell");
        }
        if after.failed_in_all_stages() < before.failed_in_all_stages() {
            return Some("the failed items of all stages fell");
        }
        let ended = |of: &Progress| of.stages.clone().map(|stages| stages.all[..stage].to_vec());
        if ended(before) != ended(after) {
            return Some("a stage changed after its end");
        }
        let grew = next == stage && after.total > before.total;
        match (before.percentage(), after.percentage()) {
            (Some(_), None) if after.stages.is_some() => Some("the percentage became unknown"),
            (Some(before), Some(after)) if after < before && !grew => Some("the percentage fell"),
            _ => None,
        }
    }

    #[test]
    fn counts_never_fall_and_the_percentage_only_when_the_total_grew() {
        let mut falls = 0;
        for seed in 0..10_000 {
            let random = &mut Random::new(seed);
            let mut new = NewProgress::new("test");
            if !random.once_in(3) {
                new = job();
            }
            if random.once_in(2) {
                new = new.with_attempts(3);
            }
            if random.once_in(2) {
                new = new.with_total(random.next() % 100);
            }
            let mut record = started(&new);
            let mut now = NOW;
            for _ in 0..20 {
                now += TimeDelta::milliseconds(250);
                let before = record.progress.clone();
                let update = match random.next() % 16 {
                    0 => ProgressUpdate::release(delta(random), "full", None),
                    1 => ProgressUpdate::start(),
                    2 => ProgressUpdate::abandon(delta(random)),
                    3 if random.once_in(4) => {
                        ProgressUpdate::complete(delta(random), Completion::new())
                    }
                    _ => ProgressUpdate::advance(delta(random)),
                };
                let is_accepted = record.update(&update, now).is_ok();
                let complaint = contradiction(&before, &record.progress);
                assert_eq!(complaint, None, "seed {seed}, {update:?} on {before:?}");
                let percentages = (before.percentage(), record.progress.percentage());
                falls += u32::from(is_accepted && percentages.1 < percentages.0);
            }
        }
        assert!(falls > 1_000, "growing totals occurred only {falls} times");
    }
}
