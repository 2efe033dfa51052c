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

/// The programs of `docs/queues.md` whose queues are not dependencies of this workspace are
/// compiled and run in `tests/queues`.
#[cfg(test)]
mod tests {
    #[test]
    fn the_page_about_queues_shows_the_programs_that_are_compiled() {
        let page = include_str!("../../docs/queues.md");
        for (file, program) in [
            ("reply.rs", include_str!("../queues/src/reply.rs")),
            ("graphile.rs", include_str!("../queues/src/graphile.rs")),
            ("underway_task.rs", include_str!("../queues/src/underway_task.rs")),
            ("loco.rs", include_str!("../queues/src/loco.rs")),
        ] {
            assert!(page.contains(program), "docs/queues.md does not show tests/queues/src/{file}");
        }
        // Each other program is a documentation test.
        assert_eq!(page.matches("```rust,ignore").count(), 3);
    }
}
