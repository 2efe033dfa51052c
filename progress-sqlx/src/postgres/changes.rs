//! Hints about changes by `NOTIFY`.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use progress_core::{Changes, ChangesSender, ProgressError, ProgressId};
use sqlx::postgres::{PgListener, PgPoolOptions, Postgres};
use tokio::time::{sleep, timeout};

use crate::error::classify;
use crate::store::{Operation, Session, SqlStore};
use crate::value::values;

/// The name of the channel. Channels belong to the database, not to a schema; hints about records
/// of another schema have no effect.
const CHANNEL: &str = "progress_changes";
const NOTIFY: &str = "SELECT 1 FROM pg_notify('progress_changes', $1)";
/// How many records one notification names. Its text must be shorter than 8,000 bytes (PostgreSQL,
/// NOTIFY), and each record takes up to 58.
const MAX_RECORDS: usize = 128;
/// A subscription hears itself so often.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A connection that hears nothing for this time is broken, or a pooler gives its session to
/// others.
const MAX_SILENCE: Duration = Duration::from_secs(10);

/// Sends a notification. It needs no transaction of its own.
struct Notify(String);

impl Operation<Postgres> for Notify {
    const WRITES: bool = false;
    type Output = ();

    async fn run(&self, session: &mut Session<'_, Postgres>) -> Result<(), ProgressError> {
        session.fetch(NOTIFY, values![self.0.as_str()]).await.map(|_| ())
    }
}

/// Notifies other processes after a write. If this fails, they see the change when they read the
/// record next.
pub(super) async fn announce(store: &SqlStore<Postgres>, changed: Vec<(ProgressId, u64)>) {
    for changed in changed.chunks(MAX_RECORDS) {
        if let Err(error) = store.call(Notify(payload(changed))).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "other processes were not notified of a change"
            );
        }
    }
}

/// Subscribes to the notifications of all processes.
pub(super) fn subscribe(store: &SqlStore<Postgres>) -> Option<Changes> {
    let (sender, changes) = Changes::channel();
    let listener = store.clone();
    let listen = sender.retry(move |sender| receive(listener.clone(), sender));
    store.state.thread.spawn(listen).ok()?;
    Some(changes)
}

async fn receive(
    store: SqlStore<Postgres>,
    sender: Arc<ChangesSender>,
) -> Result<Infallible, ProgressError> {
    let options = store.state.pools.reader().connect_options();
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with((*options).clone());
    let mut listener = PgListener::connect_with(&pool).await.map_err(classify)?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await.map_err(classify)?;
    let ping = async {
        loop {
            store.call(Notify(String::new())).await?;
            sleep(PING_INTERVAL).await;
        }
    };
    let hear = async {
        loop {
            let heard = timeout(MAX_SILENCE, listener.try_recv()).await;
            let heard = heard.map_err(ProgressError::unavailable)?.map_err(classify)?;
            let Some(notification) = heard else {
                return Err(ProgressError::unavailable("the connection has ended"));
            };
            sender.set_live(true);
            sender.send(records(notification.payload()));
        }
    };
    tokio::select! {
        outcome = ping => outcome,
        outcome = hear => outcome,
    }
}

fn payload(changed: &[(ProgressId, u64)]) -> String {
    let mut text = String::new();
    for (id, version) in changed {
        // Writing to a string cannot fail.
        let _ = write!(text, "{id}:{version} ");
    }
    text
}

/// Ignores what is not readable, because anyone may send to the channel.
fn records(payload: &str) -> impl Iterator<Item = (ProgressId, u64)> {
    payload.split_ascii_whitespace().filter_map(|record| {
        let (id, version) = record.split_once(':')?;
        Some((id.parse().ok()?, version.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_holds_a_whole_batch() {
        let changed: Vec<_> =
            (0..MAX_RECORDS).map(|_| (ProgressId::new(), Changes::DELETED)).collect();
        let text = payload(&changed);
        assert!(text.len() < 8_000, "{} bytes", text.len());
        assert_eq!(records(&text).collect::<Vec<_>>(), changed);
        let id = changed[0].0;
        let foreign = format!("hello {id} {id}:x x:1 {id}:7");
        assert_eq!(records(&foreign).collect::<Vec<_>>(), [(id, 7)]);
    }
}
