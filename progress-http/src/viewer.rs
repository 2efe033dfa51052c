use progress_core::Progress;

/// The viewer: what the application knows about the person or program that sent a request.
///
/// The application creates one for every request, in an extractor that it passes to the adapter. No
/// router can be built without one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Viewer {
    /// An identified user: sees and lists the records of this owner. Also sees records without an
    /// owner, as does every viewer who knows their id.
    Owner(String),
    /// Sees and lists everything.
    Admin,
    /// An unidentified viewer: sees records without an owner, by their id, and never a list.
    Anyone,
}

impl Viewer {
    /// Returns true if this viewer may see the record. For other viewers the record does not exist.
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

/// A type of the application that identifies the viewer. It is implemented for every type from
/// which a [`Viewer`] can be made.
///
/// ```
/// use progress_http::{IntoViewer, Viewer};
///
/// struct CurrentUser {
///     id: u64,
/// }
///
/// impl From<CurrentUser> for Viewer {
///     fn from(user: CurrentUser) -> Self {
///         Viewer::Owner(format!("user-{}", user.id))
///     }
/// }
///
/// assert_eq!(CurrentUser { id: 7 }.into_viewer(), Viewer::Owner("user-7".to_owned()));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say who the viewer is",
    label = "no `impl From<{Self}> for Viewer`",
    note = "write `impl From<{Self}> for Viewer`, which makes a `Viewer::Owner` of the user's id; \
        if the type is not yours, wrap it in a struct, or pass a function to `router_with` or \
        `scope_with`",
    note = "use `Anyone` only if every visitor who knows a job's id may follow the job"
)]
pub trait IntoViewer {
    /// Makes the viewer.
    fn into_viewer(self) -> Viewer;
}

#[diagnostic::do_not_recommend]
impl<T: Into<Viewer>> IntoViewer for T {
    fn into_viewer(self) -> Viewer {
        self.into()
    }
}
