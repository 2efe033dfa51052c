//! How many allocations a poll takes, beside those of a handler that does nothing. The numbers are
//! exact, so a change that adds one is noticed.
#![allow(clippy::unwrap_used, reason = "tests report failures by panicking")]

mod handlers;
mod memory;
mod waiting;

use self::handlers::{Actix, Axum, CASES, Case};

/// Allocations of a poll beyond those of the handler that does nothing.
const MOST: [(Case, i64, i64); 2] = [(Case::Poll, 6, 0), (Case::Poll304, 5, 1)];

#[test]
fn a_poll_takes_few_allocations() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let mut axum = local.block_on(&runtime, Axum::new());
    let actix = local.block_on(&runtime, Actix::new());
    let mut counted = Vec::new();
    for case in CASES {
        let mut both = [0, 0];
        // The first request fills pools and caches.
        for _ in 0..3 {
            let request = axum.request(case);
            let info = allocation_counter::measure(|| {
                let response = local.block_on(&runtime, axum.answer(request));
                assert_eq!(response.status().as_u16(), case.status());
            });
            both[0] = i64::try_from(info.count_total).unwrap();
            let request = actix.request(case);
            let info = allocation_counter::measure(|| {
                let response = local.block_on(&runtime, actix.answer(request));
                assert_eq!(response.status().as_u16(), case.status());
            });
            both[1] = i64::try_from(info.count_total).unwrap();
        }
        println!("{case:?}: {} on axum, {} on actix-web", both[0], both[1]);
        counted.push((case, both));
    }
    let bare = counted[0].1;
    for (case, on_axum, on_actix) in MOST {
        let (_, both) = counted.iter().find(|(counted, _)| *counted == case).unwrap();
        assert!(both[0] - bare[0] <= on_axum, "{case:?} on axum: {} more", both[0] - bare[0]);
        assert!(both[1] - bare[1] <= on_actix, "{case:?} on actix: {} more", both[1] - bare[1]);
    }
}
