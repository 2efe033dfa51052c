//! The flush loop: one per store and runtime, however many jobs this process runs.
//!
//! A loop per job would be simpler; ten thousand jobs would then make ten thousand timers and as many separate writes.
//! The loop starts with the first job and ends with the last, so nothing of it outlives its use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Outcome;
use super::member::{Answer, Member, Step};
use crate::{Progress, ProgressError, ProgressId, ProgressStore, ProgressUpdate, cached};

/// Updates handed to the store in one call: enough to share a transaction, few enough that an ending in the next batch
/// does not wait long.
const BATCH: usize = 128;

#[derive(Debug)]
pub(super) struct Hub {
    store: Arc<dyn ProgressStore>,
    queue: Mutex<Queue>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    arrivals: Vec<Member>,
    is_running: bool,
}

/// The hubs in use. Weak, so that the list keeps neither a store nor a loop alive; a hub holds its store, so an address
/// found here is not yet another store's.
static HUBS: Mutex<Vec<(usize, Id, Weak<Hub>)>> = Mutex::new(Vec::new());

impl Hub {
    /// The hub of this store on the current runtime (a loop cannot outlive the runtime that drives it).
    pub(super) fn of(store: &Arc<dyn ProgressStore>) -> Arc<Self> {
        let address = Arc::as_ptr(store).cast::<()>() as usize;
        let runtime = Handle::current().id();
        let mut hubs = HUBS.lock().unwrap_or_else(PoisonError::into_inner);
        hubs.retain(|(_, _, hub)| hub.strong_count() > 0);
        let known = hubs
            .iter()
            .find(|(a, r, _)| (*a, *r) == (address, runtime))
            .and_then(|(_, _, hub)| hub.upgrade());
        known.unwrap_or_else(|| {
            let hub = Arc::new(Self {
                store: Arc::clone(store),
                queue: Mutex::default(),
                bell: Notify::new(),
            });
            hubs.push((address, runtime, Arc::downgrade(&hub)));
            hub
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the loop look at its members now.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    pub(super) fn join(self: &Arc<Self>, member: Member) {
        let mut queue = self.queue();
        queue.arrivals.push(member);
        if !queue.is_running {
            queue.is_running = true;
            let mut running = Running::new(Arc::clone(self));
            tokio::spawn(async move { running.run().await });
        }
        drop(queue);
        self.ring();
    }
}

/// How long a runtime that shuts down is held up for the last words of its jobs.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The loop.
///
/// It is torn down before its time by a runtime that shuts down, or by a store that panics. In the first case the jobs end as
/// those of every dropped tracker, with their counts; in the second nobody is left waiting.
struct Running {
    hub: Arc<Hub>,
    members: Vec<Member>,
    /// Whether writes fail at the moment: said once when it begins and once when it ends, not once per job and attempt.
    is_failing: bool,
    has_ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let mut queue = self.hub.queue();
        queue.is_running = false;
        self.members.append(&mut queue.arrivals);
        drop(queue);
        let members = std::mem::take(&mut self.members);
        if std::thread::panicking() {
            members.into_iter().for_each(|mut member| member.close(Outcome::Broken));
        } else {
            say_last_words(Arc::clone(&self.hub), members);
        }
    }
}

/// Writes what is left on a runtime of its own, and waits for it: after this the process may be gone. Blocking is right
/// here for once, for what is blocked is a shutdown, and not for long.
fn say_last_words(hub: Arc<Hub>, members: Vec<Member>) {
    let write = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        let mut last = Running::new(hub);
        last.members = members;
        last.members.iter().for_each(Member::end_unfinished);
        let in_time =
            runtime.block_on(async { tokio::time::timeout(LAST_WORDS, last.run()).await });
        last.has_ended = true;
        if in_time.is_err() {
            tracing::warn!("the runtime shut down before the last progress was written");
        }
        last.members.iter_mut().for_each(|member| member.close(Outcome::Broken));
    };
    match std::thread::Builder::new().name("progress-last-words".to_owned()).spawn(write) {
        // A panic in there has been reported by the panic hook; there is nothing to add.
        Ok(thread) => drop(thread.join()),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the last progress was not written"
            );
        }
    }
}

impl Running {
    fn new(hub: Arc<Hub>) -> Self {
        Self { hub, members: Vec::new(), is_failing: false, has_ended: false }
    }

    async fn run(&mut self) {
        while self.welcome() {
            let (senders, updates) = self.gather();
            for (senders, updates) in senders.chunks(BATCH).zip(updates.chunks(BATCH)) {
                let began = Instant::now();
                let answers = self.hub.store.update_many(updates).await;
                cached::tell(&self.hub.store, began, updates, &answers);
                self.settle(senders, answers);
            }
            self.members.retain(|member| !member.is_closed());
            let wake_at =
                self.members.iter().map(Member::next_step).min().unwrap_or_else(Instant::now);
            tokio::select! {
                () = sleep_until(wake_at) => {}
                () = self.hub.bell.notified() => {}
            }
        }
    }

    /// Takes in the new members; `false` when there is nobody left to serve.
    fn welcome(&mut self) -> bool {
        let mut queue = self.hub.queue();
        self.members.append(&mut queue.arrivals);
        if self.members.is_empty() {
            // Both under the lock, so that nobody joins a loop that has just decided to end.
            queue.is_running = false;
            self.has_ended = true;
        }
        !self.has_ended
    }

    /// What there is to send, and which member sends it.
    fn gather(&mut self) -> (Vec<usize>, Vec<(ProgressId, ProgressUpdate)>) {
        let now = Instant::now();
        let mut senders = Vec::new();
        let mut updates = Vec::new();
        for (index, member) in self.members.iter_mut().enumerate() {
            match member.step(now) {
                Step::Send(update) => {
                    senders.push(index);
                    updates.push((member.id(), update));
                }
                Step::Wait => {}
                Step::Close(outcome) => member.close(outcome),
            }
        }
        (senders, updates)
    }

    fn settle(&mut self, senders: &[usize], answers: Vec<Result<Progress, ProgressError>>) {
        // A store that answers too few leaves the rest in flight; they are repeated.
        for (&sender, answer) in senders.iter().zip(answers) {
            let Some(member) = self.members.get_mut(sender) else {
                continue;
            };
            match member.settle(answer) {
                Answer::Accepted => self.is_failing = recovered(self.is_failing),
                Answer::Retry(error) => {
                    if !self.is_failing {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "progress cannot be written; counts are kept and writing is retried"
                        );
                    }
                    self.is_failing = true;
                }
                Answer::Close(outcome) => {
                    self.is_failing = recovered(self.is_failing);
                    member.close(outcome);
                }
                Answer::Broken(error) => {
                    tracing::error!(progress = %member.id(), error = &error as &dyn std::error::Error, "progress cannot be written any more");
                    member.close(Outcome::Broken);
                }
            }
        }
    }
}

/// Says once that writing works again.
fn recovered(was_failing: bool) -> bool {
    if was_failing {
        tracing::info!("progress is written again");
    }
    false
}
