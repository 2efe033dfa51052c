//! A page far back in a long list costs as much as the first one.

use std::time::{Duration, Instant};

use progress_core::{Cursor, Delta, NewProgress, ProgressQuery, ProgressStore, ProgressUpdate};
use sqlx::{Connection as _, SqliteConnection};

use crate::place::{Place, runtime};
use crate::report::{Finding, Report};

const JOBS: u32 = 100_000;
const PAGE: u32 = 100;
const OWNER: &str = "ann";

/// How much longer a page may take than the first one: what a noisy machine makes of equal.
const MOST: f64 = 1.5;

pub(crate) fn run(report: &mut Report) {
    let rounds = report.rounds(101, 21);
    let place = Place::sqlite();
    runtime().block_on(fill(&place));
    for (part, query) in [
        ("sqlite", ProgressQuery::new().with_limit(PAGE)),
        ("sqlite-owned", ProgressQuery::new().with_limit(PAGE).with_owner(OWNER)),
    ] {
        report.check(part, || {
            let [first, hundredth, last] = runtime().block_on(pages(&place, &query, rounds));
            let ratio = hundredth.as_secs_f64() / first.as_secs_f64();
            let far = last.as_secs_f64() / first.as_secs_f64();
            Finding::new(
                ratio <= MOST && far <= MOST,
                format_args!(
                    "of {JOBS} jobs, page 1: {first:.2?}, page 100: {hundredth:.2?} \
                     ({ratio:.2} times), the last: {last:.2?} ({far:.2} times)"
                ),
                format_args!("{MOST} times"),
            )
        });
    }
    // Control: the same pages by their number.
    report.check("control", || {
        let [first, last] = runtime().block_on(offsets(&place, rounds));
        let far = last.as_secs_f64() / first.as_secs_f64();
        Finding::new(far <= MOST, format_args!("{far:.1} times with an offset"), MOST).must_fail()
    });
}

/// Creates jobs that have ended, of two owners.
async fn fill(place: &Place) {
    let store = place.open().await;
    let id = store.create(&NewProgress::new("prove").with_owner(OWNER)).await.unwrap().id;
    store.update(id, &ProgressUpdate::start()).await.unwrap();
    store.update(id, &ProgressUpdate::fail(Delta::new(), "over")).await.unwrap();
    // As copies of a record of the library: one by one, they would take minutes.
    let mut connection = SqliteConnection::connect(place.url()).await.unwrap();
    let sql = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers \
         WHERE n < {JOBS}) INSERT INTO progress_records (id, owner, task_type, status, succeeded, \
         failed, title, cancel_requested, auto_complete, lease, workers, pace, last_entry, \
         version, created_at, started_at, updated_at, finished_at) \
         SELECT printf('%08x-0000-4000-8000-%012x', n, n), \
         CASE n % 2 WHEN 0 THEN owner ELSE 'bob' END, task_type, status, succeeded, failed, \
         'A title of the usual length ' || n, cancel_requested, auto_complete, lease, workers, \
         pace, last_entry, version, created_at - n / 3, started_at - n / 3, updated_at, \
         finished_at FROM progress_records, numbers"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    sqlx::query("ANALYZE").execute(&mut connection).await.unwrap();
}

/// Returns the median times of the first page, the hundredth and the last full one.
async fn pages(place: &Place, query: &ProgressQuery, rounds: u32) -> [Duration; 3] {
    let store = place.open().await;
    let mut cursors: Vec<Option<Cursor>> = vec![None];
    while let Some(next) = store.list(&at(query, cursors[cursors.len() - 1])).await.unwrap().next {
        cursors.push(Some(next));
    }
    let last = cursors.len() - 2;
    let wanted = [cursors[0], cursors[99], cursors[last]];
    let mut times = [const { Vec::new() }; 3];
    // In turn, so that a busy moment of the machine affects all.
    for _ in 0..rounds {
        for (cursor, times) in wanted.iter().zip(&mut times) {
            let query = at(query, *cursor);
            let began = Instant::now();
            let page = store.list(&query).await.unwrap();
            times.push(began.elapsed());
            assert_eq!(page.items.len(), PAGE as usize);
        }
    }
    times.map(median)
}

fn at(query: &ProgressQuery, cursor: Option<Cursor>) -> ProgressQuery {
    cursor.map_or_else(|| query.clone(), |cursor| query.clone().with_cursor(cursor))
}

async fn offsets(place: &Place, rounds: u32) -> [Duration; 2] {
    let mut connection = SqliteConnection::connect(place.url()).await.unwrap();
    let mut times = [const { Vec::new() }; 2];
    for _ in 0..rounds {
        for (offset, times) in [0_u32, 98_900].into_iter().zip(&mut times) {
            let began = Instant::now();
            let found = sqlx::query(
                "SELECT * FROM progress_records ORDER BY created_at DESC, id DESC LIMIT $1 \
                 OFFSET $2",
            )
            .bind(PAGE)
            .bind(offset)
            .fetch_all(&mut connection)
            .await
            .unwrap();
            times.push(began.elapsed());
            assert_eq!(found.len(), PAGE as usize);
        }
    }
    times.map(median)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
