//! What the examples need besides the progress crates.
//!
//! Nothing here shows how to use the library; `invoice-mailer` does. This crate has what makes that
//! example a whole program: sample [`invoice`]s and their [`pdf`]s, the [`mailer`] that sends them,
//! the [`catcher`] that receives them if no real mail server is configured, and the [`pages`] in
//! two [`language`]s.

pub mod catcher;
pub mod host;
pub mod invoice;
pub mod language;
pub mod mailer;
pub mod outbox;
pub mod pages;
pub mod pdf;
pub mod problem;
pub mod request;
pub mod spreadsheet;
pub mod startup;
