//! How long a client may keep us waiting, whoever serves. A long poll that is quiet for 25 s and an event stream that is
//! quiet for 15 s are our own doing, and not meant.

use std::time::Duration;

/// For the head of a request to arrive. A connection on which nothing is asked is closed after the same time.
pub(crate) const HEAD: Duration = Duration::from_secs(10);

/// For the body of a request to arrive.
pub(crate) const BODY: Duration = Duration::from_secs(10);

/// For something of an answer to be taken.
pub(crate) const STALLED: Duration = Duration::from_secs(10);

/// For what is under way when the server is asked to end.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// The largest body of a request, in bytes: metadata of 16 KiB fit, however it is written.
pub(crate) const BODY_SIZE: usize = 128 * 1024;
