//! The errors of a job: as a table, as a file, and sent again. `roles.rs` sends them again on
//! PostgreSQL and Redis.
#![allow(clippy::unwrap_used, reason = "a test reports a failure by panicking")]

#[path = "support/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::future::pending;
use std::path::Path;
use std::thread;
use std::time::Duration;

use example_support::invoice::Invoice;
use invoice_mailer::deliveries::Deliveries;
use invoice_mailer::serve::serve;
use invoice_mailer::storage::Storage;
use invoice_mailer::web::{self, App};
use progress_axum::{Jobs, NewProgress, ProgressApi, ProgressId};
use progress_test_support::{Answer, Server};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::program::{is_finished, number};

const PATIENCE: Duration = Duration::from_secs(60);

fn program(data: &Path, delay: &str) -> Server {
    let mut command = program::program(&["--listen", "127.0.0.1:0", "--data-dir"]);
    Server::start(command.arg(data).args(["--delay-ms", delay]))
}

/// Creates a job and returns the path of its record.
fn send(server: &Server, count: u32) -> String {
    let body = json!({"count": count}).to_string();
    let answer = server.post("/invoices/send", "application/json", &body);
    format!("/progress/{}", answer.json["job_id"].as_str().unwrap())
}

/// Returns the path of a job's invoices.
fn invoices_of(job: &str) -> String {
    job.replace("/progress/", "/invoices/")
}

/// Returns the numbers of the invoices of a job by their outcome.
fn outcomes(server: &Server, job: &str) -> BTreeMap<String, Vec<u64>> {
    let mut outcomes = BTreeMap::<_, Vec<_>>::new();
    let mut from = json!(1);
    while !from.is_null() {
        let table = server.get(&format!("{}?from={from}", invoices_of(job))).json;
        for row in table["invoices"].as_array().unwrap() {
            let outcome = row["outcome"].as_str().unwrap().to_owned();
            outcomes.entry(outcome).or_default().push(row["number"].as_u64().unwrap());
        }
        from = table["next"].clone();
    }
    outcomes
}

fn send_again(server: &Server, job: &str) -> Answer {
    server.post(&format!("{}/again", invoices_of(job)), "text/plain", "")
}

/// Returns the path of the job that sends the errors of another one.
fn started(answer: &Answer) -> String {
    let location = answer.location.as_deref().unwrap();
    // Relative to `/invoices/{job}/again`.
    location.strip_prefix("../..").unwrap_or_else(|| panic!("{location:?}")).to_owned()
}

#[test]
fn exactly_the_errors_are_sent_again() {
    let data = tempfile::tempdir().unwrap();
    let server = program(data.path(), "0");
    let job = send(&server, 450);
    server.wait_for(&job, PATIENCE, is_finished);
    let errors = outcomes(&server, &job)["refused"].clone();
    assert!(errors.len() > 20 && errors.last() > Some(&400), "{errors:?}");

    let answer = send_again(&server, &job);
    assert_eq!((answer.status, &answer.json["new"]), (202, &json!(true)), "{}", answer.text);
    let second = started(&answer);
    let record = server.wait_for(&second, PATIENCE, is_finished);
    assert_eq!(number(&record, "total_items"), errors.len() as u64);
    assert_eq!(number(&record, "processed_items"), errors.len() as u64);
    let title = record["custom_title"].as_str().unwrap();
    let begin = format!("{} invoices again: ", errors.len());
    assert!(title.starts_with(&begin) && title.ends_with(", by the billing office"), "{title}");
    // The mail catcher refuses them again.
    assert_eq!(outcomes(&server, &second), BTreeMap::from([("refused".to_owned(), errors)]));
}

