//! Measures the cost of a poll without a socket: a handler of the framework that does nothing, the
//! same handler with the bytes of a poll ready, and a poll. Rounds are interleaved, because speed
//! drifts over time.
//!
//! Prints `figure | value | limit | ratio`: the median of the rounds, and its ratio to the empty
//! handler. Each figure is measured twice: for the handler alone, and together with building the
//! request, as a server must do that reads it from a connection.
//!
//! Run it with `cargo xtask bench poll`, on one processor.
#![allow(clippy::unwrap_used, reason = "a benchmark reports errors by panicking")]

#[path = "../tests/cost/handlers.rs"]
mod handlers;

use std::time::{Duration, Instant};

use self::handlers::{Actix, Axum, CASES, Case};

const ROUNDS: u32 = 25;
/// Requests of each kind in a round.
const REQUESTS: u32 = 20_000;

/// What is measured: the handler alone, or together with building the request.
const KINDS: [&str; 2] = ["", ", with the request"];

/// The times of a case: by framework, and by kind.
type Times = [[Vec<Duration>; 2]; 2];

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut axum = Axum::new().await;
        let actix = Actix::new().await;
        let mut times: Vec<Times> = CASES.iter().map(|_| Default::default()).collect();
        let quick = std::env::args().any(|word| word == "--quick");
        for _ in 0..if quick { 5 } else { ROUNDS } {
            for (case, [on_axum, on_actix]) in CASES.iter().zip(&mut times) {
                add(on_axum, axum_round(&mut axum, *case).await);
                add(on_actix, actix_round(&actix, *case).await);
            }
        }
        for (kind, what) in KINDS.iter().enumerate() {
            for (index, framework) in ["axum", "actix"].iter().enumerate() {
                let bare = median(&mut times[0][index][kind]);
                for (case, times) in CASES.iter().zip(&mut times) {
                    let time = median(&mut times[index][kind]);
                    let (name, bounds) = match case {
                        Case::Bare => continue,
                        Case::Ready => ("the bytes of a poll, ready", ""),
                        Case::ReadyById => ("the same by the id in the path", ""),
                        Case::Bare304 => ("304 without a record", ""),
                        Case::Poll => ("a poll, 200", " | <= 1.2 | <= 3"),
                        Case::Poll304 => ("a poll, 304", " | <= 0.95 | <= 3"),
                    };
                    let ratio = time / bare;
                    println!(
                        "{name}, {framework}{what} | {time:.0} ns | {bare:.0} ns | \
                         {ratio:.2}{bounds}"
                    );
                }
            }
        }
    });
}

fn add(times: &mut [Vec<Duration>; 2], round: [Duration; 2]) {
    for (times, time) in times.iter_mut().zip(round) {
        times.push(time);
    }
}

async fn axum_round(axum: &mut Axum, case: Case) -> [Duration; 2] {
    let begun = Instant::now();
    let requests: Vec<_> = (0..REQUESTS).map(|_| axum.request(case)).collect();
    let built = Instant::now();
    for request in requests {
        assert_eq!(axum.answer(request).await.status().as_u16(), case.status());
    }
    [built.elapsed(), begun.elapsed()]
}

async fn actix_round(actix: &Actix, case: Case) -> [Duration; 2] {
    let begun = Instant::now();
    let requests: Vec<_> = (0..REQUESTS).map(|_| actix.request(case)).collect();
    let built = Instant::now();
    for request in requests {
        assert_eq!(actix.answer(request).await.status().as_u16(), case.status());
    }
    [built.elapsed(), begun.elapsed()]
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e9 / f64::from(REQUESTS)
}
