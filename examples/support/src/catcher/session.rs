//! The dialogue with one client.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::Limits;
use super::command::{self, Command};
use super::mailbox::Mailbox;
use super::wire::{Line, Wire};

/// Serves one connection to its end. An error ends it and is only logged.
pub(super) async fn run(stream: TcpStream, mailbox: Arc<Mailbox>, limits: Limits) {
    if let Err(error) = serve(stream, mailbox, limits).await {
        tracing::debug!(%error, "a connection to the mail catcher ended early");
    }
}

async fn serve(stream: TcpStream, mailbox: Arc<Mailbox>, limits: Limits) -> io::Result<()> {
    let wire = Wire::new(stream, limits.idle)?;
    let mut session = Session { wire, mailbox, limits, stage: Stage::Connected, errors: 0 };
    let served = session.serve().await;
    if served.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        session.wire.reply("421 4.4.2 silent for too long, goodbye");
        session.wire.flush().await?;
    }
    served
}

struct Session {
    wire: Wire,
    mailbox: Arc<Mailbox>,
    limits: Limits,
    stage: Stage,
    errors: u32,
}

/// The state of the dialogue.
enum Stage {
    /// Before EHLO or HELO.
    Connected,
    /// Between two mails.
    Greeted,
    /// After MAIL, with the recipients accepted so far.
    Addressing { from: String, to: Vec<String> },
}

impl Session {
    async fn serve(&mut self) -> io::Result<()> {
        self.wire.reply("220 localhost ESMTP mail catcher, delivers nothing");
        loop {
            self.wire.flush_unless_pipelined().await?;
            let command = match self.wire.line(LONGEST_COMMAND).await? {
                Line::Whole(line) => command::parse(line.trim_ascii_end()),
                Line::TooLong => Err("500 5.5.2 line too long"),
                Line::End => return self.wire.flush().await,
            };
            match command {
                Ok(Command::Quit) => {
                    self.wire.reply("221 2.0.0 goodbye");
                    return self.wire.flush().await;
                }
                Ok(Command::Data) => {
                    if !self.data().await? {
                        return Ok(());
                    }
                }
                Ok(command) => {
                    let reply = self.answer(command);
                    self.reply(&reply);
                }
                Err(reply) => self.reply(reply),
            }
            if self.errors > MOST_ERRORS {
                self.wire.reply("421 4.7.0 too many errors, goodbye");
                return self.wire.flush().await;
            }
        }
    }

    fn reply(&mut self, text: &str) {
        // A refused mailbox is not a mistake of the client, so any number of them is allowed.
        if text.starts_with("50") || text.starts_with("555") {
            self.errors += 1;
        }
        self.wire.reply(text);
    }

    fn answer(&mut self, command: Command) -> String {
        match command {
            Command::Ehlo(name) => {
                self.stage = Stage::Greeted;
                format!(
                    "250-localhost greets {name}\r\n250-PIPELINING\r\n250-8BITMIME\r\n\
                     250-ENHANCEDSTATUSCODES\r\n250-SIZE {}\r\n250 HELP",
                    self.limits.message_bytes
                )
            }
            Command::Helo(name) => {
                self.stage = Stage::Greeted;
                format!("250 localhost greets {name}")
            }
            Command::Mail { from, size } => self.mail(from, size).to_owned(),
            Command::Recipient(address) => self.recipient(address),
            Command::Reset => {
                self.end_mail();
                "250 2.0.0 reset".to_owned()
            }
            Command::Noop => "250 2.0.0 still here".to_owned(),
            Command::Verify => "252 2.5.0 cannot verify, try to send".to_owned(),
            Command::Help => {
                "214 2.0.0 this server implements RFC 5321 and delivers nothing".to_owned()
            }
            // The caller answers these itself, because they need the connection.
            Command::Data | Command::Quit => "503 5.5.1 not now".to_owned(),
        }
    }

