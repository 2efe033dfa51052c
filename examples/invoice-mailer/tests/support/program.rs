//! Starts the program and reads its records.

use std::process::Command;

use serde_json::Value;

/// Returns the command of the program, without the settings in the environment of the tests.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_invoice-mailer"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        let is_ours = name.to_str().is_some_and(|name| name.starts_with("INVOICE_MAILER_"));
        if is_ours || name == "DATABASE_URL" || name == "SMTP_URL" {
            command.env_remove(name);
        }
    }
    command.env("RUST_LOG", "error");
    command
}

pub(crate) fn is_finished(record: &Value) -> bool {
    record["finished"] == true
}

pub(crate) fn number(record: &Value, name: &str) -> u64 {
    record[name].as_u64().unwrap()
}
