//! Sending invoices over SMTP.
//!
//! A job wants three things of a mailer: several mails in flight over connections that are used again, an answer for
//! each mail that is that mail's own, and, when the answer is no, the server's words in one line.

use std::fmt;
use std::pin::pin;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use lettre::address::Envelope;
use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::{self, AsyncSmtpTransportBuilder, PoolConfig};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::time::timeout;

use crate::invoice::Invoice;
use crate::pdf;

mod error;

use error::one_line;
pub use error::{MailerError, SendError};

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Sends through one mail server; clones share its connections.
#[derive(Clone)]
pub struct Mailer {
    line: Arc<Line>,
    time_limit: Duration,
}

impl Mailer {
    /// Prepares to send through the server that `smtp_url` names, keeping up to `in_flight` connections open between
    /// mails.
    ///
    /// The URL reads `smtp://host:port` for a server nearby, `smtps://user:password@host` for one that encrypts from
    /// the start, and `smtp://user:password@host?tls=required` for one that begins with STARTTLS. Nothing is sent
    /// yet.
    ///
    /// # Errors
    ///
    /// When the URL cannot be used. The error does not repeat it, since it may hold a password.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn new(smtp_url: &str, in_flight: usize) -> Result<Mailer, MailerError> {
        let connections = u32::try_from(in_flight.max(1)).unwrap_or(u32::MAX);
        let builder = server(smtp_url)?
            .timeout(Some(TIME_TO_CONNECT))
            .pool_config(PoolConfig::new().max_size(connections));
        let current = Mutex::new((0, builder.clone().build()));
        Ok(Mailer { line: Arc::new(Line { builder, current }), time_limit: TIME_TO_SEND })
    }

    /// Gives each mail this long, connecting included, instead of 30 seconds.
    #[must_use]
    pub fn with_time_limit(self, time_limit: Duration) -> Mailer {
        Mailer { time_limit, ..self }
    }

    /// Connects, signs in if the URL says so, and asks the server whether it is there; sends no mail.
    ///
    /// # Errors
    ///
    /// When a mail sent now would not get as far as its sender.
    pub async fn check(&self) -> Result<(), SendError> {
        self.hold(Dialogue::Check).await
    }

    /// Mails the invoice with its PDF and returns when the server has taken it.
    ///
    /// Dropping the future does not stop a mail that is under way: half a dialogue would leave its late answers to
    /// the next mail on the same connection.
    ///
    /// # Errors
    ///
    /// When the server, or the address itself, says no; or when there is no answer at all. In the last case the
    /// server may have taken the mail all the same.
    pub async fn send(&self, invoice: &Invoice) -> Result<(), SendError> {
        let message = compose(invoice)?;
        self.hold(Dialogue::Mail { envelope: message.envelope().clone(), raw: message.formatted() })
            .await
    }

    async fn hold(&self, dialogue: Dialogue) -> Result<(), SendError> {
        let Mailer { line, time_limit } = self.clone();
        // A task of its own, because it goes on when the caller stops waiting.
        let task = tokio::spawn(async move { line.hold(&dialogue, time_limit).await });
        task.await.unwrap_or_else(|_| Err(SendError::interrupted()))
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the URL became may hold parts of the password, if the password was not escaped as it should be.
        formatter
            .debug_struct("Mailer")
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}

/// What to say to the server.
enum Dialogue {
    Check,
    Mail { envelope: Envelope, raw: Vec<u8> },
}

impl Dialogue {
    /// Says it; `false` when the server has nothing against it but went away.
    async fn hold(&self, transport: &Transport) -> Result<bool, smtp::Error> {
        match self {
            Dialogue::Check => transport.test_connection().await,
            Dialogue::Mail { envelope, raw } => {
                transport.send_raw(envelope, raw).await.map(|_| true)
            }
        }
    }
}

/// The connections to the server, and the means to start afresh.
struct Line {
    builder: AsyncSmtpTransportBuilder,
    /// Beside the transport, how often it was replaced.
    current: Mutex<(u64, Transport)>,
}

