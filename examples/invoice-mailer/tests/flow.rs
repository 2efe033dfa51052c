//! The whole program: started, used over HTTP, killed, and started again.
#![allow(clippy::unwrap_used, reason = "a test reports a failure by panicking")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use progress_test_support::{Answer, Server};
use serde_json::json;

use crate::support::{
    ACCEPTED_OF_180, PATIENCE, address, caught, is_finished, number, results, send,
};

fn program(data: &Path, arguments: &[&str]) -> Command {
    let mut command = support::program(&["--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(data).args(arguments);
    command
}

fn assert_problem(answer: &Answer, status: u16) {
    assert_eq!(
        (answer.status, &answer.json["status"]),
        (status, &json!(status)),
        "{}",
        answer.text
    );
}

#[test]
fn two_hundred_invoices_are_sent_and_every_refusal_is_shown() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut program(data.path(), &["--delay-ms", "0"]));
    let job = send(&server, 200);
    let record = server.wait_for(&job, PATIENCE, is_finished);
    assert_eq!((&record["status"], &record["processed_items"]), (&json!("completed"), &json!(200)));
    let refused = number(&record, "failed_items");
    assert!(refused > 0);

    let log = server.get(&format!("{job}/log?limit=1000")).json;
    let entries = log["entries"].as_array().unwrap();
    assert_eq!(entries.len() as u64, refused);
    for code in ["550", "451"] {
        assert!(
            entries.iter().any(|entry| entry["message"].as_str().unwrap().starts_with(code)),
            "{code}: {log}"
        );
    }
    let outbox = server.get("/outbox/messages").json;
    assert_eq!(number(&outbox, "total"), 200 - refused);
    let attachment = &outbox["messages"][0]["attachment"];
    assert!(attachment["name"].as_str().unwrap().ends_with(" - FACTURE.pdf"), "{attachment}");

    let id = job.rsplit('/').next().unwrap();
    let table = server.get(&format!("/invoices/{id}")).json;
    let with = |outcome: &str| {
        table["invoices"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|invoice| invoice["outcome"] == outcome)
            .count() as u64
    };
    assert_eq!((with("sent"), with("refused"), with("waiting")), (200 - refused, refused, 0));
}

#[test]
fn ten_jobs_at_once_have_exact_counts() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut program(data.path(), &["--delay-ms", "5"]));
    let jobs: Vec<_> = (0..10).map(|_| send(&server, 30)).collect();
    let mut sent = 0;
    for job in &jobs {
        let record = server.wait_for(job, PATIENCE, is_finished);
        assert_eq!(
            (&record["status"], &record["processed_items"]),
            (&json!("completed"), &json!(30))
        );
        sent += number(&record, "success_count");
    }
    assert_eq!(caught(&server), sent);
    assert_eq!(server.get("/progress?limit=100").json["count"], 10);
}

#[test]
fn after_a_cancellation_no_mail_is_sent_and_none_is_uncounted() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut program(data.path(), &["--delay-ms", "20"]));
    let job = send(&server, 10_000);
    server.wait_for(&job, PATIENCE, |record| record["processed_items"].as_u64() >= Some(20));
    assert_eq!(server.post(&format!("{job}/cancel"), "text/plain", "").status, 202);
    let record = server.wait_for(&job, PATIENCE, is_finished);
    assert_eq!(record["status"], "cancelled");
    assert_eq!(caught(&server), number(&record, "success_count"));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(caught(&server), number(&record, "success_count"), "a mail was sent after the end");
    assert_eq!(server.post(&format!("{job}/cancel"), "text/plain", "").status, 200);
}

