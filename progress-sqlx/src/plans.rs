//! Tests that the statements which list, sweep and retain records read by an index, however many
//! records there are.
#![allow(clippy::unwrap_used, reason = "test helpers may panic like tests")]

use std::fmt::Write as _;
use std::time::Duration;

use progress_core::Status;
use progress_test_support::{Database, Fill as _, Kind, SqlFiller};
use serde_json::Value as Json;
use sqlx::mysql::{MySql, MySqlConnection};
use sqlx::postgres::{PgConnection, Postgres};
use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::dialect::{Dialect, ListPage};
use crate::value::{Value, values};

/// Beside fewer records a scan may be the best plan.
const RECORDS: u64 = 20_000;

/// A statement, and the index that it is to use.
struct Case {
    name: String,
    sql: &'static str,
    values: Vec<Value>,
    index: &'static str,
}

/// Returns the statements, in both kinds of lists: from the beginning, and from the middle.
fn cases<D: Dialect>() -> Vec<Case> {
    let statements = D::STATEMENTS;
    let middle = chrono::Utc::now().timestamp_millis() - i64::try_from(RECORDS).unwrap() * 1_000;
    let mut cases = Vec::new();
    for before in [i64::MAX, middle] {
        for (name, sql, index, statuses, task_type, owner) in [
            ("list", statements.list, "by_time", None, None, None),
            ("of_owner", statements.list_of_owner, "by_owner", None, None, Some("owner 7")),
            (
                "by_status",
                statements.list_by_status,
                "by_status",
                Some(vec![Status::Cancelled]),
                None,
                None,
            ),
            (
                "of_owner_by_status",
                statements.list_of_owner_by_status,
                "by_owner_and_status",
                Some(vec![Status::Completed, Status::Failed, Status::Cancelled]),
                None,
                Some("owner 7"),
            ),
            (
                "by_type",
                statements.list_by_type,
                "by_type",
                Some(Status::ALL.to_vec()),
                Some("type 7"),
                None,
            ),
            (
                "of_owner_by_type",
                statements.list_of_owner_by_type,
                "by_owner_and_type",
                Some(vec![Status::Pending, Status::Running]),
                Some("type 7"),
                Some("owner 7"),
            ),
        ] {
            let page = ListPage {
                before,
                before_id: String::new(),
                limit: 51,
                statuses,
                task_type: task_type.map(str::to_owned),
                owner: owner.map(str::to_owned),
            };
            let values = D::list(page).unwrap();
            cases.push(Case { name: format!("{name} before {before}"), sql, values, index });
        }
    }
    for (name, sql, values, index) in [
        ("heartbeats", statements.heartbeats, Vec::new(), "by_status"),
        ("unannounced", statements.unannounced, values![100_u32], "unannounced"),
        ("old", statements.old, D::old(30 * 24 * 60 * 60 * 1_000, 50), "finished"),
        ("owned", statements.owned, D::owned("owner 7", 50), "by_owner_and_status"),
    ] {
        cases.push(Case { name: name.to_owned(), sql, values, index });
    }
    cases
}

/// What is wrong with a plan; nothing if it is empty.
type Faults = Vec<String>;

/// A connection that explains statements.
trait Explain: Sized {
    type Dialect: Dialect;
    const KIND: Kind;
    async fn open(url: &str) -> Self;
    async fn faults(&mut self, case: &Case) -> Faults;
}

impl Explain for SqliteConnection {
    type Dialect = Sqlite;
    const KIND: Kind = Kind::Sqlite;

    async fn open(url: &str) -> Self {
        Self::connect(url).await.unwrap()
    }

    async fn faults(&mut self, case: &Case) -> Faults {
        let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", case.sql));
        let rows = sqlx::raw_sql(sql).fetch_all(self).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        let index = format!("INDEX progress_records_{} (", case.index);
        let reads: Vec<_> =
            steps.iter().filter(|step| step.starts_with("SEARCH progress_records")).collect();
        let mut faults: Faults = steps
            .iter()
            .filter(|step| step.starts_with("SCAN progress_") || step.contains("TEMP B-TREE"))
            .cloned()
            .collect();
        if reads.is_empty() || !reads.iter().all(|step| step.contains(&index)) {
            faults.push(format!("not by {index}: {steps:?}"));
        }
        faults
    }
}

/// Returns a parameter as text in SQL.
fn literal(value: &Value) -> String {
    match value {
        Value::Integer(Some(number)) => number.to_string(),
        Value::Text(Some(text)) => format!("'{text}'"),
        Value::Integer(None) | Value::Text(None) => "NULL".to_owned(),
    }
}

impl Explain for PgConnection {
    type Dialect = Postgres;
    const KIND: Kind = Kind::Postgres;

    async fn open(url: &str) -> Self {
        Self::connect(url).await.unwrap()
    }

