//! Hints about changes by `PRAGMA data_version`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use progress_core::{Changes, ChangesSender, ProgressError};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteConnection};
use tokio::time::sleep;

use crate::error::classify;
use crate::store::SqlStore;

/// How often to look. It takes some microseconds, because SQLite looks into memory that the
/// processes share.
const INTERVAL: Duration = Duration::from_millis(50);

/// Subscribes to the changes of a file. A pool of the application may hold an in-memory database,
/// which another connection would not see.
pub(super) fn subscribe(store: &SqlStore<Sqlite>) -> Option<Changes> {
    let options = store.state.pools.file_options()?;
    let (sender, changes) = Changes::channel();
    let watch = sender.retry(move |sender| look(options.clone(), sender));
    store.state.thread.spawn(watch).ok()?;
    Some(changes)
}

async fn look(
    options: SqliteConnectOptions,
    sender: Arc<ChangesSender>,
) -> Result<Infallible, ProgressError> {
    let mut connection = options.connect().await.map_err(classify)?;
    let mut known = data_version(&mut connection).await?;
    sender.set_live(true);
    loop {
        sender.wanted().await;
        let version = data_version(&mut connection).await?;
        if version != known {
            known = version;
            sender.send_any();
        }
        sleep(INTERVAL).await;
    }
}

/// Returns a number that differs after another connection, of any process, has changed the file
/// (SQLite, PRAGMA data_version).
async fn data_version(connection: &mut SqliteConnection) -> Result<i64, ProgressError> {
    sqlx::query_scalar("PRAGMA data_version").fetch_one(connection).await.map_err(classify)
}
