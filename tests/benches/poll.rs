//! Measures the cost of a poll without a socket: a handler of the framework that does nothing, the
//! same handler with the bytes of a poll ready, and a poll. Rounds are interleaved, because speed
//! drifts over time. Prints the medians of the rounds, and their ratios to the empty handler.
//!
//! Run it on one processor, as in `taskset -c 0 cargo bench -p progress-tests --bench poll`.
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]

#[path = "../tests/cost/handlers.rs"]
mod handlers;

use std::time::{Duration, Instant};

use self::handlers::{Actix, Axum, CASES, Case};

const ROUNDS: u32 = 25;
/// Requests of each kind in a round.
const REQUESTS: u32 = 20_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut axum = Axum::new().await;
        let actix = Actix::new().await;
        let mut times: Vec<[Vec<Duration>; 2]> = CASES.iter().map(|_| Default::default()).collect();
        for _ in 0..ROUNDS {
            for (case, [on_axum, on_actix]) in CASES.iter().zip(&mut times) {
                on_axum.push(axum_round(&mut axum, *case).await);
                on_actix.push(actix_round(&actix, *case).await);
            }
        }
        for (framework, index) in [("axum", 0), ("actix", 1)] {
            let bare = median(&mut times[0][index]);
            for (case, times) in CASES.iter().zip(&mut times) {
                let time = median(&mut times[index]);
                println!("{framework:6} {case:?}: {time:6.0} ns ({:.2}x)", time / bare);
            }
        }
    });
}

async fn axum_round(axum: &mut Axum, case: Case) -> Duration {
    let requests: Vec<_> = (0..REQUESTS).map(|_| axum.request(case)).collect();
    let begun = Instant::now();
    for request in requests {
        assert_eq!(axum.answer(request).await.status().as_u16(), case.status());
    }
    begun.elapsed()
}

async fn actix_round(actix: &Actix, case: Case) -> Duration {
    let requests: Vec<_> = (0..REQUESTS).map(|_| actix.request(case)).collect();
    let begun = Instant::now();
    for request in requests {
        assert_eq!(actix.answer(request).await.status().as_u16(), case.status());
    }
    begun.elapsed()
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e9 / f64::from(REQUESTS)
}