    fn mail(&mut self, from: String, size: Option<u64>) -> &'static str {
        match &self.stage {
            Stage::Connected => "503 5.5.1 send EHLO first",
            Stage::Addressing { .. } => "503 5.5.1 one mail at a time",
            Stage::Greeted if size.is_some_and(|size| size > self.limits.message_bytes as u64) => {
                TOO_BIG
            }
            Stage::Greeted => {
                self.stage = Stage::Addressing { from, to: Vec::new() };
                "250 2.1.0 sender noted"
            }
        }
    }

    fn recipient(&mut self, address: String) -> String {
        let Stage::Addressing { to, .. } = &mut self.stage else {
            return "503 5.5.1 send MAIL first".to_owned();
        };
        if starts_with(&address, "gone") {
            format!("550 5.1.1 <{address}>: no such mailbox here")
        } else if starts_with(&address, "later") {
            format!("451 4.2.1 <{address}>: mailbox busy, try again later")
        } else if to.len() >= MOST_RECIPIENTS {
            "452 4.5.3 too many recipients, send the rest separately".to_owned()
        } else {
            to.push(address);
            "250 2.1.5 recipient noted".to_owned()
        }
    }

    /// Receives the message. Returns false if the dialogue has ended.
    async fn data(&mut self) -> io::Result<bool> {
        let (from, to) = match &mut self.stage {
            Stage::Addressing { from, to } if !to.is_empty() => {
                (std::mem::take(from), std::mem::take(to))
            }
            Stage::Addressing { .. } => {
                self.reply("554 5.5.1 no valid recipients");
                return Ok(true);
            }
            Stage::Connected | Stage::Greeted => {
                self.reply("503 5.5.1 send MAIL and RCPT first");
                return Ok(true);
            }
        };
        self.wire.reply("354 end with a line that contains only a dot");
        self.wire.flush().await?;
        let Some(content) = self.content().await? else {
            // Without the final dot the message is not complete.
            return Ok(false);
        };
        match content {
            Ok(raw) => {
                let id = self.mailbox.keep(from, to, raw);
                self.wire.reply(&format!("250 2.0.0 caught as number {id}"));
            }
            Err(reply) => self.reply(reply),
        }
        self.end_mail();
        Ok(true)
    }

    /// Reads up to the final dot. Returns `None` if the client disconnects before it. The inner
    /// error is the reply to a message that is refused, sent after its end because the client reads
    /// again only then.
    async fn content(&mut self) -> io::Result<Option<Result<Vec<u8>, &'static str>>> {
        let mut raw = Vec::new();
        let mut refused = None;
        let mut after_line_ending = true;
        loop {
            let line = match self.wire.line(self.limits.message_bytes).await? {
                Line::Whole(line) => line,
                Line::TooLong => {
                    refused = Some(TOO_BIG);
                    after_line_ending = true;
                    continue;
                }
                Line::End => return Ok(None),
            };
            if after_line_ending && line == b".\r\n" {
                return Ok(Some(refused.map_or(Ok(raw), Err)));
            }
            after_line_ending = line.ends_with(b"\r\n");
            if !after_line_ending {
                // A server that accepts a bare line feed as a line ending may read one mail as two
                // (SMTP smuggling), so such a message is refused.
                refused = Some("554 5.6.0 lines must end with CR LF");
            }
            // The client adds a dot to each line that begins with one.
            let line = line.strip_prefix(b".").unwrap_or(&line);
            if raw.len() + line.len() > self.limits.message_bytes {
                refused = refused.or(Some(TOO_BIG));
            }
            match refused {
                Some(_) => raw = Vec::new(),
                None => raw.extend_from_slice(line),
            }
        }
    }

    fn end_mail(&mut self) {
        if let Stage::Addressing { .. } = self.stage {
            self.stage = Stage::Greeted;
        }
    }
}

fn starts_with(address: &str, word: &str) -> bool {
    address.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// Four times what RFC 5321, section 4.5.3.1.4, requires; some clients send many parameters.
const LONGEST_COMMAND: usize = 2048;
/// The minimum of RFC 5321, section 4.5.3.1.8.
const MOST_RECIPIENTS: usize = 100;
/// Enough for a person who types. A program with this many errors will not stop by itself.
const MOST_ERRORS: u32 = 20;
const TOO_BIG: &str = "552 5.3.4 message too big";