#[test]
fn a_killed_program_goes_on_when_it_is_started_again() {
    let data = tempfile::tempdir().unwrap();
    let arguments = ["--delay-ms", "50", "--lease", "5"];
    let server = Server::start(&mut program(data.path(), &arguments));
    let job = send(&server, 180);
    let shown =
        server.wait_for(&job, PATIENCE, |record| record["processed_items"].as_u64() >= Some(50));
    server.kill();

    let server = Server::start(&mut program(data.path(), &arguments));
    let found = server.get(&job).json;
    assert_eq!(found["status"], "running", "too early to know");
    assert!(
        number(&found, "processed_items") >= number(&shown, "processed_items"),
        "a count that was shown was lost"
    );
    let record = server.wait_for(&job, PATIENCE, is_finished);
    assert_eq!((&record["status"], &record["attempt"]), (&json!("completed"), &json!(2)));
    assert_eq!((number(&record, "processed_items"), number(&record, "failed_items")), (180, 12));
    assert_eq!(results(&server, &job, 180), (180, ACCEPTED_OF_180));
    // This program has its own mail catcher. It got the rest, and at most the mails that were being
    // sent again.
    assert!(caught(&server) <= ACCEPTED_OF_180 - number(&found, "success_count") + 4);
}

#[test]
fn a_stopped_program_goes_on_when_it_is_started_again_and_sends_no_mail_twice() {
    let data = tempfile::tempdir().unwrap();
    let arguments = ["--delay-ms", "50"];
    let server = Server::start(&mut program(data.path(), &arguments));
    let job = send(&server, 180);
    server.wait_for(&job, PATIENCE, |record| record["processed_items"].as_u64() >= Some(20));
    assert!(server.terminate(Duration::from_secs(5)).success());

    let pages = Server::start(&mut program(data.path(), &["--role", "web"]));
    let waiting = pages.get(&job).json;
    assert_eq!((&waiting["status"], &waiting["retrying"]), (&json!("pending"), &json!(true)));
    assert!(
        waiting["error_message"].as_str().unwrap().starts_with("The program was stopped"),
        "{waiting}"
    );
    assert_eq!(number(&waiting, "processed_items"), results(&pages, &job, 180).0);
    drop(pages);

    let server = Server::start(&mut program(data.path(), &arguments));
    server.wait_for(&job, Duration::from_secs(5), |record| record["attempt"] == 2);
    let record = server.wait_for(&job, PATIENCE, is_finished);
    assert_eq!(record["status"], "completed");
    assert_eq!((number(&record, "processed_items"), number(&record, "failed_items")), (180, 12));
    // This program has its own mail catcher.
    assert_eq!(caught(&server), ACCEPTED_OF_180 - number(&waiting, "success_count"));
    // The mail server was there until the last mail.
    let log = server.get(&format!("{job}/log?limit=1000")).json;
    let messages =
        log["entries"].as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap());
    let others: Vec<_> = messages
        .filter(|message| !["550", "451"].iter().any(|code| message.starts_with(code)))
        .collect();
    assert!(others.len() == 1 && others[0].starts_with("attempt 1 of 5 ended: "), "{others:?}");
}

#[test]
fn pages_responses_and_jobs_use_the_readers_language() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut program(data.path(), &["--delay-ms", "0"]));
    let french = [("accept-language", "fr-CA, en;q=0.5"), ("content-type", "application/json")];
    for (path, english_title, french_title) in
        [("/", "Invoices to send", "Factures à envoyer"), ("/outbox", "Outbox", "Boîte d’envoi")]
    {
        let in_english = server.get_with(path, &[("accept-language", "de")]);
        let in_french = server.get_with(path, &french);
        for (page, lang, title) in
            [(in_english, "en-GB", english_title), (in_french, "fr", french_title)]
        {
            assert!(page.text.contains(&format!("<html lang=\"{lang}\">")), "{}", page.text);
            assert!(page.text.contains(&format!("<title>{title}</title>")), "{}", page.text);
            assert!(!page.text.contains("{{"), "{}", page.text);
            assert_eq!(page.cookie, None);
        }
        // A choice is stored, and takes precedence over the browser's preference.
        let chosen = server.get_with(&format!("{path}?lang=en"), &french);
        assert!(chosen.text.contains(english_title), "{}", chosen.text);
        let cookie = chosen.cookie.unwrap();
        let cookie = cookie.split(';').next().unwrap();
        assert!(
            server.get_with(path, &[french[0], ("cookie", cookie)]).text.contains(english_title)
        );
    }

    let refused = server.post_with("/invoices/send", &french, "{\"count\": 0}");
    assert_problem(&refused, 400);
    assert_eq!(refused.json["detail"], "Le nombre de factures est un entier de 1 à 100000.");
    let job = address(&server.post_with("/invoices/send", &french, "{\"count\": 1}"));
    let record = server.wait_for(&job, PATIENCE, is_finished);
    let title = record["custom_title"].as_str().unwrap();
    assert!(title.starts_with("1 facture\u{a0}: "), "{title}");
    assert!(title.ends_with(", par le service facturation"), "{title}");
    assert!(record["current_message"].as_str().unwrap().contains(" envoyé à "), "{record}");
}

