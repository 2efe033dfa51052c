//! Lines in, replies out, both with limits.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// One connection; every wait on it ends with an error once the client has been silent for too long.
#[derive(Debug)]
pub(super) struct Wire {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    replies: Vec<u8>,
    idle: Duration,
}

/// What came up to the next line feed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The line as sent, with its line ending.
    Whole(Vec<u8>),
    /// More bytes than allowed; they were read and dropped, so the next line starts in the right place.
    TooLong,
    /// The client closed its side, or sent so much without a line ending that it might as well have.
    End,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, idle: Duration) -> io::Result<Wire> {
        // Replies are small and waited for: without this the kernel may hold them back for 40 milliseconds.
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Wire { reader: BufReader::new(reader), writer, replies: Vec::new(), idle })
    }

    /// Reads up to the next line feed, keeping at most `limit` bytes of it.
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
                // Somebody who sends this much without a line ending does not speak SMTP.
                false if length > ENDLESS => return Ok(Line::End),
                false => {}
            }
        }
    }

    /// Adds a reply, to go out with the next flush.
    pub(super) fn reply(&mut self, text: &str) {
        self.replies.extend_from_slice(text.as_bytes());
        self.replies.extend_from_slice(b"\r\n");
    }

    /// Sends the replies unless another whole command is waiting already, so that a group of commands gets its
    /// replies in one piece.
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

/// Longer than any message allowed, whatever its lines look like.
const ENDLESS: usize = 16 << 20;
