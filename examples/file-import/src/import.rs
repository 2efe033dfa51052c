//! The worker takes pending jobs and imports their files in three stages. Each works in chunks of
//! 1,000 lines: one write to the tables, which changes nothing when it is repeated, and then the
//! counts and the cursor in one write to the record.

use std::time::Duration;

use progress_axum::{
    Completion, Failure, ProgressError, ProgressId, ProgressQuery, Status, TrackerHandle,
};
use serde_json::json;

use crate::{App, csv_file};

/// The stages, with the time that each takes compared with the others.
pub(crate) const STAGES: [(&str, u32); 3] = [("Read", 3), ("Check", 5), ("Import", 3)];

/// Runs the pending jobs, one after the other. The records are the queue: of several processes that
/// try to start a job, one does.
pub(crate) async fn work(app: App) {
    loop {
        let Ok(Some(job)) = next(&app).await else {
            tokio::time::sleep(Duration::from_millis(250)).await; // or the database is away
            continue;
        };
        let (app, jobs) = (app.clone(), app.jobs.clone());
        let run = jobs.run(job, async move |tracker| {
            // Unless the failure is permanent: the database may be busy, or the disk full.
            import(&app, &tracker).await.map_err(|error| error.retry_after(Duration::from_secs(5)))
        });
        // In a task of its own, so that a panic ends this attempt only. The library logs errors,
        // and it is no error if another process was faster.
        let _ = tokio::spawn(run).await;
    }
}

/// Returns the oldest pending job that need not wait for its next attempt.
async fn next(app: &App) -> Result<Option<ProgressId>, ProgressError> {
    let query = ProgressQuery::new().with_task_type("import").with_status(Status::Pending);
    let mut page = app.jobs.list(&query).await?;
    while let Some(older) = page.next {
        page = app.jobs.list(&query.clone().with_cursor(older)).await?;
    }
    Ok(page.items.iter().rfind(|job| job.retry_at <= Some(job.observed_at)).map(|job| job.id))
}

async fn import(app: &App, tracker: &TrackerHandle) -> Result<Completion, Failure> {
    let job = &*tracker.id().to_string();
    // False if an earlier attempt has finished the stage.
    if tracker.begin_stage("Read")? {
        read(app, tracker, job).await?;
    }
    if tracker.begin_stage("Check")? {
        check(app, tracker, job).await?;
    }
    if tracker.begin_stage("Import")? {
        insert(app, tracker, job).await?;
    }
    let end = "SELECT COUNT(*), format('%,d lines imported, %,d rejected', \
         (SELECT COUNT(*) FROM customers WHERE job = ?1), COUNT(*)) \
         FROM lines WHERE job = ?1 AND error IS NOT NULL";
    let (count, text): (i64, String) = sqlx::query_as(end).bind(job).fetch_one(&app.pool).await?;
    let completion = Completion::new().with_message(text);
    let link = json!({"href": format!("imports/{job}/rejected.csv"), "label": "Rejected lines"});
    Ok(if count > 0 { completion.try_with_result(link)? } else { completion })
}

/// Copies the lines of the file into a table.
async fn read(app: &App, tracker: &TrackerHandle, job: &str) -> Result<(), Failure> {
    let mut place = tracker.cursor()?.unwrap_or_default();
    loop {
        tracker.checkpoint().await?; // an error once a viewer has asked to cancel
        let read = || csv_file::read(&app.uploads.join(job), place);
        let (lines, next) = tokio::task::block_in_place(read)?;
        if next.0 == place.0 {
            tracker.set_total(place.0); // less than announced, if there are quoted line breaks
            return Ok(());
        }
        let insert = "INSERT INTO lines (job, line, fields) SELECT ?, value ->> 0, value -> 1 \
             FROM json_each(?) WHERE true ON CONFLICT DO NOTHING";
        sqlx::query(insert).bind(job).bind(lines).execute(&app.pool).await?;
        tracker.inc(next.0 - place.0);
        tracker.save(&next)?; // with the count, in one write
        place = next;
    }
}

/// Finds the lines that cannot be imported.
async fn check(app: &App, tracker: &TrackerHandle, job: &str) -> Result<(), Failure> {
    let count = "SELECT COUNT(*) FROM lines WHERE job = ?";
    tracker.set_total(sqlx::query_scalar(count).bind(job).fetch_one(&app.pool).await?);
    let mut last = tracker.cursor()?.unwrap_or(0);
    loop {
        tracker.checkpoint().await?;
        let lines = "SELECT line, fields FROM lines WHERE job = ? AND line > ? \
             ORDER BY line LIMIT 1000";
        let lines = sqlx::query_as(lines).bind(job).bind(last);
        let lines: Vec<(i64, String)> = lines.fetch_all(&app.pool).await?;
        let Some((end, _)) = lines.last() else { return Ok(()) };
        let mistake = |(line, fields): &(i64, String)| Some((*line, csv_file::mistake(fields)?));
        let rejected: Vec<_> = lines.iter().filter_map(mistake).collect();
        // An upsert, because the planner of an UPDATE would visit all lines of the job.
        let update = "INSERT INTO lines (job, line, fields, error) \
             SELECT ?, value ->> 0, '', value ->> 1 FROM json_each(?) WHERE true \
             ON CONFLICT DO UPDATE SET error = excluded.error";
        sqlx::query(update).bind(job).bind(json!(rejected).to_string()).execute(&app.pool).await?;
        tracker.inc((lines.len() - rejected.len()) as u64);
        for (line, mistake) in rejected {
            tracker.item_failed(format!("line {line}"), mistake);
        }
        tracker.save(end)?;
        last = *end;
    }
}

/// Copies the valid lines into the table of the application.
async fn insert(app: &App, tracker: &TrackerHandle, job: &str) -> Result<(), Failure> {
    let count = "SELECT COUNT(*) FROM valid WHERE job = ?";
    tracker.set_total(sqlx::query_scalar(count).bind(job).fetch_one(&app.pool).await?);
    let mut last = tracker.cursor()?.unwrap_or(0);
    loop {
        tracker.checkpoint().await?;
        let chunk = "SELECT COUNT(*), MAX(line) FROM \
             (SELECT line FROM valid WHERE job = ? AND line > ? ORDER BY line LIMIT 1000)";
        let chunk = sqlx::query_as(chunk).bind(job).bind(last);
        let (count, Some(end)) = chunk.fetch_one(&app.pool).await? else { return Ok(()) };
        let insert = "INSERT INTO customers SELECT * FROM valid \
             WHERE job = ? AND line > ? AND line <= ? ON CONFLICT DO NOTHING";
        sqlx::query(insert).bind(job).bind(last).bind::<i64>(end).execute(&app.pool).await?;
        tracker.inc(count); // with the lines that an attempt has imported before it was killed
        tracker.save(&end)?;
        last = end;
    }
}
