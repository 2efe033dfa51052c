//! The invoice mailer, module by module.
//!
//! A library beside the program, so that integration tests can use the parts: sample [`invoice`]s, their [`pdf`]s, the
//! [`mailer`] that sends them, and the [`catcher`] that receives them when no real mail server is configured.

pub mod catcher;
pub mod database;
pub mod deliveries;
pub mod invoice;
pub mod job;
pub mod language;
pub mod mailer;
pub mod pages;
pub mod pdf;
pub mod queue;
pub mod request;
pub mod serve;
pub mod settings;
pub mod web;
pub mod worker;
