//! The job: a mail for each invoice, several at once, each counted when it is sent or refused. It
//! has several attempts, and each goes on behind the mails of the one before.

use std::sync::Arc;
use std::time::Duration;

use example_support::invoice::Invoice;
use example_support::language::Language;
use example_support::mailer::{Mailer, SendError};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use progress_axum::progress_core::OpenItem;
use progress_axum::{BoxError, Failure, NewEntry, ProgressId, TrackerHandle};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::deliveries::{Deliveries, Delivery};
use crate::queue::Order;

/// After so many mails in a row without a reply, the attempt ends.
const MOST_UNANSWERED: usize = 5;
/// How long the next attempt waits after an outage.
const RETRY_DELAY: Duration = Duration::from_secs(30);
/// How long a job tries to save the result of a mail: long enough for a restart of the database.
const SAVE_TIMEOUT: Duration = Duration::from_secs(30);

/// An invoice of the job, and its place among them.
struct Mail {
    invoice: Invoice,
    place: usize,
    item: OpenItem,
}

/// What is the same for all mails of a job.
struct Job<'a> {
    total: usize,
    language: Language,
    tracker: &'a TrackerHandle,
    /// The job that was the first to send these invoices.
    first: ProgressId,
}

type Outcome = Result<Delivery, SendError>;

/// What a job needs.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Sends the mails.
    pub mailer: Arc<Mailer>,
    /// Stores the result of each mail.
    pub deliveries: Deliveries,
    /// How long to wait before each mail.
    pub pause: Duration,
    /// How many mails are sent at once.
    pub in_flight: usize,
    /// Becomes true when the program is asked to stop.
    pub stopping: watch::Receiver<bool>,
}

impl Sending {
    /// Sends the invoices of the order that earlier attempts have not sent. A refused mail is an
    /// error of that item and does not end the job. So is a mail without a reply, unless the server
    /// does not reply to the next ones either.
    ///
    /// After a cancellation, or when the program stops, no further mail is begun. Mails that are
    /// being sent are completed and counted.
    pub(crate) async fn run(&self, order: Order, tracker: &TrackerHandle) -> Result<(), Failure> {
        let Order { batch, language } = &order;
        let language = *language;
        let first = tracker.cursor::<u32>()?.unwrap_or(0) + 1;
        let unreadable = |error| passing(language.not_readable(), error);
        let numbers = self.deliveries.numbers(batch, 1, batch.count).await.map_err(unreadable)?;
        // A killed worker has saved these results, and not the cursor behind them.
        let known = self.deliveries.of(tracker.id(), first, batch.count).await;
        let mut known = known.map_err(unreadable)?;
        let total = numbers.len();
        // Less than announced if the lost worker of an earlier job has saved a result since.
        tracker.set_total(total as u64);
        let first_job = batch.again_of.first().copied().unwrap_or(tracker.id());
        let job = &Job { total, language, tracker, first: first_job };
        let saves = tracker.save_in_order();
        let mut numbers = (1..).zip(numbers).skip_while(|(_, number)| *number < first).peekable();
        let mut mails = FuturesUnordered::new();
        let (mut unanswered, mut denied) = (Vec::new(), None);
        loop {
            while mails.len() < self.in_flight
                && unanswered.len() < MOST_UNANSWERED
                && denied.is_none()
                && tracker.stopped().is_none()
                && !*self.stopping.borrow()
                && let Some((place, number)) = numbers.next()
            {
                let (invoice, item) = (Invoice::sample(number), saves.begin(&number)?);
                let mail = Mail { invoice, place, item };
                mails.push(self.send(job, mail, known.remove(&number)));
            }
            let Some((mail, outcome)) = mails.next().await else { break };
            match outcome {
                Ok(delivery) => {
                    for (mail, error) in unanswered.drain(..) {
                        let failed = Delivery::new("failed", SendError::describe(&error, language));
                        self.finish(job, mail, failed).await?;
                    }
                    self.finish(job, mail, delivery).await?;
                }
                Err(error) if error.is_denied() => denied = Some(error),
                // Not finished: unless the server replies again, the next attempt sends it.
                Err(error) => unanswered.push((mail, error)),
            }
        }
        // An error if a viewer has cancelled the job.
        tracker.checkpoint().await?;
        if let Some(error) = denied {
            return Err(Failure::new(language.login_refused()).with_source(error).permanent());
        }
        if let Some((_, error)) = unanswered.pop() {
            return Err(passing(language.server_away(), error));
        }
        if numbers.peek().is_none() { Ok(()) } else { Err(Failure::new(language.stopped())) }
    }

    /// Sends a mail, unless its result is known. An error is not about this mail alone.
    async fn send(&self, job: &Job<'_>, mail: Mail, known: Option<Delivery>) -> (Mail, Outcome) {
        if let Some(delivery) = known {
            return (mail, Ok(delivery));
        }
        sleep(self.pause).await;
        // The same each time, so that a mail that is sent twice is often shown once.
        let id = format!("{}.{}", job.first, mail.invoice.number);
        let outcome = match self.mailer.send(&mail.invoice, &id).await {
            Ok(()) => Ok(Delivery::new("sent", "")),
            Err(error) if error.is_unreachable() || error.is_denied() => Err(error),
            Err(error) => Ok(Delivery::new("refused", error.describe(job.language))),
        };
        (mail, outcome)
    }

    /// Saves the result of a mail, and then counts it. The mail has been sent, so a short outage of
    /// the database must not end the attempt.
    async fn finish(
        &self,
        &Job { total, language, tracker, .. }: &Job<'_>,
        Mail { invoice, place, item }: Mail,
        delivery: Delivery,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + SAVE_TIMEOUT;
        while let Err(error) = self.deliveries.save(tracker.id(), invoice.number, &delivery).await {
            if Instant::now() > deadline {
                return Err(passing(language.not_noted(), error));
            }
            sleep(Duration::from_millis(500)).await;
        }
        let Invoice { reference, email, .. } = &invoice;
        if delivery.is_sent() {
            let file = invoice.file_name();
            tracing::info!("[{place}/{total}] email sent: {file}");
            tracker.message(language.sent(&file, email));
            item.succeed();
        } else {
            let error = delivery.detail;
            tracing::warn!("[{place}/{total}] email error: {reference} - {email}: {error}");
            tracker.message(language.not_sent(reference, email));
            tracker.entry(NewEntry::error(error).with_item(reference));
            item.fail();
        }
        Ok(())
    }
}

/// An error that may pass until the next attempt.
fn passing(public: &str, error: impl Into<BoxError>) -> Failure {
    Failure::new(public).with_source(error).retry_after(RETRY_DELAY)
}
