use std::any::Any;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use crate::Progress;

/// A record as the cache has read it, shared by all its readers, with what they have derived from
/// it.
///
/// ```
/// # use std::sync::Arc;
/// # use progress_core::{CachedStore, MemoryStore, NewProgress, ProgressStore};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = CachedStore::new(Arc::new(MemoryStore::new()));
/// let id = store.create(&NewProgress::new("import").with_title("Importing")).await?.id;
/// let record = store.read(id).await?.expect("created above");
/// let shout = record.derived(|progress| progress.title.as_deref().map(str::to_uppercase));
/// assert_eq!(shout, Some(&Some("IMPORTING".to_owned())));
/// # Ok::<(), progress_core::ProgressError>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Snapshot {
    progress: Progress,
    derived: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Snapshot {
    pub(super) fn new(progress: Progress) -> Self {
        Self { progress, derived: OnceLock::new() }
    }

    /// Derives a value from this record, unless a reader has already done so: then this is that
    /// reader's value. It is kept as long as the snapshot, so it is never out of date. `None` if
    /// the first reader has derived a value of another type.
    pub fn derived<T: Send + Sync + 'static>(
        &self,
        derive: impl FnOnce(&Progress) -> T,
    ) -> Option<&T> {
        self.derived.get_or_init(|| Box::new(derive(&self.progress))).downcast_ref()
    }

    /// Returns the record, and copies it only if others have the snapshot too.
    pub(super) fn into_progress(self: Arc<Self>) -> Progress {
        match Arc::try_unwrap(self) {
            Ok(own) => own.progress,
            Err(shared) => shared.progress.clone(),
        }
    }
}

impl Deref for Snapshot {
    type Target = Progress;

    fn deref(&self) -> &Progress {
        &self.progress
    }
}
