//! The modules of the invoice mailer, as a library, so that its tests can use them. Read `main.rs`
//! first.

pub mod deliveries;
pub mod job;
pub mod pages;
pub mod queue;
pub mod serve;
pub mod settings;
pub mod web;
pub mod worker;

use example_support::database::Tables;

/// The scripts that create this application's tables.
pub const TABLES: Tables = Tables {
    sqlite: include_str!("tables/sqlite.sql"),
    postgres: include_str!("tables/postgres.sql"),
    mysql: include_str!("tables/mysql.sql"),
};
