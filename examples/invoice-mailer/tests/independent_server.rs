//! The whole program against an independent mail server.
//!
//! Runs if `AIOSMTPD_PYTHON` is a Python with aiosmtpd (`python3 -m venv v && v/bin/pip install
//! aiosmtpd`, then `AIOSMTPD_PYTHON=v/bin/python`). In continuous integration it must be set.
#![allow(clippy::unwrap_used, reason = "a test reports a failure by panicking")]

#[path = "support/program.rs"]
mod program;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use example_support::invoice::Invoice;
use example_support::pdf;
use mailparse::MailHeaderMap;
use progress_test_support::Server;
use serde_json::json;

use crate::program::{is_finished, number, program};

/// The process of the server, killed when dropped.
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
            panic!("the independent server did not start ({ending}): does {python} have aiosmtpd?");
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

/// Returns the reply with which the server refuses an invoice, if it does.
fn refusal(invoice: &Invoice) -> Option<String> {
    let email = &invoice.email;
    match email.split('+').next() {
        Some("gone") => Some(format!("550 5.1.1 <{email}>: no such mailbox here")),
        Some("later") => Some(format!("451 4.2.1 <{email}>: mailbox busy, try again later")),
        _ => None,
    }
}

#[test]
fn an_independent_server_receives_every_reported_mail_once() {
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
    let mut program = program(&["--listen", "127.0.0.1:0", "--delay-ms", "0", "--in-flight", "8"]);
    program.arg("--data-dir").arg(&data).env("SMTP_URL", &mail_server.url);
    let server = Server::start(&mut program);

    let answer = server.post("/invoices/send", "application/json", "{\"count\": 200}");
    let job = format!("/progress/{}", answer.json["job_id"].as_str().unwrap());
    let record = server.wait_for(&job, Duration::from_secs(120), is_finished);
    assert_eq!((&record["status"], &record["processed_items"]), (&json!("completed"), &json!(200)));

    let (refused, accepted): (Vec<_>, Vec<_>) =
        (1..=200).map(Invoice::sample).partition(|invoice| refusal(invoice).is_some());
    assert_eq!(number(&record, "failed_items"), refused.len() as u64);
    let log = server.get(&format!("{job}/log?limit=1000")).json;
    let mut replies: Vec<_> = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["message"].as_str().unwrap().to_owned())
        .collect();
    let mut expected: Vec<_> = refused.iter().filter_map(refusal).collect();
    replies.sort();
    expected.sort();
    assert_eq!(replies, expected, "the replies of the server");

    let mut expected: HashMap<_, _> =
        accepted.into_iter().map(|invoice| (invoice.file_name(), invoice)).collect();
    for entry in std::fs::read_dir(&mails).unwrap() {
        let raw = std::fs::read(entry.unwrap().path()).unwrap();
        let name = assert_complete(&raw, &expected);
        expected.remove(&name);
    }
    assert!(expected.is_empty(), "never arrived: {:?}", expected.keys());
}

/// Checks that a mail is expected and has its text and its PDF. Returns the name of the PDF.
fn assert_complete(raw: &[u8], expected: &HashMap<String, Invoice>) -> String {
    let mail = mailparse::parse_mail(raw).unwrap();
    let [text, document] = mail.subparts.as_slice() else { panic!("not a text and a document") };
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
