//! The whole program as a process: files of all kinds, kills, deploys, several processes.
#![allow(clippy::unwrap_used, reason = "a test reports a failure by panicking")]

mod files;
mod killed;
mod support;
mod workers;
