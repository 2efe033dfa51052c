//! Eight processes that start at once on an empty database; an application's own migrations beside
//! the library's; tables of a newer version.

use std::borrow::Cow;
use std::time::Duration;

use progress_core::{NewProgress, ProgressError, ProgressQuery};
use progress_sqlx::{MySqlStore, PostgresStore, SqliteStore};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{MySqlPool, PgPool, SqlStr, SqlitePool};

use crate::place::{Place, open, runtime};
use crate::report::{Finding, Report};
use crate::signals::Worker;

const PROCESSES: usize = 8;

pub(crate) fn run(report: &mut Report) {
    let rounds = report.rounds(20, 5);
    for kind in Place::databases() {
        report.check(kind.name, || starts(&kind, "start", rounds));
        report.check(&format!("{}-beside", kind.name), || {
            runtime().block_on(beside([kind.another(), kind.another()]))
        });
        report
            .check(&format!("{}-newer", kind.name), || runtime().block_on(newer(&kind.another())));
        if kind.name != "postgres" {
            // Control: sqlx's migrator, whose lock has no effect on these two.
            report.check(&format!("{}-control", kind.name), || {
                // It succeeds now and then.
                let mut rounds = (0..20).map(|_| starts(&kind, "start-with-sqlx", 1));
                let found = rounds.find(|found| !found.passes());
                found.map_or_else(
                    || Finding::new(false, "20 rounds without a failure", "detected"),
                    Finding::must_fail,
                )
            });
        }
    }
}

fn starts(kind: &Place, role: &str, rounds: u32) -> Finding {
    let mut failures = 0;
    for _ in 0..rounds {
        let place = kind.another();
        let mut workers = [(); PROCESSES].map(|()| Worker::start(&[role, place.url()]));
        for worker in &mut workers {
            failures += u32::from(!worker.wait(Duration::from_secs(60)).1);
        }
        let made = runtime().block_on(async {
            place.open().await.list(&ProgressQuery::new()).await.unwrap().items.len()
        });
        failures += u32::from(made != PROCESSES);
    }
    Finding::new(
        failures == 0,
        format_args!("{failures} failures in {rounds} × {PROCESSES} starts"),
        "0",
    )
}

/// The work of each process that starts.
pub(crate) async fn start(url: &str) {
    open(url).await.create(&NewProgress::new("prove")).await.unwrap();
}

/// The same, with tables that sqlx's migrator creates.
pub(crate) async fn start_with_sqlx(url: &str) {
    let ours = match url.split_once(':') {
        Some(("sqlite", _)) => SqliteStore::migrations_sql(),
        Some(("postgres", _)) => PostgresStore::migrations_sql(),
        _ => MySqlStore::migrations_sql(),
    };
    migrate_with_sqlx(url, ours).await.unwrap();
    start(url).await;
}

async fn migrate_with_sqlx(url: &str, scripts: &[&'static str]) -> Result<(), MigrateError> {
    let migrations = (1..).zip(scripts).map(|(version, script)| {
        let script = SqlStr::from_static(script);
        Migration::new(version, Cow::Borrowed("a step"), MigrationType::Simple, script, false)
    });
    let migrator = Migrator::with_migrations(migrations.collect());
    match url.split_once(':') {
        Some(("sqlite", _)) => {
            migrator.run(&SqlitePool::connect(&format!("{url}?mode=rwc")).await.unwrap()).await
        }
        Some(("postgres", _)) => migrator.run(&PgPool::connect(url).await.unwrap()).await,
        _ => migrator.run(&MySqlPool::connect(url).await.unwrap()).await,
    }
}

/// An application that migrates with sqlx at every start, before or after the library.
async fn beside(places: [Place; 2]) -> Finding {
    const INVOICES: &[&str] = &["CREATE TABLE invoices (id INTEGER PRIMARY KEY)"];
    let mut failures = 0;
    for (place, ours_first) in places.into_iter().zip([true, false]) {
        for turn in 0..4 {
            if (turn % 2 == 0) == ours_first {
                failures += u32::from(progress_sqlx::connect_any(place.url()).await.is_err());
            } else {
                failures += u32::from(migrate_with_sqlx(place.url(), INVOICES).await.is_err());
            }
        }
        start(place.url()).await;
    }
    Finding::new(
        failures == 0,
        format_args!(
            "{failures} failures in 2 × 4 migrations, the application's and the library's in turn"
        ),
        "0",
    )
}

/// A program on tables that are too new for it.
async fn newer(place: &Place) -> Finding {
    const TOMORROW: &str = "INSERT INTO progress_schema (version, serves) VALUES (1000, 999)";
    start(place.url()).await;
    let url = place.url();
    let done = match place.name {
        "sqlite" => {
            sqlx::query(TOMORROW).execute(&SqlitePool::connect(url).await.unwrap()).await.map(drop)
        }
        "postgres" => {
            sqlx::query(TOMORROW).execute(&PgPool::connect(url).await.unwrap()).await.map(drop)
        }
        _ => sqlx::query(TOMORROW).execute(&MySqlPool::connect(url).await.unwrap()).await.map(drop),
    };
    done.unwrap();
    let words = match progress_sqlx::connect_any(url).await {
        Err(ProgressError::Setup(words)) => words.into_owned(),
        _ => "no setup error".to_owned(),
    };
    Finding::new(
        ["have version 1000", "upgrade the program"].iter().all(|part| words.contains(part)),
        format_args!("{words:?}"),
        "refused for good, with advice",
    )
}
