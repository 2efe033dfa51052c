//! The pages in a real browser: press the button, watch, reload, lose the server, read the results.
//! No bar ever goes back, and nothing violates the content security policy of the page.
#![allow(clippy::unwrap_used, reason = "a test reports a failure by panicking")]

#[path = "support/program.rs"]
mod program;

use std::future::pending;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use example_support::catcher::Catcher;
use invoice_mailer::serve::serve;
use invoice_mailer::storage::Storage;
use invoice_mailer::web::{self, App};
use progress_axum::Jobs;
use progress_test_support::{Bar, Browser, Program, Server};
use tokio::net::TcpListener;

use crate::program::{is_finished, number, program};

const SEND: &str = "#send-form button";
/// The titles of the jobs, newest first. A title is the button that opens the job.
const TITLES: &str = "tbody th .progress-polling-open";
const STATES: &str = "tbody .progress-polling-state .progress-polling-badge";
const ERRORS: &str = "tbody .progress-polling-errors > span";
/// The widget of an open job, and what the page adds below it.
const MESSAGE: &str = ".progress-polling-panel .progress-polling-message";
const LOG: &str = ".progress-polling-panel li";
const SHOW_ERRORS: &str = ".job-actions button:nth-of-type(1)";
const SHOW_INVOICES: &str = ".job-actions button:nth-of-type(2)";
const AGAIN: &str = ".job-actions button:nth-of-type(3):not([hidden])";
/// What the list says in an outage.
const BANNER: &str = ".progress-polling-banner:not([hidden])";
const NOTE: &str = ".job [role=status]";

/// The texts that the page shows at the end of a job.
struct Texts {
    button: &'static str,
    title: &'static str,
    running: &'static str,
    completed: &'static str,
    errors: &'static str,
    refused: &'static str,
    again: &'static str,
    sent_again: &'static str,
    was_sent_again: &'static str,
}

const ENGLISH: Texts = Texts {
    button: "Send invoices",
    title: "200 invoices: ",
    running: "Running",
    completed: "Completed",
    errors: "13 errors",
    refused: "refused",
    again: "Send the 13 again",
    sent_again: "Another job sends them. It is at the top of the list.",
    was_sent_again: "They were sent again before. That job is in the list, too.",
};

const FRENCH: Texts = Texts {
    button: "Envoyer les factures",
    title: "200 factures\u{a0}: ",
    running: "En cours",
    completed: "Terminé",
    errors: "13 erreurs",
    refused: "refusée",
    again: "Renvoyer ces 13 factures",
    sent_again: "Une autre tâche les envoie. Elle est en tête de liste.",
    was_sent_again: "Elles ont déjà été renvoyées. Cette tâche est aussi dans la liste.",
};

/// Returns the command of the program, which sends mails this slowly.
fn slow_program(folder: &Path, delay: &str) -> Command {
    let folder = folder.to_str().unwrap();
    program(&["--listen", "127.0.0.1:0", "--data-dir", folder, "--delay-ms", delay])
}

