//! Several processes on one file. This test binary starts itself, with the address in an environment variable.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use progress_core::{NewProgress, ProgressId, ProgressStore, ProgressUpdate};
use progress_sqlx::SqliteStore;
use sqlx::Row as _;
use tokio::task::JoinSet;

use crate::{Database, one};

const ADDRESS: &str = "PROGRESS_TEST_ADDRESS";
const JOB: &str = "PROGRESS_TEST_JOB";

fn again(test: &str, database: &Database, job: Option<ProgressId>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(ADDRESS, database.url());
    if let Some(job) = job {
        command.env(JOB, job.to_string());
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn assert_success(child: Child) {
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

#[tokio::test]
async fn eight_processes_may_start_at_once_on_a_fresh_file() {
    if let Ok(address) = std::env::var(ADDRESS) {
        let store = SqliteStore::connect(&address).await.unwrap();
        store.create(&NewProgress::new("test")).await.unwrap();
        return;
    }
    for _ in 0..10 {
        let database = Database::new();
        let test = "processes::eight_processes_may_start_at_once_on_a_fresh_file";
        let children: Vec<_> = (0..8).map(|_| again(test, &database, None)).collect();
        children.into_iter().for_each(assert_success);
        let page = database.store().await.list(&progress_core::ProgressQuery::new()).await.unwrap();
        assert_eq!(page.items.len(), 8);
    }
}

const TASKS: u64 = 64;
const EACH: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_lose_no_count_and_a_careless_program_does() {
    const TEST: &str = "processes::two_processes_lose_no_count_and_a_careless_program_does";
    if let (Ok(address), Ok(job)) = (std::env::var(ADDRESS), std::env::var(JOB)) {
        return count(&address, job.parse().unwrap()).await;
    }
    let database = Database::new();
    let store = database.store().await;
    let job = store.create(&NewProgress::new("test")).await.unwrap();
    store.update(job.id, &ProgressUpdate::start()).await.unwrap();
    let started = Instant::now();
    let children = [again(TEST, &database, Some(job.id)), again(TEST, &database, Some(job.id))];
    children.into_iter().for_each(assert_success);
    let seconds = started.elapsed().as_secs_f64();
    let updates = 2 * TASKS * EACH;
    println!("{updates} updates by two processes in {seconds:.1} s");
    let seen = store.get(job.id).await.unwrap().unwrap();
    assert_eq!((seen.succeeded, seen.version), (updates, 2 + updates));

    // The control: the same race, lost by a program that adds in Rust. If it lost nothing, the test above said nothing.
    let pool = database.pool().await;
    let id = job.id.to_string();
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let (pool, id) = (pool.clone(), id.clone());
        tasks.spawn(async move {
            for _ in 0..EACH {
                let read = sqlx::query("SELECT failed FROM progress_records WHERE id = $1").bind(&id);
                let failed: i64 = read.fetch_one(&pool).await.unwrap().get(0);
                let write = "UPDATE progress_records SET failed = $2 WHERE id = $1";
                while sqlx::query(write).bind(&id).bind(failed + 1).execute(&pool).await.is_err() {}
            }
        });
    }
    tasks.join_all().await;
    let careless = store.get(job.id).await.unwrap().unwrap().failed;
    assert!(careless < 2 * EACH, "the control lost nothing");
}

async fn count(address: &str, job: ProgressId) {
    let store = Arc::new(SqliteStore::connect(address).await.unwrap());
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for _ in 0..EACH {
                store.update(job, &one()).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
}
