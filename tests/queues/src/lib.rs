//! The programs of `docs/queues.md`. A test in `progress-tests` compares the page with these files,
//! and the tests here run them with their queues.

#![allow(missing_docs)]

pub mod graphile;
pub mod loco;
pub mod reply;
pub mod underway_task;
pub mod work;
