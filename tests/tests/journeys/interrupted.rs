//! The user reloads or hides the page, or the server goes away.

use std::time::Duration;

use tokio::time::sleep;

use crate::job::{Plan, TOTAL};
use crate::on_both;

#[test]
fn a_page_that_is_loaded_again_goes_on_where_it_was() {
    on_both(Plan::Complete, async |browser, site| {
        browser.open(&site.page("")).await;
        browser.click("#start").await;
        site.let_go_to(50);
        browser.wait_for_bars(|bar| bar.percent >= Some(50)).await;

        // Load may delay one reload, but not each of them.
        let mut first_after = Vec::new();
        for _ in 0..3 {
            browser.refresh().await;
            browser.wait_for_bars(|bar| bar.state == "running").await;
            let shown = browser.shown().await;
            let first = shown.iter().find(|shown| shown.bar.percent.is_some()).expect("a state");
            assert!(first.bar.percent >= Some(50), "{first:?}");
            first_after.push(first.at);
        }
        assert!(
            first_after.iter().any(|&after| after <= 1_000.0),
            "{first_after:?} ms until the first state"
        );

        site.let_go_to(TOTAL);
        browser.wait_for_bars(|bar| bar.state == "completed").await;
    });
}

#[test]
fn a_page_that_was_hidden_asks_less_and_catches_up() {
    on_both(Plan::Complete, async |browser, site| {
        let job = site.start().await;
        browser.open(&site.page(&format!("element={job}"))).await;
        site.let_go_to(20);
        browser.wait_for_bars(|bar| bar.percent >= Some(20)).await;

        let asked = browser
            .behind_another_tab(async {
                // Requests that were in flight when the page was hidden are not counted.
                sleep(Duration::from_millis(500)).await;
                site.take_asked();
                site.let_go_to(80);
                sleep(Duration::from_secs(2)).await;
                site.take_asked()
            })
            .await;
        // A visible page would have sent four.
        assert!(asked.len() <= 1, "{asked:?}");
        browser.wait_for_bars(|bar| bar.percent >= Some(80)).await;
        let seen: f64 = browser.evaluate("watch.seen").await;
        let shown = browser.shown().await;
        let caught_up = shown
            .iter()
            .find(|shown| shown.bar.percent >= Some(80))
            .expect("the state that was waited for");
        assert!(
            caught_up.at - seen <= 1_000.0,
            "{} ms after the page was visible again",
            caught_up.at - seen
        );

        site.let_go_to(TOTAL);
        browser.wait_for_bars(|bar| bar.state == "completed").await;
    });
}

#[test]
fn a_lost_server_is_told_and_its_return_is_noticed() {
    on_both(Plan::Complete, async |browser, site| {
        let jobs = [site.start().await, site.start().await];
        browser.open(&site.page(&format!("element={}&object={}", jobs[0], jobs[1]))).await;
        site.let_go_to(30);
        browser.wait_for_bars(|bar| bar.state == "running" && bar.percent >= Some(30)).await;

        site.lose();
        let bars = browser.wait_for_bars(|bar| bar.state == "reconnecting").await;
        assert!(
            bars.iter().all(|bar| bar.percent >= Some(30)),
            "the last known state should still be shown: {bars:?}"
        );
        site.let_go_to(70);
        // Long enough for a retry that fails.
        sleep(Duration::from_secs(1)).await;
        site.come_back();
        browser.wait_for_bars(|bar| bar.state == "running" && bar.percent >= Some(70)).await;

        site.let_go_to(TOTAL);
        browser.wait_for_bars(|bar| bar.state == "completed").await;
    });
}
