//! The program, and the records that it shows.

use std::process::Command;

use serde_json::Value;

/// The program, on a free port. What the person who runs the tests has set is not what they test.
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
