//! Sends one table of requests to both frameworks over real sockets: status, headers and body must
//! agree to the byte.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests report failures by panicking")]

mod frozen;
mod rows;
mod servers;
mod stores;
mod testserver;
mod wire;

use std::time::{Duration, Instant};

use progress_core::testing::Fault;

use crate::rows::Row;
use crate::servers::{Both, Mount};
use crate::wire::Connection;

/// Sends every row to both servers, and describes all that is wrong.
async fn complaints(both: &Both, mount: Mount, rows: &[Row]) -> Vec<String> {
    let mut complaints = Vec::new();
    for row in rows {
        let mut complain =
            |row: &Row, what: String| complaints.push(format!("{}: {what}", row.name()));
        let (axum, actix) = both.ask(&row.request(mount, "close")).await;
        if let Some(difference) = axum.difference(&actix) {
            complain(row, format!("axum and actix differ: {difference}"));
        }
        for complaint in row.complaints(&axum) {
            complain(row, complaint);
        }
        if row.is_get() {
            let head = row.head();
            let (axum_head, actix_head) = both.ask(&head.request(mount, "close")).await;
            if let Some(difference) = axum_head.difference(&actix_head) {
                complain(&head, format!("axum and actix differ: {difference}"));
            }
            // HEAD may leave out the framing of the body that GET sends (RFC 9110, section 9.3.2).
            let mut bodiless = axum.without_header("transfer-encoding");
            bodiless.body.clear();
            if let Some(difference) = axum_head.difference(&bodiless) {
                complain(&head, format!("HEAD and GET differ: {difference}"));
            }
        }
    }
    complaints
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_frameworks_give_the_same_bytes() {
    let rows = rows::rows();
    println!("{} rows", rows.len());
    let both = Both::start(Mount::Plain).await;
    assert_none(&complaints(&both, Mount::Plain, &rows).await);
    let (axum, actix) = (&both.axum.store, &both.actix.store);
    assert_eq!(
        (axum.reads(), axum.writes()),
        (actix.reads(), actix.writes()),
        "both should cost the store the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn also_under_a_nested_path_beside_a_wildcard() {
    let both = Both::start(Mount::BesideWildcard).await;
    assert_none(&complaints(&both, Mount::BesideWildcard, &rows::elsewhere()).await);
    assert_none(&complaints(&both, Mount::BesideWildcard, &rows::rows()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn also_under_a_path_with_a_parameter() {
    let both = Both::start(Mount::UnderParameter).await;
    assert_none(&complaints(&both, Mount::UnderParameter, &rows::rows()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn also_one_after_the_other_on_one_connection() {
    let both = Both::start(Mount::Plain).await;
    let open = async || {
        (Connection::open(both.axum.address).await, Connection::open(both.actix.address).await)
    };
    let (mut axum, mut actix) = open().await;
    for row in rows::rows() {
        let request = row.request(Mount::Plain, "keep-alive");
        let mut answers =
            (axum.ask(&request, row.has_body()).await, actix.ask(&request, row.has_body()).await);
        if row.sends_body() {
            // The servers handle an unread request body in different ways: hyper reads and discards
            // it, actix closes the connection and says so. Only this header differs, and only here.
            (axum, actix) = open().await;
            answers =
                (answers.0.without_header("connection"), answers.1.without_header("connection"));
        }
        assert_eq!(answers.0.difference(&answers.1), None, "{}", row.name());
        assert_eq!(row.complaints(&answers.1), Vec::<String>::new(), "{}", row.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_trouble_is_503_in_time() {
    let both = Both::start(Mount::Plain).await;
    for fault in [Fault::Away, Fault::Broken, Fault::Silent] {
        both.set(fault);
        assert_none(&complaints(&both, Mount::Plain, &rows::untroubled()).await);
        for row in rows::troubled() {
            let asked = Instant::now();
            let (axum, actix) = both.ask(&row.request(Mount::Plain, "close")).await;
            let waited = asked.elapsed();
            assert_eq!(axum.difference(&actix), None, "{fault:?}: {}", row.name());
            assert_eq!(row.complaints(&axum), Vec::<String>::new(), "{fault:?}: {}", row.name());
            // The deadline is 1 s. The tests of `progress-http` check it to the millisecond on a
            // simulated clock. Here real time passes, and the limit allows for load.
            assert!(waited <= Duration::from_secs(3), "{fault:?}: {} took {waited:?}", row.name());
        }
    }
    both.set(Fault::None);
    assert_none(&complaints(&both, Mount::Plain, &rows::rows()).await);
}

/// Control: the other tests would detect a difference.
#[tokio::test(flavor = "multi_thread")]
async fn a_difference_is_noticed() {
    let slower = |api: progress_http::ProgressApi| api.with_poll_after(Duration::from_millis(501));
    let both = Both::with_actix_changed(Mount::Plain, slower).await;
    let rows = rows::rows();
    let (axum, actix) = both.ask(&rows[0].request(Mount::Plain, "close")).await;
    assert_ne!(axum.difference(&actix), None, "one digit of the body differs");
    let found = complaints(&both, Mount::Plain, &rows).await;
    assert!(found.iter().any(|complaint| complaint.contains("differ: bodies")), "{found:?}");

    assert_eq!(axum.difference(&axum), None);
    let other_status =
        wire::Answer { status_line: "HTTP/1.1 201 Created".to_owned(), ..axum.clone() };
    assert!(axum.difference(&other_status).is_some());
    assert!(!rows[0].complaints(&other_status).is_empty());
    assert!(axum.difference(&axum.clone().without_header("etag")).is_some());
    assert!(axum.clone().without_header("connection").difference(&axum).is_some());
    assert!(!rows[0].complaints(&axum.clone().without_header("etag")).is_empty());
    let mut cut = axum.clone();
    cut.body.pop();
    assert!(axum.difference(&cut).is_some());
    assert!(!rows[0].complaints(&cut).is_empty(), "shorter than announced");
}
