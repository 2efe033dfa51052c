//! Hints about changes by `PRAGMA data_version`.

use std::time::Duration;

use progress_core::{Changes, ChangesSender};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteConnection};
use tokio::time::sleep;

use crate::store::SqlStore;

/// How often to look. It takes some microseconds, because SQLite looks into memory that the
/// processes share.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long to wait before another attempt to open the file.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Subscribes to the changes of a file. A pool of the application may hold an in-memory database,
/// which another connection would not see.
pub(super) fn subscribe(store: &SqlStore<Sqlite>) -> Option<Changes> {
    let options = store.state.pools.file_options()?;
    let (sender, changes) = Changes::channel();
    store.state.thread.spawn(watch(options, sender)).ok()?;
    Some(changes)
}

async fn watch(options: SqliteConnectOptions, sender: ChangesSender) {
    let attempts = async {
        loop {
            match look(&options, &sender).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the file cannot be watched for changes, will retry"
                ),
            }
            sender.set_live(false);
            sleep(RETRY_DELAY).await;
        }
    };
    tokio::select! {
        () = attempts => {}
        () = sender.closed() => {}
    }
}

/// Returns when hints are no longer wanted.
async fn look(options: &SqliteConnectOptions, sender: &ChangesSender) -> Result<(), sqlx::Error> {
    let mut connection = options.connect().await?;
    let mut known = data_version(&mut connection).await?;
    sender.set_live(true);
    while sender.wanted().await {
        let version = data_version(&mut connection).await?;
        if version != known {
            known = version;
            sender.send_any();
        }
        sleep(INTERVAL).await;
    }
    Ok(())
}

/// Returns a number that differs after another connection, of any process, has changed the file
/// (SQLite, PRAGMA data_version).
async fn data_version(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA data_version").fetch_one(connection).await
}
