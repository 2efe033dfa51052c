use std::convert::Infallible;
use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, Scope};
use progress_http::{ProgressApi, Viewer};

/// As [`scope`](crate::scope), with a function in place of an extractor. It suits applications
/// whose middleware has already put the user into the request, and needs no waiting.
///
/// ```
/// use actix_web::{App, HttpMessage, HttpRequest};
/// use progress_actix::{Jobs, MemoryStore, Viewer, scope_with};
///
/// struct User(String); // put into the request's extensions by the application's middleware
///
/// let viewer = |request: &HttpRequest| match request.extensions().get::<User>() {
///     Some(user) => Viewer::Owner(user.0.clone()),
///     None => Viewer::Anyone,
/// };
/// let app = App::new().service(scope_with("/progress", Jobs::new(MemoryStore::new()), viewer));
/// ```
pub fn scope_with(
    path: &str,
    api: impl Into<ProgressApi>,
    viewer: impl Fn(&HttpRequest) -> Viewer + 'static,
) -> Scope {
    crate::scope::<ByFunction>(path, api).app_data(Function(Rc::new(viewer)))
}

struct Function(Rc<dyn Fn(&HttpRequest) -> Viewer>);

/// The extractor that calls the function.
struct ByFunction(Viewer);

impl FromRequest for ByFunction {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // `scope_with` is the only way here, and adds the function. Without it: the least access.
        let function = request.app_data::<Function>();
        ready(Ok(Self(function.map_or(Viewer::Anyone, |function| (function.0)(request)))))
    }
}

impl From<ByFunction> for Viewer {
    fn from(viewer: ByFunction) -> Self {
        viewer.0
    }
}
