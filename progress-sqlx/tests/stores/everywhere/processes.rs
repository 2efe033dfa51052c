//! Several processes on one database. This test binary starts itself, with the address in an
//! environment variable.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use progress_core::{NewProgress, ProgressId, ProgressQuery, Stamp};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{on_every_database, running};
use crate::database::{Database, Kind};
use crate::one;

const ADDRESS: &str = "PROGRESS_TEST_ADDRESS";
const EACH: &str = "PROGRESS_TEST_EACH";
const JOB: &str = "PROGRESS_TEST_JOB";

on_every_database!(eight_processes_may_start_at_once, two_processes_lose_no_count);

fn again(test: &str, address: &str, job: Option<(ProgressId, u64)>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(ADDRESS, address);
    if let Some((job, each)) = job {
        command.env(JOB, job.to_string()).env(EACH, each.to_string());
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn assert_success(child: Child) {
    let output = child.wait_with_output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

/// Runs in the child processes. Without their environment it does nothing.
#[tokio::test]
async fn a_start_in_a_process_of_its_own() {
    if let Ok(address) = std::env::var(ADDRESS) {
        let store = progress_sqlx::connect_any(&address).await.unwrap();
        store.create(&NewProgress::new("test")).await.unwrap();
    }
}

async fn eight_processes_may_start_at_once(database: Database) {
    for round in 0..10 {
        let fresh = if round == 0 { None } else { Database::new(database.kind()).await };
        let database = fresh.as_ref().unwrap_or(&database);
        let test = "everywhere::processes::a_start_in_a_process_of_its_own";
        let children: Vec<_> = (0..8).map(|_| again(test, database.url(), None)).collect();
        children.into_iter().for_each(assert_success);
        let page = database.store().await.list(&ProgressQuery::new()).await.unwrap();
        assert_eq!(page.items.len(), 8);
    }
}

const TASKS: u64 = 64;

/// Returns the number of updates per task. Servers take two minutes for 128,000 updates from an
/// unoptimised program, so a debug build sends only a quarter of them.
fn each(kind: Kind) -> u64 {
    if cfg!(debug_assertions) && kind != Kind::Sqlite { 250 } else { 1_000 }
}

/// Runs in the child processes. Without their environment it does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn counts_of_a_process_of_its_own() {
    let (Ok(address), Ok(job)) = (std::env::var(ADDRESS), std::env::var(JOB)) else {
        return;
    };
    let job: ProgressId = job.parse().unwrap();
    let each: u64 = std::env::var(EACH).unwrap().parse().unwrap();
    let store = progress_sqlx::connect_any(&address).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let writer = Uuid::new_v4();
            for seq in 1..=each {
                let update = one().with_stamp(Stamp { writer, seq });
                // On a busy machine, one of 64 tasks may have to wait for longer than a call may
                // take.
                while let Err(error) = store.update(job, &update).await {
                    assert!(error.is_transient(), "{error:?}");
                    println!("retrying: {error:?}");
                }
            }
        });
    }
    tasks.join_all().await;
}

async fn two_processes_lose_no_count(database: Database) {
    let store = database.store().await;
    let job = running(&store).await;
    let started = Instant::now();
    let test = "everywhere::processes::counts_of_a_process_of_its_own";
    let children =
        [(); 2].map(|()| again(test, database.url(), Some((job.id, each(database.kind())))));
    children.into_iter().for_each(assert_success);
    let updates = 2 * TASKS * each(database.kind());
    println!("{updates} updates by two processes in {:.1} s", started.elapsed().as_secs_f64());
    let seen = store.get(job.id).await.unwrap().unwrap();
    assert_eq!((seen.succeeded, seen.version), (updates, 2 + updates));
}
