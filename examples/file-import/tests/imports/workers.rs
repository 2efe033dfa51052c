//! Several processes on one folder, a deploy, a cancelled import, and what is deleted.

use std::time::{Duration, Instant, SystemTime};

use progress_test_support::Server;
use serde_json::Value;

use crate::support::{Contents, PATIENCE, Sample, id, is_finished, start, upload};

fn wait_for_stage(server: &Server, job: &str, stage: u64) -> Value {
    server.wait_for(job, PATIENCE, |record| {
        record["stage"] == stage && record["processed_items"].as_u64() > Some(0)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_the_uploads() {
    let folder = tempfile::tempdir().unwrap();
    let servers = [(); 2].map(|()| start("127.0.0.1:0", folder.path()));
    let samples = [300_000, 250_000].map(Sample::new);
    let jobs = [0, 1].map(|file: usize| upload(&servers[0], samples[file].file.as_bytes()));
    let contents = Contents::of(folder.path()).await;
    let mut records = Vec::new();
    for (job, sample) in jobs.iter().zip(&samples) {
        let record = servers[1].wait_for(job, PATIENCE, is_finished);
        assert_eq!(
            (&record["status"], &record["attempt"]),
            (&"completed".into(), &1.into()),
            "{record}"
        );
        contents.assert_imported(&servers[1], id(job), sample).await;
        records.push(contents.record(id(job)).await);
    }
    // A process runs one job at a time.
    assert!(records[1].started_at < records[0].finished_at, "they did not run at the same time");
    assert!(records[0].started_at < records[1].finished_at, "they did not run at the same time");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_deploy_the_import_continues_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::new(200_000);
    let server = start("127.0.0.1:0", folder.path());
    let job = upload(&server, sample.file.as_bytes());
    wait_for_stage(&server, &job, 2);
    assert!(server.terminate(Duration::from_secs(5)).success());
    let contents = Contents::of(folder.path()).await;
    let record = contents.record(id(&job)).await;
    assert!(record.is_retrying(), "{record:?}");
    assert_eq!(record.error.as_deref(), Some("the worker was restarted"));
    let server = start("127.0.0.1:0", folder.path());
    let begun = Instant::now();
    let is_running = |record: &Value| record["status"] == "running" || is_finished(record);
    server.wait_for(&job, PATIENCE, is_running);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    server.wait_for(&job, PATIENCE, is_finished);
    contents.assert_imported(&server, id(&job), &sample).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_import_stops_and_its_lines_are_deleted_with_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let server = start("127.0.0.1:0", folder.path());
    let job = upload(&server, Sample::new(400_000).file.as_bytes());
    wait_for_stage(&server, &job, 1);
    assert_eq!(server.post(&format!("{job}/cancel"), "text/plain", "").status, 202);
    let record = server.wait_for(&job, PATIENCE, is_finished);
    assert_eq!(record["status"], "cancelled", "{record}");
    let contents = Contents::of(folder.path()).await;
    assert!(contents.count("lines").await > 0);
    assert_eq!(contents.count("customers").await, 0);

    // A day later a janitor deletes the record, and the next upload what belongs to it.
    let file = folder.path().join("uploads").join(id(&job).to_string());
    let broken = folder.path().join("uploads/67e55044-10b1-426f-9247-bb680e5fe0c8");
    std::fs::write(&broken, "name").unwrap();
    let set_age = |hours: u64| {
        let time = SystemTime::now() - Duration::from_secs(hours * 3_600);
        for file in [&file, &broken] {
            let file = std::fs::File::options().write(true).open(file).unwrap();
            file.set_modified(time).unwrap();
        }
    };
    set_age(25);
    upload(&server, b"name,email,amount\n");
    assert!(file.exists() && !broken.exists(), "a file is kept as long as its record");
    delete(&server, &job);
    std::fs::write(&broken, "name").unwrap();
    set_age(23);
    upload(&server, b"name,email,amount\n");
    assert!(file.exists() && broken.exists(), "they may be uploads that have not ended");
    set_age(25);
    upload(&server, b"name,email,amount\n");
    assert!(!file.exists() && !broken.exists());
    assert_eq!(contents.count("lines").await, 0);
}

fn delete(server: &Server, job: &str) {
    let answer = ureq::delete(format!("{}{job}", server.base())).call().unwrap();
    assert_eq!(answer.status().as_u16(), 204);
}