/// Follows a job from the button to its errors, and reloads the page in between.
async fn send_and_watch(browser: &Browser, server: &Server, texts: &Texts) {
    browser.wait_for_text(SEND, |text| text == texts.button).await;
    let earlier = browser.bars().await;
    browser.click(SEND).await;
    browser.wait_for_text(STATES, |text| text == texts.running).await;
    let running = |bar: &Bar| bar.state == "running" && bar.percent >= Some(10);
    let bars = browser.wait_for_bars(|bar| earlier.contains(bar) || running(bar)).await;
    assert_eq!(bars.len(), earlier.len() + 1);
    let bar = &bars[0];

    browser.refresh().await;
    browser.wait_for_bars(|bar| bar.percent >= Some(10)).await;
    let shown = browser.shown().await;
    let first = shown.iter().find(|shown| shown.bar.job == bar.job).unwrap();
    assert_eq!(first.bar.state, "running", "{first:?}");
    assert!(first.bar.percent >= bar.percent, "{first:?} after {bar:?}");
    // Usually within a second; here two programs and two browsers share the processors.
    assert!(first.at <= 5_000.0, "the first state came after {} ms", first.at);
    let title = &browser.texts(TITLES).await[0];
    assert!(title.starts_with(texts.title), "{title}");

    // The widget of the open job has its log, from the first entry to the last.
    browser.click(TITLES).await;
    browser.wait_for_bars(|bar| bar.state == "completed" && bar.percent == Some(100)).await;
    let record = server.get(&format!("/progress/{}", bar.job)).json;
    assert!(is_finished(&record), "{record}");
    let errors = number(&record, "failed_items");
    let message = browser.wait_for_text(MESSAGE, |text| text.ends_with(texts.errors)).await;
    assert!(message.starts_with(texts.completed), "{message}");
    browser.wait_for_text(LOG, |text| text.contains("550 ")).await;
    assert_eq!(browser.texts(LOG).await.len() as u64, errors);
    assert_eq!(browser.texts(STATES).await[0], texts.completed);
    assert_eq!(browser.texts(ERRORS).await[0], errors.to_string());

    // The number of errors opens their list.
    browser.wait_for_text(SHOW_ERRORS, |text| text == texts.errors).await;
    browser.click(SHOW_ERRORS).await;
    browser.wait_for_text(".invoices [data-state=refused]", |text| text == texts.refused).await;
    assert_eq!(browser.texts(".invoices tbody tr").await.len() as u64, errors);
    browser.click(SHOW_INVOICES).await;
    browser.wait_for_text(".invoices tbody tr:nth-child(200)", |text| !text.is_empty()).await;
    browser.wait_for_text(AGAIN, |text| text == texts.again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_button_is_pressed_in_english_and_in_french() {
    let Some(browser) = Browser::or_say_so().await else { return };
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut slow_program(data.path(), "100"));
    browser.open(server.base()).await;
    send_and_watch(&browser, &server, &ENGLISH).await;
    browser.click("a[hreflang=fr]").await;
    send_and_watch(&browser, &server, &FRENCH).await;

    // A dismissed job stays hidden, also after a reload.
    assert_eq!(browser.texts(TITLES).await.len(), 2);
    browser.click("tr:nth-child(3) .progress-polling-actions button:last-child").await;
    browser.refresh().await;
    browser.wait_for_bars(|bar| bar.state == "completed").await;
    assert_eq!(browser.texts(TITLES).await.len(), 1);
    assert_eq!(browser.backwards().await, [""; 0]);
    assert_eq!(browser.mistakes().await, [""; 0]);
}

/// Presses the button for the errors of a job, reloads the page, and presses it once more.
async fn send_again(browser: &Browser, server: &Server, texts: &Texts) {
    let job = "tbody tr:nth-last-child(2) .progress-polling-open";
    browser.click(job).await;
    browser.wait_for_text(AGAIN, |text| text == texts.again).await;
    browser.click(AGAIN).await;
    browser.wait_for_text(NOTE, |text| text == texts.sent_again).await;
    browser.wait_for_text(TITLES, |text| text.starts_with("13 ")).await;
    assert_eq!(browser.texts(AGAIN).await, [""; 0], "it is not offered twice");
    browser.refresh().await;
    browser.click(job).await;
    browser.click(AGAIN).await;
    browser.wait_for_text(NOTE, |text| text == texts.was_sent_again).await;
    browser.wait_for_bars(|bar| bar.state == "completed").await;
    assert_eq!(server.get("/progress").json["count"], 2);
    assert_eq!(browser.texts(TITLES).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_errors_of_a_job_are_sent_again_once() {
    let Some(browser) = Browser::or_say_so().await else { return };
    for (texts, choice) in [(ENGLISH, "?lang=en"), (FRENCH, "?lang=fr")] {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(&mut slow_program(data.path(), "5"));
        browser.open(&format!("{}/{choice}", server.base())).await;
        browser.click(SEND).await;
        browser.wait_for_bars(|bar| bar.state == "completed").await;
        send_again(&browser, &server, &texts).await;
        assert_eq!(browser.mistakes().await, [""; 0]);
    }
}

/// While a job runs there is no button that sends its errors again. After a cancellation the button
/// sends the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_cancelled_and_the_rest_is_sent() {
    let Some(browser) = Browser::or_say_so().await else { return };
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut slow_program(data.path(), "200"));
    browser.open(server.base()).await;
    browser.click(SEND).await;
    browser.wait_for_bars(|bar| bar.state == "running").await;
    browser.click(TITLES).await;
    browser.wait_for_text(LOG, |text| text.contains("550 ")).await;
    assert_eq!(browser.texts(AGAIN).await, [""; 0]);
    // It asks first.
    browser.click("tbody .progress-polling-actions button:not([hidden])").await;
    browser.click(".progress-polling-confirm button:last-child").await;
    browser.wait_for_text(STATES, |text| text == "Cancelled").await;
    browser.click(TITLES).await;
    let record = &server.get("/progress").json["jobs"][0];
    let rest = 200 - number(record, "success_count");
    let button = format!("Send the {rest} that were not sent");
    browser.wait_for_text(AGAIN, |text| text == button).await;
    browser.click(SHOW_INVOICES).await;
    browser.wait_for_text(".invoices [data-state=waiting]", |text| text == "not sent").await;
    browser.click(AGAIN).await;
    let title = format!("{rest} invoices again: ");
    browser.wait_for_text(TITLES, |text| text.starts_with(&title)).await;
    assert_eq!(browser.mistakes().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_another_window_appears_by_itself() {
    let Some(browser) = Browser::or_say_so().await else { return };
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut slow_program(data.path(), "400"));
    browser.open(server.base()).await;
    browser.wait_for_text(".progress-list p", |text| text == "No jobs.").await;
    let answer = server.post("/invoices/send", "application/json", "{\"count\": 60}");
    assert_eq!(answer.status, 202, "{}", answer.text);
    browser.wait_for_text(STATES, |text| text == "Running").await;
    // Another job, which takes longer.
    browser.click(SEND).await;
    browser.wait_for_text(STATES, |text| text == "Completed").await;
    assert_eq!(browser.texts(STATES).await, ["Running", "Completed"]);
    assert_eq!(browser.backwards().await, [""; 0]);
    assert_eq!(browser.mistakes().await, [""; 0]);
}

/// Starts a process that only serves the pages.
fn pages(address: &str, database: &str, mail: &str) -> Server {
    let roles =
        ["--role", "web", "--listen", address, "--database-url", database, "--smtp-url", mail];
    Server::start(&mut program(&roles))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_restart_while_a_worker_goes_on() {
    let Some(browser) = Browser::or_say_so().await else { return };
    let data = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", Path::new(data.path()).join("invoices.db").display());
    let catcher = Catcher::start().await.unwrap();
    let mail = catcher.url();
    let server = pages("127.0.0.1:0", &database, &mail);
    let base = server.base().to_owned();
    let work =
        ["--role", "worker", "--database-url", &database, "--smtp-url", &mail, "--delay-ms", "150"];
    let worker = Program::start(&mut program(&work));

    browser.open(&base).await;
    browser.click(SEND).await;
    browser.wait_for_bars(|bar| bar.state == "running" && bar.percent >= Some(10)).await;
    browser.click(TITLES).await;
    browser.wait_for_text(MESSAGE, |text| text.contains("sent to")).await;
    server.kill();
    browser.wait_for_text(BANNER, |text| text.contains("The list may be outdated.")).await;
    let is_widget = |bar: &Bar| bar.job.ends_with("-panel");
    let bars = browser.wait_for_bars(|bar| bar.state == "reconnecting" || !is_widget(bar)).await;
    // The last state is still shown.
    assert!(bars.len() == 2 && bars.iter().all(|bar| bar.percent >= Some(10)), "{bars:?}");
    assert_eq!(bars[0].state, "running");
    browser.click(SEND).await;
    browser.wait_for_text("#send-error", |text| text == "The server does not answer.").await;

    let server = pages(base.trim_start_matches("http://"), &database, &mail);
    browser.wait_for_bars(|bar| bar.state == "running" && bar.percent > bars[0].percent).await;
    browser.wait_for_bars(|bar| bar.state == "completed").await;
    assert_eq!(browser.texts(BANNER).await, [""; 0]);
    browser.wait_for_text("#send-error", str::is_empty).await;
    let record = server.get(&format!("/progress/{}", bars[0].job)).json;
    assert_eq!(
        (number(&record, "processed_items"), number(&record, "success_count")),
        (200, catcher.total())
    );
    assert_eq!(browser.backwards().await, [""; 0]);
    assert_eq!(browser.mistakes().await, [""; 0]);
    worker.kill();
}

/// A proxy may serve the application under a path that the application does not know.
#[tokio::test(flavor = "multi_thread")]
async fn the_pages_work_behind_a_proxy_under_a_path() {
    let Some(browser) = Browser::or_say_so().await else { return };
    let data = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", data.path().join("invoices.db").display());
    let lease = Duration::from_secs(45);
    let storage = Storage::open("url", &url, lease).await.unwrap();
    let Storage { store, deliveries, queue } = storage;
    let jobs = Jobs::new(store);
    let catcher = Arc::new(Catcher::start().await.unwrap());
    let api = progress_axum::ProgressApi::new(jobs.clone());
    let app = web::router(App { jobs, queue, deliveries, lease }, api, Some(catcher));
    let proxy = Router::new().nest_service("/office", app);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/office/", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, proxy, pending()));

    browser.open(&base).await;
    browser.click(SEND).await;
    browser.wait_for_bars(|bar| bar.state == "waiting").await;
    browser.wait_for_text(STATES, |text| text == "Waiting").await;
    browser.click(TITLES).await;
    browser.click(SHOW_INVOICES).await;
    browser.wait_for_text(".invoices [data-state=waiting]", |text| text == "waiting").await;
    browser.click("a[href=outbox]").await;
    browser.wait_for_text("#summary", |text| text.contains("mail catcher")).await;
    browser.click("a[hreflang=fr]").await;
    browser.wait_for_text("#outbox-heading", |text| text == "Boîte d’envoi").await;
    browser.click("a[href='./']").await;
    browser.wait_for_text(SEND, |text| text == FRENCH.button).await;
    browser.wait_for_bars(|bar| bar.state == "waiting").await;
    assert_eq!(browser.mistakes().await, [""; 0]);
}
