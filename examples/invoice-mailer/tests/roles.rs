//! Pages and workers in separate processes, on every database. Whichever process dies, the pages
//! show nothing false.
#![allow(clippy::unwrap_used, reason = "a test reports a failure by panicking")]

mod support;

use std::time::{Duration, Instant};

use example_support::catcher::Catcher;
use progress_test_support::{Database, Kind, Program, Server};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use crate::support::{PATIENCE, caught, is_finished, number, program, results, send};

/// Makes a test of each function for each kind of database. Without a server, the test says so.
macro_rules! on_every_database {
    ($($name:ident),+ $(,)?) => {
        on_every_database!(@on sqlite, Sqlite, $($name),+);
        on_every_database!(@on postgres, Postgres, $($name),+);
        on_every_database!(@on mysql, MySql, $($name),+);
    };
    (@on $module:ident, $kind:ident, $($name:ident),+) => {
        mod $module {
            $(
                #[test]
                fn $name() {
                    use progress_test_support::{Database, Kind};
                    if let Some(database) = Database::or_say_so(Kind::$kind) {
                        super::$name(&database);
                    }
                }
            )+
        }
    };
}

on_every_database!(
    queued_jobs_wait_for_a_worker_and_survive_the_pages,
    many_workers_run_every_job_once,
    the_job_of_a_killed_worker_is_stale_then_lost_and_the_next_job_runs,
    a_worker_that_stops_keeps_every_count_and_leaves_the_queue,
    a_worker_goes_on_while_the_pages_are_down,
    many_processes_may_start_at_once,
);

/// The lock is held for longer than a connection waits for it.
#[test]
fn a_locked_database_delays_a_job_but_does_not_end_it() {
    let database = Database::new(Kind::Sqlite).unwrap();
    let web = web(&database);
    let worker = worker(&database, &web, "5");
    let job = send(&web, 200);
    web.wait_for(&job, PATIENCE, |record| record["processed_items"].as_u64() >= Some(5));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect(database.url()).await.unwrap();
        let lock = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
        tokio::time::sleep(Duration::from_secs(8)).await;
        lock.rollback().await.unwrap();
    });
    assert!(
        number(&web.get(&job).json, "processed_items") < 200,
        "the lock came too late to try anything"
    );
    let record = done(&web, &job);
    assert_eq!(results(&web, &job, 200), (200, number(&record, "success_count")));
    assert_eq!(caught(&web), number(&record, "success_count"));
    worker.kill();
}

fn web(database: &Database) -> Server {
    let arguments = ["--role", "web", "--listen", "127.0.0.1:0", "--database-url", database.url()];
    Server::start(&mut program(&arguments))
}

/// Starts a worker that sends to the catcher of the pages.
fn worker(database: &Database, web: &Server, delay: &str) -> Program {
    let smtp_url = web.get("/outbox/messages").json["smtp_url"].as_str().unwrap().to_owned();
    let arguments = ["--role", "worker", "--database-url", database.url(), "--delay-ms", delay];
    Program::start(program(&arguments).env("SMTP_URL", smtp_url))
}

fn done(web: &Server, job: &str) -> Value {
    let record = web.wait_for(job, PATIENCE, is_finished);
    assert_eq!(record["status"], "completed", "{record}");
    record
}

fn queued_jobs_wait_for_a_worker_and_survive_the_pages(database: &Database) {
    let web_before = web(database);
    let job = send(&web_before, 20);
    let unwanted = send(&web_before, 20);
    std::thread::sleep(Duration::from_secs(1));
    web_before.kill();

    let web = web(database);
    for job in [&job, &unwanted] {
        let record = web.get(job).json;
        assert_eq!(
            (&record["status"], &record["stale"]),
            (&json!("pending"), &json!(false)),
            "{record}"
        );
    }
    assert_eq!(web.post(&format!("{unwanted}/cancel"), "text/plain", "").status, 200);

    let worker = worker(database, &web, "0");
    let record = done(&web, &job);
    assert_eq!((number(&record, "processed_items"), number(&record, "failed_items")), (20, 2));
    assert_eq!(results(&web, &job, 20), (20, 18));
    // The worker skips the cancelled job and runs the next one.
    let next = send(&web, 5);
    done(&web, &next);
    assert_eq!(web.get(&unwanted).json["status"], "cancelled");
    assert_eq!(results(&web, &unwanted, 20), (0, 0));
    assert_eq!(caught(&web), 18 + 5);
    worker.kill();
}

fn many_workers_run_every_job_once(database: &Database) {
    const JOBS: u64 = 24;
    let web = web(database);
    let before = send(&web, 10);
    let workers: Vec<_> = (0..3).map(|_| worker(database, &web, "1")).collect();
    let mut jobs: Vec<_> = (1..JOBS).map(|_| send(&web, 10)).collect();
    jobs.push(before);
    for job in &jobs {
        let record = done(&web, job);
        assert_eq!((number(&record, "processed_items"), number(&record, "failed_items")), (10, 1));
        assert_eq!(results(&web, job, 10), (10, 9));
    }
    assert_eq!(caught(&web), JOBS * 9, "a mail was sent twice, or not at all");
    drop(workers);
}

