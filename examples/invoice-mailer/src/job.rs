//! The long task itself: a mail per invoice, several under way at once, counted as they go.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use progress_axum::{Completion, Failure, TrackerHandle};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::deliveries::{Deliveries, Delivery};
use crate::invoice::Invoice;
use crate::mailer::{Mailer, SendError};
use crate::queue::Order;

/// After so many mails in a row that did not even reach the server, the rest would not either.
const UNREACHABLE_IN_A_ROW: u32 = 5;
/// How long a job waits for a database that does not take what became of a mail: as long as it takes to restart one.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the task needs.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Sends one mail.
    pub mailer: Arc<Mailer>,
    /// Remembers what became of it.
    pub deliveries: Deliveries,
    /// How long to wait before each mail.
    pub pause: Duration,
    /// How many are under way at once.
    pub in_flight: usize,
    /// Becomes true when the program is about to end.
    pub stopping: watch::Receiver<bool>,
}

impl Sending {
    /// Sends the invoices 1 to the count of the order. A refused mail is an error of that item; the job goes on.
    ///
    /// When somebody asks to stop, no further mail is begun; those under way are finished, and counted.
    ///
    /// # Errors
    ///
    /// [`Failure`] when the job was stopped, the mail server is away, or the database does not take what became of a mail.
    pub async fn run(&self, order: Order, tracker: &TrackerHandle) -> Result<Completion, Failure> {
        let Order { count, language, .. } = order;
        let may_begin = |_: &u32| {
            let may_begin = tracker.stopped().is_none() && !*self.stopping.borrow();
            async move { may_begin }
        };
        let mails = stream::iter(1..=count)
            .take_while(may_begin)
            .map(|number| self.send(Invoice::sample(number)))
            .buffer_unordered(self.in_flight);
        let mut mails = pin!(mails);

        let (mut sent, mut errors, mut unreachable) = (0, 0, 0);
        while let Some((invoice, outcome)) = mails.next().await {
            let turn = sent + errors + 1;
            let file = invoice.file_name();
            match &outcome {
                Ok(()) => {
                    sent += 1;
                    unreachable = 0;
                    tracing::info!("[{turn}/{count}] email sent: {file}");
                    tracker.success(language.sent(&file, &invoice.email));
                }
                Err(error) => {
                    errors += 1;
                    tracing::warn!(
                        "[{turn}/{count}] email error: {} - {}: {error}",
                        invoice.reference,
                        invoice.email
                    );
                    tracker.message(language.not_sent(&invoice.reference, &invoice.email));
                    tracker.failure(&invoice.reference, error.describe(language));
                    unreachable = if error.is_unreachable() { unreachable + 1 } else { 0 };
                }
            }
            if let Err(error) = self.note(order, &invoice, &outcome).await {
                return Err(Failure::new(language.not_noted()).with_source(error));
            }
            if unreachable == UNREACHABLE_IN_A_ROW {
                let failure = Failure::new(language.server_away());
                return Err(match outcome {
                    Err(error) => failure.with_source(error),
                    Ok(()) => failure,
                });
            }
        }
        tracker.checkpoint().await?;
        if *self.stopping.borrow() {
            return Err(Failure::new(language.stopped()));
        }
        tracing::info!("done: {sent} sent, {errors} errors");
        Ok(Completion::new().try_with_result(json!({"sent": sent, "errors": errors}))?)
    }

    async fn send(&self, invoice: Invoice) -> (Invoice, Result<(), SendError>) {
        sleep(self.pause).await;
        let outcome = self.mailer.send(&invoice).await;
        (invoice, outcome)
    }

    /// Notes what became of a mail. The mail is out: that its note cannot be taken at the moment must not end the job.
    async fn note(
        &self,
        order: Order,
        invoice: &Invoice,
        outcome: &Result<(), SendError>,
    ) -> Result<(), sqlx::Error> {
        let delivery = match outcome {
            Ok(()) => Delivery { outcome: "sent".to_owned(), detail: String::new() },
            Err(error) => {
                let outcome = if error.is_unreachable() { "failed" } else { "refused" };
                Delivery {
                    outcome: outcome.to_owned(),
                    detail: error.describe(order.language).to_owned(),
                }
            }
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.deliveries.note(order.job, invoice.number, &delivery).await {
                Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(500)).await,
                outcome => return outcome,
            }
        }
    }
}
