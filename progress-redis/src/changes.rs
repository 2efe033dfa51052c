//! Hints about changes: each script that writes publishes one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use progress_core::{ChangesSender, ProgressError};
use redis::Value;
use tokio::time::timeout;

use crate::server::classify;
use crate::store::Store;

/// How long opening a subscription may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Subscribes and sends hints, until the connection breaks.
pub(crate) async fn receive(
    store: Arc<Store>,
    sender: Arc<ChangesSender>,
) -> Result<Infallible, ProgressError> {
    let channel = store.keys.changes();
    let subscription = timeout(CONNECT_TIMEOUT, store.server.address.subscribe(&channel)).await;
    let subscription = subscription.map_err(ProgressError::unavailable)?.map_err(classify)?;
    let mut messages = subscription.into_on_message();
    let ping = || async {
        let mut ping = redis::cmd("PUBLISH");
        ping.arg(&channel).arg("");
        store.one::<Value>(ping, store.read_deadline).await.map(|_| ())
    };
    let hear = async {
        while let Some(heard) = messages.next().await {
            sender.heard(&String::from_utf8_lossy(heard.get_payload_bytes()));
        }
        Err(ProgressError::unavailable("the connection has ended"))
    };
    sender.subscribe(ping, hear).await
}
