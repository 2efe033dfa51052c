//! Where a check keeps its records: a new, empty store of each kind that is available.

use std::sync::{Arc, Mutex};

use progress_core::{MemoryStore, Progress, ProgressStore};
use progress_test_support::{Database, Kind, RedisServer};
use tokio::runtime::Runtime;

/// A new, empty store. A file or a Redis server ends when this is dropped.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    keeper: Keeper,
}

/// What keeps the records.
enum Keeper {
    Memory,
    Database(Database),
    Redis { url: String, server: Mutex<RedisServer> },
}

impl Place {
    pub(crate) fn memory() -> Self {
        Self { name: "memory", keeper: Keeper::Memory }
    }

    pub(crate) fn sqlite() -> Self {
        let database = Database::new(Kind::Sqlite).expect("a file");
        Self { name: "sqlite", keeper: Keeper::Database(database) }
    }

    /// A store on a Redis server of its own; `None` if there is no `redis-server`.
    pub(crate) fn redis() -> Option<Self> {
        let server = RedisServer::or_say_so(&["--appendonly", "yes"])?;
        let (url, server) = (server.url(), Mutex::new(server));
        Some(Self { name: "redis", keeper: Keeper::Redis { url, server } })
    }

    /// A store on a server; `None` if there is no such server, which xtask reports.
    fn on_server(name: &'static str, kind: Kind) -> Option<Self> {
        Database::new(kind).map(|database| Self { name, keeper: Keeper::Database(database) })
    }

    /// A store on each database server.
    pub(crate) fn servers() -> Vec<Self> {
        let servers = [("postgres", Kind::Postgres), ("mysql", Kind::MySql)];
        servers.into_iter().filter_map(|(name, kind)| Self::on_server(name, kind)).collect()
    }

    /// Another store of the same kind.
    pub(crate) fn another(&self) -> Self {
        match self.name {
            "memory" => Self::memory(),
            "sqlite" => Self::sqlite(),
            "redis" => Self::redis().expect("the program that this one uses"),
            "postgres" => {
                Self::on_server("postgres", Kind::Postgres).expect("the server that this one is on")
            }
            _ => Self::on_server("mysql", Kind::MySql).expect("the server that this one is on"),
        }
    }

    /// A store of each kind that is reached over the network.
    pub(crate) fn remote() -> Vec<Self> {
        let mut places = Self::servers();
        places.extend(Self::redis());
        places
    }

    /// A store on each kind of SQL database.
    pub(crate) fn databases() -> Vec<Self> {
        let mut places = vec![Self::sqlite()];
        places.append(&mut Self::servers());
        places
    }

    /// A store of each kind that several processes can share.
    pub(crate) fn shared() -> Vec<Self> {
        let mut places = Self::databases();
        places.extend(Self::redis());
        places
    }

    /// A store of each kind.
    pub(crate) fn all() -> Vec<Self> {
        let mut places = vec![Self::memory()];
        places.append(&mut Self::shared());
        places
    }

    pub(crate) fn url(&self) -> &str {
        match &self.keeper {
            Keeper::Memory => panic!("other processes do not see this store"),
            Keeper::Database(database) => database.url(),
            Keeper::Redis { url, .. } => url,
        }
    }

    /// Restarts the Redis server of this store. Without a warning, it is killed.
    pub(crate) fn restart_redis(&self, without_warning: bool) {
        let Keeper::Redis { server, .. } = &self.keeper else { panic!("not on Redis") };
        let mut server = server.lock().unwrap();
        if !without_warning {
            // The connection ends without an answer.
            drop(server.command("SHUTDOWN"));
        }
        server.kill();
        server.start_again();
    }

    pub(crate) async fn open(&self) -> Arc<dyn ProgressStore> {
        match &self.keeper {
            Keeper::Memory => Arc::new(MemoryStore::new()),
            Keeper::Database(_) | Keeper::Redis { .. } => open(self.url()).await,
        }
    }
}

pub(crate) async fn open(url: &str) -> Arc<dyn ProgressStore> {
    progress_redis::connect_any(url).await.unwrap()
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Returns the record without its time of reading: equal as long as nothing has changed.
pub(crate) fn unobserved(mut progress: Progress) -> Progress {
    progress.observed_at = progress.created_at;
    progress
}
