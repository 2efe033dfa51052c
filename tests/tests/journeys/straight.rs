//! From the click to the end of the job: completed, failed or cancelled.

use progress_test_support::Browser;

use crate::job::{Plan, REASON, TOTAL};
use crate::site::Site;
use crate::{on_both, on_both_under};

const TITLE: &str = "progress-poller .progress-polling-title";
const MESSAGE: &str = "progress-poller .progress-polling-message";
const STATISTICS: &str = "progress-poller .progress-polling-value";

async fn click_and_run(browser: &Browser, site: &mut Site) {
    browser.open(&site.page("")).await;
    assert_eq!(browser.bars().await, []);
    browser.click("#start").await;
    site.let_go_to(40);
    browser.wait_for_bars(|bar| bar.state == "running" && bar.percent >= Some(40)).await;
    assert_eq!(browser.texts(TITLE).await, ["A journey"]);
}

async fn click_run_finish(browser: &Browser, site: &mut Site) {
    click_and_run(browser, site).await;
    assert_eq!(browser.texts(STATISTICS).await[0], TOTAL.to_string());
    site.let_go_to(TOTAL);
    let bars = browser.wait_for_bars(|bar| bar.state == "completed").await;
    assert_eq!((bars.len(), bars[0].percent), (1, Some(100)));
    browser.wait_for_text(MESSAGE, |text| text.starts_with("Completed (")).await;
    let shown = browser.shown().await;
    assert!(
        shown.iter().any(|shown| shown.bar.percent.is_some_and(|percent| percent < 100)),
        "{shown:?}"
    );
}

#[test]
fn click_run_finish_at_the_root() {
    on_both(Plan::Complete, click_run_finish);
}

#[test]
fn click_run_finish_under_a_path() {
    on_both_under("/shop/office", Plan::Complete, async |browser, site| {
        click_run_finish(browser, site).await;
        let asked = site.take_asked();
        assert!(
            asked.iter().all(|target| target.starts_with("/shop/office/progress/")),
            "{asked:?}"
        );
    });
}

#[test]
fn items_that_fail_are_told_beside_the_end() {
    on_both(Plan::CompleteWithErrors, async |browser, site| {
        let job = site.start().await;
        browser.open(&site.page(&format!("log&element={job}"))).await;
        site.let_go_to(TOTAL);
        browser.wait_for_bars(|bar| bar.state == "completed").await;
        browser.wait_for_text(MESSAGE, |text| text.ends_with("10 errors")).await;
        browser
            .wait_for_text("progress-poller li:last-child", |text| text.contains("item 100"))
            .await;
        assert_eq!(browser.texts("progress-poller li").await.len(), 10);
    });
}

#[test]
fn a_job_that_fails_says_why_and_stays_where_it_was() {
    on_both(Plan::FailAt(60), async |browser, site| {
        click_and_run(browser, site).await;
        site.let_go_to(TOTAL);
        let bars = browser.wait_for_bars(|bar| bar.state == "failed").await;
        assert_eq!(bars[0].percent, Some(59));
        browser.wait_for_text("progress-poller [role=alert]", |text| text == REASON).await;
    });
}

#[test]
fn the_button_cancels_the_job() {
    on_both(Plan::Complete, async |browser, site| {
        click_and_run(browser, site).await;
        browser.click("progress-poller button.progress-polling-button:not([hidden])").await;
        // The widget asks before it cancels: "Keep" or "Cancel".
        browser.click("progress-poller .progress-polling-confirm button:last-child").await;
        let bars = browser.wait_for_bars(|bar| bar.state == "cancelled").await;
        assert_eq!(bars[0].percent, Some(40), "the job did not stop");
        let asked = site.take_asked();
        assert_eq!(
            asked.iter().filter(|target| target.ends_with("/cancel")).count(),
            1,
            "{asked:?}"
        );
    });
}
