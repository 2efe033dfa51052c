//! Controls: the script that watches the pages detects mistakes.

use progress_core::{Delta, ProgressStore, ProgressUpdate, TotalChange};
use progress_test_support::Browser;

use crate::job::Plan;
use crate::served::Framework;
use crate::site::Site;

#[tokio::test]
async fn a_bar_that_goes_back_is_noticed() {
    let Some(browser) = Browser::or_say_so().await else { return };
    let site = Site::open(Framework::Axum, "", Plan::Complete);
    let job = site.start().await;
    browser.open(&site.page(&format!("element={job}"))).await;
    site.let_go_to(60);
    browser.wait_for_bars(|bar| bar.percent >= Some(60)).await;
    assert_eq!(browser.backwards().await, [""; 0]);
    // Correct in this case, because the total has grown.
    let more = Delta::new().with_total(TotalChange::Set(300));
    site.jobs().store().update(job, &ProgressUpdate::advance(more)).await.unwrap();
    browser.wait_for_bars(|bar| bar.percent <= Some(20)).await;
    assert_eq!(browser.backwards().await, [format!("{job}: 20 % after 60 %")]);
    // A reload does not erase it.
    browser.refresh().await;
    assert_eq!(browser.backwards().await.len(), 1);
}

#[tokio::test]
async fn a_breach_of_the_policy_and_a_script_that_fails_are_noticed() {
    let Some(browser) = Browser::or_say_so().await else { return };
    let site = Site::open(Framework::Axum, "", Plan::Complete);
    browser.open(&site.page("")).await;
    assert_eq!(browser.mistakes().await, [""; 0]);
    for (cause, effect) in [
        ("document.body.setAttribute('style', 'color: red')", "style-src-attr"),
        (
            "(() => { try { document.body.innerHTML = '<p>' } catch {} })()",
            "require-trusted-types-for",
        ),
        // Browsers hide the details of errors in scripts from elsewhere.
        ("setTimeout(() => missing())", "Script error"),
    ] {
        browser.evaluate::<Option<u64>>(&format!("void ({cause})")).await;
        browser.wait_for_mistake(effect).await;
    }
}
