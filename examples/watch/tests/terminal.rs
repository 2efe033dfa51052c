//! The program under a pseudo terminal (`script`), whose screen is read as a person sees it, and
//! without a terminal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test reports a failure by panicking"
)]

use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::request::Parts;
use progress_axum::Viewer;
use progress_axum::{Completion, Failure, Jobs, MemoryStore, NewProgress, ProgressApi, ProgressId};
use progress_sqlx::SqliteStore;
use progress_test_support::Network;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
const ROWS: NonZero<u16> = NonZero::new(16).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(80).unwrap();
const WATCH: &str = env!("CARGO_BIN_EXE_watch");

/// A terminal of 80 columns in which the program runs.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<vt100::Parser>>,
    /// All that the program has written.
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn run(arguments: &[&str]) -> Self {
        let command = format!("stty cols 80 rows 16; exec {WATCH} {}", arguments.join(" "));
        // script gives the program a controlling terminal and returns its exit code.
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--flush", "--command", &command, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm-256color")
            .env_remove("DATABASE_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program script, of util-linux or bsdutils");
        let keys = child.stdin.take().unwrap();
        let mut output = child.stdout.take().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let written = Arc::new(Mutex::new(Vec::new()));
        let (shown, kept) = (screen.clone(), written.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..read]);
                kept.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        });
        Self { child, keys, screen, written }
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    async fn shows(&self, expected: &str) {
        let begun = Instant::now();
        while !self.text().contains(expected) {
            let text = self.text();
            assert!(begun.elapsed() < PATIENCE, "{expected:?} is not on the screen:\n{text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    async fn exits_with(&mut self, code: i32) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(status.code(), Some(code), "\n{}", self.text());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves the jobs and returns the address of this one.
async fn serve(jobs: &Jobs, id: ProgressId) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = ProgressApi::new(jobs.clone())
        .with_poll_after(Duration::from_millis(50))
        .with_stale_after(Duration::from_secs(1));
    let viewer = |request: &Parts| match request.headers.get("x-user") {
        Some(user) => Viewer::Owner(user.to_str().unwrap().to_owned()),
        None => Viewer::Anyone,
    };
    let app = progress_axum::router_with::<()>("/progress", api, viewer);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}/progress/{id}")
}

/// A job that processes an item each time that a permit is added.
async fn start(jobs: &Jobs, job: NewProgress) -> (ProgressId, Arc<Semaphore>) {
    let steps = Arc::new(Semaphore::new(0));
    let allowed = steps.clone();
    let job = jobs.spawn(job, async move |tracker| {
        for number in 1..=4 {
            loop {
                tracker.checkpoint().await?;
                if let Ok(step) = timeout(Duration::from_millis(50), allowed.acquire()).await {
                    step.unwrap().forget();
                    break;
                }
            }
            match number {
                2 => tracker.item_failed("CCT2", "550 no such mailbox"),
                _ => tracker.item_done(format!("CCT{number} sent")),
            }
        }
        let result = serde_json::json!({ "href": "/exports/7.csv", "label": "Export" });
        Ok(Completion::new().try_with_result(result)?)
    });
    (job.await.unwrap().id, steps)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_the_job_to_its_end() {
    let jobs = Jobs::new(MemoryStore::new());
    let job = NewProgress::new("email").with_total(4).with_title("Send invoices");
    let (id, steps) = start(&jobs, job).await;
    let mut terminal = Terminal::run(&[&serve(&jobs, id).await]);
    terminal.shows("Send invoices - running").await;
    steps.add_permits(2);
    terminal.shows("error: CCT2 - 550 no such mailbox").await;
    terminal.shows("50 %  2 of 4, 1 error").await;
    steps.add_permits(1);
    terminal.shows("CCT3 sent").await;
    steps.add_permits(1);
    terminal.shows("Export: /exports/7.csv").await;
    terminal.exits_with(0).await;
    terminal.shows("Send invoices - completed").await;
    terminal.shows("100 %  4 of 4, 1 error").await;
    let text = terminal.text();
    assert_eq!(text.matches("Send invoices").count(), 1, "drawn over itself:\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_asks_and_y_cancels_the_job() {
    let jobs = Jobs::new(MemoryStore::new());
    let (id, steps) = start(&jobs, NewProgress::new("email").with_total(4)).await;
    let mut terminal = Terminal::run(&[&serve(&jobs, id).await]);
    terminal.shows("email - running").await;
    terminal.press("\u{3}");
    terminal.shows("Cancel the job?").await;
    terminal.press("n\n");
    steps.add_permits(1);
    terminal.shows("25 %  1 of 4").await;
    assert!(!jobs.get(id).await.unwrap().unwrap().cancel_requested);
    terminal.press("\u{3}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    terminal.press("y\n");
    terminal.shows("email - cancelled").await;
    terminal.exits_with(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ctrl_c_leaves_the_job_running() {
    let jobs = Jobs::new(MemoryStore::new());
    let (id, _steps) = start(&jobs, NewProgress::new("email").with_total(4)).await;
    let mut terminal = Terminal::run(&[&serve(&jobs, id).await]);
    terminal.shows("email - running").await;
    terminal.press("\u{3}");
    terminal.shows("Cancel the job?").await;
    terminal.press("\u{3}");
    terminal.exits_with(130).await;
    terminal.shows("The job goes on; you left it.").await;
    let record = jobs.get(id).await.unwrap().unwrap();
    assert!(record.status.is_active() && !record.cancel_requested);
}

/// Only run by the next test, as a process that is killed.
#[tokio::test]
#[ignore = "a worker for another test"]
async fn worker_process() {
    let Ok(url) = std::env::var("WATCH_TEST_DATABASE") else { return };
    let id = std::env::var("WATCH_TEST_JOB").unwrap().parse().unwrap();
    let jobs = Jobs::new(SqliteStore::connect(&url).await.unwrap());
    let run = jobs.run(id, async |tracker| {
        tracker.item_done("CCT1 sent");
        std::future::pending::<Result<(), Failure>>().await
    });
    run.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_is_shown_as_not_responding_and_then_as_failed() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("jobs.db").display());
    let jobs = Jobs::new(SqliteStore::connect(&url).await.unwrap());
    let job = NewProgress::new("email").with_total(4).with_lease(Duration::from_secs(4));
    let id = jobs.create(job).await.unwrap().id;
    tokio::spawn(jobs.janitor().with_sweep_interval(Duration::from_millis(300)).run());
    let mut worker = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker_process", "--ignored"])
        .env("WATCH_TEST_DATABASE", &url)
        .env("WATCH_TEST_JOB", id.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut over_http = Terminal::run(&[&serve(&jobs, id).await]);
    let mut by_store = Terminal::run(&["--database", &url, &id.to_string()]);
    over_http.shows("CCT1 sent").await;
    by_store.shows("CCT1 sent").await;
    worker.kill().unwrap();
    worker.wait().unwrap();
    over_http.shows("email - not responding").await;
    over_http.shows("email - failed").await;
    over_http.shows("worker lost").await;
    over_http.exits_with(1).await;
    by_store.shows("worker lost").await;
    by_store.exits_with(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_shown_until_it_is_over() {
    let jobs = Jobs::new(MemoryStore::new());
    let (id, steps) = start(&jobs, NewProgress::new("email").with_total(4)).await;
    let network = Network::before(&serve(&jobs, id).await).await;
    let mut terminal = Terminal::run(&[network.url()]);
    terminal.shows("email - running").await;
    network.refuse();
    terminal.shows("email - no news of the job").await;
    terminal.shows("no reply from the server").await;
    steps.add_permits(1);
    network.heal();
    terminal.shows("25 %  1 of 4").await;
    terminal.shows("email - running").await;
    steps.add_permits(3);
    terminal.exits_with(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_reach_no_terminal() {
    let jobs = Jobs::new(MemoryStore::new());
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}evil\r\nnext";
    let job = NewProgress::new("email").with_total(1).with_title(hostile);
    let id = jobs.create(job).await.unwrap().id;
    let run = jobs.run(id, async |tracker| {
        tracker.item_failed(hostile, hostile);
        tracker.message(hostile);
        Err::<(), _>(Failure::new(hostile))
    });
    run.await.unwrap();
    let output = plain(&[&serve(&jobs, id).await]).await;
    for stream in [&output.stdout, &output.stderr] {
        let text = str::from_utf8(stream).unwrap();
        let is_obeyed = |character: char| character.is_control() && character != '\n';
        assert!(!text.contains(is_obeyed) && !text.contains('\u{202e}'), "{text:?}");
    }
    let mut terminal = Terminal::run(&[&serve(&jobs, id).await]);
    terminal.exits_with(1).await;
    terminal.shows("owned").await;
    let written = String::from_utf8_lossy(&terminal.written.lock().unwrap()).into_owned();
    for obeyed in ["\u{1b}]", "\u{1b}[2J", "\u{9b}", "\u{202e}", "\u{7}"] {
        assert!(!written.contains(obeyed), "{obeyed:?} in {written:?}");
    }
}

/// Runs the program without a terminal.
async fn plain(arguments: &[&str]) -> Output {
    let mut command = Command::new(WATCH);
    command.args(arguments).env_remove("DATABASE_URL").stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_there_are_plain_lines() {
    let jobs = Jobs::new(MemoryStore::new());
    let (id, steps) = start(&jobs, NewProgress::new("email").with_total(4)).await;
    let url = serve(&jobs, id).await;
    steps.add_permits(4);
    let output = plain(&[&url]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.contains(&"error: CCT2 - 550 no such mailbox"), "{text}");
    let end = "email - completed - 100 % - 4 of 4, 1 error - Completed in ";
    assert!(lines[lines.len() - 2].starts_with(end), "{text}");
    assert_eq!(lines.last(), Some(&"Export: /exports/7.csv"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_says_how_it_ended() {
    let jobs = Jobs::new(MemoryStore::new());
    let id = jobs.create(NewProgress::new("email").with_owner("ada")).await.unwrap().id;
    let url = serve(&jobs, id).await;
    let missing = plain(&[&url]).await;
    assert_eq!(missing.status.code(), Some(4));
    let text = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(text, "watch: there is no such job, or you may not see it\n");
    jobs.cancel(id).await.unwrap();
    let cancelled = plain(&["--header", "X-User: ada", &url]).await;
    assert_eq!(cancelled.status.code(), Some(3), "{cancelled:?}");
    for wrong in [
        &["no-address"] as &[&str],
        &["--header", "no colon", &url],
        &["--database", "sqlite:///no/such/file.db", &id.to_string()],
        &["--database", "sqlite::memory:", "no-id"],
        &[],
    ] {
        let output = plain(wrong).await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typing_error_creates_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("typo.db");
    let url = format!("sqlite://{}", file.display());
    let output = plain(&["--database", &url, &ProgressId::new().to_string()]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!file.exists());
}
