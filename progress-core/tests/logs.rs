//! What an operator reads in the log.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which may panic")]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use progress_core::{
    Failure, Jobs, MemoryStore, NewProgress, ProgressError, ProgressStore, ProgressUpdate, testing,
};
use tracing::subscriber::DefaultGuard;

/// The lines that the current thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// Returns the lines that contain this text, without the spaces before their level.
    fn with(&self, text: &str) -> Vec<String> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let found = log.lines().filter(|line| line.contains(text));
        found.map(|line| line.trim_start().to_owned()).collect()
    }
}

/// Creates jobs whose flush loop runs on this thread, so that the log has its events.
fn jobs(store: Arc<MemoryStore>) -> Jobs {
    testing::jobs(store)
}

#[tokio::test(start_paused = true)]
async fn the_work_runs_in_a_span_that_names_its_job_and_its_attempt() {
    let (log, _guard) = Log::start();
    let jobs = jobs(Arc::default());
    let id = jobs.create(NewProgress::new("import").with_attempts(2)).await.unwrap().id;
    for attempt in 1..=2 {
        let work = async |_| {
            tracing::info!("working");
            tokio::task::yield_now().await;
            if attempt == 1 { Err(Failure::new("broken")) } else { Ok(()) }
        };
        jobs.run(id, work).await.unwrap();
    }
    let span = |attempt| format!("job{{id={id} task_type=\"import\" attempt={attempt}}}");
    let target = module_path!();
    assert_eq!(
        log.with("working"),
        [1, 2].map(|attempt| format!("INFO {}: {target}: working", span(attempt)))
    );
    let event = |what, attempt, more| {
        let core = "progress_core::endings";
        format!("INFO {core}: {what} id={id} task_type=\"import\" attempt={attempt}{more}")
    };
    assert_eq!(log.with("job started"), [event("job started", 1, ""), event("job started", 2, "")]);
    assert_eq!(
        log.with("job ended"),
        [event("job ended", 2, " status=completed succeeded=0 failed=0")]
    );
    let failed = log.with("the attempt failed");
    assert!(failed[0].starts_with("WARN") && failed[0].contains(&format!("id={id}")), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn of_workers_that_race_for_a_job_the_losers_do_not_warn() {
    let (log, _guard) = Log::start();
    let jobs = jobs(Arc::default());
    let id = jobs.create(NewProgress::new("import")).await.unwrap().id;
    let race = [(); 3].map(|()| jobs.run(id, async |_| Ok(())));
    let outcomes = futures_util::future::join_all(race).await;
    let refused = |outcome: &&Result<_, _>| matches!(outcome, Err(ProgressError::Refused { .. }));
    assert_eq!(outcomes.iter().filter(refused).count(), 2);
    let lost = log.with("the job could not be started");
    assert_eq!(lost.len(), 2);
    assert!(lost.iter().all(|line| line.starts_with("DEBUG")), "{lost:?}");
    assert_eq!((log.with("WARN"), log.with("ERROR")), (vec![], vec![]));

    // A start that fails for another reason is a warning.
    let missing = jobs.run(progress_core::ProgressId::new(), async |_| Ok(()));
    missing.await.unwrap_err();
    assert_eq!(log.with("WARN").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_janitor_names_each_job_that_it_ends_or_releases() {
    let (log, _guard) = Log::start();
    let store = Arc::new(MemoryStore::new());
    let jobs = jobs(store.clone());
    let mut expected = Vec::new();
    for (job, status) in [
        (NewProgress::new("import"), "failed"),
        (NewProgress::new("export").with_attempts(2), "pending"),
    ] {
        let id = store.create(&job).await.unwrap().id;
        let started = store.update(id, &ProgressUpdate::start()).await.unwrap();
        expected.push(format!(
            "WARN progress_core::janitor: a worker was lost id={id} task_type=\"{}\" attempt=1 \
             status={status}",
            started.task_type
        ));
    }
    let janitor = tokio::spawn(jobs.janitor().run());
    tokio::time::sleep(Duration::from_secs(120)).await;
    janitor.abort();
    let (mut lost, ended) = (log.with("a worker was lost"), log.with("job ended"));
    lost.sort();
    expected.sort();
    assert_eq!(lost, expected);
    assert_eq!(ended.len(), 1, "the other one waits for its next attempt: {ended:?}");
}