#[test]
fn invalid_requests_are_refused_with_a_reason() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut program(data.path(), &["--delay-ms", "0"]));
    for count in ["0", "-1", "\"x\"", "1000000000000"] {
        let answer =
            server.post("/invoices/send", "application/json", &format!("{{\"count\": {count}}}"));
        assert_problem(&answer, 400);
        assert!(
            answer.json["detail"].as_str().unwrap().contains("from 1 to 100000"),
            "{}",
            answer.text
        );
    }
    assert_problem(
        &server.post("/invoices/send", "application/x-www-form-urlencoded", "count=x"),
        400,
    );
    assert_eq!(server.get("/progress").json["count"], 0, "a refused request created a job");

    let unknown = server.get("/progress/67e55044-10b1-426f-9247-bb680e5fe0c8");
    assert_problem(&unknown, 404);
    for id in ["x", "%00", "67E55044-10B1-426F-9247-BB680E5FE0C8", &"a".repeat(4_096)] {
        let answer = server.get(&format!("/progress/{id}"));
        assert_eq!((answer.status, answer.text), (404, unknown.text.clone()), "{id}");
    }

    let title = "<script>alert(1)</script>".repeat(40_000);
    let body = json!({"count": 1, "title": title}).to_string();
    assert!(body.len() >= 1_000_000);
    let answer = server.post("/invoices/send", "application/json", &body);
    assert_eq!(answer.status, 202, "{}", answer.text);
    let record = server.get(&address(&answer)).json;
    assert_eq!(record["custom_title"].as_str(), title.get(..200));
}

#[test]
fn an_invalid_setting_ends_the_program_with_one_line_and_exit_code_2() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("a file");
    std::fs::write(&file, "not a folder").unwrap();
    let path = |name: &str| format!("sqlite://{}/{name}", file.display());
    for (name, value) in [
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "oracle://user:canary@localhost/db"),
        ("DATABASE_URL", "postgres://user:canary@localhost:1/db"),
        ("DATABASE_URL", "mysql://user:canary@localhost/db"),
        ("DATABASE_URL", "redis://user:canary@localhost:1/"),
        ("DATABASE_URL", &path("below.db")),
        ("DATABASE_URL", "sqlite::nonsense?mode=canary"),
        ("SMTP_URL", "nonsense"),
        ("SMTP_URL", "http://user:canary@localhost"),
        ("SMTP_URL", "smtp://user:canary@127.0.0.1:1"),
        ("INVOICE_MAILER_CATCHER", "nonsense"),
        ("INVOICE_MAILER_LISTEN", "nonsense"),
        ("INVOICE_MAILER_LISTEN", "192.0.2.1:80"),
    ] {
        let mut command = program(data.path(), &[]);
        if name == "INVOICE_MAILER_LISTEN" {
            command = Command::new(env!("CARGO_BIN_EXE_invoice-mailer"));
            command.arg("--data-dir").arg(data.path()).env("RUST_LOG", "error");
        }
        let output = command.env(name, value).stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{name}={value}: {stderr}");
        let named = match name {
            "INVOICE_MAILER_LISTEN" => "--listen",
            "INVOICE_MAILER_CATCHER" => "--catcher",
            _ => name,
        };
        assert!(stderr.contains(named), "{name}={value}: {stderr}");
        assert!(!stderr.contains("canary"), "{name}={value}: {stderr}");
        assert!(!stderr.contains("progress data"), "{name}={value}: {stderr}");
    }
    let database = data.path().join("invoice-mailer.db");
    assert!(!database.exists(), "a program that cannot run has created a database");

    std::fs::write(&database, "no database".repeat(1_000)).unwrap();
    let output = program(data.path(), &[]).stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&format!("--data-dir {}: ", data.path().display())), "{stderr}");
    assert_eq!(stderr.matches("file is not a database").count(), 1, "{stderr}");
}

