//! The whole program against a mail server of other people's making.
//!
//! Runs when `AIOSMTPD_PYTHON` names a Python that has aiosmtpd (`python3 -m venv v && v/bin/pip install aiosmtpd`,
//! then `AIOSMTPD_PYTHON=v/bin/python`). Under continuous integration not running is a failure.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic as tests do")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use invoice_mailer::invoice::Invoice;
use invoice_mailer::pdf;
use mailparse::MailHeaderMap;
use progress_tests::Server;
use serde_json::json;

/// The server's process; ended with the test, however that ends.
struct MailServer {
    process: Child,
    url: String,
}

impl MailServer {
    fn start(python: &str, folder: &Path) -> MailServer {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/independent_server.py");
        let mut process = Command::new(python)
            .args([script.as_ref(), folder.as_os_str()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("AIOSMTPD_PYTHON={python} does not start: {error}"));
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("listening on ").map(|address| format!("smtp://{address}"));
        let Some(url) = address else {
            let _ = process.kill();
            let ending = process.wait().unwrap();
            panic!(
                "the independent server did not start ({ending}): is aiosmtpd installed for {python}?"
            );
        };
        MailServer { process, url }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The words with which the server refuses an invoice, or none.
fn refusal(invoice: &Invoice) -> Option<String> {
    let email = &invoice.email;
    match email.split('+').next() {
        Some("gone") => Some(format!("550 5.1.1 <{email}>: no such mailbox here")),
        Some("later") => Some(format!("451 4.2.1 <{email}>: mailbox busy, try again later")),
        _ => None,
    }
}

#[test]
fn an_independent_server_gets_as_many_mails_as_the_job_reports_each_once() {
    let Ok(python) = std::env::var("AIOSMTPD_PYTHON") else {
        println!(
            "NOT RUN: no independent mail server, set AIOSMTPD_PYTHON to a Python that has aiosmtpd"
        );
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "continuous integration must set AIOSMTPD_PYTHON"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (data, mails) = (folder.path().join("data"), folder.path().join("mails"));
    let mail_server = MailServer::start(&python, &mails);
    let mut program = Command::new(env!("CARGO_BIN_EXE_invoice-mailer"));
    program
        .args(["--listen", "127.0.0.1:0", "--delay-ms", "0", "--in-flight", "8", "--data-dir"])
        .arg(&data);
    program.env_remove("DATABASE_URL").env("SMTP_URL", &mail_server.url).env("RUST_LOG", "error");
    let server = Server::start(&mut program);

    let job =
        server.post("/invoices/send", "application/json", "{\"count\": 200}").location.unwrap();
    let record =
        server.wait_for(&job, Duration::from_secs(120), |record| record["finished"] == true);
    assert_eq!((&record["status"], &record["processed_items"]), (&json!("completed"), &json!(200)));

    let (refused, accepted): (Vec<_>, Vec<_>) =
        (1..=200).map(Invoice::sample).partition(|invoice| refusal(invoice).is_some());
    assert_eq!(record["failed_items"], json!(refused.len()));
    let log = server.get(&format!("{job}/log?limit=1000")).json;
    let mut said: Vec<_> = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["message"].as_str().unwrap().to_owned())
        .collect();
    let mut expected: Vec<_> = refused.iter().filter_map(refusal).collect();
    said.sort();
    expected.sort();
    assert_eq!(said, expected, "the server's own words");

    let mut expected: HashMap<_, _> =
        accepted.into_iter().map(|invoice| (invoice.file_name(), invoice)).collect();
    for entry in std::fs::read_dir(&mails).unwrap() {
        let raw = std::fs::read(entry.unwrap().path()).unwrap();
        let name = assert_complete(&raw, &expected);
        expected.remove(&name);
    }
    assert!(expected.is_empty(), "never arrived: {:?}", expected.keys());
}

/// A mail that is one of those expected, with its text and its PDF; gives the name of its PDF.
fn assert_complete(raw: &[u8], expected: &HashMap<String, Invoice>) -> String {
    let mail = mailparse::parse_mail(raw).unwrap();
    let [text, document] = mail.subparts.as_slice() else {
        panic!("other parts than a text and a document")
    };
    let name = document.get_content_disposition().params.remove("filename").unwrap();
    let invoice =
        expected.get(&name).unwrap_or_else(|| panic!("{name} arrived twice or was never sent"));
    assert_eq!(
        mail.headers.get_first_value("Subject").unwrap(),
        format!("Invoice {}", invoice.reference)
    );
    assert!(mail.headers.get_first_value("To").unwrap().contains(&invoice.email));
    assert!(text.get_body().unwrap().contains(&invoice.customer));
    assert_eq!(document.ctype.mimetype, "application/pdf");
    assert_eq!(document.get_body_raw().unwrap(), pdf::render(invoice));
    name
}
