//! Several bars on one page.

use std::time::Duration;

use progress_test_support::Browser;
use tokio::time::sleep;

use crate::job::{Plan, TOTAL};
use crate::on_both;
use crate::site::Site;

const BARS: usize = 5;
const WINDOW: Duration = Duration::from_secs(2);
/// The default interval at which a bar polls.
const INTERVAL: Duration = Duration::from_millis(500);

/// The highest number of requests in the window, at one per round.
fn rounds() -> usize {
    usize::try_from(WINDOW.as_millis() / INTERVAL.as_millis()).unwrap() + 1
}

/// Starts a job for each bar. Returns the jobs, and a page that follows them in these ways in turn.
async fn page(site: &Site, shapes: &[&str]) -> (Vec<String>, String) {
    let mut jobs = Vec::new();
    let mut query = String::new();
    for shape in shapes.iter().cycle().take(BARS) {
        let job = site.start().await.to_string();
        query += &format!("{shape}={job}&");
        jobs.push(job);
    }
    (jobs, site.page(&query))
}

/// Returns the requests of the page during the window, while its jobs run.
async fn asked_in_the_window(browser: &Browser, site: &Site, page: &str) -> Vec<String> {
    browser.open(page).await;
    site.let_go_to(30);
    browser.wait_for_bars(|bar| bar.percent >= Some(30)).await;
    site.take_asked();
    sleep(WINDOW).await;
    site.take_asked()
}

#[test]
fn the_bars_of_a_page_make_one_request_per_round() {
    on_both(Plan::Complete, async |browser, site| {
        let (jobs, page) = page(site, &["element", "object"]).await;
        let asked = asked_in_the_window(browser, site, &page).await;
        assert!((2..=rounds()).contains(&asked.len()), "{asked:?}");
        for target in &asked {
            assert!(jobs.iter().all(|job| target.contains(job)), "not for all bars: {target}");
        }
        site.let_go_to(TOTAL);
        let bars = browser.wait_for_bars(|bar| bar.state == "completed").await;
        assert_eq!(bars.len(), BARS);
    });
}

/// Control: bars that do not share requests send more of them.
#[test]
fn bars_that_ask_for_themselves_make_more() {
    on_both(Plan::Complete, async |browser, site| {
        let (_, page) = page(site, &["alone"]).await;
        let asked = asked_in_the_window(browser, site, &page).await;
        assert!(asked.len() > rounds(), "{asked:?}");
    });
}
