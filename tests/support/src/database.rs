//! New and empty databases for tests, of each kind that is available.

use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};
use tempfile::TempDir;

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    Sqlite,
    /// On the server that `PROGRESS_TEST_POSTGRES` names.
    Postgres,
    /// On the server that `PROGRESS_TEST_MYSQL` names.
    MySql,
}

impl Kind {
    const fn variable(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("PROGRESS_TEST_POSTGRES"),
            Self::MySql => Some("PROGRESS_TEST_MYSQL"),
        }
    }
}

/// A new, empty database. A file is deleted when this is dropped. On a server the database stays,
/// because the server is temporary itself.
#[derive(Debug)]
pub struct Database {
    url: String,
    _folder: Option<TempDir>,
}

impl Database {
    /// Creates a database of this kind. Returns `None` if there is no server for it; the test is
    /// then reported as not run, which is a failure in CI.
    ///
    /// # Panics
    ///
    /// If it cannot be created; in CI also if there is no server.
    #[must_use]
    pub fn or_say_so(kind: Kind) -> Option<Self> {
        let database = Self::new(kind);
        if database.is_none() {
            crate::not_run::say(&format!("set {}", kind.variable().unwrap_or_default()));
        }
        database
    }

    /// Creates a database of this kind; `None` if there is no server for it.
    ///
    /// # Panics
    ///
    /// If it cannot be created, or inside a runtime.
    #[must_use]
    pub fn new(kind: Kind) -> Option<Self> {
        let Some(variable) = kind.variable() else {
            let folder = tempfile::tempdir().expect("a folder");
            let url = format!("sqlite://{}", folder.path().join("progress.db").display());
            return Some(Self { url, _folder: Some(folder) });
        };
        let server = std::env::var(variable).ok()?;
        let name = format!("progress_{}", uuid::Uuid::new_v4().simple());
        create(kind, &server, &name);
        // The server's address ends in its default database.
        let (address, _) = server.rsplit_once('/').expect("an address with a database");
        Some(Self { url: format!("{address}/{name}"), _folder: None })
    }

    /// Returns its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn create(kind: Kind, server: &str, name: &str) {
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let outcome = runtime.block_on(async {
        if kind == Kind::Postgres {
            let mut connection = PgConnection::connect(server).await?;
            sqlx::raw_sql(create).execute(&mut connection).await?;
        } else {
            let mut connection = MySqlConnection::connect(server).await?;
            sqlx::raw_sql(create).execute(&mut connection).await?;
        }
        Ok::<_, sqlx::Error>(())
    });
    outcome.expect("the server should create databases");
}
