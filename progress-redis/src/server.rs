//! The connection to the server: opened when it is needed, replaced when it is broken.

use std::sync::Arc;
use std::time::Duration;

use progress_core::ProgressError;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::sync::Mutex;

use crate::address::{Address, Connection};
use crate::scripts;

/// A server, and the connection that all calls share.
pub(crate) struct Server {
    pub(crate) address: Address,
    connection: Mutex<Option<Arc<Connection>>>,
}

// Not derived, because a connection is not `Debug`.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    pub(crate) fn new(address: Address) -> Self {
        Self { address, connection: Mutex::new(None) }
    }

    /// Sends commands together and returns their values, in order. They may be sent twice, so they
    /// must be safe to repeat.
    pub(crate) async fn send(
        &self,
        commands: impl IntoIterator<Item = Cmd>,
        deadline: Duration,
    ) -> Result<Vec<Value>, ProgressError> {
        let mut pipeline = redis::pipe();
        // The errors come one by one, each with its code.
        pipeline.ignore_errors();
        for command in commands {
            pipeline.add_command(command);
        }
        let mut used = None;
        let attempts = self.attempts(&pipeline, &mut used);
        let outcome = tokio::time::timeout(deadline, attempts).await;
        let outcome = outcome.map_err(ProgressError::unavailable);
        if let (Err(_), Some(connection)) = (&outcome, used) {
            // It may be one whose other end is gone without a trace.
            self.discard(&connection).await;
        }
        outcome?.map_err(classify)
    }

    async fn attempts(
        &self,
        pipeline: &Pipeline,
        used: &mut Option<Arc<Connection>>,
    ) -> Result<Vec<Value>, RedisError> {
        loop {
            let (connection, is_new) = self.connection().await?;
            let connection = used.insert(connection);
            let outcome = connection.query(pipeline).await;
            let outcome: RedisResult<Vec<Value>> =
                outcome.and_then(|values| values.into_iter().collect());
            match &outcome {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    for load in scripts::load() {
                        connection.tell(&load).await?;
                    }
                }
                Err(error) if is_broken(error) => {
                    self.discard(connection).await;
                    // The server closes connections that are idle, so the next one may work.
                    if is_new {
                        return outcome;
                    }
                }
                _ => return outcome,
            }
        }
    }

    /// Returns the connection, and whether it was opened just now.
    async fn connection(&self) -> Result<(Arc<Connection>, bool), RedisError> {
        let mut connection = self.connection.lock().await;
        if let Some(open) = &*connection {
            return Ok((Arc::clone(open), false));
        }
        let opened = Arc::new(self.address.connect().await?);
        Ok((Arc::clone(connection.insert(opened)), true))
    }

    /// Makes later calls open another connection.
    async fn discard(&self, broken: &Arc<Connection>) {
        let mut connection = self.connection.lock().await;
        connection.take_if(|current| Arc::ptr_eq(current, broken));
    }
}

/// Whether no answer can come over this connection any more, or only refusals: after a failover it
/// leads to a replica.
fn is_broken(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || matches!(
            error.kind(),
            ErrorKind::Parse
                | ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
        )
}

/// The codes of refusals that end by themselves or by an operator's action, beside those that the
/// client knows: full memory, a snapshot that failed, a long script, too few replicas.
const TRANSIENT_CODES: [&str; 4] = ["OOM", "MISCONF", "BUSY", "NOREPLICAS"];

pub(crate) fn classify(error: RedisError) -> ProgressError {
    let is_transient = is_broken(&error)
        || is_login(&error)
        || error.is_cluster_error()
        || error.code().is_some_and(|code| TRANSIENT_CODES.contains(&code))
        || matches!(
            error.kind(),
            ErrorKind::MasterNameNotFoundBySentinel
                | ErrorKind::NoValidReplicasFoundBySentinel
                | ErrorKind::Server(ServerErrorKind::BusyLoading)
        );
    if is_transient { ProgressError::unavailable(error) } else { ProgressError::store(error) }
}

/// Whether the server refuses the user or the password.
pub(crate) fn is_refused_login(error: &ProgressError) -> bool {
    let source = std::error::Error::source(error);
    source.and_then(|source| source.downcast_ref()).is_some_and(is_login)
}

fn is_login(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed
        || error.code().is_some_and(|code| ["NOAUTH", "WRONGPASS"].contains(&code))
}
