//! Pages and workers in separate processes, on SQLite, PostgreSQL and Redis. Whichever process
//! dies, the pages show nothing false.
#![allow(clippy::unwrap_used, reason = "a test reports a failure by panicking")]

mod support;

use std::any::Any;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use example_support::catcher::Catcher;
use mailparse::MailHeaderMap;
use progress_test_support::{Database, Kind, Program, RedisServer, Server};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use crate::support::{
    ACCEPTED_OF_180, PATIENCE, caught, is_finished, number, program, results, send,
};

/// Makes a test of each function for each place of the data. Without a server, the test says so.
macro_rules! everywhere {
    ($($name:ident),+ $(,)?) => {
        everywhere!(@at sqlite, $($name),+);
        everywhere!(@at postgres, $($name),+);
        everywhere!(@at redis, $($name),+);
    };
    (@at $place:ident, $($name:ident),+) => {
        mod $place {
            $(
                #[test]
                fn $name() {
                    if let Some(place) = super::Place::$place() {
                        super::$name(&place);
                    }
                }
            )+
        }
    };
}

/// Where the data is.
struct Place {
    url: String,
    _keeper: Box<dyn Any>,
}

impl Place {
    fn sqlite() -> Option<Self> {
        Some(Self::on(Database::or_say_so(Kind::Sqlite)?))
    }

    fn postgres() -> Option<Self> {
        Some(Self::on(Database::or_say_so(Kind::Postgres)?))
    }

    fn redis() -> Option<Self> {
        let server = RedisServer::or_say_so(&[])?;
        Some(Self { url: server.url(), _keeper: Box::new(server) })
    }

    fn on(database: Database) -> Self {
        Self { url: database.url().to_owned(), _keeper: Box::new(database) }
    }
}

everywhere!(
    queued_jobs_wait_for_a_worker_and_survive_the_pages,
    many_workers_run_every_job_once,
    the_job_of_a_killed_worker_is_stale_and_then_goes_on,
    the_jobs_of_a_stopped_worker_go_on_at_once_and_no_mail_is_sent_twice,
    at_most_one_mail_is_sent_twice_for_each_kill,
    a_worker_goes_on_while_the_pages_are_down,
    many_processes_may_start_at_once,
    the_errors_of_a_job_are_sent_again,
);

fn the_errors_of_a_job_are_sent_again(place: &Place) {
    let web = web(place);
    let worker = worker(place, &web, "0");
    let job = send(&web, 180);
    done(&web, &job);
    let path = job.replace("progress", "invoices");
    let [first, second] = [(); 2].map(|()| web.post(&format!("{path}/again"), "text/plain", ""));
    assert_eq!((first.status, second.status), (202, 200), "{}", first.text);
    assert_eq!(first.json["job_id"], second.json["job_id"]);
    let again = format!("/progress/{}", first.json["job_id"].as_str().unwrap());
    let record = done(&web, &again);
    let failed = 180 - ACCEPTED_OF_180;
    assert_eq!((number(&record, "total_items"), number(&record, "failed_items")), (failed, failed));
    let errors = web.get(&format!("{path}?errors=true")).json["invoices"].clone();
    let again = web.get(&again.replace("progress", "invoices")).json["invoices"].clone();
    assert_eq!((errors.as_array().unwrap().len() as u64, &again), (failed, &errors));
    worker.kill();
}

/// The lock is held for longer than a connection waits for it.
#[test]
fn a_locked_database_delays_a_job_but_does_not_end_it() {
    let place = Place::sqlite().unwrap();
    let web = web(&place);
    let worker = worker(&place, &web, "5");
    let job = send(&web, 200);
    web.wait_for(&job, PATIENCE, |record| record["processed_items"].as_u64() >= Some(5));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&place.url).await.unwrap();
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

