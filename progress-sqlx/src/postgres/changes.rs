//! Hints about changes by `NOTIFY`.

use std::convert::Infallible;
use std::sync::Arc;

use progress_core::{Changes, ChangesSender, ProgressError, ProgressId};
use sqlx::postgres::{PgListener, PgPoolOptions, Postgres};

use crate::error::classify;
use crate::store::{Operation, Session, SqlStore};
use crate::value::values;

/// The name of the channel. Channels belong to the database, not to a schema; hints about records
/// of another schema have no effect.
const CHANNEL: &str = "progress_changes";
const NOTIFY: &str = "SELECT 1 FROM pg_notify('progress_changes', $1)";
/// How many records one notification names. Its text must be shorter than 8,000 bytes (PostgreSQL,
/// NOTIFY).
const MAX_RECORDS: usize = 128;
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
        let message = Changes::message(changed.iter().copied());
        if let Err(error) = store.call(Notify(message)).await {
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
    let hear = async {
        while let Some(heard) = listener.try_recv().await.map_err(classify)? {
            sender.heard(heard.payload());
        }
        Err(ProgressError::unavailable("the connection has ended"))
    };
    sender.subscribe(|| store.call(Notify(String::new())), hear).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_holds_a_whole_batch() {
        let changed: Vec<_> =
            (0..MAX_RECORDS).map(|_| (ProgressId::new(), Changes::DELETED)).collect();
        let message = Changes::message(changed);
        assert!(message.len() < 8_000, "{} bytes", message.len());
    }
}
