//! Sending invoices over SMTP.
//!
//! A job needs three things: several mails in flight over reused connections, a reply that belongs
//! to its mail, and, if the server refuses a mail, its reply in one line.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

/// Sends mail through one server; clones share its connections.
#[derive(Clone)]
pub struct Mailer {
    connections: Arc<Connections>,
    time_limit: Duration,
}

impl Mailer {
    /// Creates a mailer for the server at `smtp_url`, which keeps up to `in_flight` connections
    /// open between mails. Nothing is sent yet.
    ///
    /// The URL is `smtp://host:port` without encryption, `smtps://user:password@host` for
    /// encryption from the start, and `smtp://user:password@host?tls=required` for STARTTLS.
    ///
    /// # Errors
    ///
    /// If the URL cannot be used. The error does not repeat it, because it may contain a password.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn new(smtp_url: &str, in_flight: usize) -> Result<Mailer, MailerError> {
        let connections = u32::try_from(in_flight.max(1)).unwrap_or(u32::MAX);
        let builder = server(smtp_url)?
            .timeout(Some(CONNECT_TIMEOUT))
            .pool_config(PoolConfig::new().max_size(connections));
        let current = Mutex::new((0, builder.clone().build()));
        Ok(Mailer {
            connections: Arc::new(Connections { builder, current }),
            time_limit: SEND_TIMEOUT,
        })
    }

    /// Sets how long a mail may take, including the connection, instead of 30 seconds.
    #[must_use]
    pub fn with_time_limit(self, time_limit: Duration) -> Mailer {
        Mailer { time_limit, ..self }
    }

    /// Connects, logs in if the URL has a user, and sends a NOOP, but no mail.
    ///
    /// # Errors
    ///
    /// If any of that fails.
    pub async fn check(&self) -> Result<(), SendError> {
        self.converse(Dialogue::Check).await
    }

    /// Sends the invoice with its PDF and returns when the server has accepted the mail. `id`, of
    /// letters, digits, dots and dashes, becomes its Message-ID. A mail that is sent again should
    /// have the same one, because many mail programs then show it once.
    ///
    /// Dropping the future does not stop a mail that is being sent, because the next mail on that
    /// connection would then receive its late replies.
    ///
    /// # Errors
    ///
    /// If the address is malformed, the server refuses the mail, or there is no reply. Without a
    /// reply, the server may have accepted the mail.
    pub async fn send(&self, invoice: &Invoice, id: &str) -> Result<(), SendError> {
        let message = compose(invoice, id)?;
        self.converse(Dialogue::Mail {
            envelope: message.envelope().clone(),
            raw: message.formatted(),
        })
        .await
    }

    async fn converse(&self, dialogue: Dialogue) -> Result<(), SendError> {
        let Mailer { connections, time_limit } = self.clone();
        // A separate task goes on if the caller stops waiting.
        let task = tokio::spawn(async move { connections.converse(&dialogue, time_limit).await });
        task.await.unwrap_or_else(|_| Err(SendError::interrupted()))
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was parsed from the URL may contain parts of a password that was not escaped.
        formatter
            .debug_struct("Mailer")
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}

/// What to send to the server.
enum Dialogue {
    Check,
    Mail { envelope: Envelope, raw: Vec<u8> },
}

impl Dialogue {
    /// Sends it. Returns false if the server closed the connection without an error.
    async fn converse(&self, transport: &Transport) -> Result<bool, smtp::Error> {
        match self {
            Dialogue::Check => transport.test_connection().await,
            Dialogue::Mail { envelope, raw } => {
                transport.send_raw(envelope, raw).await.map(|_| true)
            }
        }
    }
}

/// The connections to the server, and what is needed to replace them.
struct Connections {
    builder: AsyncSmtpTransportBuilder,
    /// The transport, and how often it was replaced.
    current: Mutex<(u64, Transport)>,
}

impl Connections {
    async fn converse(&self, dialogue: &Dialogue, time_limit: Duration) -> Result<(), SendError> {
        loop {
            let (generation, transport) = self.current();
            let mut conversation = pin!(dialogue.converse(&transport));
            match timeout(time_limit, &mut conversation).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => return Err(SendError::interrupted()),
                // Another mail has replaced this transport before this one has sent anything.
                Ok(Err(error)) if error.is_transport_shutdown() => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    self.replace(generation, &transport).await;
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
    /// lettre's pool reuses an interrupted connection and then takes the replies to one mail for
    /// those to the next. So the whole pool is replaced before the interrupted dialogue is dropped.
    async fn replace(&self, generation: u64, transport: &Transport) {
        {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            if current.0 == generation {
                *current = (generation + 1, self.builder.clone().build());
            }
        }
        // The pool closes at once; only the QUIT to a server that does not reply could take longer.
        let _ = timeout(QUIT_TIMEOUT, transport.shutdown()).await;
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
        return Err(MailerError::new("it has no host"));
    }
    // lettre's error may quote parts of the URL.
    Transport::from_url(smtp_url).map_err(|_| {
        MailerError::new(
            "expected smtp://host:port, smtps://user:password@host or \
             smtp://user:password@host?tls=required, with special characters in the password \
             written as %XX",
        )
    })
}

fn compose(invoice: &Invoice, id: &str) -> Result<Message, SendError> {
    let address: Address =
        invoice.email.parse().map_err(|error| SendError::address(&invoice.email, error))?;
    // lettre panics on a line break in a name.
    let customer = one_line(&invoice.customer);
    let sender: Address = SENDER.parse().map_err(|error| SendError::address(SENDER, error))?;
    // The name of the machine is left out for privacy.
    let id = format!("<{id}@{}>", sender.domain());
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
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Long enough for a server that checks attachments before it replies. After a shorter limit it
/// would often be unknown whether the mail was sent.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);
