//! Compiles and runs the programs of the guide in `docs` as documentation tests.

#[cfg(doctest)]
#[doc = include_str!("../../docs/README.md")]
mod index {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/getting-started.md")]
mod getting_started {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/access.md")]
mod access {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/workers.md")]
mod workers {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/stores.md")]
mod stores {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/queues.md")]
mod queues {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/page.md")]
mod page {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/operating.md")]
mod operating {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/slow-clients.md")]
mod slow_clients {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/how-it-works.md")]
mod how_it_works {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/from-django-celery.md")]
mod from_django_celery {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/file-import.md")]
mod file_import {}