fn the_job_of_a_killed_worker_is_stale_then_lost_and_the_next_job_runs(database: &Database) {
    let web = web(database);
    let killed_worker = worker(database, &web, "20");
    let job = send(&web, 10_000);
    let shown =
        web.wait_for(&job, PATIENCE, |record| record["processed_items"].as_u64() >= Some(50));
    killed_worker.kill();
    let killed_at = Instant::now();
    // The next worker starts at once and does not touch the job of the killed one.
    let worker = worker(database, &web, "0");
    let next = send(&web, 10);
    done(&web, &next);

    let found = web.get(&job).json;
    assert_eq!((&found["status"], &found["stale"]), (&json!("running"), &json!(false)), "{found}");
    assert!(
        number(&found, "processed_items") >= number(&shown, "processed_items"),
        "a count was lost"
    );
    let stale = web.wait_for(&job, Duration::from_secs(20), |record| record["stale"] == true);
    let stale_after = killed_at.elapsed();
    assert_eq!(stale["status"], "running");
    let lost = web.wait_for(&job, PATIENCE, is_finished);
    let lost_after = killed_at.elapsed();
    println!("stale after {stale_after:.1?}, lost after {lost_after:.1?}");
    assert!(stale_after <= Duration::from_secs(17) && lost_after <= Duration::from_secs(60));
    assert_eq!(
        (&lost["status"], &lost["error_message"]),
        (&json!("failed"), &json!("worker lost"))
    );
    assert_eq!(
        lost["processed_items"], found["processed_items"],
        "the counts are those last flushed"
    );

    // The job did not run again. Mails that arrived without a result were being sent, or not saved
    // yet, when the worker died.
    let (saved, sent) = results(&web, &job, 10_000);
    assert!(saved >= number(&lost, "processed_items"), "{saved} results, {lost}");
    assert!(
        (sent + 9..=sent + 9 + 4).contains(&caught(&web)),
        "{sent} sent, {} caught",
        caught(&web)
    );
    let last = send(&web, 5);
    done(&web, &last);
    worker.kill();
}

fn a_worker_that_stops_keeps_every_count_and_leaves_the_queue(database: &Database) {
    let web = web(database);
    let stopping = worker(database, &web, "20");
    // As many jobs as it runs at once, and one more.
    let jobs: Vec<_> = (0..4).map(|_| send(&web, 10_000)).collect();
    for job in &jobs {
        web.wait_for(job, PATIENCE, |record| record["processed_items"].as_u64() >= Some(5));
    }
    let waiting = send(&web, 10);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(web.get(&waiting).json["status"], "pending");
    assert!(stopping.terminate(Duration::from_secs(5)).success());

    let mut total = 0;
    for job in &jobs {
        let record = web.get(job).json;
        assert_eq!(record["status"], "failed");
        assert!(
            record["error_message"].as_str().unwrap().starts_with("The program was stopped"),
            "{record}"
        );
        let (saved, sent) = results(&web, job, 10_000);
        assert_eq!(number(&record, "processed_items"), saved);
        total += sent;
    }
    assert_eq!(caught(&web), total);
    assert_eq!(web.get(&waiting).json["status"], "pending");
    let worker = worker(database, &web, "0");
    done(&web, &waiting);
    worker.kill();
}

fn a_worker_goes_on_while_the_pages_are_down(database: &Database) {
    // A mail server outside of both processes.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let catcher = runtime.block_on(Catcher::start()).unwrap();
    let start = |arguments: &[&str]| {
        let mut command = program(&["--database-url", database.url()]);
        command.args(arguments).env("SMTP_URL", catcher.url());
        command
    };
    let web = || Server::start(&mut start(&["--role", "web", "--listen", "127.0.0.1:0"]));
    let worker = Program::start(&mut start(&["--role", "worker", "--delay-ms", "40"]));

    let web_before = web();
    assert_eq!(web_before.get("/outbox/messages").json["built_in"], false);
    let job = send(&web_before, 200);
    let seen = web_before
        .wait_for(&job, PATIENCE, |record| record["processed_items"].as_u64() >= Some(10));
    web_before.kill();
    std::thread::sleep(Duration::from_millis(500));
    let web = web();
    let found = web.get(&job).json;
    assert_eq!(found["status"], "running", "{found}");
    assert!(number(&found, "processed_items") > number(&seen, "processed_items"), "{found}");
    let record = done(&web, &job);
    assert_eq!(results(&web, &job, 200), (200, number(&record, "success_count")));
    assert_eq!(catcher.total(), number(&record, "success_count"));
    worker.kill();
}

fn many_processes_may_start_at_once(database: &Database) {
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let url = database.url().to_owned();
            std::thread::spawn(move || {
                let arguments =
                    ["--role", "web", "--listen", "127.0.0.1:0", "--database-url", &url];
                Server::start(&mut program(&arguments))
            })
        })
        .collect();
    let servers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let job = send(&servers[0], 3);
    for web in &servers {
        assert_eq!(web.get(&job).json["status"], "pending");
    }
}
