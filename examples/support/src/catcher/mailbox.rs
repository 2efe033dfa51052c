//! Keeps the newest of the received mails in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use mailparse::{DispositionType, MailHeaderMap, ParsedMail};
use serde::Serialize;

/// The summary of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Caught {
    /// Counts from 1 in the order in which mails were accepted.
    pub id: u64,
    /// When the message had arrived completely.
    pub received_at: DateTime<Utc>,
    /// The envelope's sender, empty for a bounce.
    pub from: String,
    /// The accepted recipients of the envelope; headers may name others.
    pub to: Vec<String>,
    /// The decoded subject, empty if there is none.
    pub subject: String,
    /// The first attached file. `None` for messages of more than 1 MiB, which are not parsed.
    pub attachment: Option<Attachment>,
    /// The first plain-text part, decoded and cut to 10,000 characters. Empty if the message is not
    /// parsed.
    pub text: String,
}

/// The name and the size of an attached file. Its content is in the raw message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// The name that the sender chose; do not use it as a path.
    pub name: String,
    /// The size after decoding.
    pub bytes: usize,
}

/// A complete mail.
#[derive(Debug, Clone)]
pub struct CaughtMessage {
    /// Its summary.
    pub summary: Caught,
    /// The bytes that the client sent, without the dots that SMTP adds.
    pub raw: Arc<[u8]>,
}

impl CaughtMessage {
    /// Returns the decoded content of the first attached file, or `None` if the summary has none.
    #[must_use]
    pub fn attachment(&self) -> Option<Vec<u8>> {
        let mail = parsed(&self.raw)?;
        let (_, content) = first_attachment(&mail)?;
        Some(content)
    }
}

#[derive(Debug)]
pub(super) struct Mailbox {
    contents: Mutex<Contents>,
    most_messages: usize,
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct Contents {
    accepted: u64,
    bytes: usize,
    /// Oldest first.
    messages: VecDeque<CaughtMessage>,
}

impl Mailbox {
    pub(super) fn new(most_messages: usize, most_bytes: usize) -> Mailbox {
        Mailbox { contents: Mutex::default(), most_messages, most_bytes }
    }

    /// Stores a message, removes the oldest if there are too many, and returns its id.
    pub(super) fn keep(&self, from: String, to: Vec<String>, raw: Vec<u8>) -> u64 {
        // Parsed before the lock, so that a large message does not delay other connections.
        let mut summary = summarize(from, to, &raw);
        let mut contents = self.lock();
        contents.accepted += 1;
        summary.id = contents.accepted;
        contents.bytes += raw.len();
        contents.messages.push_back(CaughtMessage { summary, raw: raw.into() });
        while contents.messages.len() > self.most_messages || contents.bytes > self.most_bytes {
            let Some(oldest) = contents.messages.pop_front() else {
                break;
            };
            contents.bytes -= oldest.raw.len();
        }
        contents.accepted
    }

    pub(super) fn total(&self) -> u64 {
        self.lock().accepted
    }

    pub(super) fn messages(&self) -> Vec<Caught> {
        self.lock().messages.iter().rev().map(|message| message.summary.clone()).collect()
    }

