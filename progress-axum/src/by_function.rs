use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::{Extension, Router};
use progress_http::{ProgressApi, Viewer};

/// As [`router`](crate::router), with a function in place of an extractor. It suits applications
/// whose middleware has already put the user into the request, and needs no state and no waiting.
///
/// ```
/// use axum::http::request::Parts;
/// use progress_axum::{Jobs, MemoryStore, Viewer, router_with};
///
/// #[derive(Clone)]
/// struct User(String); // put into the request's extensions by the application's middleware
///
/// let viewer = |request: &Parts| match request.extensions.get::<User>() {
///     Some(user) => Viewer::Owner(user.0.clone()),
///     None => Viewer::Anyone,
/// };
/// let app: axum::Router = router_with("/progress", Jobs::new(MemoryStore::new()), viewer);
/// ```
///
/// # Panics
///
/// As [`router`](crate::router).
pub fn router_with<S>(
    path: &str,
    api: impl Into<ProgressApi>,
    viewer: impl Fn(&Parts) -> Viewer + Send + Sync + 'static,
) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    crate::router::<ByFunction, S>(path, api).route_layer(Extension(Function(Arc::new(viewer))))
}

#[derive(Clone)]
struct Function(Arc<dyn Fn(&Parts) -> Viewer + Send + Sync>);

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").finish_non_exhaustive()
    }
}

/// The extractor that calls the function.
struct ByFunction(Viewer);

impl<S: Sync> FromRequestParts<S> for ByFunction {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // `router_with` is the only way here, and adds the function. Without it: the least access.
        let function = parts.extensions.get::<Function>();
        Ok(Self(function.map_or(Viewer::Anyone, |function| (function.0)(parts))))
    }
}

impl From<ByFunction> for Viewer {
    fn from(viewer: ByFunction) -> Self {
        viewer.0
    }
}
