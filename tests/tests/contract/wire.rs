use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A response as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// `HTTP/1.1 200 OK`.
    pub(crate) status_line: String,
    /// As sent, sorted. Only `date` is left out, because the two servers may differ in time. All
    /// others are compared, including `connection` and the framing of the body.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Parses the head; the rest is the body.
    fn parse(bytes: &[u8]) -> Self {
        let end = find_end_of_head(bytes)
            .unwrap_or_else(|| panic!("no complete head: {:?}", text(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
        let status_line = lines.next().unwrap().to_owned();
        let mut headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap_or((line, "")))
            .filter(|(name, _)| *name != "date")
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        headers.sort();
        Self { status_line, headers, body: bytes[end..].to_vec() }
    }

    pub(crate) fn status(&self) -> u16 {
        self.status_line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The announced length of the body; 0 if there is none.
    pub(crate) fn announced(&self) -> usize {
        self.header("content-length").map_or(0, |length| length.parse().unwrap())
    }

    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// Describes how two responses differ; `None` if they are equal.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let mut found = Vec::new();
        // Each server has a reason phrase of its own for the status of htmx, which has none.
        let is_unregistered = self.status() == 286 && other.status() == 286;
        if self.status_line != other.status_line && !is_unregistered {
            found.push(format!("{:?} and {:?}", self.status_line, other.status_line));
        }
        for header in self.headers.iter().filter(|header| !other.headers.contains(header)) {
            found.push(format!("only the first has {header:?}"));
        }
        for header in other.headers.iter().filter(|header| !self.headers.contains(header)) {
            found.push(format!("only the second has {header:?}"));
        }
        if found.is_empty() && self.headers != other.headers {
            found.push(format!("headers {:?} and {:?}", self.headers, other.headers));
        }
        if self.body != other.body {
            found.push(format!("bodies {:?} and {:?}", text(&self.body), text(&other.body)));
        }
        (!found.is_empty()).then(|| found.join("; "))
    }
}

fn find_end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|position| position + 4)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.chars().count() > 300 {
        format!("{}… ({} bytes)", text.chars().take(300).collect::<String>(), bytes.len())
    } else {
        text.into_owned()
    }
}

/// Sends a request that asks the server to close the connection, and reads until the server does.
pub(crate) async fn ask(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await;
    read.unwrap_or_else(|_| panic!("not closed after {:?}", text(&bytes))).unwrap();
    Answer::parse(&bytes)
}

/// A persistent connection. The responses are told apart by their announced lengths.
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    pub(crate) async fn ask(&mut self, request: &[u8], has_body: bool) -> Answer {
        self.stream.write_all(request).await.unwrap();
        loop {
            if let Some(end) = find_end_of_head(&self.read) {
                let answer = Answer::parse(&self.read[..end]);
                let never = !has_body || matches!(answer.status(), 204 | 304);
                let end = match answer.header("transfer-encoding") {
                    Some(_) if !never => self.read[end..]
                        .windows(5)
                        .position(|chunk| chunk == b"0\r\n\r\n")
                        .map_or(usize::MAX, |last| end + last + 5),
                    _ => end + if never { 0 } else { answer.announced() },
                };
                if self.read.len() >= end {
                    return Answer::parse(&self.read.drain(..end).collect::<Vec<_>>());
                }
            }
            let more = self.stream.read_buf(&mut self.read);
            let more = tokio::time::timeout(Duration::from_secs(10), more).await;
            assert_ne!(
                more.expect("a response in time").unwrap(),
                0,
                "closed after {:?}",
                text(&self.read)
            );
        }
    }
}
