//! How long a client may keep us waiting, whoever serves. A long poll that is quiet for 25 s and an event stream that is
//! quiet for 15 s are our own doing, and not meant.

use std::time::Duration;

use tokio::net::TcpStream;

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

/// Lets the kernel close a connection whose other end takes nothing for so long, however much more would fit into buffers
/// on the way. Linux does it; elsewhere a connection stays until its buffers are full, and with actix-web for ever.
pub(crate) fn limit_stalling(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(STALLED));
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}