#[test]
fn a_separate_worker_needs_the_url_of_a_mail_server() {
    let data = tempfile::tempdir().unwrap();
    let output = program(data.path(), &["--role", "worker"]).stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.trim_end().lines().count()), (Some(2), 1), "{stderr}");
    assert!(stderr.contains("SMTP_URL"), "{stderr}");
}

/// As a page of another site does that has its own name resolve to this machine (DNS rebinding).
#[test]
fn requests_for_a_foreign_host_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut program(data.path(), &["--host", "invoices.example"]));
    let body = "{\"count\": 1}";
    let json = ("content-type", "application/json");
    for host in ["evil.example", "evil.example:3000", "127.0.0.1.evil.example"] {
        for path in ["/", "/outbox/messages", "/progress", "/page/page.js"] {
            assert_problem(&server.get_with(path, &[("host", host)]), 421);
        }
        let answer = server.post_with("/invoices/send", &[json, ("host", host)], body);
        assert_problem(&answer, 421);
        let detail = answer.json["detail"].as_str().unwrap();
        assert!(detail.contains("evil.example") && detail.contains("--host"), "{detail}");
    }
    assert_eq!(server.get("/progress").json["count"], 0, "a refused request created a job");

    for host in ["localhost:3000", "[::1]", "INVOICES.example"] {
        assert_eq!(server.get_with("/", &[("host", host)]).status, 200, "{host}");
        let answer = server.post_with("/invoices/send", &[json, ("host", host)], body);
        assert_eq!(answer.status, 202, "{host}: {}", answer.text);
    }
}

/// As a page of another site does that posts to this machine by its address.
#[test]
fn cross_site_requests_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut program(data.path(), &[]));
    for header in [("sec-fetch-site", "cross-site"), ("origin", "http://evil.example")] {
        assert_problem(&server.post_with("/invoices/send", &[header], ""), 403);
    }
    assert_eq!(server.get("/progress").json["count"], 0, "a refused request created a job");
}

#[test]
fn an_operator_sees_that_it_works_and_what_it_does() {
    let data = tempfile::tempdir().unwrap();
    let mut program = program(data.path(), &["--delay-ms", "0"]);
    let server = Server::start(program.env("LOG_FORMAT", "json"));
    assert_eq!(server.get("/health").status, 200);
    let job = send(&server, 200);
    let record = server.wait_for(&job, PATIENCE, is_finished);
    let metrics = server.get("/metrics").text;
    let failed = number(&record, "failed_items");
    for line in [
        "progress_jobs_started_total{task_type=\"email_sending\"} 1".to_owned(),
        "progress_jobs_ended_total{task_type=\"email_sending\",status=\"completed\"} 1".to_owned(),
        format!("progress_items_total{{task_type=\"email_sending\",outcome=\"failed\"}} {failed}"),
    ] {
        assert!(metrics.contains(&line), "{line} is missing in {metrics}");
    }
}