#[test]
fn the_errors_are_sent_again_once_however_often_the_button_is_pressed() {
    let data = tempfile::tempdir().unwrap();
    let server = program(data.path(), "0");
    let job = send(&server, 100);
    server.wait_for(&job, PATIENCE, is_finished);
    let press = || send_again(&server, &job);
    let answers = thread::scope(|scope| {
        let presses: Vec<_> = (0..8).map(|_| scope.spawn(press)).collect();
        presses.into_iter().map(|press| press.join().unwrap()).collect::<Vec<_>>()
    });
    let second = started(&answers[0]);
    for answer in &answers {
        assert!([200, 202].contains(&answer.status), "{}", answer.text);
        assert_eq!(started(answer), second);
        assert_eq!(answer.json["new"], answer.status == 202);
    }
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 1);
    server.wait_for(&second, PATIENCE, is_finished);
    // Nor after the end.
    assert_eq!((press().status, started(&press())), (200, second.clone()));
    assert_eq!(server.get("/progress").json["count"], 2);
    // Those that failed again are sent by a third job.
    assert_eq!(send_again(&server, &second).status, 202);
    assert_eq!(server.get("/progress").json["count"], 3);
}

#[test]
fn a_job_that_runs_is_not_sent_again_and_its_rest_is_after_a_cancellation() {
    let data = tempfile::tempdir().unwrap();
    let server = program(data.path(), "20");
    let job = send(&server, 300);
    server.wait_for(&job, PATIENCE, |record| record["failed_items"].as_u64() > Some(0));
    let answer = send_again(&server, &job);
    assert_eq!(answer.status, 409, "{}", answer.text);
    assert_eq!(server.get("/progress").json["count"], 1, "a refused request created a job");

    assert_eq!(server.post(&format!("{job}/cancel"), "text/plain", "").status, 202);
    let record = server.wait_for(&job, PATIENCE, is_finished);
    let before = outcomes(&server, &job);
    let mut rest = [&*before["refused"], &*before["waiting"]].concat();
    rest.sort_unstable();
    let second = started(&send_again(&server, &job));
    server.wait_for(&second, PATIENCE, is_finished);
    let after = outcomes(&server, &second);
    let mut sent = after.values().flatten().copied().collect::<Vec<_>>();
    sent.sort_unstable();
    assert_eq!(sent, rest);
    assert_eq!(rest.len() as u64, 300 - number(&record, "success_count"));

    // Without an error there is nothing to send again.
    let job = send(&server, 5);
    server.wait_for(&job, PATIENCE, is_finished);
    assert_eq!(send_again(&server, &job).status, 409);
}

#[test]
fn the_errors_of_a_job_are_a_file() {
    let data = tempfile::tempdir().unwrap();
    let server = program(data.path(), "0");
    let job = send(&server, 2_000);
    server.wait_for(&job, PATIENCE, is_finished);
    let errors = outcomes(&server, &job)["refused"].clone();
    let answer = server.get(&format!("{}/errors.csv", invoices_of(&job)));
    let lines = lines(&answer.text);
    assert_eq!(lines[0], ["Reference", "Customer", "E-mail", "Amount (EUR)", "Reason"]);
    assert_eq!(lines.len(), errors.len() + 1);
    for (line, number) in lines[1..].iter().zip(&errors) {
        let invoice = Invoice::sample(u32::try_from(*number).unwrap());
        assert_eq!(line[..3], [invoice.reference, invoice.customer, invoice.email]);
        assert!(line[4].starts_with("550 ") || line[4].starts_with("451 "), "{line:?}");
    }
    let french =
        server.get_with(&format!("{}/errors.csv", invoices_of(&job)), &[("accept-language", "fr")]);
    assert!(french.text.starts_with("\u{feff}Référence,Client,"), "{}", french.text);
    // The table has the same rows, and each of them once.
    let mut table = Vec::new();
    let mut from = json!(1);
    while !from.is_null() {
        let page = server.get(&format!("{}?errors=true&from={from}", invoices_of(&job))).json;
        table.extend(page["invoices"].as_array().unwrap().iter().map(|row| number(row, "number")));
        from = page["next"].clone();
    }
    assert_eq!(table, errors);
}

