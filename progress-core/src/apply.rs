//! The state machine. Stores make it atomic, the conformance suite compares them with it.

use chrono::{DateTime, Utc};

use crate::{Progress, ProgressError, ProgressUpdate, Status, Transition, limits};

impl Progress {
    /// Applies an update, or refuses it and changes nothing. `now` is the store's clock.
    ///
    /// This is the one place that decides what an update does; a store that writes SQL is tested for agreement with
    /// it. Stamps are the store's affair: an update that was applied before must not come here again.
    ///
    /// # Errors
    ///
    /// [`ProgressError::Refused`] when the job's status does not allow the transition.
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
        if !transition.accepted_in(self.status) {
            return Err(ProgressError::Refused { id: self.id, status: self.status });
        }
        let clock = limits::time(now);
        self.observed_at = clock;
        if matches!(transition, Transition::Start | Transition::Advance) {
            // The clock as it is: a lease that was renewed while the clock ran ahead must not outlive its correction.
            self.heartbeat_at = Some(clock);
        }
        let asks_again = *transition == Transition::RequestCancel && self.cancel_requested;
        if update.is_heartbeat() || asks_again {
            return Ok(());
        }

        self.version += 1;
        self.updated_at = clock.max(self.updated_at);
        self.add(update);
        match transition {
            Transition::Start => {
                self.status = Status::Running;
                self.started_at = Some(self.updated_at);
                self.complete_if_all_is_done();
            }
            Transition::Advance => self.complete_if_all_is_done(),
            Transition::Complete(completion) => {
                if let Some(message) = completion.message() {
                    self.completion_message = Some(message.to_owned());
                }
                self.result = completion.result().cloned();
                self.finish(Status::Completed);
            }
            Transition::Fail(error) => {
                self.error = Some(error.clone());
                self.finish(Status::Failed);
            }
            Transition::Cancel => self.finish(Status::Cancelled),
            Transition::RequestCancel => {
                self.cancel_requested = true;
                if self.status == Status::Pending {
                    self.finish(Status::Cancelled);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, update: &ProgressUpdate) {
        let delta = update.delta();
        self.succeeded = limits::sum(self.succeeded, delta.succeeded);
        self.failed = limits::sum(self.failed, delta.failed);
        self.total = delta.total.applied_to(self.total);
        self.last_entry = limits::sum(self.last_entry, delta.entry_count());
        if let Some(message) = &delta.message {
            self.message = Some(message.clone());
        }
    }

    /// The rule of [`auto_complete`](Self::auto_complete): whether the job, running, has nothing left to do.
    #[must_use]
    pub fn is_due_to_complete(&self) -> bool {
        self.auto_complete
            && self.status == Status::Running
            && self.total.is_some_and(|total| self.processed() >= total)
    }

    fn complete_if_all_is_done(&mut self) {
        if self.is_due_to_complete() {
            self.finish(Status::Completed);
        }
    }

    fn finish(&mut self, status: Status) {
        self.status = status;
        self.finished_at = Some(self.updated_at);
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
                        assert!(
                            matches!(outcome, Err(ProgressError::Refused { status: said, .. }) if said == status)
                        );
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
        assert_eq!(progress.heartbeat_at, Some(later), "a viewer is no sign of a worker's life");
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

    #[test]
    fn auto_complete_waits_for_the_last_item() {
        let mut progress =
            Progress::new(&NewProgress::new("t").with_total(3).with_auto_complete(), EPOCH)
                .unwrap();
        progress.apply(&ProgressUpdate::start(), EPOCH).unwrap();
        progress.apply(&ProgressUpdate::advance(Delta::new().with_succeeded(2)), EPOCH).unwrap();
        assert_eq!(progress.status, Status::Running);
        let version = progress.version;
        progress.apply(&ProgressUpdate::advance(Delta::new().with_failed(1)), EPOCH).unwrap();
        assert_eq!((progress.status, progress.version), (Status::Completed, version + 1));

        let mut empty =
            Progress::new(&NewProgress::new("t").with_total(0).with_auto_complete(), EPOCH)
                .unwrap();
        empty.apply(&ProgressUpdate::start(), EPOCH).unwrap();
        assert_eq!(empty.status, Status::Completed);
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
            "the lease follows the clock, or a dead worker would outlive it"
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
