//! Jobs whose mail server is away, refuses the login, or loses a connection.
#![allow(clippy::unwrap_used, reason = "a test reports a failure by panicking")]

use std::sync::Arc;
use std::time::Duration;

use example_support::catcher::Catcher;
use example_support::language::Language;
use example_support::mailer::Mailer;
use invoice_mailer::job::Sending;
use invoice_mailer::queue::{Batch, Order, TASK_TYPE};
use invoice_mailer::storage::Storage;
use invoice_mailer::worker::Worker;
use progress_axum::{Jobs, NewProgress, Progress, ProgressId, Status};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// A worker that runs one job.
struct Office {
    jobs: Jobs,
    job: ProgressId,
    _stop: watch::Sender<bool>,
    _folder: TempDir,
}

impl Office {
    async fn sending(smtp_url: &str, count: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("invoices.db").display());
        let storage = Storage::open("url", &url, Duration::from_secs(45)).await.unwrap();
        let Storage { store, deliveries, queue } = storage;
        let jobs = Jobs::new(store);
        let job = NewProgress::new(TASK_TYPE).with_total(u64::from(count)).with_attempts(5);
        let batch = Batch { count, again_of: Vec::new() };
        let order = Order { batch, language: Language::English };
        let job = queue.submit(&jobs, job, order).await.unwrap().id;

        let (stop, stopping) = watch::channel(false);
        let sending = Sending {
            mailer: Arc::new(Mailer::new(smtp_url, 4).unwrap()),
            deliveries,
            pause: Duration::ZERO,
            in_flight: 4,
            stopping,
        };
        let worker = Worker { jobs: jobs.clone(), queue, sending };
        tokio::spawn(worker.run(1));
        Self { jobs, job, _stop: stop, _folder: folder }
    }

    async fn wait_for(&self, is_so: impl Fn(&Progress) -> bool) -> Progress {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let record = self.jobs.get(self.job).await.unwrap().unwrap();
            if is_so(&record) {
                return record;
            }
            assert!(Instant::now() < deadline, "{record:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Starts a mail server that replies as `reply` says, or closes the connection. Returns its
/// address.
async fn mail_server(reply: fn(&str) -> Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A lost connection ends only its own dialogue.
            tokio::spawn(async move { drop(converse(stream, reply).await) });
        }
    });
    address
}

async fn converse(
    stream: TcpStream,
    reply: fn(&str) -> Option<&'static str>,
) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    writer.write_all(b"220 ready\r\n").await?;
    let mut lines = BufReader::new(reader).lines();
    let mut in_message = false;
    while let Some(line) = lines.next_line().await? {
        if in_message && line != "." {
            continue;
        }
        in_message = line == "DATA";
        let Some(reply) = reply(&line) else { return Ok(()) };
        writer.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_login_fails_the_job_at_once() {
    let address = mail_server(|line| match line.split(' ').next()? {
        "EHLO" => Some("250-here\r\n250 AUTH PLAIN"),
        "AUTH" => Some("535 5.7.8 wrong password"),
        _ => Some("250 fine"),
    })
    .await;
    let office = Office::sending(&format!("smtp://someone:sesame@{address}"), 20).await;
    let record = office.wait_for(|record| record.status.is_finished()).await;
    assert_eq!((record.status, record.attempt, record.processed()), (Status::Failed, 1, 0));
    assert!(record.error.unwrap().contains("refuses the login"));
}

#[tokio::test]
async fn an_absent_mail_server_delays_the_job_and_costs_no_mail() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let office = Office::sending(&format!("smtp://{address}"), 20).await;
    let waiting = office.wait_for(|record| record.attempt == 1 && record.is_retrying()).await;
    assert_eq!(waiting.processed(), 0, "a mail without a reply is sent again");
    assert!(waiting.error.unwrap().contains("cannot be reached"));
    let delay = (waiting.retry_at.unwrap() - waiting.updated_at).to_std().unwrap();
    assert_eq!(delay, Duration::from_secs(30));

    let catcher = Catcher::start_at(&address).await.unwrap();
    let record = office.wait_for(|record| record.status.is_finished()).await;
    assert_eq!((record.status, record.attempt), (Status::Completed, 2));
    assert_eq!((record.succeeded, record.failed, catcher.total()), (18, 2, 18));
}

#[tokio::test]
async fn a_mail_without_a_reply_is_an_error_of_its_own_if_the_server_replies_to_others() {
    let address = mail_server(|line| match line.split(' ').next()? {
        "RCPT" if line.contains("+0003@") => None,
        "DATA" => Some("354 go on"),
        _ => Some("250 fine"),
    })
    .await;
    let office = Office::sending(&format!("smtp://{address}"), 20).await;
    let record = office.wait_for(|record| record.attempt == 1 && record.workers == 0).await;
    assert_eq!((record.status, record.error), (Status::Completed, None));
    assert_eq!((record.succeeded, record.failed), (19, 1));
}
