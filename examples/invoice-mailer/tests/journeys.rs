//! The pages in a real browser: press the button, watch, reload, lose the server, read the results.
//! No bar ever goes back, and nothing violates the content security policy of the page.
#![allow(clippy::unwrap_used, reason = "a test reports a failure by panicking")]

#[path = "support/program.rs"]
mod program;

use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use example_support::catcher::Catcher;
use invoice_mailer::serve::serve;
use invoice_mailer::storage::Storage;
use invoice_mailer::web::{self, App};
use progress_axum::Jobs;
use progress_test_support::{Browser, Program, Server};
use tokio::net::TcpListener;

use crate::program::{is_finished, number, program};

const SEND: &str = "#send-form button";
const MESSAGE: &str = "progress-poller .progress-polling-message";

/// The texts that the page shows at the end of a job.
struct Texts {
    button: &'static str,
    completed: &'static str,
    errors: &'static str,
    refused: &'static str,
    in_history: &'static str,
}

const ENGLISH: Texts = Texts {
    button: "Send invoices",
    completed: "Completed (",
    errors: "errors",
    refused: "refused",
    in_history: "completed",
};

const FRENCH: Texts = Texts {
    button: "Envoyer les factures",
    completed: "Terminé (",
    errors: "erreurs",
    refused: "refusée",
    in_history: "terminé",
};

/// Follows a job from the button to the history, and reloads the page in between.
async fn send_and_watch(browser: &Browser, server: &Server, texts: &Texts) {
    browser.wait_for_text(SEND, |text| text == texts.button).await;
    browser.click(SEND).await;
    let bars = browser.wait_for_bars(|bar| bar.state == "running" && bar.percent >= Some(10)).await;
    assert_eq!(bars.len(), 1);

    browser.refresh().await;
    browser.wait_for_bars(|bar| bar.percent >= Some(10)).await;
    let shown = browser.shown().await;
    let first = shown.iter().find(|shown| shown.bar.percent.is_some()).unwrap();
    assert_eq!((&first.bar.job, first.bar.state.as_str()), (&bars[0].job, "running"), "{first:?}");
    assert!(first.bar.percent >= bars[0].percent, "{first:?} after {bars:?}");
    // Usually within a second; here two programs and two browsers share the processors.
    assert!(first.at <= 5_000.0, "the first state came after {} ms", first.at);

    browser.wait_for_bars(|bar| bar.state == "completed" && bar.percent == Some(100)).await;
    let record = server.get(&format!("/progress/{}", bars[0].job)).json;
    assert!(is_finished(&record), "{record}");
    let errors = number(&record, "failed_items");
    let end = format!("{errors} {}", texts.errors);
    let message = browser.wait_for_text(MESSAGE, |text| text.ends_with(&end)).await;
    assert!(message.starts_with(texts.completed), "{message}");
    browser.wait_for_text("progress-poller li", |text| text.contains("550 ")).await;
    assert_eq!(browser.texts("progress-poller li").await.len() as u64, errors);
    browser.wait_for_text("#invoices [data-state=refused]", |text| text == texts.refused).await;
    browser.wait_for_text("#history tr:first-child .tag", |text| text == texts.in_history).await;
    browser
        .wait_for_text("#history tr:first-child .errors", |text| text == errors.to_string())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_button_is_pressed_in_english_and_in_french() {
    let Some(browser) = Browser::or_say_so().await else { return };
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().to_str().unwrap();
    let server = Server::start(&mut program(&[
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        folder,
        "--delay-ms",
        "100",
    ]));
    browser.open(server.base()).await;
    send_and_watch(&browser, &server, &ENGLISH).await;

    // A job that has just ended keeps its bar until it is dismissed.
    browser.click("a[hreflang=fr]").await;
    browser.click(".job-actions button:last-child:not([hidden])").await;
    send_and_watch(&browser, &server, &FRENCH).await;

    assert_eq!(browser.texts("#history tbody tr").await.len(), 2);
    browser.click("#history tr:last-child button.choose").await;
    let bars = browser.wait_for_bars(|bar| bar.state == "completed").await;
    assert_eq!(bars.len(), 2, "the earlier job is shown beside the later one");
    assert_eq!(browser.backwards().await, [""; 0]);
    assert_eq!(browser.mistakes().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_shows_the_end_of_a_job_without_a_bar() {
    let Some(browser) = Browser::or_say_so().await else { return };
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().to_str().unwrap();
    let server = Server::start(&mut program(&[
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        folder,
        "--delay-ms",
        "400",
    ]));
    browser.open(server.base()).await;
    browser.wait_for_text("#no-jobs", |text| !text.is_empty()).await;
    // Another tab's job. This tab learns of it when it starts its own job, which takes longer.
    let answer = server.post("/invoices/send", "application/json", "{\"count\": 60}");
    assert_eq!(answer.status, 202, "{}", answer.text);
    browser.click(SEND).await;
    browser.wait_for_text("#history tr:nth-child(2) .tag", |text| text == "running").await;
    browser.wait_for_text("#history tr:nth-child(2) .tag", |text| text == "completed").await;
    let bars = browser.bars().await;
    assert!(bars.len() == 1 && bars[0].state == "running", "{bars:?}");
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
    server.kill();
    let bars = browser.wait_for_bars(|bar| bar.state == "reconnecting").await;
    assert!(bars[0].percent >= Some(10), "the last state is still shown: {bars:?}");
    browser.click(SEND).await;
    browser.wait_for_text("#send-error", |text| text == "The server does not answer.").await;

    let server = pages(base.trim_start_matches("http://"), &database, &mail);
    browser.wait_for_bars(|bar| bar.state == "running" && bar.percent > bars[0].percent).await;
    browser.wait_for_bars(|bar| bar.state == "completed").await;
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
    browser.wait_for_text("#history tr:first-child .tag", |text| text == "waiting").await;
    browser.wait_for_text("#invoices [data-state=waiting]", |text| text == "waiting").await;
    browser.click("a[href=outbox]").await;
    browser.wait_for_text("#summary", |text| text.contains("mail catcher")).await;
    browser.click("a[hreflang=fr]").await;
    browser.wait_for_text("#outbox-heading", |text| text == "Boîte d’envoi").await;
    browser.click("a[href='./']").await;
    browser.wait_for_text(SEND, |text| text == FRENCH.button).await;
    browser.wait_for_bars(|bar| bar.state == "waiting").await;
    assert_eq!(browser.mistakes().await, [""; 0]);
}
