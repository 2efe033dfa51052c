//! What users do with a page that has progress bars, in a real browser, on both frameworks: click,
//! run, refresh, hide the page, lose the server, get it back, cancel, finish. The pages have the
//! strictest content security policy. In every journey, no bar goes backwards and nothing violates
//! the policy. The invoice mailer has journeys of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests report failures by panicking")]

mod controls;
mod interrupted;
mod job;
mod on_actix;
mod on_axum;
mod served;
mod several;
mod site;
mod straight;

use progress_test_support::Browser;

use crate::job::Plan;
use crate::served::Framework;
use crate::site::Site;

/// Runs a journey on each framework, at the root of the site.
fn on_both(plan: Plan, journey: impl AsyncFn(&Browser, &mut Site)) {
    on_both_under("", plan, journey);
}

/// Runs a journey on each framework, below a path.
#[expect(clippy::needless_pass_by_value, reason = "a journey is written where it is run")]
#[tokio::main]
async fn on_both_under(base: &'static str, plan: Plan, journey: impl AsyncFn(&Browser, &mut Site)) {
    let Some(browser) = Browser::or_say_so().await else { return };
    for framework in [Framework::Axum, Framework::Actix] {
        // Shown when the test fails.
        println!("on {framework:?}");
        let mut site = Site::open(framework, base, plan);
        journey(&browser, &mut site).await;
        assert_eq!(browser.backwards().await, [""; 0], "a bar went back");
        assert_eq!(browser.mistakes().await, [""; 0], "the page made mistakes");
    }
}
