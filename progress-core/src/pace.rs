//! The recent speed of a job, as one number that a store can keep.
//!
//! The number is a sum in which each item counts for `e^(-age / 20 s)`: an exponentially weighted
//! moving average (NIST/SEMATECH e-Handbook of Statistical Methods, section 6.3.2.4) of samples at
//! irregular intervals. It is kept in millionths, so that one item an hour still has three digits.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate; larger values stop at the limit of counts"
)]

use std::time::Duration;

use crate::limits;

/// The time constant, in seconds.
const TIME_CONSTANT: f64 = 20.0;
const MILLIONTHS: f64 = 1_000_000.0;

/// Returns the sum after `items` more, processed evenly in the time `elapsed` since the last
/// update.
pub(crate) fn after(pace: u64, items: u64, elapsed: Duration) -> u64 {
    let constants = elapsed.as_secs_f64() / TIME_CONSTANT;
    let left = (-constants).exp();
    // The average weight of an item that was processed at some moment of that time.
    let share = if constants > 0.0 { (1.0 - left) / constants } else { 1.0 };
    let sum = pace as f64 * left + items as f64 * share * MILLIONTHS;
    limits::count(sum.round() as u64)
}

/// Returns items per second of a job that has run for `seconds`. The weight depends on `seconds`
/// because a job that has just begun has no older items.
pub(crate) fn rate(pace: u64, seconds: f64) -> f64 {
    let weight = TIME_CONSTANT * (1.0 - (-seconds / TIME_CONSTANT).exp());
    pace as f64 / MILLIONTHS / weight
}
