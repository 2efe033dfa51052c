use progress_core::Progress;

/// Who asks: what the application knows about the person or program behind a request.
///
/// An application makes one for every request, in an extractor that its adapter is built with; there is no router
/// without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Viewer {
    /// Somebody with records of their own: sees these and lists them. Also sees records without an owner, as anyone
    /// does who knows their id.
    Owner(String),
    /// Sees and lists everything.
    Admin,
    /// Nobody in particular: sees records without an owner, by their id, and never a list.
    Anyone,
}

impl Viewer {
    /// Whether this viewer may know of the record. To those who may not, it does not exist.
    ///
    /// ```
    /// use progress_core::{NewProgress, Progress};
    /// use progress_http::Viewer;
    ///
    /// let job = NewProgress::new("export").with_owner("user-7");
    /// let progress = Progress::new(&job, chrono::DateTime::UNIX_EPOCH)?;
    /// assert!(Viewer::Owner("user-7".into()).may_see(&progress));
    /// assert!(!Viewer::Owner("user-8".into()).may_see(&progress));
    /// assert!(!Viewer::Anyone.may_see(&progress));
    /// # Ok::<(), progress_core::ProgressError>(())
    /// ```
    #[must_use]
    pub fn may_see(&self, progress: &Progress) -> bool {
        match (self, &progress.owner) {
            (Self::Admin, _) | (_, None) => true,
            (Self::Owner(viewer), Some(owner)) => viewer == owner,
            (Self::Anyone, Some(_)) => false,
        }
    }
}
