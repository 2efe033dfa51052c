//! A check's own session on a database server.

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

pub(crate) enum Session {
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

impl Session {
    pub(crate) async fn open(url: &str) -> Self {
        if url.starts_with("postgres") {
            Self::Postgres(PgConnection::connect(url).await.unwrap())
        } else {
            Self::MySql(MySqlConnection::connect(url).await.unwrap())
        }
    }

    /// Runs one statement or several.
    pub(crate) async fn run(&mut self, script: &str) {
        let script = sqlx::raw_sql(AssertSqlSafe(script.to_owned()));
        match self {
            Self::Postgres(connection) => drop(script.execute(connection).await.unwrap()),
            Self::MySql(connection) => drop(script.execute(connection).await.unwrap()),
        }
    }

    /// Returns the integers that a query selects.
    pub(crate) async fn numbers(&mut self, query: &str) -> Vec<i64> {
        let query = AssertSqlSafe(query.to_owned());
        match self {
            Self::Postgres(connection) => {
                sqlx::query_scalar(query).fetch_all(connection).await.unwrap()
            }
            Self::MySql(connection) => {
                sqlx::query_scalar(query).fetch_all(connection).await.unwrap()
            }
        }
    }

    /// Ends the session, which rolls back what was not committed.
    pub(crate) async fn close(self) {
        match self {
            Self::Postgres(connection) => connection.close().await.unwrap(),
            Self::MySql(connection) => connection.close().await.unwrap(),
        }
    }
}
