//! The pages as people meet them, in a real browser: press the button, watch, load the page again, lose the server, read what
//! became of it. Whatever happens, no bar goes back and nothing breaks the policy of the page.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

#[path = "support/program.rs"]
mod program;

use std::path::Path;

use invoice_mailer::catcher::Catcher;
use progress_tests::{Browser, Program, Server};

use crate::program::{is_finished, number, program};

const SEND: &str = "#send-form button";
const MESSAGE: &str = "progress-poller .progress-polling-message";

/// What is read at the end of a job.
struct Words {
    button: &'static str,
    completed: &'static str,
    errors: &'static str,
    refused: &'static str,
    in_history: &'static str,
}

const ENGLISH: Words = Words {
    button: "Send invoices",
    completed: "Completed (",
    errors: "errors",
    refused: "refused",
    in_history: "completed",
};

const FRENCH: Words = Words {
    button: "Envoyer les factures",
    completed: "Terminé (",
    errors: "erreurs",
    refused: "refusée",
    in_history: "terminé",
};

/// From the button to the history, with a look at the page anew in between.
async fn send_and_watch(browser: &Browser, server: &Server, words: &Words) {
    browser.wait_for_text(SEND, |text| text == words.button).await;
    browser.click(SEND).await;
    let bars = browser.wait_for_bars(|bar| bar.state == "running" && bar.percent >= Some(10)).await;
    assert_eq!(bars.len(), 1);

    browser.refresh().await;
    browser.wait_for_bars(|bar| bar.percent >= Some(10)).await;
    let shown = browser.shown().await;
    let first = shown.iter().find(|shown| shown.bar.percent.is_some()).unwrap();
    assert_eq!((&first.bar.job, first.bar.state.as_str()), (&bars[0].job, "running"), "{first:?}");
    assert!(first.bar.percent >= bars[0].percent, "{first:?} after {bars:?}");
    // Within a second where nothing else is done; two programs and two browsers are at work here.
    assert!(first.at <= 5_000.0, "the first state came after {} ms", first.at);

    browser.wait_for_bars(|bar| bar.state == "completed" && bar.percent == Some(100)).await;
    let record = server.get(&format!("/progress/{}", bars[0].job)).json;
    assert!(is_finished(&record), "{record}");
    let errors = number(&record, "failed_items");
    let end = format!("{errors} {}", words.errors);
    let message = browser.wait_for_text(MESSAGE, |text| text.ends_with(&end)).await;
    assert!(message.starts_with(words.completed), "{message}");
    browser.wait_for_text("progress-poller li", |text| text.contains("550 ")).await;
    assert_eq!(browser.texts("progress-poller li").await.len() as u64, errors);
    browser.wait_for_text("#invoices [data-state=refused]", |text| text == words.refused).await;
    browser.wait_for_text("#history tr:first-child .tag", |text| text == words.in_history).await;
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

    // The job that has ended just now is there as well, until it is put away.
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
async fn a_job_without_a_bar_is_seen_to_end_in_the_history() {
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
    // As another tab would; this one hears of it when it starts a job of its own, which takes longer.
    let answer = server.post("/invoices/send", "application/json", "{\"count\": 60}");
    assert_eq!(answer.status, 202, "{}", answer.text);
    browser.click(SEND).await;
    browser.wait_for_text("#history tr:nth-child(2) .tag", |text| text == "running").await;
    browser.wait_for_text("#history tr:nth-child(2) .tag", |text| text == "completed").await;
    let bars = browser.bars().await;
    assert!(bars.len() == 1 && bars[0].state == "running", "{bars:?}");
    assert_eq!(browser.mistakes().await, [""; 0]);
}

/// The pages, in a process of their own.
fn pages(address: &str, database: &str, mail: &str) -> Server {
    let roles =
        ["--role", "web", "--listen", address, "--database-url", database, "--smtp-url", mail];
    Server::start(&mut program(&roles))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_are_lost_and_come_back_while_the_work_goes_on() {
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
    assert!(bars[0].percent >= Some(10), "what is known is still shown: {bars:?}");
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
