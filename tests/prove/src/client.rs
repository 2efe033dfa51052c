//! A minimal HTTP/1.1 client, small enough for thousands of connections.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A persistent connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) says_when_to_retry: bool,
    /// Size of head and body, in bytes.
    pub(crate) size: usize,
    pub(crate) body: Vec<u8>,
}

/// Longer than a long poll, which takes 25 s.
const PATIENCE: Duration = Duration::from_secs(40);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await;
        let stream =
            connecting.map_err(|_| Error::new(ErrorKind::TimedOut, "connecting timed out"))??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    pub(crate) async fn get(
        &mut self,
        path: &str,
        etag: Option<&str>,
        more: &str,
    ) -> Result<Answer> {
        let condition = etag.map(|etag| format!("if-none-match: {etag}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nhost: prove\r\n{condition}{more}\r\n");
        self.ask(request.as_bytes()).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &serde_json::Value) -> Result<Answer> {
        let body = body.to_string();
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: prove\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.ask(request.as_bytes()).await
    }

    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        let asking = async {
            self.stream.write_all(request).await?;
            loop {
                if let Some(answer) = self.answer()? {
                    return Ok(answer);
                }
                if self.stream.read_buf(&mut self.read).await? == 0 {
                    return Err(Error::new(
                        ErrorKind::UnexpectedEof,
                        "the server closed the connection",
                    ));
                }
            }
        };
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        answer.map_err(|_| Error::new(ErrorKind::TimedOut, "the response timed out"))?
    }

    /// Removes a response from what was read, if it is complete.
    fn answer(&mut self) -> Result<Option<Answer>> {
        let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let malformed = || Error::new(ErrorKind::InvalidData, "not HTTP/1.1");
        let head = std::str::from_utf8(&self.read[..end]).map_err(|_| malformed())?;
        let status =
            head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
        let header = |wanted: &str| {
            let mut headers = head.lines().filter_map(|line| line.split_once(": "));
            headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
        };
        let length = match status {
            204 | 304 => 0,
            _ => header("content-length")
                .and_then(|length| length.parse().ok())
                .ok_or_else(malformed)?,
        };
        let size = end + 4 + length;
        if self.read.len() < size {
            return Ok(None);
        }
        let (etag, says_when_to_retry) =
            (header("etag").map(str::to_owned), header("retry-after").is_some());
        let body = self.read[end + 4..size].to_vec();
        self.read.drain(..size);
        Ok(Some(Answer { status, etag, says_when_to_retry, size, body }))
    }
}

/// Returns a percentile of the times.
pub(crate) fn percentile(times: &mut [Duration], hundredths: usize) -> Duration {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get((times.len() * hundredths / 100).min(last)).copied().unwrap_or_default()
}
