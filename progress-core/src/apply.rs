//! The state machine. Stores make it atomic; the conformance suite compares them with it.

use chrono::{DateTime, Utc};

use crate::{
    Delta, ITEMS_MISSING, Progress, ProgressError, ProgressUpdate, Status, TotalChange, Transition,
    WORKER_LOST, WORKER_STOPPED, endings::ANNOUNCEMENT_DELAY, limits, pace,
};

impl Progress {
    /// Applies an update, or refuses it and changes nothing. `now` is the store's time.
    ///
    /// Only this function decides what an update does. A store calls it through
    /// [`Record::update`](crate::Record::update), which skips updates that were applied before.
    ///
    /// # Errors
    ///
    /// [`ProgressError::Refused`] if the job's status does not allow the transition, if the update
    /// belongs to another attempt, or if a janitor's update is based on an outdated heartbeat.
    ///
    /// # Examples
    ///
    /// ```
    /// use progress_core::{Completion, Delta, NewProgress, Progress, ProgressUpdate, Status};
    ///
    /// let now = chrono::DateTime::UNIX_EPOCH;
    /// let mut progress = Progress::new(&NewProgress::new("import"), now)?;
    /// progress.apply(&ProgressUpdate::start(), now)?;
    /// progress.apply(&ProgressUpdate::complete(Delta::new(), Completion::new()), now)?;
    /// assert_eq!(progress.status, Status::Completed);
    /// assert!(progress.apply(&ProgressUpdate::heartbeat(), now).is_err());
    /// # Ok::<(), progress_core::ProgressError>(())
    /// ```
    pub fn apply(
        &mut self,
        update: &ProgressUpdate,
        now: DateTime<Utc>,
    ) -> Result<(), ProgressError> {
        let transition = update.transition();
        let is_of_attempt = update.attempt().is_none_or(|attempt| attempt == self.attempt);
        // Several workers have no common checkpoint and no common stage.
        let is_second_worker = *transition == Transition::Join
            && (self.max_attempts.is_some() || self.stages.is_some());
        if !transition.accepted_in(self.status) || !is_of_attempt || is_second_worker {
            return Err(ProgressError::Refused { id: self.id, status: self.status });
        }
        if let Transition::Probe { heartbeat_at } | Transition::Lose { heartbeat_at } = transition
            && self.heartbeat_at != Some(*heartbeat_at)
        {
            return Err(ProgressError::Refused { id: self.id, status: self.status });
        }
        if let Transition::ClaimAnnouncement { announce_at, .. } = transition
            && self.announce_at != Some(*announce_at)
        {
            return Err(ProgressError::Refused { id: self.id, status: self.status });
        }
        let clock = limits::time(now);
        self.observed_at = clock;
        match transition {
            Transition::ClaimAnnouncement { delay, .. } => {
                self.announce_at = Some(clock + *delay);
                return Ok(());
            }
            Transition::Announced => {
                self.announce_at = None;
                return Ok(());
            }
            _ => {}
        }
        if matches!(transition, Transition::Start | Transition::Join | Transition::Advance) {
            // The clock as it is: a lease that was renewed while the clock was ahead must not
            // outlast its correction.
            self.heartbeat_at = Some(clock);
        }
        if *transition == Transition::Join {
            self.workers = self.workers.saturating_add(1);
        }
        let is_invisible = match transition {
            Transition::Join | Transition::Probe { .. } => true,
            Transition::RequestCancel => self.cancel_requested,
            Transition::Advance => !update.delta().is_visible(),
            _ => false,
        };
        if is_invisible {
            self.keep_checkpoint(update.delta());
            return Ok(());
        }

        self.version += 1;
        self.add(update.delta(), clock.max(self.updated_at));
        self.keep_checkpoint(update.delta());
        match transition {
            Transition::Start => self.start_attempt(),
            Transition::Join
            | Transition::Probe { .. }
            | Transition::Advance
            | Transition::ClaimAnnouncement { .. }
            | Transition::Announced => {}
            Transition::Complete(completion) => {
                if let Some(message) = completion.message() {
                    self.completion_message = Some(message.to_owned());
                }
                if let Some(result) = completion.result() {
                    self.result = Some(result.clone());
                }
                self.leave(Status::Completed);
            }
            Transition::Fail(error) => {
                self.error = Some(error.clone());
                self.leave(Status::Failed);
            }
            Transition::Release { error, delay } => {
                if self.auto_complete {
                    self.error = Some(error.clone());
                    self.leave_shared();
                } else {
                    self.end_attempt(error.clone(), *delay);
                }
            }
            Transition::Cancel => self.leave(Status::Cancelled),
            Transition::Abandon => self.abandon(),
            Transition::Lose { .. } => self.lose(),
            Transition::RequestCancel => {
                self.cancel_requested = true;
                // No worker has to obey.
                if self.workers == 0 {
                    self.finish(Status::Cancelled);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, delta: &Delta, now: DateTime<Utc>) {
        let elapsed = (now - self.updated_at).to_std().unwrap_or_default();
        self.pace = pace::after(self.pace, delta.succeeded.saturating_add(delta.failed), elapsed);
        self.updated_at = now;
        for change in &delta.stage_changes {
            self.count(change.succeeded, change.failed, change.total);
            self.begin_stage(change.begins);
        }
        self.count(delta.succeeded, delta.failed, delta.total);
        self.last_entry = limits::sum(self.last_entry, delta.entry_count());
        if let Some(message) = &delta.message {
            self.message = Some(message.clone());
        }
    }

    fn count(&mut self, succeeded: u64, failed: u64, total: TotalChange) {
        self.succeeded = limits::sum(self.succeeded, succeeded);
        self.failed = limits::sum(self.failed, failed);
        self.total = total.applied_to(self.total);
    }

    /// Keeps a worker's checkpoint, if the job may run again. One of an earlier stage is outdated.
    fn keep_checkpoint(&mut self, delta: &Delta) {
        if let Some(checkpoint) = delta.checkpoint()
            && self.checkpoint.is_some()
            && checkpoint.stage == self.current_stage()
        {
            self.checkpoint = Some(checkpoint.clone());
        }
    }

    /// Whether the processed items have reached the total.
    fn has_all_items(&self) -> bool {
        self.total.is_some_and(|total| self.processed() >= total)
    }

    /// Ends the job with `status`. A shared job only loses a worker, until the last one leaves.
    fn leave(&mut self, status: Status) {
        if !self.auto_complete {
            return self.finish(status);
        }
        self.leave_shared();
        // Without a total, the last worker decides.
        if self.status == Status::Running && self.workers == 0 && self.total.is_none() {
            self.finish(status);
        }
    }

    fn abandon(&mut self) {
        if self.auto_complete {
            return self.leave_shared();
        }
        self.end_attempt(WORKER_STOPPED.to_owned(), None);
    }

    /// Removes a worker from a shared job. The last one ends it, unless items are missing: another
    /// worker may process them.
    fn leave_shared(&mut self) {
        self.workers = self.workers.saturating_sub(1);
        if self.workers > 0 {
            return;
        }
        if self.error.is_some() {
            self.finish(Status::Failed);
        } else if self.has_all_items() {
            self.finish(Status::Completed);
        } else if self.cancel_requested {
            self.finish(Status::Cancelled);
        }
    }

    fn lose(&mut self) {
        if self.auto_complete && self.error.is_none() && self.has_all_items() {
            return self.finish(Status::Completed);
        }
        let has_no_worker = self.auto_complete && self.workers == 0;
        let error = if has_no_worker { ITEMS_MISSING } else { WORKER_LOST };
        let error = self.error.take().unwrap_or_else(|| error.to_owned());
        self.end_attempt(error, None);
    }

    /// Completes a shared job without items (total 0).
    pub(crate) fn complete_if_empty(&mut self) {
        if self.auto_complete && self.total == Some(0) {
            self.started_at = Some(self.created_at);
            self.finish(Status::Completed);
        }
    }

    pub(crate) fn finish(&mut self, status: Status) {
        self.status = status;
        self.workers = 0;
        self.retry_at = None;
        self.checkpoint = None;
        if status == Status::Cancelled {
            // Of an earlier attempt.
            self.error = None;
        }
        self.finished_at = Some(self.updated_at);
        self.announce_at = self.announce_at.map(|_| self.updated_at + ANNOUNCEMENT_DELAY);
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{Completion, Delta, NewEntry, NewProgress, TotalChange};

    const EPOCH: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn pending() -> Progress {
        Progress::new(&NewProgress::new("test").with_total(10), EPOCH).unwrap()
    }

    fn in_status(status: Status) -> Progress {
        let mut progress = pending();
        let path = match status {
            Status::Pending => vec![],
            Status::Running => vec![ProgressUpdate::start()],
            Status::Completed => {
                vec![
                    ProgressUpdate::start(),
                    ProgressUpdate::complete(Delta::new(), Completion::new()),
                ]
            }
            Status::Failed => vec![ProgressUpdate::fail(Delta::new(), "broken")],
            Status::Cancelled => vec![ProgressUpdate::request_cancel()],
        };
        for update in path {
            progress.apply(&update, EPOCH).unwrap();
        }
        assert_eq!(progress.status, status);
        progress
    }

    #[test]
    fn every_edge_of_the_table_and_no_other() {
        use Status::{Cancelled, Completed, Failed, Pending, Running};
        let table = [
            (ProgressUpdate::start(), vec![(Pending, Running)]),
            (ProgressUpdate::advance(Delta::new().with_succeeded(1)), vec![(Running, Running)]),
            (ProgressUpdate::heartbeat(), vec![(Running, Running)]),
            (ProgressUpdate::complete(Delta::new(), Completion::new()), vec![(Running, Completed)]),
            (
                ProgressUpdate::fail(Delta::new(), "broken"),
                vec![(Pending, Failed), (Running, Failed)],
            ),
            (ProgressUpdate::request_cancel(), vec![(Pending, Cancelled), (Running, Running)]),
            (ProgressUpdate::cancel(Delta::new()), vec![(Running, Cancelled)]),
            (ProgressUpdate::join(), vec![(Running, Running)]),
            (ProgressUpdate::abandon(Delta::new()), vec![(Running, Failed)]),
            (ProgressUpdate::lose(EPOCH), vec![(Running, Failed)]),
            (ProgressUpdate::probe(EPOCH), vec![(Running, Running)]),
            (
                ProgressUpdate::announced(),
                vec![(Completed, Completed), (Failed, Failed), (Cancelled, Cancelled)],
            ),
        ];
        for (update, edges) in table {
            for status in Status::ALL {
                let before = in_status(status);
                let mut after = before.clone();
                let outcome = after.apply(&update, EPOCH);
                match edges.iter().find(|(from, _)| *from == status) {
                    Some((_, to)) => {
                        outcome.unwrap();
                        assert_eq!(after.status, *to, "{update:?} in {status}");
                        assert_eq!(after.finished_at.is_some(), to.is_finished());
                    }
                    None => {
                        assert!(matches!(
                            outcome,
                            Err(ProgressError::Refused { status: said, .. }) if said == status
                        ));
                        assert_eq!(after, before, "a refused {update:?} changed a {status} record");
                    }
                }
            }
        }
    }

    #[test]
    fn heartbeats_and_repeated_wishes_leave_the_version_alone() {
        let mut progress = in_status(Status::Running);
        let later = EPOCH + TimeDelta::seconds(5);
        let before = progress.clone();
        progress.apply(&ProgressUpdate::heartbeat(), later).unwrap();
        assert_eq!(progress.heartbeat_at, Some(later));
        assert_eq!((progress.version, progress.updated_at), (before.version, before.updated_at));

        progress.apply(&ProgressUpdate::request_cancel(), later).unwrap();
        assert_eq!(progress.version, before.version + 1);
        progress.apply(&ProgressUpdate::request_cancel(), later).unwrap();
        assert_eq!(progress.version, before.version + 1);
        assert_eq!(progress.heartbeat_at, Some(later), "a viewer's request renews no lease");
    }

    #[test]
    fn an_ending_takes_the_last_counts_with_it() {
        let mut progress = in_status(Status::Running);
        let delta = Delta::new()
            .with_succeeded(7)
            .with_failed(3)
            .with_message("last")
            .with_entry(NewEntry::info("x"));
        let completion = Completion::new()
            .with_message("all sent")
            .try_with_result(serde_json::json!({"n": 7}))
            .unwrap();
        progress.apply(&ProgressUpdate::complete(delta, completion), EPOCH).unwrap();
        assert_eq!((progress.succeeded, progress.failed, progress.last_entry), (7, 3, 1));
        assert_eq!(progress.completion_message.as_deref(), Some("all sent"));
        assert_eq!(progress.result, Some(serde_json::json!({"n": 7})));
    }

    fn shared(total: Option<u64>, workers: u32) -> Progress {
        let job = NewProgress::new("t").with_auto_complete();
        let job = total.map_or(job.clone(), |total| job.with_total(total));
        let mut progress = Progress::new(&job, EPOCH).unwrap();
        progress.apply(&ProgressUpdate::start(), EPOCH).unwrap();
        for _ in 1..workers {
            progress.apply(&ProgressUpdate::join(), EPOCH).unwrap();
        }
        assert_eq!(progress.workers, workers);
        progress
    }

    fn items(count: u64) -> Delta {
        Delta::new().with_succeeded(count)
    }

    fn done(count: u64) -> ProgressUpdate {
        ProgressUpdate::complete(items(count), Completion::new())
    }

    #[test]
    fn a_shared_job_completes_with_its_last_item_and_its_last_worker() {
        let mut progress = shared(Some(3), 2);
        progress.apply(&done(2), EPOCH).unwrap();
        assert_eq!((progress.status, progress.workers), (Status::Running, 1));
        let version = progress.version;
        let completion = Completion::new().with_message("all sent");
        progress.apply(&ProgressUpdate::complete(items(1), completion), EPOCH).unwrap();
        assert_eq!((progress.status, progress.version), (Status::Completed, version + 1));
        assert_eq!(progress.completion_message.as_deref(), Some("all sent"));
    }

    #[test]
    fn a_shared_job_may_grow_while_a_worker_is_at_it() {
        let mut progress = shared(Some(1), 2);
        progress.apply(&done(1), EPOCH).unwrap();
        assert_eq!(progress.status, Status::Running, "the producer is still looking for items");
        let page = Delta::new().with_total(TotalChange::Add(1));
        progress.apply(&ProgressUpdate::advance(page), EPOCH).unwrap();
        progress.apply(&done(0), EPOCH).unwrap();
        assert_eq!((progress.status, progress.workers), (Status::Running, 0));
        progress.apply(&ProgressUpdate::join(), EPOCH).unwrap();
        progress.apply(&done(1), EPOCH).unwrap();
        assert_eq!(progress.status, Status::Completed);
    }

    #[test]
    fn a_shared_job_without_a_total_completes_with_its_last_worker() {
        let mut progress = shared(None, 2);
        progress.apply(&done(3), EPOCH).unwrap();
        assert_eq!(progress.status, Status::Running);
        progress.apply(&done(4), EPOCH).unwrap();
        assert_eq!((progress.status, progress.succeeded), (Status::Completed, 7));
    }

    #[test]
    fn an_empty_shared_job_is_complete_when_it_is_made() {
        let job = NewProgress::new("t").with_total(0).with_auto_complete();
        let empty = Progress::new(&job, EPOCH).unwrap();
        assert_eq!((empty.status, empty.percentage()), (Status::Completed, Some(100)));
        assert_eq!(empty.finished_at, Some(empty.created_at));
    }

    #[test]
    fn the_others_counts_are_kept_when_a_worker_of_a_shared_job_gives_up() {
        for (update, ending) in [
            (ProgressUpdate::fail(items(1), "broken"), Status::Failed),
            (ProgressUpdate::cancel(items(1)), Status::Cancelled),
        ] {
            let mut progress = shared(Some(30), 2);
            progress.apply(&ProgressUpdate::request_cancel(), EPOCH).unwrap();
            progress.apply(&update, EPOCH).unwrap();
            assert_eq!(progress.status, Status::Running);
            progress.apply(&done(20), EPOCH).unwrap();
            assert_eq!((progress.status, progress.succeeded), (ending, 21));
        }
    }

    #[test]
    fn a_worker_that_vanishes_leaves_a_shared_job_to_the_others() {
        let mut progress = shared(Some(3), 2);
        progress.apply(&ProgressUpdate::abandon(items(1)), EPOCH).unwrap();
        assert_eq!((progress.status, progress.workers), (Status::Running, 1));
        progress.apply(&ProgressUpdate::abandon(items(2)), EPOCH).unwrap();
        assert_eq!(progress.status, Status::Completed, "no item is missing");

        let mut progress = pending();
        progress.apply(&ProgressUpdate::start(), EPOCH).unwrap();
        progress.apply(&ProgressUpdate::abandon(items(1)), EPOCH).unwrap();
        assert_eq!(progress.status, Status::Failed);
        assert_eq!(progress.error.as_deref(), Some(WORKER_STOPPED));
    }

    #[test]
    fn the_last_worker_ends_a_shared_job_however_it_leaves() {
        for last in [ProgressUpdate::abandon(items(2)), done(2)] {
            let mut progress = shared(Some(3), 2);
            progress.apply(&ProgressUpdate::fail(items(1), "broken"), EPOCH).unwrap();
            progress.apply(&last, EPOCH).unwrap();
            assert_eq!(progress.status, Status::Failed, "{last:?}");
            assert_eq!(progress.error.as_deref(), Some("broken"));
        }
        let mut progress = shared(Some(3), 1);
        progress.apply(&ProgressUpdate::request_cancel(), EPOCH).unwrap();
        progress.apply(&ProgressUpdate::abandon(items(1)), EPOCH).unwrap();
        assert_eq!(progress.status, Status::Cancelled);
    }

    #[test]
    fn a_lost_worker_is_told_apart_from_missing_items() {
        for (done_items, abandon, ending) in [
            (1, false, (Status::Failed, Some(WORKER_LOST))),
            (1, true, (Status::Failed, Some(ITEMS_MISSING))),
            (3, false, (Status::Completed, None)),
        ] {
            let mut progress = shared(Some(3), 1);
            let counts = ProgressUpdate::advance(items(done_items));
            progress.apply(&counts, EPOCH).unwrap();
            if abandon {
                progress.apply(&ProgressUpdate::abandon(Delta::new()), EPOCH).unwrap();
            }
            let seen = progress.heartbeat_at.unwrap();
            let early = progress.apply(&ProgressUpdate::lose(seen - TimeDelta::seconds(1)), EPOCH);
            assert!(early.is_err(), "the record has another heartbeat");
            progress.apply(&ProgressUpdate::lose(seen), EPOCH).unwrap();
            assert_eq!((progress.status, progress.error.as_deref()), ending);
        }
    }

    #[test]
    fn a_shared_job_without_a_worker_is_cancelled_at_once() {
        let mut progress = shared(Some(3), 1);
        progress.apply(&done(1), EPOCH).unwrap();
        assert_eq!(progress.workers, 0);
        progress.apply(&ProgressUpdate::request_cancel(), EPOCH).unwrap();
        assert_eq!(progress.status, Status::Cancelled);
    }

    #[test]
    fn a_clock_that_runs_backwards_makes_no_negative_time() {
        let mut progress = pending();
        let ahead = EPOCH + TimeDelta::hours(1);
        progress.apply(&ProgressUpdate::start(), ahead).unwrap();
        progress.apply(&ProgressUpdate::advance(Delta::new().with_succeeded(1)), EPOCH).unwrap();
        assert_eq!(progress.updated_at, ahead);
        assert_eq!(
            progress.heartbeat_at,
            Some(EPOCH),
            "the lease follows the clock, so that a dead worker is found in time"
        );
        progress.apply(&ProgressUpdate::cancel(Delta::new()), EPOCH).unwrap();
        assert_eq!(progress.duration(), Some(std::time::Duration::ZERO));
    }

    #[test]
    fn counts_and_totals_stop_at_their_limit() {
        let mut progress = in_status(Status::Running);
        let delta = Delta::new().with_succeeded(u64::MAX).with_total(TotalChange::Add(u64::MAX));
        for _ in 0..2 {
            progress.apply(&ProgressUpdate::advance(delta.clone()), EPOCH).unwrap();
        }
        assert_eq!(
            (progress.succeeded, progress.total),
            (limits::MAX_COUNT, Some(limits::MAX_COUNT))
        );
    }
}
