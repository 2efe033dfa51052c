//! Which caches there are in this process, so that a tracker's writes refresh them although it writes to the store inside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use crate::{Progress, ProgressError, ProgressId, ProgressStore, ProgressUpdate};

/// Weak, so that the list keeps no store alive; a cache holds its store, so one that is found here is not another's.
static CACHES: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

fn caches() -> MutexGuard<'static, Vec<Weak<Shared>>> {
    CACHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The cache around a store.
pub(super) fn find_or_add(store: Arc<dyn ProgressStore>, freshness: Duration) -> Arc<Shared> {
    let mut caches = caches();
    caches.retain(|cache| cache.strong_count() > 0);
    let mut known = caches.iter().filter_map(Weak::upgrade);
    let known = known.find(|cache| is_around(cache, &store) && cache.freshness == freshness);
    known.unwrap_or_else(|| {
        let cache = Arc::new(Shared::new(store, freshness));
        caches.push(Arc::downgrade(&cache));
        cache
    })
}

/// Tells the caches around a store what was written to it.
pub(crate) fn tell(
    store: &Arc<dyn ProgressStore>,
    began: Instant,
    updates: &[(ProgressId, ProgressUpdate)],
    outcomes: &[Result<Progress, ProgressError>],
) {
    let around: Vec<_> =
        caches().iter().filter_map(Weak::upgrade).filter(|cache| is_around(cache, store)).collect();
    for cache in around {
        for ((id, _), outcome) in updates.iter().zip(outcomes) {
            cache.learn(*id, began, outcome);
        }
    }
}

fn is_around(cache: &Shared, store: &Arc<dyn ProgressStore>) -> bool {
    // The address alone: the same store may come with several tables of methods.
    std::ptr::addr_eq(Arc::as_ptr(&cache.store), Arc::as_ptr(store))
}