/// Records, queue and results are away for ten seconds. apalis ends the worker, and the program
/// starts another one.
#[test]
fn a_restart_of_redis_delays_a_job_but_does_not_end_it() {
    let Some(mut server) = RedisServer::or_say_so(&["--appendonly", "yes"]) else { return };
    let place = Place { url: server.url(), _keeper: Box::new(()) };
    let web = web(&place);
    let worker = worker(&place, &web, "50");
    let job = send(&web, 180);
    web.wait_for(&job, PATIENCE, |record| record["processed_items"].as_u64() >= Some(10));
    server.kill();
    std::thread::sleep(Duration::from_secs(10));
    server.start_again();
    let record = done(&web, &job);
    // After a long outage, the first request may only find that the connection is lost.
    drop(web.get(&job.replace("progress", "invoices")));
    assert_all_sent(&web, &job, &record, 1);
    let next = send(&web, 5);
    done(&web, &next);
    assert_eq!(caught(&web), ACCEPTED_OF_180 + 5);
    worker.kill();
}

fn web(place: &Place) -> Server {
    let arguments = ["--role", "web", "--listen", "127.0.0.1:0", "--database-url", &place.url];
    Server::start(&mut program(&arguments))
}

/// Starts a worker that sends to the catcher of the pages.
fn worker(place: &Place, web: &Server, delay: &str) -> Program {
    let smtp_url = web.get("/outbox/messages").json["smtp_url"].as_str().unwrap().to_owned();
    let arguments = ["--role", "worker", "--database-url", &place.url, "--delay-ms", delay];
    Program::start(program(&arguments).env("SMTP_URL", smtp_url))
}

fn done(web: &Server, job: &str) -> Value {
    let record = web.wait_for(job, PATIENCE, is_finished);
    assert_eq!(record["status"], "completed", "{record}");
    record
}

fn queued_jobs_wait_for_a_worker_and_survive_the_pages(place: &Place) {
    let web_before = web(place);
    let job = send(&web_before, 20);
    let unwanted = send(&web_before, 20);
    std::thread::sleep(Duration::from_secs(1));
    web_before.kill();

    let web = web(place);
    for job in [&job, &unwanted] {
        let record = web.get(job).json;
        assert_eq!(
            (&record["status"], &record["stale"]),
            (&json!("pending"), &json!(false)),
            "{record}"
        );
    }
    assert_eq!(web.post(&format!("{unwanted}/cancel"), "text/plain", "").status, 200);

    let worker = worker(place, &web, "0");
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

fn many_workers_run_every_job_once(place: &Place) {
    const JOBS: u64 = 24;
    let web = web(place);
    let before = send(&web, 10);
    let workers: Vec<_> = (0..3).map(|_| worker(place, &web, "1")).collect();
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

fn the_job_of_a_killed_worker_is_stale_and_then_goes_on(place: &Place) {
    let web = web(place);
    let killed_worker = worker(place, &web, "100");
    let job = send(&web, 180);
    let shown =
        web.wait_for(&job, PATIENCE, |record| record["processed_items"].as_u64() >= Some(50));
    killed_worker.kill();
    let killed_at = Instant::now();
    // The next worker leaves the job alone as long as the killed one may be alive.
    let worker = worker(place, &web, "0");
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
    let record = done(&web, &job);
    let done_after = killed_at.elapsed();
    println!("stale after {stale_after:.1?}, done after {done_after:.1?}");
    assert!(stale_after <= Duration::from_secs(17) && done_after <= Duration::from_secs(65));
    assert_all_sent(&web, &job, &record, 2);
    let begun = carried_over(place, &job);
    assert!(
        // The cursor is behind the mails that were being sent.
        begun + 20 >= number(&found, "processed_items"),
        "the second attempt began at {begun}, {found}"
    );

    assert_eq!(reached(&web) as u64, ACCEPTED_OF_180);
    let twice = caught(&web) - ACCEPTED_OF_180 - 9;
    println!("{twice} mails were sent twice");
    assert!(twice <= 4, "{twice} mails were sent twice, of at most 4 that were being sent");
    worker.kill();
}

/// Checks that a job of 180 mails has completed in this attempt with exact counts.
fn assert_all_sent(web: &Server, job: &str, record: &Value, attempt: u64) {
    let counts = ["processed_items", "failed_items", "attempt"].map(|name| number(record, name));
    assert_eq!(counts, [180, 180 - ACCEPTED_OF_180, attempt], "{record}");
    assert_eq!(results(web, job, 180), (180, ACCEPTED_OF_180));
}

/// Returns how many customers have got a mail, of the newest 200 mails.
fn reached(server: &Server) -> usize {
    let outbox = server.get("/outbox/messages").json;
    let mails = outbox["messages"].as_array().unwrap();
    mails.iter().map(|mail| mail["to"][0].as_str().unwrap()).collect::<HashSet<_>>().len()
}

/// Returns with how many processed items the last attempt of a job began.
fn carried_over(place: &Place, job: &str) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let id = job.rsplit('/').next().unwrap().parse().unwrap();
    runtime.block_on(async {
        let store = progress_redis::connect_any(&place.url).await.unwrap();
        store.get(id).await.unwrap().unwrap().carried_over
    })
}

fn the_jobs_of_a_stopped_worker_go_on_at_once_and_no_mail_is_sent_twice(place: &Place) {
    let web = web(place);
    let stopping = worker(place, &web, "400");
    // As many jobs as it runs at once, and one more.
    let jobs: Vec<_> = (0..4).map(|_| send(&web, 45)).collect();
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
        assert_eq!((&record["status"], &record["retrying"]), (&json!("pending"), &json!(true)));
        assert!(
            record["error_message"].as_str().unwrap().starts_with("The program was stopped"),
            "{record}"
        );
        let (saved, sent) = results(&web, job, 45);
        assert_eq!(number(&record, "processed_items"), saved);
        assert!(saved < 45, "the worker was stopped too late");
        total += sent;
    }
    assert_eq!(caught(&web), total);
    assert_eq!(web.get(&waiting).json["status"], "pending");

    let worker = worker(place, &web, "10");
    for job in &jobs {
        web.wait_for(job, Duration::from_secs(5), |record| record["attempt"] == 2);
    }
    for job in &jobs {
        let record = done(&web, job);
        assert_eq!((number(&record, "processed_items"), number(&record, "failed_items")), (45, 3));
        assert_eq!(results(&web, job, 45), (45, 42));
    }
    done(&web, &waiting);
    assert_eq!(caught(&web), 4 * 42 + 9, "a mail was sent twice, or not at all");
    worker.kill();
}

