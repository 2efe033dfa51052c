//! The start and the end of a program: its log, its exit code, and the signals that stop it.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

/// A setting that cannot be used; the text names it and says why, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingError(String);

impl SettingError {
    /// Creates the error from a line that names the setting.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Adds the name of a setting to an error.
pub trait ForSetting<T> {
    /// Turns an error into one that begins with the name of the setting and ends with its causes.
    ///
    /// # Errors
    ///
    /// If the result is an error.
    fn for_setting(self, setting: &str) -> Result<T, SettingError>;
}

impl<T, E: Error + 'static> ForSetting<T> for Result<T, E> {
    fn for_setting(self, setting: &str) -> Result<T, SettingError> {
        self.map_err(|error| SettingError(format!("{setting}: {}", chain(&error))))
    }
}

/// Joins an error and its causes to one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        // Some errors already print their cause.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text.replace(['\r', '\n'], " ")
}

/// Logs to stderr from `info` on, or as `RUST_LOG` says. `LOG_FORMAT=json` writes JSON, which
/// collectors of logs read.
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::env::var("LOG_FORMAT").is_ok_and(|format| format == "json") {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).init();
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).init();
    }
}

/// Returns the exit code of a program: 2, after an error was printed to stderr, or 0.
pub fn exit_code(program: &str, outcome: Result<(), SettingError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::from(2)
        }
    }
}

/// Prints a line to stdout, which scripts read. A closed stdout is no reason to stop.
pub fn announce(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Waits for SIGINT (Ctrl-C) or SIGTERM.
pub async fn asked_to_stop() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        outcome = interrupt => {
            if outcome.is_err() {
                std::future::pending::<()>().await;
            }
        }
        () = terminate => {}
    }
}
