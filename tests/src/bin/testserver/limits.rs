//! Limits on request bodies, the same in both frameworks.

use std::time::Duration;

/// Time limit for a request body to arrive.
pub(crate) const BODY: Duration = Duration::from_secs(10);

/// Largest request body, in bytes: metadata of 16 KiB fits, however it is escaped.
pub(crate) const BODY_SIZE: usize = 128 * 1024;
