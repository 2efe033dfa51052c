//! The settings of the program, from options or from the environment.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use example_support::startup::{ForSetting, SettingError};

/// Sends invoices by mail and shows the progress of each job.
///
/// Without options nothing leaves this machine: records and queue are stored in SQLite below the
/// data directory, and mail goes to a catcher inside the program, which /outbox shows.
///
/// With --role, pages and workers run in separate processes, any number of each, on one server:
///
///   export DATABASE_URL=postgres://user@host/db     or redis://host/
///   invoice-mailer --role web --catcher 127.0.0.1:2525
///   invoice-mailer --role worker --smtp-url smtp://127.0.0.1:2525
///
/// The catcher belongs to the web role. With the --smtp-url of a real server, given to both roles,
/// there is none.
///
/// The job of a killed worker is shown as not responding after 15 s. Within a minute (see --lease)
/// another worker continues it, and the job of a worker that was stopped at once. A mail that was
/// being sent when its worker was killed may be sent twice.
#[derive(Debug, Clone, Parser)]
#[command(version, verbatim_doc_comment)]
pub struct Settings {
    /// Which part this process runs
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

    /// A further host name under which browsers reach the pages, such as that of a proxy
    #[arg(long = "host", env = "INVOICE_MAILER_HOST", value_delimiter = ',', value_name = "NAME")]
    pub hosts: Vec<String>,

    /// The directory of the SQLite files, unless DATABASE_URL is set
    #[arg(
        long,
        env = "INVOICE_MAILER_DATA",
        default_value = "invoice-mailer-data",
        value_name = "DIR"
    )]
    pub data_dir: PathBuf,

    /// Where all data is: sqlite:///PATH, postgres://USER:PASSWORD@HOST/NAME or redis://HOST/
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// The mail server, such as smtp://user:password@mail.example.com:25
    #[arg(long, env = "SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<String>,

    /// Where the mail catcher listens if there is no SMTP_URL; port 0 takes any free one
    #[arg(
        long,
        env = "INVOICE_MAILER_CATCHER",
        default_value = "127.0.0.1:0",
        value_name = "HOST:PORT"
    )]
    pub catcher: String,

    /// How many jobs a worker runs at once
    #[arg(long, env = "INVOICE_MAILER_JOBS", default_value_t = 4, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,

    /// After how many seconds of silence a worker is lost and another one continues its jobs
    #[arg(long, env = "INVOICE_MAILER_LEASE", default_value_t = 45, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(3..=3600))]
    pub lease: u64,

    /// How long to wait before each mail, in milliseconds, so that the progress can be watched
    #[arg(long, env = "INVOICE_MAILER_DELAY_MS", default_value_t = 50, value_name = "MS")]
    pub delay_ms: u64,

    /// How many mails of a job are sent at once
    #[arg(long, env = "INVOICE_MAILER_IN_FLIGHT", default_value_t = 4, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub in_flight: u16,
}

impl Settings {
    /// Returns the URL of the database, after the name of its setting. Errors name the setting
    /// because the URL may contain a password.
    ///
    /// # Errors
    ///
    /// If the data directory cannot be created.
    pub fn database(&self) -> Result<(String, String), SettingError> {
        if let Some(url) = &self.database_url {
            return Ok(("--database-url (DATABASE_URL)".to_owned(), url.clone()));
        }
        let setting = format!("--data-dir {}", self.data_dir.display());
        std::fs::create_dir_all(&self.data_dir).for_setting(&setting)?;
        let path = self.data_dir.join("invoice-mailer.db");
        let path = path.to_str();
        let path = path.ok_or_else(|| SettingError::new("--data-dir: the path must be UTF-8"))?;
        Ok((setting, format!("sqlite://{path}")))
    }
}

/// The part of the program that a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Both, in one process
    All,
    /// The pages only
    Web,
    /// The jobs only
    Worker,
}
