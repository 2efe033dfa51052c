//! A database file that cannot be written for a while: pages go on reading, workers go on working, and nothing is lost.

use std::path::Path;
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use progress_core::{NewProgress, ProgressId, ProgressStore, Tracker};
use progress_http::{ProgressApi, Viewer};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::place::{Place, open, runtime};
use crate::report::{Finding, Report};
use crate::signals::Worker;
use crate::worker::say;

const OUTAGE: Duration = Duration::from_secs(10);
const RESUMES_WITHIN: Duration = Duration::from_secs(5);

pub(crate) fn run(report: &mut Report) {
    report.check("sqlite-locked", || {
        let place = Place::sqlite();
        let mut locker = None;
        outage(place.url(), &mut |begins| {
            if begins {
                let mut worker = Worker::start(&["lock", place.url()]);
                assert_eq!(worker.line().as_deref(), Some("locked"));
                locker = Some(worker);
            } else {
                locker = None;
            }
        })
    });
    let Some(volume) = Volume::mount() else {
        report.not_run("sqlite-full", "a small volume that can be filled needs root to be mounted");
        return;
    };
    report.check("sqlite-full", || {
        let url = format!("sqlite://{}", volume.path().join("progress.db").display());
        outage(&url, &mut |begins| if begins { volume.fill() } else { volume.free() })
    });
}

/// Takes the file for itself, until it is killed.
pub(crate) async fn lock(url: &str) {
    let options = SqliteConnectOptions::from_str(url).unwrap();
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut connection).await.unwrap();
    say("locked");
    std::future::pending::<()>().await;
}

/// What the pages of a job saw while it ran.
#[derive(Default)]
struct Watched {
    is_over: AtomicBool,
    polls: AtomicU32,
    refused: AtomicU32,
    backwards: AtomicU32,
}

/// Runs a job over an outage, polls it all the while, and looks at what came of it.
fn outage(url: &str, switch: &mut dyn FnMut(bool)) -> Finding {
    let runtime = runtime();
    let store = runtime.block_on(open(url));
    let job = runtime.block_on(store.create(&NewProgress::new("prove"))).unwrap().id;
    let tracker = runtime.block_on(Tracker::start(Arc::clone(&store), job)).unwrap();
    let watched = Arc::new(Watched::default());
    let watching = runtime.spawn(watch(Arc::clone(&store), job, Arc::clone(&watched)));

    let mut counted = 0;
    let mut work = |time: Duration| {
        let begun = Instant::now();
        while begun.elapsed() < time {
            tracker.success(format!("item {counted}"));
            counted += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    work(Duration::from_secs(1));
    switch(true);
    work(OUTAGE);
    let before = runtime.block_on(store.get(job)).unwrap().unwrap().succeeded;
    switch(false);
    let healed = Instant::now();
    while runtime.block_on(store.get(job)).unwrap().unwrap().succeeded == before && healed.elapsed() < OUTAGE
    {
        work(Duration::from_millis(20));
    }
    let resumed = healed.elapsed();
    let ended = runtime.block_on(tracker.complete(())).unwrap();
    watched.is_over.store(true, Ordering::Relaxed);
    runtime.block_on(watching).unwrap();
    let [polls, refused, backwards] =
        [&watched.polls, &watched.refused, &watched.backwards].map(|count| count.load(Ordering::Relaxed));
    let lost = counted - ended.succeeded;
    Finding::new(
        lost == 0 && refused == 0 && backwards == 0 && resumed <= RESUMES_WITHIN && before < counted,
        format_args!(
            "{lost} of {counted} counts lost, resumed after {resumed:.1?}, {refused} of {polls} polls not answered, {backwards} backwards"
        ),
        format_args!("0 lost, {RESUMES_WITHIN:?}, 0, 0"),
    )
}

/// Polls as a page does.
async fn watch(store: Arc<dyn ProgressStore>, job: ProgressId, watched: Arc<Watched>) {
    let api = ProgressApi::new(store);
    let mut last = 0;
    while !watched.is_over.load(Ordering::Relaxed) {
        let reply = api.poll(&Viewer::Anyone, &job.to_string(), None).await;
        watched.polls.fetch_add(1, Ordering::Relaxed);
        let record: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        match record["processed_items"].as_u64() {
            Some(now) => {
                watched.backwards.fetch_add(u32::from(now < last), Ordering::Relaxed);
                last = now;
            }
            None => {
                watched.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A small volume of its own, which can be full without harm to the machine.
struct Volume(tempfile::TempDir);

impl Volume {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder.path()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self) {
        // Until there is not a byte left, whatever else grows meanwhile.
        let _ = std::fs::write(self.path().join("filler"), vec![0; 1 << 20]);
    }

    fn free(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