fn lines(csv: &str) -> Vec<Vec<String>> {
    let csv = csv.strip_prefix('\u{feff}').unwrap();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

/// An application without a worker, whose jobs and results a test writes itself.
struct Office {
    base: String,
    jobs: Jobs,
    deliveries: Deliveries,
    _folder: tempfile::TempDir,
}

impl Office {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("invoices.db").display());
        let lease = Duration::from_secs(45);
        let Storage { store, deliveries, queue } = Storage::open("url", &url, lease).await.unwrap();
        let jobs = Jobs::new(store);
        let api = ProgressApi::new(jobs.clone());
        let app = App { jobs: jobs.clone(), queue, deliveries: deliveries.clone(), lease };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, web::router(app, api, None), pending()));
        Self { base, jobs, deliveries, _folder: folder }
    }

    /// Creates a job that has ended, with the reason of an error for each of its invoices.
    async fn ended(&self, owner: &str, reasons: &[&str]) -> ProgressId {
        let job = NewProgress::new("email_sending").with_owner(owner);
        let id = self.jobs.create(job.with_total(reasons.len() as u64)).await.unwrap().id;
        self.jobs.cancel(id).await.unwrap();
        let Deliveries::Sqlite(pool) = &self.deliveries else { unreachable!() };
        for (number, reason) in (1_i64..).zip(reasons) {
            let insert = "INSERT INTO deliveries VALUES (?, ?, 'refused', ?)";
            let insert = sqlx::query(insert).bind(id.to_string()).bind(number).bind(*reason);
            insert.execute(pool).await.unwrap();
        }
        id
    }

    async fn request(&self, method: &'static str, path: String) -> (u16, String) {
        let url = format!("{}{path}", self.base);
        let request = move || {
            let agent: ureq::Agent =
                ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut answer = match method {
                "POST" => agent.post(&url).send_empty().unwrap(),
                _ => agent.get(&url).call().unwrap(),
            };
            (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
        };
        tokio::task::spawn_blocking(request).await.unwrap()
    }
}

/// A mail server that answers with a formula must not reach the computer of the billing office.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_errors_has_no_formulas_and_is_quoted() {
    let office = Office::open().await;
    let reasons = [
        "=HYPERLINK(\"http://evil.example\",\"550\")",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "550 \"no\", or yes;\r\nnew line",
        "plain",
        "été, 漢字",
    ];
    let job = office.ended("billing office", &reasons).await;
    let (status, csv) = office.request("GET", format!("/invoices/{job}/errors.csv")).await;
    assert_eq!(status, 200);
    let found: Vec<_> = lines(&csv).into_iter().skip(1).map(|line| line[4].clone()).collect();
    let expected: Vec<_> = (0..)
        .zip(reasons)
        .map(|(place, reason)| if place < 5 { format!("'{reason}") } else { reason.to_owned() })
        .collect();
    assert_eq!(found, expected);
    assert!(csv.contains("\"550 \"\"no\"\", or yes;\r\nnew line\""), "{csv}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_invoices_of_foreign_and_unknown_jobs_are_not_found() {
    let office = Office::open().await;
    let foreign = office.ended("another office", &["550 secret"]).await;
    let own = office.ended("billing office", &["550"]).await;
    let unknown = ProgressId::new();
    let ids = [foreign.to_string(), unknown.to_string(), "x".to_owned(), "%00".to_owned()];
    for (method, path) in [("GET", ""), ("GET", "/errors.csv"), ("POST", "/again")] {
        let (status, text) = office.request(method, format!("/invoices/{own}{path}")).await;
        assert!([200, 202].contains(&status), "{path}: {text}");
        for id in &ids {
            let (status, text) = office.request(method, format!("/invoices/{id}{path}")).await;
            let problem: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(
                (status, &problem["detail"]),
                (404, &json!("There is no such job.")),
                "{id}"
            );
        }
    }
    // The errors of the viewer's own job, and no other, are sent again.
    let all = progress_axum::progress_core::ProgressQuery::new();
    assert_eq!(office.jobs.list(&all).await.unwrap().items.len(), 3);
}

#[test]
fn a_request_of_another_site_sends_nothing_again() {
    let data = tempfile::tempdir().unwrap();
    let server = program(data.path(), "0");
    let job = send(&server, 20);
    server.wait_for(&job, PATIENCE, is_finished);
    let path = format!("{}/again", invoices_of(&job));
    for header in [("sec-fetch-site", "cross-site"), ("origin", "http://evil.example")] {
        assert_eq!(server.post_with(&path, &[header], "").status, 403);
    }
    assert_eq!(server.get("/progress").json["count"], 1);
}
