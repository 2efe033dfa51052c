//! Why a mail, or any mail, could not be sent.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use lettre::address::AddressError;
use lettre::transport::smtp;

use crate::language::Language;

/// The URL of the mail server cannot be used. The text says why and repeats nothing of the URL,
/// which may contain a password.
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

/// Why a mail was not sent. The text is one line: the server's reply if there is one, else English.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct SendError {
    text: String,
    french: String,
    kind: Kind,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The mail is refused, and will be refused again.
    Permanent,
    /// The mail is refused for now.
    Temporary,
    /// The server has not replied to this mail.
    Unreachable,
    /// The server refuses the login, so it will refuse every mail.
    Denied,
}

impl SendError {
    /// Returns the text in a language.
    #[must_use]
    pub fn describe(&self, language: Language) -> &str {
        language.pick(&self.text, &self.french)
    }

    /// Whether sending the same mail again cannot succeed: the server refused it permanently, the
    /// mail is malformed, or the login is [refused](SendError::is_denied).
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self.kind, Kind::Permanent | Kind::Denied)
    }

    /// Whether the server refuses every mail and not only this one, because the login is wrong or
    /// missing.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.kind == Kind::Denied
    }

    /// Whether sending the same mail later may succeed; the opposite of permanent.
    ///
    /// True for a server that is busy or [unreachable](SendError::is_unreachable).
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        !self.is_permanent()
    }

    /// Whether the server has not replied to this mail: no connection, no reply in time, or a lost
    /// connection.
    ///
    /// In the last two cases it may have accepted the mail, so sending it again may deliver it
    /// twice.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.kind == Kind::Unreachable
    }

    pub(super) fn address(address: &str, source: AddressError) -> SendError {
        let english = format!("not a mail address: {address}");
        let french = format!("ce n’est pas une adresse e-mail : {address}");
        SendError::new(&english, &french, Kind::Permanent).with_source(source)
    }

    pub(super) fn message(source: impl Error + Send + Sync + 'static) -> SendError {
        let french = "impossible de composer le courriel";
        SendError::new("cannot compose the mail", french, Kind::Permanent).with_source(source)
    }

    pub(super) fn timed_out(limit: Duration) -> SendError {
        let english = format!("the mail server did not answer within {limit:?}");
        let french = format!("le serveur de messagerie n’a pas répondu en {limit:?}");
        SendError::new(&english, &french, Kind::Unreachable)
    }

    pub(super) fn interrupted() -> SendError {
        let french = "la connexion au serveur de messagerie a été perdue";
        SendError::new("the connection to the mail server was lost", french, Kind::Unreachable)
    }

    fn new(english: &str, french: &str, kind: Kind) -> SendError {
        SendError { text: one_line(english), french: one_line(french), kind, source: None }
    }

    fn with_source(self, source: impl Error + Send + Sync + 'static) -> SendError {
        SendError { source: Some(Box::new(source)), ..self }
    }
}

impl From<smtp::Error> for SendError {
    fn from(error: smtp::Error) -> SendError {
        if let Some(code) = error.status() {
            // The source of the error is the text of the reply, with all its lines in one.
            let words = error.source().map(ToString::to_string).unwrap_or_default();
            let text = format!("{code} {words}");
            let kind = match &*code.to_string() {
                // RFC 4954, section 6.
                "530" | "534" | "535" | "538" => Kind::Denied,
                _ if error.is_permanent() => Kind::Permanent,
                _ => Kind::Temporary,
            };
            return SendError::new(&text, &text, kind);
        }
        let described = if error.is_client() {
            let english = "the mail server does not support what this mail needs";
            let french = "il manque au serveur de messagerie ce que ce courriel exige";
            SendError::new(english, french, Kind::Permanent)
        } else if error.is_tls() {
            let english = "cannot set up an encrypted connection to the mail server";
            let french =
                "impossible d’établir une connexion chiffrée avec le serveur de messagerie";
            SendError::new(english, french, Kind::Unreachable)
        } else if error.is_response() || was_connected(&error) {
            SendError::interrupted()
        } else {
            let french = "le serveur de messagerie est injoignable";
            SendError::new("cannot reach the mail server", french, Kind::Unreachable)
        };
        described.with_source(Cause(error))
    }
}

/// Prints only the innermost source of lettre's error. Each of its errors prints its sources too,
/// so a log of the chain would repeat them.
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

/// Whether the connection was established before it failed.
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

/// Turns any text of a server into one line of at most 300 characters without control characters.
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
    fn any_text_becomes_one_line_of_limited_length() {
        assert_eq!(one_line(" 550 a\r\n\tb\u{7f}c\u{85}  d "), "550 a b c d");
        assert_eq!(one_line(&"é".repeat(400)).chars().count(), LONGEST_LINE + 1);
    }
}
