//! A store for [`progress_core`] on Redis (6.2 or later) or Valkey.
//!
//! ```no_run
//! # async fn example() -> Result<(), progress_core::ProgressError> {
//! use progress_core::{Jobs, NewProgress};
//! use progress_redis::RedisStore;
//!
//! let jobs = Jobs::new(RedisStore::connect("redis://127.0.0.1/").await?);
//! let job = jobs.create(NewProgress::new("import")).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is weaker than in a database
//!
//! - Redis acknowledges a write before it is on disk. With `appendfsync everysec`, a server that
//!   is killed keeps everything, and one that loses power forgets about the last second. What a
//!   worker has reported in that second is then missing in its record, and the page shows less than
//!   before. `appendfsync always` loses nothing that was acknowledged. Without an append-only file
//!   (the default of Redis), everything since the last snapshot is lost.
//! - A failover is asynchronous: the new master may lack the last writes of the old one.
//! - Memory is the limit. [`RedisStore::connect`] refuses a server that would delete keys when its
//!   memory is full (`maxmemory-policy` must be `noeviction`).
//!
//! # Keys
//!
//! All keys begin with `{progress}:`, so that they are on one node of a cluster. They have no
//! expiry: a [`Janitor`](progress_core::Janitor) deletes the records of jobs that ended long ago.
//!
//! | key | content |
//! |---|---|
//! | `record:<id>` | hash: `document` (JSON) and `revision` |
//! | `log:<id>` | sorted set: the entries, by their number |
//! | `running` | hash: the last heartbeat of each running job |
//! | `finished` | sorted set: the jobs that have ended, by the begin of their retention |
//! | `unannounced` | sorted set: the jobs whose end is to be announced, by when this is due |
//! | `list:<status>` | sorted set: the order of the records with this status |
//! | `list:<status>:owner:<owner>` | the same of an owner |
//! | `list:<status>:type:<type>` | the same of a type |
//! | `list:<status>:both:<n>:<owner>:<type>` | the same of both; `<owner>` has `<n>` bytes |
//!
//! The channel `{progress}:changes` tells watchers in other processes of changes. A user of an
//! access control list needs permission for it (`&{progress}:changes`). Otherwise everything works,
//! but watched records are read four times a second.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod changes;
mod keys;
mod scripts;
mod server;
mod store;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use progress_core::{
    Changes, DEFAULT_LOG_LIMIT, EntryPage, Heartbeat, NewProgress, Progress, ProgressError,
    ProgressId, ProgressPage, ProgressQuery, ProgressStore, ProgressUpdate, StoreThread,
};

use crate::address::Address;
use crate::keys::Keys;
use crate::server::Server;
use crate::store::Store;

/// A store on Redis. Its calls share one connection, which is opened again when it breaks.
///
/// A clone uses the same connection. Calls run on a thread of the store's own, so they work from
/// any runtime and beside blocked threads.
#[derive(Debug, Clone)]
pub struct RedisStore {
    store: Arc<Store>,
    thread: Arc<Thread>,
}

/// The thread of a store and its clones. It ends with the last of them.
#[derive(Debug, Default)]
struct Thread(StoreThread);

impl Drop for Thread {
    fn drop(&mut self) {
        self.0.stop(async {});
    }
}

impl RedisStore {
    /// Opens the server at an address such as `redis://user:password@host:6379/0`, and checks that
    /// it can keep records.
    ///
    /// Also accepted: `valkey:`, `redis+unix:///path/to/socket`, `rediss:` (feature `tls`), and
    /// `redis-sentinel://user:password@host1:26379,host2:26379/0#name-of-the-master` (feature
    /// `sentinel`).
    ///
    /// # Errors
    ///
    /// [`Setup`](ProgressError::Setup) if the address is malformed, the login is refused, or the
    /// server may delete records to free memory; the text says what to do and contains no password.
    /// [`Unavailable`](ProgressError::Unavailable) if the server does not answer.
    pub async fn connect(url: &str) -> Result<Self, ProgressError> {
        let store = Self::of(Address::parse(url)?);
        // Boxed, so that the future is not much deeper than the application's own.
        match Box::pin(store.check()).await {
            // Later it is transient, because the password may be rotating.
            Err(error) if server::is_refused_login(&error) => Err(ProgressError::setup(
                "Redis refused the login: check user and password in the address",
            )),
            outcome => outcome.map(|()| store),
        }
    }

    /// Creates a store with the settings of an application's client, such as its certificates. It
    /// opens a connection of its own with the first call.
    #[must_use]
    pub fn new(client: redis::Client) -> Self {
        Self::of(Address::Server(client))
    }

