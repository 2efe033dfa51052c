//! The job: a mail for each invoice, several at once, each counted when it is sent or refused.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use example_support::invoice::Invoice;
use example_support::mailer::{Mailer, SendError};
use futures_util::{StreamExt, stream};
use progress_axum::{Completion, Failure, ProgressId, TrackerHandle};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::deliveries::{Deliveries, Delivery};
use crate::queue::Order;

/// After so many mails in a row without a reply, the job gives up.
const MOST_UNREACHABLE: u32 = 5;
/// How long a job tries to save the result of a mail: long enough for a restart of the database.
const SAVE_TIMEOUT: Duration = Duration::from_secs(30);

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
    /// Sends the invoices from 1 to the count of the order. A refused mail is an error of that item
    /// and does not end the job.
    ///
    /// After a cancellation, or when the program stops, no further mail is begun. Mails that are
    /// being sent are completed and counted.
    ///
    /// # Errors
    ///
    /// If the job is cancelled, the program stops, the mail server is unreachable, or the database
    /// does not store the result of a mail.
    pub async fn run(&self, order: Order, tracker: &TrackerHandle) -> Result<Completion, Failure> {
        let Order { count, language, .. } = order;
        let may_begin = |_: &u32| {
            let may_begin = tracker.stopped().is_none() && !*self.stopping.borrow();
            async move { may_begin }
        };
        let mails = stream::iter(1..=count)
            .take_while(may_begin)
            .map(|number| self.send(order.job, Invoice::sample(number)))
            .buffer_unordered(self.in_flight);
        let mut mails = pin!(mails);

        let (mut sent, mut errors, mut unreachable) = (0, 0, 0);
        while let Some((invoice, outcome)) = mails.next().await {
            let Invoice { reference, email, .. } = &invoice;
            let turn = sent + errors + 1;
            match &outcome {
                Ok(()) => {
                    sent += 1;
                    unreachable = 0;
                    let file = invoice.file_name();
                    tracing::info!("[{turn}/{count}] email sent: {file}");
                    tracker.item_done(language.sent(&file, email));
                }
                Err(error) => {
                    errors += 1;
                    unreachable = if error.is_unreachable() { unreachable + 1 } else { 0 };
                    tracing::warn!("[{turn}/{count}] email error: {reference} - {email}: {error}");
                    tracker.message(language.not_sent(reference, email));
                    tracker.item_failed(reference, error.describe(language));
                }
            }
            let saved = self.save(order, &invoice, &outcome).await;
            saved.map_err(|error| Failure::new(language.not_noted()).with_source(error))?;
            if let Err(error) = outcome
                && unreachable == MOST_UNREACHABLE
            {
                return Err(Failure::new(language.server_away()).with_source(error));
            }
        }
        // An error if a viewer has cancelled the job.
        tracker.checkpoint().await?;
        if *self.stopping.borrow() {
            return Err(Failure::new(language.stopped()));
        }
        tracing::info!("done: {sent} sent, {errors} errors");
        Ok(Completion::new().try_with_result(json!({"sent": sent, "errors": errors}))?)
    }

    async fn send(&self, job: ProgressId, invoice: Invoice) -> (Invoice, Result<(), SendError>) {
        sleep(self.pause).await;
        let outcome = self.mailer.send(&invoice, &format!("{job}.{}", invoice.number)).await;
        (invoice, outcome)
    }

    /// Saves the result of a mail. The mail has been sent, so a short outage of the database must
    /// not end the job.
    async fn save(
        &self,
        order: Order,
        invoice: &Invoice,
        outcome: &Result<(), SendError>,
    ) -> Result<(), sqlx::Error> {
        let (outcome, detail) = match outcome {
            Ok(()) => ("sent", ""),
            Err(error) if error.is_unreachable() => ("failed", error.describe(order.language)),
            Err(error) => ("refused", error.describe(order.language)),
        };
        let delivery = Delivery { outcome: outcome.to_owned(), detail: detail.to_owned() };
        let deadline = Instant::now() + SAVE_TIMEOUT;
        loop {
            match self.deliveries.save(order.job, invoice.number, &delivery).await {
                Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(500)).await,
                saved => return saved,
            }
        }
    }
}