    /// Explains both plans that a prepared statement may have: for these values, and for any.
    async fn faults(&mut self, case: &Case) -> Faults {
        let mut faults = Vec::new();
        for mode in ["force_custom_plan", "force_generic_plan"] {
            let mut sql =
                format!("SET plan_cache_mode = {mode}; PREPARE statement AS {};", case.sql);
            sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut *self).await.unwrap();
            let values: Vec<_> = case.values.iter().map(literal).collect();
            sql = "EXPLAIN (FORMAT JSON) EXECUTE statement".to_owned();
            if !values.is_empty() {
                write!(sql, " ({})", values.join(", ")).unwrap();
            }
            let explain = sqlx::raw_sql(AssertSqlSafe(sql));
            let row = explain.fetch_one(&mut *self).await.unwrap();
            sqlx::raw_sql("DEALLOCATE statement").execute(&mut *self).await.unwrap();
            // As text, because decoding JSON needs a feature of sqlx.
            let plan: String = row.try_get_unchecked(0).unwrap();
            let plan: Json = serde_json::from_str(&plan).unwrap();
            let mut scans = 0;
            postgres_faults(&plan[0]["Plan"], case, false, &mut scans, &mut faults);
            if scans == 0 {
                faults.push(format!("{mode}: not by {}: {plan}", case.index));
            }
        }
        faults
    }
}

/// Collects the faults of a step and of those below it. `is_sorted`: whether a step above has to
/// read all rows of this one.
fn postgres_faults(
    step: &Json,
    case: &Case,
    is_sorted: bool,
    scans: &mut u32,
    faults: &mut Faults,
) {
    let kind = step["Node Type"].as_str().unwrap();
    let mut is_sorted = is_sorted;
    match kind {
        "Limit" => is_sorted = false,
        "Sort" | "Incremental Sort" | "Hash" | "Aggregate" => is_sorted = true,
        "Seq Scan" => faults.push(format!("reads the whole table: {step}")),
        "Bitmap Index Scan" | "Index Scan" | "Index Only Scan" => {
            *scans += 1;
            let index = format!("progress_records_{}", case.index);
            if step["Index Name"] != index.as_str() || step["Index Cond"].is_null() {
                faults.push(format!("not by a range of {index}: {step}"));
            }
            // A few records may be sorted.
            if is_sorted && step["Plan Rows"].as_u64() > Some(RECORDS / 100) {
                faults.push(format!("sorts everything: {step}"));
            }
            // The index must be of all that a list selects.
            if case.name != "old" && !step["Filter"].is_null() {
                faults.push(format!("may read in vain: {step}"));
            }
        }
        _ => {}
    }
    for below in step["Plans"].as_array().into_iter().flatten() {
        postgres_faults(below, case, is_sorted, scans, faults);
    }
}

impl Explain for MySqlConnection {
    type Dialect = MySql;
    const KIND: Kind = Kind::MySql;

    async fn open(url: &str) -> Self {
        Self::connect(url).await.unwrap()
    }

    async fn faults(&mut self, case: &Case) -> Faults {
        let mut parts = case.sql.split('?');
        let mut sql = format!("EXPLAIN {}", parts.next().unwrap());
        for (part, value) in parts.zip(&case.values) {
            write!(sql, "{}{part}", literal(value)).unwrap();
        }
        let rows = match sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(self).await {
            Ok(rows) => rows,
            // A statement that names a missing index.
            Err(error) => return vec![error.to_string()],
        };
        let index = format!("progress_records_{}", case.index);
        let (mut faults, mut scans) = (Vec::new(), 0);
        for row in rows {
            let text = |name| -> String {
                row.try_get_unchecked::<Option<String>, _>(name).unwrap().unwrap_or_default()
            };
            let [table, kind, key, extra] = ["table", "type", "key", "Extra"].map(text);
            // The merged page is sorted, and its records are read by their ids.
            if table != "progress_records" || key == "PRIMARY" && kind == "eq_ref" {
                continue;
            }
            scans += 1;
            if key != index || !["ref", "range"].contains(&kind.as_str()) {
                faults.push(format!("not by a range of {index}: {kind} {key} {extra}"));
            }
            if extra.contains("filesort") || extra.contains("temporary") {
                faults.push(format!("sorts everything: {extra}"));
            }
        }
        if scans == 0 {
            faults.push(format!("not by {index}"));
        }
        faults
    }
}

async fn check<E: Explain>(database: &Database) {
    let url = database.url();
    let store = crate::connect_any(url).await.unwrap();
    let mut filler = SqlFiller::open(url).await;
    filler.fill(0, RECORDS, Duration::from_secs(3_600)).await;
    filler.settle().await;
    drop(store);
    let mut connection = E::open(url).await;
    let cases = cases::<E::Dialect>();
    for case in &cases {
        let faults = connection.faults(case).await;
        assert!(faults.is_empty(), "{}: {faults:#?}", case.name);
    }

    // The control: without its index, each statement is found out.
    let mut indexes: Vec<_> = cases.iter().map(|case| case.index).collect();
    indexes.sort_unstable();
    indexes.dedup();
    for index in indexes {
        let table = if E::KIND == Kind::MySql { " ON progress_records" } else { "" };
        filler.execute(&format!("DROP INDEX progress_records_{index}{table}")).await;
        // SQLite explains what the connection knows of the tables.
        let mut connection = E::open(url).await;
        for case in cases.iter().filter(|case| case.index == index) {
            let faults = connection.faults(case).await;
            assert!(!faults.is_empty(), "{} is as good without its index", case.name);
        }
    }
}

fn run<E: Explain>() {
    let Some(database) = Database::or_say_so(E::KIND) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(check::<E>(&database));
}

#[test]
fn sqlite_reads_by_an_index() {
    run::<SqliteConnection>();
}

#[test]
fn postgres_reads_by_an_index() {
    run::<PgConnection>();
}

#[test]
fn mysql_reads_by_an_index() {
    run::<MySqlConnection>();
}