impl Line {
    async fn hold(&self, dialogue: &Dialogue, time_limit: Duration) -> Result<(), SendError> {
        loop {
            let (generation, transport) = self.current();
            let mut holding = pin!(dialogue.hold(&transport));
            match timeout(time_limit, &mut holding).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => return Err(SendError::interrupted()),
                // Another mail gave this transport up before this one had said a word: its successor is there
                // already.
                Ok(Err(error)) if error.is_transport_shutdown() => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    self.give_up(generation, &transport).await;
                    return Err(SendError::timed_out(time_limit));
                }
            }
        }
    }

    fn current(&self) -> (u64, Transport) {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the next mails use new connections.
    ///
    /// lettre's pool takes an interrupted connection back as if it were fit for use, and then reads the answers to
    /// one mail as the answers to the next. So the whole pool goes, and goes before the interrupted dialogue is
    /// dropped.
    async fn give_up(&self, generation: u64, transport: &Transport) {
        {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            if current.0 == generation {
                *current = (generation + 1, self.builder.clone().build());
            }
        }
        // The pool closes at once; only the farewell to a server that does not answer could take for ever.
        let _ = timeout(TIME_TO_PART, transport.shutdown()).await;
    }
}

fn server(smtp_url: &str) -> Result<AsyncSmtpTransportBuilder, MailerError> {
    let (scheme, rest) = smtp_url.split_once("://").unwrap_or_default();
    if !["smtp", "smtps"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(MailerError::new("it must start with smtp:// or smtps://"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() || host.starts_with(':') {
        return Err(MailerError::new("it names no host"));
    }
    // What lettre says may quote parts of the URL.
    Transport::from_url(smtp_url).map_err(|_| {
        MailerError::new(
            "expected smtp://host:port, smtps://user:password@host or smtp://user:password@host?tls=required, \
             with special characters in the password written as %XX",
        )
    })
}

fn compose(invoice: &Invoice) -> Result<Message, SendError> {
    static SENT: AtomicU64 = AtomicU64::new(0);
    let address: Address =
        invoice.email.parse().map_err(|error| SendError::address(&invoice.email, error))?;
    // lettre panics over a line break in a name.
    let customer = one_line(&invoice.customer);
    let sender: Address = SENDER.parse().map_err(|error| SendError::address(SENDER, error))?;
    // Unique without a random generator: no two mails of one process have the same count, no two processes start at
    // the same nanosecond with the same number. The machine's name, the usual ingredient, is nobody's business.
    let (now, process, count) = (Utc::now(), process::id(), SENT.fetch_add(1, Ordering::Relaxed));
    let nanoseconds = now.timestamp_nanos_opt().unwrap_or_default();
    let id = format!("<{}.{nanoseconds}.{process}.{count}@{}>", invoice.number, sender.domain());
    let text = format!(
        "Hello {},\n\nPlease find attached our invoice {} of {} for {}.\n\n\
         Thank you for your business.\n\nInvoices Example Ltd, Billing\n",
        customer,
        invoice.reference,
        invoice.issued.format("%-d %B %Y"),
        invoice.amount(),
    );
    let document = Attachment::new(invoice.file_name()).body(
        pdf::render(invoice),
        ContentType::parse("application/pdf").map_err(SendError::message)?,
    );
    Message::builder()
        .message_id(Some(id))
        .from(Mailbox::new(Some("Billing".to_owned()), sender))
        .to(Mailbox::new(Some(customer), address))
        .subject(format!("Invoice {}", invoice.reference))
        .multipart(MultiPart::mixed().singlepart(SinglePart::plain(text)).singlepart(document))
        .map_err(SendError::message)
}

const SENDER: &str = "billing@invoices.example";
const TIME_TO_CONNECT: Duration = Duration::from_secs(10);
/// A server that checks attachments before it answers may need more than ten seconds, and giving up early means not
/// knowing whether the mail went out.
const TIME_TO_SEND: Duration = Duration::from_secs(30);
const TIME_TO_PART: Duration = Duration::from_secs(1);
