//! The modules of the invoice mailer, as a library, so that its tests can use them. Read `main.rs`
//! first.

pub mod deliveries;
mod invoices;
pub mod job;
pub mod operation;
pub mod pages;
pub mod queue;
pub mod serve;
pub mod settings;
pub mod storage;
pub mod web;
pub mod worker;
