//! The mailer against a mail server of other people's making.
//!
//! Runs when `AIOSMTPD_PYTHON` names a Python that has aiosmtpd (`python3 -m venv v && v/bin/pip install aiosmtpd`,
//! then `AIOSMTPD_PYTHON=v/bin/python`). Under continuous integration not running is a failure.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic as tests do")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures_util::StreamExt;
use invoice_mailer::invoice::Invoice;
use invoice_mailer::mailer::Mailer;
use invoice_mailer::pdf;
use mailparse::MailHeaderMap;

/// The server's process; ended with the test, however that ends.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(python: &str, folder: &Path) -> Server {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/independent_server.py");
        let mut process = Command::new(python)
            .args([script.as_ref(), folder.as_os_str()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("AIOSMTPD_PYTHON={python} does not start: {error}"));
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").map(|address| format!("smtp://{address}"));
        let Some(url) = address else {
            let _ = process.kill();
            let ending = process.wait().unwrap();
            panic!("the independent server did not start ({ending}): is aiosmtpd installed for {python}?");
        };
        Server { process, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn an_independent_server_gets_every_mail_exactly_once() {
    let Ok(python) = std::env::var("AIOSMTPD_PYTHON") else {
        println!("NOT RUN: no independent mail server, set AIOSMTPD_PYTHON to a Python that has aiosmtpd");
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "continuous integration must set AIOSMTPD_PYTHON"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&python, folder.path());
    let mailer = Mailer::new(&server.url, 8).unwrap();
    mailer.check().await.unwrap();
    let start = std::time::Instant::now();
    let outcomes: Vec<_> = futures_util::stream::iter((1..=60).map(Invoice::sample))
        .map(|invoice| {
            let mailer = &mailer;
            async move {
                let outcome = mailer.send(&invoice).await;
                (invoice, outcome)
            }
        })
        .buffer_unordered(8)
        .collect()
        .await;
    println!("60 mails, 8 in flight: {:.0} mails per second", 60.0 / start.elapsed().as_secs_f64());

    let mut expected = HashMap::new();
    for (invoice, outcome) in outcomes {
        let refusal = match invoice.number {
            7 | 32 | 57 => Some(format!("550 5.1.1 <{}>: no such mailbox here", invoice.email)),
            13 | 53 => Some(format!("451 4.2.1 <{}>: mailbox busy, try again later", invoice.email)),
            _ => None,
        };
        match (outcome, refusal) {
            (Ok(()), None) => assert!(expected.insert(invoice.file_name(), invoice).is_none()),
            (Err(error), Some(refusal)) => {
                assert_eq!(error.to_string(), refusal);
                assert_eq!(error.is_permanent(), refusal.starts_with('5'));
            }
            (outcome, refusal) => panic!("{}: {outcome:?} instead of {refusal:?}", invoice.reference),
        }
    }

    let files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 55);
    for file in files {
        let raw = std::fs::read(&file).unwrap();
        let mail = mailparse::parse_mail(&raw).unwrap();
        let [text, document] = mail.subparts.as_slice() else { panic!("{} has other parts", file.display()) };
        let name = document.get_content_disposition().params.remove("filename").unwrap();
        let invoice =
            expected.remove(&name).unwrap_or_else(|| panic!("{name} arrived twice or was never sent"));
        assert_eq!(
            mail.headers.get_first_value("Subject").unwrap(),
            format!("Invoice {}", invoice.reference)
        );
        assert!(mail.headers.get_first_value("To").unwrap().contains(&invoice.email));
        assert!(text.get_body().unwrap().contains(&invoice.customer));
        assert_eq!(document.ctype.mimetype, "application/pdf");
        assert_eq!(document.get_body_raw().unwrap(), pdf::render(&invoice));
    }
    assert!(expected.is_empty(), "never arrived: {:?}", expected.keys());
}
