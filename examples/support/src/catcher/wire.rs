//! Reads lines and writes replies, both with limits.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// A connection. Every wait ends with an error after the client has been silent for too long.
#[derive(Debug)]
pub(super) struct Wire {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    replies: Vec<u8>,
    idle: Duration,
}

/// The input up to the next line feed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The line, with its line ending.
    Whole(Vec<u8>),
    /// More bytes than allowed. They were read and dropped, so that the next line begins correctly.
    TooLong,
    /// The client closed its side, or sent more than [`ENDLESS`] bytes without a line ending.
    End,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, idle: Duration) -> io::Result<Wire> {
        // Otherwise the kernel may delay small replies by 40 ms.
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Wire { reader: BufReader::new(reader), writer, replies: Vec::new(), idle })
    }

    /// Reads up to the next line feed and keeps at most `limit` bytes.
    pub(super) async fn line(&mut self, limit: usize) -> io::Result<Line> {
        let mut line = Vec::new();
        let mut length = 0;
        loop {
            let chunk = timeout(self.idle, self.reader.fill_buf()).await??;
            if chunk.is_empty() {
                return Ok(Line::End);
            }
            let (taken, complete) = match chunk.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (chunk.len(), false),
            };
            length += taken;
            if length <= limit {
                line.extend_from_slice(&chunk[..taken]);
            } else {
                line = Vec::new();
            }
            self.reader.consume(taken);
            match complete {
                true if length <= limit => return Ok(Line::Whole(line)),
                true => return Ok(Line::TooLong),
                // This client does not speak SMTP.
                false if length > ENDLESS => return Ok(Line::End),
                false => {}
            }
        }
    }

    /// Adds a reply to the next flush.
    pub(super) fn reply(&mut self, text: &str) {
        self.replies.extend_from_slice(text.as_bytes());
        self.replies.extend_from_slice(b"\r\n");
    }

    /// Sends the replies unless another complete command has already arrived, so that pipelined
    /// commands get their replies in one write.
    pub(super) async fn flush_unless_pipelined(&mut self) -> io::Result<()> {
        if self.reader.buffer().contains(&b'\n') { Ok(()) } else { self.flush().await }
    }

    /// Sends all replies in one write.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        timeout(self.idle, self.writer.write_all(&self.replies)).await??;
        self.replies.clear();
        Ok(())
    }
}

/// Longer than any allowed message.
const ENDLESS: usize = 16 << 20;
