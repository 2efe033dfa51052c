//! How fast items have been processed of late, in one number that a store can keep.
//!
//! The number is a sum of items in which each counts for `e^(-age / 20 s)`: an exponentially weighted
//! moving average (NIST/SEMATECH e-Handbook of Statistical Methods, section 6.3.2.4) for samples at
//! any distance in time. It is kept in millionths, so that one item an hour still has three digits.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate; what is too large stops at the limit of counts"
)]

use std::time::Duration;

use crate::limits;

/// The time constant, in seconds.
const TIME_CONSTANT: f64 = 20.0;
const MILLIONTHS: f64 = 1_000_000.0;

/// The sum after `items` more, which were processed evenly within the `elapsed` time since the last.
pub(crate) fn after(pace: u64, items: u64, elapsed: Duration) -> u64 {
    let constants = elapsed.as_secs_f64() / TIME_CONSTANT;
    let left = (-constants).exp();
    // What an item counts on average that came at any moment of that time.
    let share = if constants > 0.0 { (1.0 - left) / constants } else { 1.0 };
    let sum = pace as f64 * left + items as f64 * share * MILLIONTHS;
    limits::count(sum.round() as u64)
}

/// Items per second, for a job that has run for so many seconds: in the beginning there are no older
/// items that could count.
pub(crate) fn rate(pace: u64, seconds: f64) -> f64 {
    let weight = TIME_CONSTANT * (1.0 - (-seconds / TIME_CONSTANT).exp());
    pace as f64 / MILLIONTHS / weight
}
