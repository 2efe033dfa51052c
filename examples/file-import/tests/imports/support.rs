//! Starts the program, sends it files, and compares what it has done with what was in them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use progress_axum::{Progress, ProgressId, ProgressStore as _};
use progress_sqlx::SqliteStore;
use progress_test_support::Server;
use serde_json::Value;
use sqlx::{AssertSqlSafe, SqlitePool};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn start(address: &str, folder: &Path) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_file-import"));
    Server::start(command.arg(address).arg(folder).env("RUST_LOG", "warn"))
}

/// Uploads a file as the page does. Returns the status and the text of the answer.
pub(crate) fn post(server: &Server, file: &[u8]) -> (u16, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let url = format!("{}/imports", server.base());
    let mut answer = ureq::Agent::new_with_config(config).post(url).send(file).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

/// Uploads a file and returns the path of the record of its job.
pub(crate) fn upload(server: &Server, file: &[u8]) -> String {
    let (status, text) = post(server, file);
    assert_eq!(status, 202, "{text}");
    format!("/progress/{text}")
}

pub(crate) fn id(record: &str) -> ProgressId {
    record.rsplit('/').next().unwrap().parse().unwrap()
}

pub(crate) fn is_finished(record: &Value) -> bool {
    record["finished"] == true
}

/// What is in the database of the program, which may be killed meanwhile.
pub(crate) struct Contents {
    pub(crate) store: SqliteStore,
    pool: SqlitePool,
}

impl Contents {
    pub(crate) async fn of(folder: &Path) -> Self {
        let url = format!("sqlite://{}", folder.join("import.db").display());
        let store = SqliteStore::connect(&url).await.unwrap();
        Self { store, pool: SqlitePool::connect(&url).await.unwrap() }
    }

    pub(crate) async fn record(&self, id: ProgressId) -> Progress {
        self.store.get(id).await.unwrap().unwrap()
    }

    /// Counts the rows of a table.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        sqlx::query_scalar(count).fetch_one(&self.pool).await.unwrap()
    }

    pub(crate) async fn execute(&self, statement: String) {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&self.pool).await.unwrap();
    }

    /// Checks that a sample of so many lines was imported exactly.
    pub(crate) async fn assert_imported(&self, server: &Server, id: ProgressId, sample: &Sample) {
        let record = self.record(id).await;
        let [read, check, _] = &*record.stages.as_ref().unwrap().all else { panic!("{record:?}") };
        let (valid, rejected) = (sample.valid.len() as u64, sample.rejected.len() as u64);
        assert_eq!((read.succeeded, read.failed), (valid + rejected, 0));
        assert_eq!((check.succeeded, check.failed), (valid, rejected));
        assert_eq!((record.succeeded, record.failed, record.total), (valid, 0, Some(valid)));
        assert_eq!(record.failed_in_all_stages(), rejected);

        let rows = "SELECT line, name, email, cents FROM customers WHERE job = ? ORDER BY line";
        let rows: Vec<Row> =
            sqlx::query_as(rows).bind(id.to_string()).fetch_all(&self.pool).await.unwrap();
        assert!(rows == sample.valid, "{} rows, not those of the sample", rows.len());
        let file = server.get(&format!("/imports/{id}/rejected.csv")).text;
        assert!(file.lines().skip(1).eq(&sample.rejected), "{file}");

        // Each error once, and a line for each attempt that was lost. A kill can come between an
        // error and the cursor of its chunk, which has ten errors.
        let most = rejected + u64::from(record.attempt) + 10;
        assert!(record.last_entry <= most, "{} entries", record.last_entry);
        // A log keeps the newest 1,000 lines, also those of other kinds.
        let mut items = Vec::new();
        let mut after = 0;
        loop {
            let page = self.store.entries(id, after, 500).await.unwrap();
            items.extend(page.entries.iter().filter_map(|entry| entry.item.clone()));
            let Some(last) = page.entries.last() else { break };
            after = last.seq;
        }
        let expected: Vec<_> = sample
            .rejected
            .iter()
            .map(|line| format!("line {}", line.split(',').next().unwrap()))
            .collect();
        let mut next = None;
        for item in &items {
            let place = expected.iter().position(|line| line == item);
            let place = place.unwrap_or_else(|| panic!("{item} was not rejected"));
            // After a kill, the errors of one chunk may come again.
            let earliest = next.map_or(0, |next: usize| next.saturating_sub(10));
            let latest = next.unwrap_or(expected.len());
            assert!((earliest..=latest).contains(&place), "{item} is at a wrong place");
            next = Some(place + 1);
        }
        assert!(items.len() as u64 >= rejected.min(990), "{} errors in the log", items.len());
    }
}

type Row = (i64, String, String, i64);

/// A file of which one line in a hundred is wrong.
pub(crate) struct Sample {
    pub(crate) file: String,
    valid: Vec<Row>,
    rejected: Vec<String>,
}

impl Sample {
    pub(crate) fn new(lines: i64) -> Self {
        let mut file = "name,email,amount\n".to_owned();
        let (mut valid, mut rejected) = (Vec::new(), Vec::new());
        for line in 2..lines + 2 {
            let (name, email) = (format!("Customer {line}"), format!("c{line}@example.com"));
            let amount = format!("{line}.{:02}", line % 100);
            let (fields, reason) = match line % 400 {
                50 => (format!("{name},c{line},{amount}"), "the email is not an address"),
                150 => (format!("{name},{email},{line}"), "the amount must look like 1234.50"),
                250 => (format!(",{email},{amount}"), "the name must have 1 to 200 bytes"),
                350 => (format!("{name},{email}"), "there must be 3 fields"),
                _ => (format!("{name},{email},{amount}"), ""),
            };
            file.push_str(&fields);
            file.push('\n');
            if reason.is_empty() {
                valid.push((line, name, email, line * 100 + line % 100));
            } else {
                rejected.push(format!("{line},{reason},{fields}"));
            }
        }
        Self { file, valid, rejected }
    }
}
