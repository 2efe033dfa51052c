//! What the program is told: by flags, or by the environment.

use std::path::PathBuf;

use clap::Parser;

/// Sends invoices by mail and shows how far it has come.
///
/// Without any option nothing leaves this machine: records go to SQLite below the data directory, mail to a catcher inside
/// the program, to be looked at under /outbox.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Settings {
    /// Where to listen; port 0 takes any free one
    #[arg(long, env = "INVOICE_MAILER_LISTEN", default_value = "127.0.0.1:3000", value_name = "HOST:PORT")]
    pub listen: String,

    /// Where the database goes, unless DATABASE_URL says otherwise
    #[arg(long, env = "INVOICE_MAILER_DATA", default_value = "invoice-mailer-data", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// The database, such as sqlite:///var/lib/invoices.db
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// The mail server, such as smtp://user:password@mail.example.com:25
    #[arg(long, env = "SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<String>,

    /// How long to pause before each mail, in milliseconds, so that one can watch
    #[arg(long, env = "INVOICE_MAILER_DELAY_MS", default_value_t = 50, value_name = "MS")]
    pub delay_ms: u64,

    /// How many mails are under way at once
    #[arg(long, env = "INVOICE_MAILER_IN_FLIGHT", default_value_t = 4, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub in_flight: u16,
}
