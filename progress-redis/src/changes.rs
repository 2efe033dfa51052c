//! Hints about changes: each script that writes publishes one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use progress_core::{ChangesSender, ProgressError, ProgressId};
use redis::Value;
use tokio::time::{sleep, timeout};

use crate::server::classify;
use crate::store::Store;

/// A subscription hears itself so often.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A connection that hears nothing for this time is broken.
const MAX_SILENCE: Duration = Duration::from_secs(10);
/// How long opening a subscription may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns what is published about a record that has this version now.
pub(crate) fn message(id: ProgressId, version: u64) -> String {
    format!("{id}:{version}")
}

/// Ignores what is not readable, because anyone may send to the channel.
fn parse(message: &str) -> Option<(ProgressId, u64)> {
    let (id, version) = message.split_once(':')?;
    Some((id.parse().ok()?, version.parse().ok()?))
}

/// Subscribes and sends hints, until the connection breaks.
pub(crate) async fn receive(
    store: Arc<Store>,
    sender: Arc<ChangesSender>,
) -> Result<Infallible, ProgressError> {
    let channel = store.keys.changes();
    let subscription = timeout(CONNECT_TIMEOUT, store.server.address.subscribe(&channel)).await;
    let subscription = subscription.map_err(ProgressError::unavailable)?.map_err(classify)?;
    let mut messages = subscription.into_on_message();
    let ping = async {
        loop {
            let mut ping = redis::cmd("PUBLISH");
            ping.arg(&channel).arg("");
            let _: Value = store.one(ping, store.read_deadline).await?;
            sleep(PING_INTERVAL).await;
        }
    };
    let hear = async {
        loop {
            let heard = timeout(MAX_SILENCE, messages.next()).await;
            let heard = heard.map_err(ProgressError::unavailable)?;
            let heard = heard.ok_or_else(|| ProgressError::unavailable("the connection ended"))?;
            sender.set_live(true);
            sender.send(parse(&String::from_utf8_lossy(heard.get_payload_bytes())));
        }
    };
    tokio::select! {
        outcome = ping => outcome,
        outcome = hear => outcome,
    }
}
