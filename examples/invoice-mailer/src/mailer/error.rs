//! Why a mail could not be sent, or none can.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use lettre::address::AddressError;
use lettre::transport::smtp;

use crate::language::Language;

/// The mail server's URL cannot be used. Its text says why without repeating any of the URL, which may hold a
/// password.
#[derive(Debug, thiserror::Error)]
#[error("not the URL of a mail server: {reason}")]
pub struct MailerError {
    reason: &'static str,
}

impl MailerError {
    pub(super) fn new(reason: &'static str) -> MailerError {
        MailerError { reason }
    }
}

/// Why one mail was not sent; its text is one line, the server's own words where there are any, else English.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct SendError {
    text: String,
    french: String,
    meaning: Meaning,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// No, for good.
    Never,
    /// No, for now.
    NotNow,
    /// Nobody said anything about this mail.
    NoAnswer,
}

impl SendError {
    /// Its text for people who speak this language.
    pub fn describe(&self, language: Language) -> &str {
        match language {
            Language::English => &self.text,
            Language::French => &self.french,
        }
    }

    /// Whether sending the same mail again cannot succeed: the server refused it for good, or it is no proper mail.
    pub fn is_permanent(&self) -> bool {
        self.meaning == Meaning::Never
    }

    /// Whether trying again later may succeed; the opposite of permanent.
    ///
    /// True for a server that is busy, and for one that is [unreachable](SendError::is_unreachable).
    pub fn is_temporary(&self) -> bool {
        !self.is_permanent()
    }

    /// Whether the server said nothing about this mail: it is out of reach, fell silent or broke off.
    ///
    /// In the last two cases it may have taken the mail without being heard, so trying again may deliver it twice.
    pub fn is_unreachable(&self) -> bool {
        self.meaning == Meaning::NoAnswer
    }

    pub(super) fn address(address: &str, source: AddressError) -> SendError {
        let english = format!("not a mail address: {address}");
        let french = format!("ce n’est pas une adresse e-mail : {address}");
        SendError::new(&english, &french, Meaning::Never).with_source(source)
    }

    pub(super) fn message(source: impl Error + Send + Sync + 'static) -> SendError {
        let french = "impossible de composer le courriel";
        SendError::new("cannot compose the mail", french, Meaning::Never).with_source(source)
    }

    pub(super) fn timed_out(limit: Duration) -> SendError {
        let english = format!("the mail server did not answer within {limit:?}");
        let french = format!("le serveur de messagerie n’a pas répondu en {limit:?}");
        SendError::new(&english, &french, Meaning::NoAnswer)
    }

    pub(super) fn interrupted() -> SendError {
        let french = "le serveur de messagerie a rompu la connexion";
        SendError::new("the mail server broke off", french, Meaning::NoAnswer)
    }

    fn new(english: &str, french: &str, meaning: Meaning) -> SendError {
        SendError { text: one_line(english), french: one_line(french), meaning, source: None }
    }

    fn with_source(self, source: impl Error + Send + Sync + 'static) -> SendError {
        SendError { source: Some(Box::new(source)), ..self }
    }
}

impl From<smtp::Error> for SendError {
    fn from(error: smtp::Error) -> SendError {
        if let Some(code) = error.status() {
            // The server's words are the source of the error, all lines of the reply in one.
            let words = error.source().map(ToString::to_string).unwrap_or_default();
            let meaning = if error.is_permanent() { Meaning::Never } else { Meaning::NotNow };
            let text = format!("{code} {words}");
            return SendError::new(&text, &text, meaning);
        }
        let described = if error.is_client() {
            let french = "il manque au serveur de messagerie ce que ce courriel exige";
            SendError::new(
                "the mail server lacks something that this mail needs",
                french,
                Meaning::Never,
            )
        } else if error.is_tls() {
            let english = "cannot set up an encrypted connection to the mail server";
            let french =
                "impossible d’établir une connexion chiffrée avec le serveur de messagerie";
            SendError::new(english, french, Meaning::NoAnswer)
        } else if error.is_response() || was_connected(&error) {
            SendError::interrupted()
        } else {
            let french = "le serveur de messagerie est injoignable";
            SendError::new("cannot reach the mail server", french, Meaning::NoAnswer)
        };
        described.with_source(Cause(error))
    }
}

/// lettre's errors print their sources too; this prints only the innermost, so that a log of the whole chain says
/// nothing twice.
#[derive(Debug)]
struct Cause(smtp::Error);

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut innermost: &dyn Error = &self.0;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        write!(formatter, "{innermost}")
    }
}

impl Error for Cause {}

/// Whether the connection stood before it failed.
fn was_connected(error: &smtp::Error) -> bool {
    let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| {
        matches!(
            cause.kind(),
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::UnexpectedEof
        )
    })
}

/// A server may say anything; a log and a page take one line of moderate length without control characters.
pub(super) fn one_line(text: &str) -> String {
    let blank = |character: char| character.is_whitespace() || character.is_control();
    let line = text.split(blank).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

const LONGEST_LINE: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_words_become_one_line_of_moderate_length() {
        assert_eq!(one_line(" 550 a\r\n\tb\u{7f}c\u{85}  d "), "550 a b c d");
        assert_eq!(one_line(&"é".repeat(400)).chars().count(), LONGEST_LINE + 1);
    }
}
