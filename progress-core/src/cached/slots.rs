use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::slot::{News, Slot};
use crate::ProgressId;

/// The records that are remembered, and those that are being read for the first time.
#[derive(Debug, Default)]
pub(super) struct Slots {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    slots: HashMap<ProgressId, Arc<Slot>>,
    /// How many there may be before those that are of no more use are thrown away.
    room: usize,
}

/// So few that looking through them for what is of no more use is not worth while.
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
            // Twice as many as are of use: so each is looked at twice in its life, on average, however many there are.
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

    /// The slot of a record, a new one if need be.
    pub(super) fn of(&self, id: ProgressId, freshness: Duration) -> Arc<Slot> {
        self.state().of(id, freshness)
    }

    /// The news of a record, whose slot stays as long as somebody looks at them.
    pub(super) fn watch(&self, id: ProgressId, freshness: Duration) -> watch::Receiver<News> {
        // Under the lock: a slot is thrown away when nobody watches it.
        self.state().of(id, freshness).news.subscribe()
    }

    /// Of those whose read found nothing, only those that are watched are remembered.
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

/// Somebody reads it or watches it just now, or it still answers questions.
fn is_of_use(slot: &Arc<Slot>, now: Instant, freshness: Duration) -> bool {
    Arc::strong_count(slot) > 1 || slot.is_watched() || slot.is_fresh(now, freshness)
}
