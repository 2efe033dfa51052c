//! Places for the requests that wait for a change, and their end when the server shuts down.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::Viewer;

/// The places that one identified viewer may take: a dozen tabs with several jobs each.
const PER_VIEWER: usize = 100;

/// Unidentified viewers leave one place in so many to others.
const RESERVED: usize = 10;

pub(crate) struct Waiters {
    most: usize,
    taken: Mutex<HashMap<Viewer, usize>>,
    is_closed: AtomicBool,
    /// Wakes all who wait when the server shuts down.
    closing: Notify,
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiters").field("most", &self.most).finish_non_exhaustive()
    }
}

/// A place, given up when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    waiters: Arc<Waiters>,
    viewer: Viewer,
}

impl Waiters {
    pub(crate) fn new(most: usize) -> Self {
        let is_closed = AtomicBool::new(false);
        Self { most, taken: Mutex::default(), is_closed, closing: Notify::new() }
    }

    /// Takes a place. `None` if this viewer, or all viewers together, have as many as they may, or
    /// if the server shuts down.
    pub(crate) fn enter(self: &Arc<Self>, viewer: &Viewer) -> Option<Place> {
        let limit = match viewer {
            Viewer::Anyone => self.most - self.most / RESERVED,
            Viewer::Owner(_) | Viewer::Admin => self.most.min(PER_VIEWER),
        };
        let mut taken = self.taken();
        let of_viewer = taken.get(viewer).copied().unwrap_or_default();
        let is_full = of_viewer >= limit || taken.values().sum::<usize>() >= self.most;
        if is_full || self.is_closed() {
            return None;
        }
        taken.insert(viewer.clone(), of_viewer + 1);
        Some(Place { waiters: Arc::clone(self), viewer: viewer.clone() })
    }

    /// Ends all waiting. No request waits afterwards.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.closing.notify_waiters();
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Viewer, usize>> {
        // Counts are sound even after a panic, because nothing between two of them can panic.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Returns when waiting ends.
    pub(crate) async fn closed(&self) {
        // Before the check, so that a shutdown in between is not missed.
        let closing = self.waiters.closing.notified();
        if !self.waiters.is_closed() {
            closing.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.waiters.taken();
        if let Some(of_viewer) = taken.get_mut(&self.viewer) {
            *of_viewer -= 1;
            if *of_viewer == 0 {
                taken.remove(&self.viewer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_viewer_takes_all_places() {
        let waiters = Arc::new(Waiters::new(1_000));
        let enter = |viewer: &Viewer| waiters.enter(viewer);
        let ann = Viewer::Owner("ann".to_owned());
        let anns: Vec<_> = (0..PER_VIEWER).map(|_| enter(&ann).unwrap()).collect();
        assert!(enter(&ann).is_none());
        let anonymous: Vec<_> = std::iter::from_fn(|| enter(&Viewer::Anyone)).collect();
        assert_eq!(anonymous.len(), 900);
        assert!(enter(&Viewer::Admin).is_none(), "1,000 are taken");
        drop(anns);
        assert!(enter(&Viewer::Admin).is_some());
        drop(anonymous);
        assert!(waiters.taken().is_empty());
        waiters.close();
        assert!(enter(&ann).is_none());
    }
}
