//! Settings of a database or a session, and changes to sessions while a store runs.

use std::time::{Duration, Instant};

use progress_core::{
    Delta, NewEntry, NewProgress, ProgressQuery, ProgressStore, ProgressUpdate, Stamp, testing,
};
use progress_sqlx::{MySqlStore, PostgresStore};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{on_every_database, running};
use crate::database::Database;
use crate::one;

on_every_database!(@on postgres, Postgres,
    hostile_defaults_change_nothing,
    sessions_that_are_read_only_by_default_are_kept,
    an_altered_column_is_no_error,
    ended_sessions_are_no_error,
    an_encoding_that_cannot_hold_the_text_is_found_at_once,
    a_refused_connection_is_named_at_once
);
on_every_database!(@on mysql, MySql,
    sessions_without_autocommit_read_what_is_there,
    ended_sessions_are_no_error,
    a_refused_connection_is_named_at_once
);

/// Changes the defaults of the database, with which every session begins.
async fn hostile_defaults_change_nothing(database: Database) {
    let store = database.store().await;
    drop(store);
    let name = database.url().rsplit_once('/').unwrap().1.to_owned();
    let operator = database.pool().await;
    for setting in [
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
        "default_transaction_deferrable = on",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "datestyle = 'German, DMY'",
        "extra_float_digits = -15",
        "timezone = 'Pacific/Chatham'",
        "standard_conforming_strings = off",
        "client_min_messages = 'debug5'",
        "enable_seqscan = off",
    ] {
        let sql = format!("BEGIN READ WRITE; ALTER DATABASE {name} SET {setting}; COMMIT");
        operator.execute(&sql).await;
    }
    let store = database.store().await;
    testing::conformance(store, 50).await;
    testing::conformance(database.pool().await.store().await, 50).await;
}

/// The store writes in transactions of its own, so it needs no new session.
async fn sessions_that_are_read_only_by_default_are_kept(database: Database) {
    drop(database.store().await);
    let (operator, name) = (database.pool().await, database.url().rsplit_once('/').unwrap().1);
    let sql = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    operator.execute(&sql).await;
    let store = database.store().await;
    let id = running(&store).await.id;
    let mut watcher = PgConnection::connect(database.url()).await.unwrap();
    let sessions = "SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity \
         WHERE datname = current_database()";
    let before: Vec<i32> = sqlx::query_scalar(sessions).fetch_one(&mut watcher).await.unwrap();
    // For longer than the second after which a pool may be replaced again.
    for seq in 1..=60 {
        let stamp = Stamp { writer: Uuid::from_u128(1), seq };
        assert_eq!(store.update(id, &one().with_stamp(stamp)).await.unwrap().succeeded, seq);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let after: Vec<i32> = sqlx::query_scalar(sessions).fetch_one(&mut watcher).await.unwrap();
    assert!(before.iter().all(|session| after.contains(session)), "{before:?}, later {after:?}");
}

/// Alters a column while jobs run, so that prepared statements no longer fit the table.
async fn an_altered_column_is_no_error(database: Database) {
    let store = database.store().await;
    let id = running(&store).await.id;
    let pool = database.pool().await;
    let mut expected = 0;
    for round in 0..4 {
        for _ in 0..5 {
            expected += 1;
            let delta = Delta::new().with_succeeded(1).with_entry(NewEntry::info("line"));
            let seen = store.update(id, &ProgressUpdate::advance(delta)).await.unwrap();
            assert_eq!(seen.succeeded, expected);
            assert!(store.get(id).await.unwrap().is_some());
            store.create(&NewProgress::new("test")).await.unwrap();
            assert!(!store.list(&ProgressQuery::new()).await.unwrap().items.is_empty());
        }
        // Connections are replaced at most once a second.
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        let kind = ["varchar(4000)", "text"][round % 2];
        let sql = format!("ALTER TABLE progress_records ALTER COLUMN message TYPE {kind}");
        pool.execute(&sql).await;
    }
}

/// Ends idle sessions, like an operator or a restart. The store notices when it uses them.
async fn ended_sessions_are_no_error(database: Database) {
    let pool = database.pool().await;
    for store in [database.store().await, pool.store().await] {
        let id = running(&store).await.id;
        for turn in 1..=3 {
            pool.end_other_sessions().await;
            let seen = store.update(id, &one()).await.unwrap();
            assert_eq!(seen.succeeded, turn);
            tokio::time::sleep(Duration::from_millis(1_050)).await;
            pool.end_other_sessions().await;
            assert!(store.get(id).await.unwrap().is_some());
            tokio::time::sleep(Duration::from_millis(1_050)).await;
        }
    }
}

async fn an_encoding_that_cannot_hold_the_text_is_found_at_once(database: Database) {
    let (server, name) = database.url().rsplit_once('/').unwrap();
    let latin = format!("{name}_latin");
    let sql = format!(
        "CREATE DATABASE {latin} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    );
    database.pool().await.execute(&sql).await;
    let error = PostgresStore::connect(&format!("{server}/{latin}")).await.unwrap_err();
    assert!(error.to_string().contains("encoded in LATIN1"), "{error:?}");
}

/// A hook of the application's pool sets what a server's `init_connect` might set.
async fn sessions_without_autocommit_read_what_is_there(database: Database) {
    let writer = database.store().await;
    let id = running(&writer).await.id;
    let options: MySqlConnectOptions = database.url().parse().unwrap();
    let hostile = MySqlPoolOptions::new()
        .max_connections(3)
        .after_connect(|connection, _| {
            Box::pin(async move {
                let sql = "SET SESSION autocommit = 0, \
                    sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'; \
                    SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY";
                sqlx::raw_sql(sql).execute(connection).await.map(|_| ())
            })
        })
        .connect_with(options)
        .await
        .unwrap();
    let store = MySqlStore::new(hostile);
    for turn in 1..=20 {
        assert_eq!(writer.update(id, &one()).await.unwrap().succeeded, 2 * turn - 1);
        assert_eq!(store.get(id).await.unwrap().unwrap().succeeded, 2 * turn - 1);
        assert_eq!(store.update(id, &one()).await.unwrap().succeeded, 2 * turn);
        assert_eq!(writer.get(id).await.unwrap().unwrap().succeeded, 2 * turn);
    }
    testing::conformance(std::sync::Arc::new(store), 50).await;
}

async fn a_refused_connection_is_named_at_once(database: Database) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (scheme, _) = database.url().split_once("://").unwrap();
    let url = format!("{scheme}://user:canary@127.0.0.1:{free}/db");
    let begun = Instant::now();
    let error = progress_sqlx::connect_any(&url).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(error.is_transient());
    let text = format!("{error:?}");
    let wanted = format!("connection refused by 127.0.0.1:{free}");
    assert!(text.contains(&wanted) && !text.contains("canary"), "{text}");
}
