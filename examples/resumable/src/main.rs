//! Imports the lines of a file. Kill it, and start it again: it continues where it was.

use std::time::Duration;

use progress_core::{Jobs, NewProgress, ProgressError, ProgressId};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, database, file] = <[_; 3]>::try_from(std::env::args().collect::<Vec<_>>())
        .map_err(|_| "give the address of a database and the name of a file")?;
    let jobs = Jobs::new(progress_sqlx::connect_any(&database).await?);
    tokio::spawn(jobs.janitor().with_sweep_interval(Duration::from_secs(1)).run());
    let text = std::fs::read_to_string(&file)?;
    let id = ProgressId::from_uuid(uuid::Uuid::from_u128(1)); // a queue would keep it
    let job = NewProgress::new("import").with_id(id).with_total(text.lines().count() as u64);
    match jobs.create(job.with_attempts(5).with_lease(Duration::from_secs(3))).await {
        Ok(_) | Err(ProgressError::AlreadyExists(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let import = jobs.run(id, async |tracker| {
        let imported = tracker.cursor::<usize>()?.unwrap_or(0);
        for (number, line) in text.lines().enumerate().skip(imported) {
            tokio::time::sleep(Duration::from_millis(5)).await; // here the line is imported
            tracker.item_done(line);
            tracker.save(&(number + 1))?;
        }
        Ok(())
    });
    let ended = import.await?;
    println!("{}: {} lines in {} attempts", ended.status, ended.succeeded, ended.attempt);
    Ok(())
}