fn at_most_one_mail_is_sent_twice_for_each_kill(place: &Place) {
    const KILLS: u64 = 3;
    // A mail server outside of both processes.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let catcher = runtime.block_on(Catcher::start()).unwrap();
    let command = |arguments: &[&str]| {
        let mut command = program(&["--database-url", &place.url, "--lease", "5"]);
        command.args(arguments).env("SMTP_URL", catcher.url());
        command
    };
    let web = Server::start(&mut command(&["--role", "web", "--listen", "127.0.0.1:0"]));
    let worker = || {
        let arguments = ["--role", "worker", "--in-flight", "1", "--delay-ms", "15"];
        Program::start(&mut command(&arguments))
    };
    let job = send(&web, 180);
    for kill in 1..=KILLS {
        let worker = worker();
        web.wait_for(&job, PATIENCE, |record| {
            record["attempt"] == kill && record["processed_items"].as_u64() >= Some(40 * kill)
        });
        worker.kill();
    }
    let worker = worker();
    let record = done(&web, &job);
    assert_all_sent(&web, &job, &record, KILLS + 1);

    let mails = catcher.messages();
    let customers: HashSet<_> = mails.iter().map(|mail| &mail.to).collect();
    assert_eq!(customers.len() as u64, ACCEPTED_OF_180);
    let twice = catcher.total() - ACCEPTED_OF_180;
    println!("{twice} mails were sent twice after {KILLS} kills");
    assert!(twice <= KILLS, "{twice} mails were sent twice");
    // A mail that was sent twice has the same id both times.
    let ids: HashSet<_> = mails
        .iter()
        .map(|mail| {
            let raw = catcher.message(mail.id).unwrap().raw;
            let (headers, _) = mailparse::parse_headers(&raw).unwrap();
            headers.get_first_value("Message-ID").unwrap()
        })
        .collect();
    assert_eq!(ids.len() as u64, ACCEPTED_OF_180);
    worker.kill();
}

fn a_worker_goes_on_while_the_pages_are_down(place: &Place) {
    // A mail server outside of both processes.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let catcher = runtime.block_on(Catcher::start()).unwrap();
    let start = |arguments: &[&str]| {
        let mut command = program(&["--database-url", &place.url]);
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

fn many_processes_may_start_at_once(place: &Place) {
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let url = place.url.clone();
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
