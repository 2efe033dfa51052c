//! What people do with a page that has bars, in a real browser, on both frameworks: click, run, refresh, look elsewhere,
//! lose the server, get it back, cancel, finish. The pages have the strictest policy there is, and whatever happens, no bar
//! goes back and nothing breaks the policy. The invoice mailer has such journeys of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what is wrong by panicking"
)]

mod controls;
mod interrupted;
mod job;
mod on_actix;
mod on_axum;
mod served;
mod several;
mod site;
mod straight;

use progress_tests::Browser;

use crate::job::Plan;
use crate::served::Framework;
use crate::site::Site;

/// Goes on a journey on each framework, at the root of the site.
fn on_both(plan: Plan, journey: impl AsyncFn(&Browser, &mut Site)) {
    on_both_under("", plan, journey);
}

/// Goes on a journey on each framework, below a path.
#[expect(clippy::needless_pass_by_value, reason = "a journey is written where it is gone on")]
#[tokio::main]
async fn on_both_under(base: &'static str, plan: Plan, journey: impl AsyncFn(&Browser, &mut Site)) {
    let Some(browser) = Browser::or_say_so().await else { return };
    for framework in [Framework::Axum, Framework::Actix] {
        // Shown when the test fails.
        println!("on {framework:?}");
        let mut site = Site::open(framework, base, plan);
        journey(&browser, &mut site).await;
        assert_eq!(browser.backwards().await, [""; 0], "a bar went back");
        assert_eq!(browser.mistakes().await, [""; 0], "the page is at fault");
    }
}
