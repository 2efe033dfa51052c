//! How much a client may send, and how long it may take, whoever serves.

use std::time::Duration;

/// For the body of a request to arrive.
pub(crate) const BODY: Duration = Duration::from_secs(10);

/// The largest body of a request, in bytes: metadata of 16 KiB fit, however it is written.
pub(crate) const BODY_SIZE: usize = 128 * 1024;
