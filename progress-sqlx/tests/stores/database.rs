//! A database of any kind for one test.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use progress_core::ProgressStore;
use progress_sqlx::{MySqlStore, PostgresStore, SqliteStore};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, MySqlPool, PgPool, SqlitePool};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    MySql,
}

/// The application's pool.
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    MySql(MySqlPool),
}

pub(crate) struct Database {
    kind: Kind,
    url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Database {
    /// Creates an empty database. Without a server, prints a note and returns `None`. Databases on
    /// a server are not deleted, because the server ends with the tests.
    pub(crate) async fn new(kind: Kind) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let variable = match kind {
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let file: PathBuf = folder.path().join("progress.db");
                let url = format!("sqlite://{}", file.display());
                return Some(Self { kind, url, _folder: Some(folder) });
            }
            Kind::Postgres => "PROGRESS_TEST_POSTGRES",
            Kind::MySql => "PROGRESS_TEST_MYSQL",
        };
        let Ok(server) = std::env::var(variable) else {
            let thread = std::thread::current();
            // Written directly to stderr, because the output of a passing test is captured and not
            // shown.
            let test = thread.name().unwrap_or("a test");
            let text = format!("NOT RUN: {test}: set {variable}, or use cargo xtask test\n");
            std::io::stderr().write_all(text.as_bytes()).unwrap();
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI runs every test");
            return None;
        };
        let name =
            format!("progress_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Pool::open(kind, &server).await.execute(&format!("CREATE DATABASE {name}")).await;
        let (address, _) = server.rsplit_once('/').unwrap();
        Some(Self { kind, url: format!("{address}/{name}"), _folder: None })
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn store(&self) -> Arc<dyn ProgressStore> {
        progress_sqlx::connect_any(&self.url).await.unwrap()
    }

    pub(crate) async fn pool(&self) -> Pool {
        let url = match self.kind {
            Kind::Sqlite => format!("{}?mode=rwc", self.url),
            _ => self.url.clone(),
        };
        Pool::open(self.kind, &url).await
    }
}

macro_rules! migrated {
    ($store:expr) => {{
        let store = $store;
        store.migrate().await.unwrap();
        store
    }};
}

macro_rules! with {
    ($pool:expr, $inner:ident => $body:expr) => {
        match $pool {
            Pool::Sqlite($inner) => $body,
            Pool::Postgres($inner) => $body,
            Pool::MySql($inner) => $body,
        }
    };
}

impl Pool {
    async fn open(kind: Kind, url: &str) -> Self {
        match kind {
            Kind::Sqlite => Self::Sqlite(SqlitePool::connect(url).await.unwrap()),
            Kind::Postgres => Self::Postgres(PgPool::connect(url).await.unwrap()),
            Kind::MySql => Self::MySql(MySqlPool::connect(url).await.unwrap()),
        }
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        with!(self, pool => { sqlx::raw_sql(sql).execute(pool).await.unwrap(); });
    }

    pub(crate) async fn integer(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        with!(self, pool => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap())
    }

    /// Returns the number of connections.
    pub(crate) fn size(&self) -> i64 {
        with!(self, pool => i64::from(pool.size()))
    }

    pub(crate) async fn migrate(&self, migrator: &Migrator) {
        with!(self, pool => migrator.run(pool).await.unwrap());
    }

    /// Runs a statement in a transaction that stays open until it is released.
    pub(crate) async fn hold(&self, sql: &str) -> Held {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(_) => panic!("SQLite cannot lock single records"),
            Self::Postgres(pool) => {
                let mut transaction = pool.begin().await.unwrap();
                sqlx::raw_sql(sql).execute(&mut *transaction).await.unwrap();
                Held::Postgres(transaction)
            }
            Self::MySql(pool) => {
                let mut transaction = pool.begin().await.unwrap();
                sqlx::raw_sql(sql).execute(&mut *transaction).await.unwrap();
                Held::MySql(transaction)
            }
        }
    }

    /// Ends all sessions in this database except those of this pool.
    pub(crate) async fn end_other_sessions(&self) {
        match self {
            Self::Sqlite(_) => {}
            Self::Postgres(_) => {
                let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
                self.integer(sql).await;
            }
            Self::MySql(pool) => {
                let ids: Vec<i64> = sqlx::query_scalar(
                    "SELECT id FROM information_schema.processlist \
                     WHERE db = database() AND id <> connection_id()",
                )
                .fetch_all(pool)
                .await
                .unwrap();
                for id in ids {
                    // It may have ended by itself.
                    drop(sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(pool).await);
                }
            }
        }
    }

    /// Returns a store that shares this pool.
    pub(crate) async fn store(&self) -> Arc<dyn ProgressStore> {
        match self {
            Self::Sqlite(pool) => Arc::new(migrated!(SqliteStore::new(pool.clone()))),
            Self::Postgres(pool) => Arc::new(migrated!(PostgresStore::new(pool.clone()))),
            Self::MySql(pool) => Arc::new(migrated!(MySqlStore::new(pool.clone()))),
        }
    }

    pub(crate) fn scripts(&self) -> &'static [&'static str] {
        match self {
            Self::Sqlite(_) => SqliteStore::migrations_sql(),
            Self::Postgres(_) => PostgresStore::migrations_sql(),
            Self::MySql(_) => MySqlStore::migrations_sql(),
        }
    }
}

/// A transaction of another session.
pub(crate) enum Held {
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
    MySql(sqlx::Transaction<'static, sqlx::MySql>),
}

impl Held {
    pub(crate) async fn release(self) {
        match self {
            Self::Postgres(transaction) => transaction.rollback().await.unwrap(),
            Self::MySql(transaction) => transaction.rollback().await.unwrap(),
        }
    }
}
