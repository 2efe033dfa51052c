//! Jobs with stages.

use tokio::time::sleep;

use super::tests::{AFTER_FLUSH, Fixture, fixture};
use super::*;
use crate::flush::{FlushLoop, RunsOn};
use crate::{CachedStore, MemoryStore, NewProgress, ProgressUpdate, Record};

fn job() -> NewProgress {
    NewProgress::new("import").with_stages([("Read", 1), ("Check", 2), ("Import", 7)])
}

/// Runs an attempt that fails at an item of a stage. Returns the record and the items processed.
async fn run(fixture: &Fixture, fails_in: &'static str, after: u64) -> (Progress, Vec<String>) {
    let run = fixture.jobs.run(fixture.id, async move |tracker| {
        let mut done = Vec::new();
        for stage in ["Read", "Check", "Import"] {
            if !tracker.begin_stage(stage)? {
                continue;
            }
            tracker.set_total(10);
            for item in tracker.cursor::<u64>()?.unwrap_or(0)..10 {
                if (stage, item) == (fails_in, after) {
                    return Err(Failure::new(done.join(" ")));
                }
                done.push(format!("{stage}{item}"));
                tracker.inc(1);
                if item % 3 == 2 {
                    tracker.save(&(item + 1))?;
                }
            }
        }
        Ok(Completion::new().with_message(done.join(" ")))
    });
    let progress = run.await.unwrap();
    let text = progress.error.clone().or_else(|| progress.completion_message.clone());
    (progress, text.unwrap_or_default().split(' ').map(str::to_owned).collect())
}

#[tokio::test(start_paused = true)]
async fn an_attempt_skips_the_stages_that_were_finished() {
    let fixture = fixture(job().with_attempts(3)).await;
    let (first, done) = run(&fixture, "Check", 8).await;
    assert_eq!((first.status, done.len()), (Status::Pending, 18));
    assert_eq!((first.succeeded, first.percentage()), (8, Some(26)));
    let (second, done) = run(&fixture, "Import", 1).await;
    assert_eq!(
        (second.attempt, done.join(" ").as_str()),
        (2, "Check6 Check7 Check8 Check9 Import0")
    );
    let (third, done) = run(&fixture, "", 0).await;
    assert_eq!((third.status, done.len(), third.succeeded), (Status::Completed, 10, 10));
    let ended: Vec<_> = third.stages.unwrap().all.iter().map(|stage| stage.succeeded).collect();
    assert_eq!(ended, [10, 10, 0], "the counts of the current stage are those of the record");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_stage_is_an_error_that_says_what_to_do() {
    let plain = fixture(NewProgress::new("test")).await;
    let error = plain.start().await.handle().begin_stage("Read").unwrap_err();
    assert!(error.to_string().contains("with_stages"), "{error}");

    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    let handle = tracker.handle();
    assert!(handle.begin_stage("Reed").unwrap_err().to_string().contains("\"Reed\""));
    assert!(handle.begin_stage("Import").unwrap());
    assert!(handle.begin_stage("Import").unwrap());
    assert!(handle.begin_stage("Check").unwrap_err().to_string().contains("go back"));
    assert_eq!(tracker.complete(()).await.unwrap().stages.unwrap().current, 2);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_wants_to_share_a_job_with_stages_is_refused() {
    let fixture = fixture(job()).await;
    let _first = fixture.start().await;
    let joining = TrackerOptions::new().with_joining();
    let refusal = fixture.jobs.tracker_with(joining, fixture.id).await.unwrap_err();
    assert!(matches!(refusal, ProgressError::Refused { status: Status::Running, .. }));
}

#[tokio::test(start_paused = true)]
async fn items_that_finish_after_their_stage_save_nothing() {
    let fixture = fixture(job().with_attempts(2)).await;
    let tracker = fixture.start().await;
    let handle = tracker.handle();
    let reading = handle.save_in_order();
    let (first, late) = (reading.begin(&1).unwrap(), reading.begin(&2).unwrap());
    first.succeed();
    handle.begin_stage("Check").unwrap();
    handle.inc(5);
    late.succeed();
    let checking = handle.save_in_order();
    sleep(AFTER_FLUSH).await;
    let checkpoint = fixture.read().await.checkpoint.unwrap();
    assert_eq!((checkpoint.stage, checkpoint.cursor, checkpoint.succeeded), (1, None, 0));
    checking.begin(&7).unwrap().succeed();
    sleep(AFTER_FLUSH).await;
    let checkpoint = fixture.read().await.checkpoint.unwrap();
    assert_eq!((checkpoint.cursor, checkpoint.succeeded), (Some(7.into()), 1));
}

/// The worker announces and counts 50 items in each stage, so each stage must end with them,
/// wherever the flush loop cuts the reports.
#[test]
fn a_flush_never_moves_counts_to_another_stage() {
    const JOBS: u64 = 500;
    let mut cuts = 0;
    for _ in 0..JOBS {
        let store = CachedStore::new(Arc::new(MemoryStore::new()));
        let flush = Arc::new(FlushLoop::new(store, RunsOn::Thread));
        let stages = (0..20).map(|stage| (stage.to_string(), 1));
        let job = NewProgress::new("test").with_stages(stages).with_attempts(2);
        let mut record = Record::new(&job, chrono::DateTime::UNIX_EPOCH).unwrap();
        let now = record.progress.created_at;
        record.update(&ProgressUpdate::start(), now).unwrap();
        let reports = Arc::new(Reports::new(record.progress.id, flush));
        reports.started(record.progress.clone());
        let worker = std::thread::spawn({
            let handle = TrackerHandle { reports: Arc::clone(&reports) };
            move || {
                for stage in 0..20 {
                    handle.begin_stage(&stage.to_string()).unwrap();
                    for item in 1..=50 {
                        handle.add_total(1);
                        handle.inc(1);
                        handle.save(&(stage, item)).unwrap();
                    }
                }
            }
        });
        loop {
            let is_last = worker.is_finished();
            record.update(&ProgressUpdate::advance(reports.take()), now).unwrap();
            let progress = &record.progress;
            let stages = progress.stages.as_ref().unwrap();
            for ended in &stages.all[..stages.current] {
                assert_eq!((ended.succeeded, ended.total), (50, Some(50)));
            }
            let checkpoint = progress.checkpoint.as_ref().unwrap();
            if let Some(cursor) = &checkpoint.cursor {
                assert_eq!(*cursor, serde_json::json!((checkpoint.stage, checkpoint.succeeded)));
            }
            cuts += u32::from(!progress.succeeded.is_multiple_of(50));
            if is_last {
                break;
            }
        }
        worker.join().unwrap();
        assert_eq!((record.progress.succeeded, record.progress.current_stage()), (50, 19));
    }
    assert!(cuts > 20, "{cuts} cuts within a stage prove nothing");
}

#[tokio::test(start_paused = true)]
async fn each_stage_renders_its_first_message() {
    let fixture = fixture(job()).await;
    let tracker = fixture.start().await;
    let handle = tracker.handle();
    handle.message_with(|| "reading");
    assert!(handle.begin_stage("Check").unwrap());
    handle.message_with(|| "checking");
    let ended = tracker.complete(()).await.unwrap();
    assert_eq!(ended.message.as_deref(), Some("checking"));
}