    fn of(address: Address) -> Self {
        let store = Store {
            server: Arc::new(Server::new(address)),
            locks: Arc::default(),
            keys: Keys::new("progress"),
            log_limit: DEFAULT_LOG_LIMIT,
            read_deadline: Duration::from_secs(1),
            write_deadline: Duration::from_secs(5),
        };
        Self { store: Arc::new(store), thread: Arc::default() }
    }

    fn with(self, change: impl FnOnce(&mut Store)) -> Self {
        let mut store = Store::clone(&self.store);
        change(&mut store);
        Self { store: Arc::new(store), ..self }
    }

    /// Sets the text in braces with which all keys begin, so that several applications can share a
    /// server: `progress` by default.
    #[must_use]
    pub fn with_namespace(self, namespace: &str) -> Self {
        // A brace would end the hash tag.
        let namespace = namespace.replace(['{', '}'], "_");
        self.with(|store| store.keys = Keys::new(&namespace))
    }

    /// Sets how many of the newest entries of each log are kept: 1,000 by default.
    #[must_use]
    pub fn with_log_limit(self, entries: u32) -> Self {
        self.with(|store| store.log_limit = entries)
    }

    /// Sets how long a call that reads and one that writes may take: 1 s and 5 s by default. After
    /// that it fails as [`Unavailable`](ProgressError::Unavailable).
    #[must_use]
    pub fn with_deadlines(self, read: Duration, write: Duration) -> Self {
        self.with(|store| (store.read_deadline, store.write_deadline) = (read, write))
    }

    /// Checks that the server answers and never deletes keys by itself.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn check(&self) -> Result<(), ProgressError> {
        let store = Arc::clone(&self.store);
        self.thread.0.run(async move { store.check().await }).await
    }
}

/// Runs a call of the store on its thread.
macro_rules! on_thread {
    ($self:ident, $($owned:ident = $value:expr,)* |$store:ident| $call:expr) => {{
        let $store = Arc::clone(&$self.store);
        $(let $owned = $value;)*
        $self.thread.0.run(async move { $call.await }).await
    }};
}

#[async_trait]
impl ProgressStore for RedisStore {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        on_thread!(self, job = job.clone(), |store| store.create(&job))
    }

    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        Ok(self.get_many(&[id]).await?.pop().flatten())
    }

    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        let mut outcomes = self.update_many(&[(id, update.clone())]).await;
        outcomes.pop().unwrap_or(Err(ProgressError::NotFound(id)))
    }

    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        on_thread!(self, query = query.clone(), |store| store.list(&query))
    }

    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        on_thread!(self, |store| store.entries(id, after, limit))
    }

    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        on_thread!(self, |store| store.delete(id))
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        on_thread!(self, |store| store.heartbeats())
    }

    async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        on_thread!(self, |store| store.delete_finished(older_than, limit))
    }

    async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError> {
        on_thread!(self, |store| store.unannounced(limit))
    }

    async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError> {
        on_thread!(self, owner = owner.to_owned(), |store| store.delete_owned(&owner, limit))
    }

    async fn get_many(&self, ids: &[ProgressId]) -> Result<Vec<Option<Progress>>, ProgressError> {
        on_thread!(self, ids = ids.to_vec(), |store| store.get_many(&ids))
    }

    fn changes(&self) -> Option<Changes> {
        let (sender, changes) = Changes::channel();
        let store = Arc::clone(&self.store);
        let listen = sender.retry(move |sender| changes::receive(Arc::clone(&store), sender));
        self.thread.0.spawn(listen).ok()?;
        Some(changes)
    }

    async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress, ProgressError>> {
        let (store, owned) = (Arc::clone(&self.store), updates.to_vec());
        let call = async move { Ok(store.update_many(&owned).await) };
        match self.thread.0.run(call).await {
            Ok(outcomes) => outcomes,
            Err(error) => crate::store::same_for_all(updates.len(), &error),
        }
    }
}

/// Opens the store at an address: Redis, or with the feature `sqlx` a database of
/// [`progress_sqlx::connect_any`]. So an application's configuration can choose the store.
///
/// # Errors
///
/// As [`RedisStore::connect`] and `progress_sqlx::connect_any`.
#[cfg(feature = "sqlx")]
pub async fn connect_any(url: &str) -> Result<Arc<dyn ProgressStore>, ProgressError> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    if scheme.starts_with("redis") || scheme.starts_with("valkey") {
        Ok(Arc::new(Box::pin(RedisStore::connect(url)).await?))
    } else {
        Box::pin(progress_sqlx::connect_any(url)).await
    }
}
