//! How much memory a running job takes in the process of its worker, besides its record.

use std::time::Duration;

use progress_core::{MemoryStore, NewProgress, testing};
use tokio::time::sleep;

const JOBS: i64 = 10_000;

/// Bytes per job: what the allocator was asked for, with the free places of the maps. 16 of them
/// are the handle of a gauge, because the feature `metrics` is on. A job of `testing::jobs` lacks
/// an entry of 27 bytes for the shutdown of its runtime.
const MOST: i64 = 460;

#[test]
fn a_running_job_takes_little_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let jobs = testing::jobs(std::sync::Arc::new(MemoryStore::new()));
    let mut trackers = Vec::new();
    runtime.block_on(async {
        for _ in 0..JOBS {
            let id = jobs.create(NewProgress::new("export").with_total(10)).await.unwrap().id;
            trackers.push(jobs.tracker(id).await.unwrap());
        }
        trackers.iter().for_each(|tracker| tracker.handle().inc(1));
        // Otherwise updates that are being sent would count.
        for tracker in &trackers {
            while jobs.get(tracker.id()).await.unwrap().is_none_or(|job| job.succeeded == 0) {
                sleep(Duration::from_millis(10)).await;
            }
        }
        sleep(Duration::from_millis(100)).await;
    });
    // What is freed at the end is what the jobs have taken. The records remain.
    let ended = allocation_counter::measure(|| {
        runtime.block_on(async {
            // Drained, because the vector is the worker's own.
            for tracker in trackers.drain(..) {
                tracker.complete(()).await.unwrap();
            }
            // After a second without a job, the flush loop ends.
            sleep(Duration::from_millis(1_500)).await;
        });
    });
    let each = -ended.bytes_current / JOBS;
    println!("a running job takes {each} bytes");
    assert!(each <= MOST, "a running job takes {each} bytes");
    // Otherwise something was measured that is not the jobs.
    assert!(each > MOST / 2, "a running job takes {each} bytes");
}
