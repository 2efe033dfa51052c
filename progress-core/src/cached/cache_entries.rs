use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::cache_entry::CacheEntry;
use super::snapshot::Snapshot;
use crate::{Changed, ProgressId};

/// The cache entries, including those of records that are being read for the first time.
#[derive(Debug, Default)]
pub(super) struct CacheEntries {
    map: Mutex<EntryMap>,
}

#[derive(Debug)]
struct EntryMap {
    entries: HashMap<ProgressId, Arc<CacheEntry>>,
    /// The number of entries at which unused ones are evicted.
    eviction_threshold: usize,
}

/// A number of entries so small that eviction is not worthwhile.
const MIN_EVICTION_THRESHOLD: usize = 256;

impl Default for EntryMap {
    fn default() -> Self {
        Self { entries: HashMap::new(), eviction_threshold: MIN_EVICTION_THRESHOLD }
    }
}

impl EntryMap {
    fn get_or_insert(&mut self, id: ProgressId, freshness: Duration) -> Arc<CacheEntry> {
        if let Some(entry) = self.entries.get(&id) {
            return Arc::clone(entry);
        }
        if self.entries.len() >= self.eviction_threshold {
            let now = Instant::now();
            self.entries.retain(|_, entry| is_in_use(entry, now, freshness));
            // Twice the entries in use: an entry is then examined twice in its life on average,
            // however many there are.
            self.eviction_threshold = MIN_EVICTION_THRESHOLD.max(2 * self.entries.len());
        }
        let entry = Arc::new(CacheEntry::new());
        self.entries.insert(id, Arc::clone(&entry));
        entry
    }
}

impl CacheEntries {
    fn map(&self) -> MutexGuard<'_, EntryMap> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, id: ProgressId) -> Option<Arc<CacheEntry>> {
        self.map().entries.get(&id).map(Arc::clone)
    }

    /// Returns a record that is fresh now.
    pub(super) fn fresh(&self, id: ProgressId, freshness: Duration) -> Option<Arc<Snapshot>> {
        self.map().entries.get(&id)?.fresh_at(Instant::now(), freshness)
    }

    /// Returns a record's entry, and creates it if there is none.
    pub(super) fn get_or_insert(&self, id: ProgressId, freshness: Duration) -> Arc<CacheEntry> {
        self.map().get_or_insert(id, freshness)
    }

    /// Adds a watch to a record, and returns its entry, which is kept as long as it has watches.
    pub(super) fn watch(&self, id: ProgressId, freshness: Duration) -> Arc<CacheEntry> {
        // Under the lock, because an entry without watches may be evicted.
        let mut map = self.map();
        let entry = map.get_or_insert(id, freshness);
        entry.add_watch();
        entry
    }

    /// Evicts a missing record's entry unless it is being watched.
    pub(super) fn remove(&self, id: ProgressId, entry: &Arc<CacheEntry>) {
        let mut map = self.map();
        if map.entries.get(&id).is_some_and(|known| Arc::ptr_eq(known, entry))
            && !entry.is_watched()
        {
            map.entries.remove(&id);
        }
    }

    pub(super) fn invalidate_all(&self) {
        let entries: Vec<_> = self.map().entries.values().map(Arc::clone).collect();
        entries.iter().for_each(|entry| entry.invalidate());
    }

    /// Notes a hint of the store. Records without an entry are not of interest.
    pub(super) fn hint(&self, changed: &Changed) {
        let map = self.map();
        match changed {
            Changed::Any => map.entries.values().for_each(|entry| entry.hint_any()),
            Changed::Records(records) => {
                for (id, version) in records {
                    if let Some(entry) = map.entries.get(id) {
                        entry.hint_version(*version);
                    }
                }
            }
        }
    }

    pub(super) fn watched(&self) -> Vec<(ProgressId, Arc<CacheEntry>)> {
        let map = self.map();
        let watched = map.entries.iter().filter(|(_, entry)| entry.is_watched());
        watched.map(|(id, entry)| (*id, Arc::clone(entry))).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.map().entries.len()
    }
}

/// Whether the entry is being read or watched, or is still fresh.
fn is_in_use(entry: &Arc<CacheEntry>, now: Instant, freshness: Duration) -> bool {
    Arc::strong_count(entry) > 1 || entry.is_watched() || entry.fresh_at(now, freshness).is_some()
}