    pub(super) fn message(&self, id: u64) -> Option<CaughtMessage> {
        self.lock().messages.iter().find(|message| message.summary.id == id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        // No code panics between two related changes, so the contents of a poisoned lock are valid.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Summarizes as much as can be parsed. A message that is not a mail has only its envelope.
fn summarize(from: String, to: Vec<String>, raw: &[u8]) -> Caught {
    let mut summary = Caught {
        id: 0,
        received_at: Utc::now(),
        from,
        to,
        subject: String::new(),
        attachment: None,
        text: String::new(),
    };
    // The headers come first, so a part of the message is enough for them.
    if let Ok((headers, _)) = mailparse::parse_headers(&raw[..raw.len().min(MOST_HEADER_BYTES)]) {
        summary.subject = cut(headers.get_first_value("Subject").unwrap_or_default(), 500);
    }
    if let Some(mail) = parsed(raw) {
        summary.attachment = first_attachment(&mail)
            .map(|(name, content)| Attachment { name: cut(name, 200), bytes: content.len() });
        let text =
            mail.parts().find(|part| part.ctype.mimetype == "text/plain" && !is_attached(part));
        summary.text = cut(text.and_then(|part| part.get_body().ok()).unwrap_or_default(), 10_000);
    }
    summary
}

/// Parses a message into its parts, unless it is large: one that consists of the smallest possible
/// parts takes fifty times its size in memory.
fn parsed(raw: &[u8]) -> Option<ParsedMail<'_>> {
    if raw.len() <= MOST_PARSED_BYTES { mailparse::parse_mail(raw).ok() } else { None }
}

const MOST_PARSED_BYTES: usize = 1 << 20;
const MOST_HEADER_BYTES: usize = 64 << 10;

fn first_attachment(mail: &ParsedMail<'_>) -> Option<(String, Vec<u8>)> {
    let part = mail.parts().find(|part| is_attached(part))?;
    let name = part.get_content_disposition().params.remove("filename").unwrap_or_default();
    Some((name, part.get_body_raw().ok()?))
}

fn is_attached(part: &ParsedMail<'_>) -> bool {
    part.get_content_disposition().disposition == DispositionType::Attachment
}

/// Cuts a text of a summary. Summaries do not count towards the limit of bytes, so each of their
/// texts has its own limit.
fn cut(mut text: String, longest: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(longest) {
        text.truncate(end);
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(mailbox: &Mailbox, raw: &[u8]) -> u64 {
        mailbox.keep("a@b.example".to_owned(), vec!["c@d.example".to_owned()], raw.to_vec())
    }

    #[test]
    fn the_oldest_are_removed_by_number_and_by_size() {
        let mailbox = Mailbox::new(3, 100);
        for _ in 0..5 {
            keep(&mailbox, &[b'x'; 10]);
        }
        let ids = |mailbox: &Mailbox| {
            mailbox.messages().iter().map(|caught| caught.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&mailbox), [5, 4, 3]);
        keep(&mailbox, &[b'x'; 85]);
        assert_eq!(ids(&mailbox), [6, 5]);
        assert_eq!(mailbox.total(), 6);
        assert!(mailbox.message(4).is_none() && mailbox.message(6).is_some());
    }

    #[test]
    fn subject_text_and_attachment_are_decoded() {
        let mailbox = Mailbox::new(3, 10_000);
        let id = keep(
            &mailbox,
            b"Subject: =?utf-8?B?w4l0w6k=?=\r\n\
              Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\
              Content-Type: text/plain; charset=utf-8\r\n\
              Content-Transfer-Encoding: quoted-printable\r\n\r\n\
              Bonjour =C3=A9t=C3=A9\r\n--x\r\nContent-Type: application/pdf\r\n\
              Content-Disposition: attachment; filename=\"a b.pdf\"\r\n\
              Content-Transfer-Encoding: base64\r\n\r\n\
              JVBERg==\r\n--x--\r\n",
        );
        let message = mailbox.message(id).unwrap();
        assert_eq!(message.summary.subject, "\u{c9}t\u{e9}");
        assert_eq!(message.summary.text, "Bonjour \u{e9}t\u{e9}");
        assert_eq!(
            message.summary.attachment,
            Some(Attachment { name: "a b.pdf".to_owned(), bytes: 4 })
        );
        assert_eq!(message.attachment().unwrap(), b"%PDF");
    }

    #[test]
    fn a_large_message_is_not_parsed() {
        let mailbox = Mailbox::new(3, 10 << 20);
        let mut raw =
            b"Subject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
        raw.extend(b"--b\r\n".repeat(MOST_PARSED_BYTES / 5));
        let message = mailbox.message(keep(&mailbox, &raw)).unwrap();
        assert_eq!(
            (message.summary.subject.as_str(), message.summary.text.as_str()),
            ("large", "")
        );
        assert!(message.attachment().is_none());
    }

    #[test]
    fn what_is_not_a_mail_is_kept_unchanged() {
        let mailbox = Mailbox::new(3, 10_000);
        for raw in [
            &b""[..],
            b"\r\n",
            b"no header at all",
            b"Subject",
            b"\xff\xfe: \x00\r\n",
            b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n--",
        ] {
            let id = keep(&mailbox, raw);
            assert_eq!(&*mailbox.message(id).unwrap().raw, raw);
        }
    }
}
