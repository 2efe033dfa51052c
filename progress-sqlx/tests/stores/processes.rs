//! The control test for the counts. A program that adds in Rust loses counts in the same race. If
//! it lost none, the other tests would prove nothing.

use progress_core::ProgressStore;
use sqlx::Row as _;
use tokio::task::JoinSet;

use crate::{Database, running};

const EACH: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_careless_program_loses_counts() {
    let database = Database::new();
    let store = database.store().await;
    let id = running(&store).await.id;
    let pool = database.pool().await;
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let (pool, id) = (pool.clone(), id.to_string());
        tasks.spawn(async move {
            for _ in 0..EACH {
                let read =
                    sqlx::query("SELECT failed FROM progress_records WHERE id = $1").bind(&id);
                let failed: i64 = read.fetch_one(&pool).await.unwrap().get(0);
                let write = "UPDATE progress_records SET failed = $2 WHERE id = $1";
                while sqlx::query(write).bind(&id).bind(failed + 1).execute(&pool).await.is_err() {}
            }
        });
    }
    tasks.join_all().await;
    let careless = store.get(id).await.unwrap().unwrap().failed;
    assert!(careless < 2 * EACH, "the control lost no count");
}
