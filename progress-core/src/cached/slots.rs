use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::slot::{News, Slot};
use crate::ProgressId;

/// The cache entries, including those of records that are being read for the first time.
#[derive(Debug, Default)]
pub(super) struct Slots {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    slots: HashMap<ProgressId, Arc<Slot>>,
    /// The number of entries at which unused ones are evicted.
    room: usize,
}

/// A number of entries so small that eviction is not worthwhile.
const FEW: usize = 256;

impl Default for State {
    fn default() -> Self {
        Self { slots: HashMap::new(), room: FEW }
    }
}

impl State {
    fn of(&mut self, id: ProgressId, freshness: Duration) -> Arc<Slot> {
        if let Some(slot) = self.slots.get(&id) {
            return Arc::clone(slot);
        }
        if self.slots.len() >= self.room {
            let now = Instant::now();
            self.slots.retain(|_, slot| is_of_use(slot, now, freshness));
            // Twice the entries in use: an entry is then examined twice in its life on average,
            // however many there are.
            self.room = FEW.max(2 * self.slots.len());
        }
        let slot = Arc::new(Slot::new());
        self.slots.insert(id, Arc::clone(&slot));
        slot
    }
}

impl Slots {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, id: ProgressId) -> Option<Arc<Slot>> {
        self.state().slots.get(&id).map(Arc::clone)
    }

    /// Returns a record's slot, and creates it if there is none.
    pub(super) fn of(&self, id: ProgressId, freshness: Duration) -> Arc<Slot> {
        self.state().of(id, freshness)
    }

    /// Watches a record. Its slot is kept as long as it has watchers.
    pub(super) fn watch(&self, id: ProgressId, freshness: Duration) -> watch::Receiver<News> {
        // Under the lock, because a slot without watchers may be evicted.
        self.state().of(id, freshness).news.subscribe()
    }

    /// Evicts a missing record's entry unless it is being watched.
    pub(super) fn remove(&self, id: ProgressId, slot: &Arc<Slot>) {
        let mut state = self.state();
        if state.slots.get(&id).is_some_and(|known| Arc::ptr_eq(known, slot)) && !slot.is_watched()
        {
            state.slots.remove(&id);
        }
    }

    pub(super) fn forget_all(&self) {
        let slots: Vec<_> = self.state().slots.values().map(Arc::clone).collect();
        slots.iter().for_each(|slot| slot.forget());
    }

    pub(super) fn watched(&self) -> Vec<(ProgressId, Arc<Slot>)> {
        let state = self.state();
        let watched = state.slots.iter().filter(|(_, slot)| slot.is_watched());
        watched.map(|(id, slot)| (*id, Arc::clone(slot))).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.state().slots.len()
    }
}

/// Whether the entry is being read or watched, or is still fresh.
fn is_of_use(slot: &Arc<Slot>, now: Instant, freshness: Duration) -> bool {
    Arc::strong_count(slot) > 1 || slot.is_watched() || slot.is_fresh(now, freshness)
}
