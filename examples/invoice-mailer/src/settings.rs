//! What the program is told: by flags, or by the environment.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Sends invoices by mail and shows how far it has come.
///
/// Without any option nothing leaves this machine: records go to SQLite below the data directory, mail to a catcher inside
/// the program, to be looked at under /outbox.
///
/// With --role the pages and the work are processes of their own, any number of each, which share a database:
///
///   invoice-mailer --database-url postgres://user@host/db --role web --catcher 127.0.0.1:2525
///
///   invoice-mailer --database-url postgres://user@host/db --role worker --smtp-url smtp://127.0.0.1:2525
///
/// The catcher is the web role's, whose /outbox shows what it caught; with an --smtp-url of a real server, given to both,
/// there is none. A worker that is killed in mid-job leaves a job that is shown as silent after 15 s and as failed within a
/// minute. It is not done again by itself: nobody knows which mails were under way, and a new job begins with the first
/// invoice. The page shows what was sent. Jobs that have not begun wait for the next worker.
#[derive(Debug, Clone, Parser)]
#[command(version, verbatim_doc_comment)]
pub struct Settings {
    /// Which part this process plays
    #[arg(long, env = "INVOICE_MAILER_ROLE", value_enum, default_value_t = Role::All)]
    pub role: Role,

    /// Where to listen; port 0 takes any free one
    #[arg(
        long,
        env = "INVOICE_MAILER_LISTEN",
        default_value = "127.0.0.1:3000",
        value_name = "HOST:PORT"
    )]
    pub listen: String,

    /// Where the database goes, unless DATABASE_URL says otherwise
    #[arg(
        long,
        env = "INVOICE_MAILER_DATA",
        default_value = "invoice-mailer-data",
        value_name = "DIR"
    )]
    pub data_dir: PathBuf,

    /// The database, such as sqlite:///var/lib/invoices.db, postgres://user:password@host/db or mysql://…
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// The mail server, such as smtp://user:password@mail.example.com:25
    #[arg(long, env = "SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<String>,

    /// Where the built-in mail catcher listens, without an SMTP_URL; port 0 takes any free one
    #[arg(
        long,
        env = "INVOICE_MAILER_CATCHER",
        default_value = "127.0.0.1:0",
        value_name = "HOST:PORT"
    )]
    pub catcher: String,

    /// How many jobs a worker does at once
    #[arg(long, env = "INVOICE_MAILER_JOBS", default_value_t = 4, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,

    /// How long to pause before each mail, in milliseconds, so that one can watch
    #[arg(long, env = "INVOICE_MAILER_DELAY_MS", default_value_t = 50, value_name = "MS")]
    pub delay_ms: u64,

    /// How many mails of a job are under way at once
    #[arg(long, env = "INVOICE_MAILER_IN_FLIGHT", default_value_t = 4, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub in_flight: u16,
}

/// The part that a process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Both, in one process
    All,
    /// The pages, and no work
    Web,
    /// The work, and no pages
    Worker,
}

impl Role {
    /// Whether it shows pages.
    pub fn serves(self) -> bool {
        self != Self::Worker
    }

    /// Whether it does jobs.
    pub fn works(self) -> bool {
        self != Self::Web
    }
}
