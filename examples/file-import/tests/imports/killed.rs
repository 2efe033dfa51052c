//! The program is killed in each stage of an import, and started again. At the end each line is
//! counted and imported once.

use std::path::Path;
use std::time::{Duration, Instant};

use progress_axum::{ProgressId, Status};
use progress_test_support::{Browser, Server};
use serde_json::Value;

use crate::support::{Contents, PATIENCE, Sample, id, is_finished, start, upload};

/// Kills the program in the middle of each stage, and starts it again at the same address.
///
/// A stage may take less than a second, so a trigger in its table makes one of its statements
/// endless. The lines before are in the table, and their counts are not all in the record. The
/// statement locks the file, so it must not come before the record says which stage has begun.
///
/// `shown` waits until viewers have seen the stage.
async fn kill_in_each_stage(
    mut server: Server,
    folder: &Path,
    job: ProgressId,
    shown: impl AsyncFn(&str),
) -> Server {
    let contents = Contents::of(folder).await;
    let address = server.base().trim_start_matches("http://").to_owned();
    for (number, (stage, event, lines)) in [
        ("Read", "INSERT ON lines", "lines"),
        ("Check", "UPDATE ON lines", "lines WHERE error IS NOT NULL"),
        ("Import", "INSERT ON customers", "customers"),
    ]
    .into_iter()
    .enumerate()
    {
        let has_begun = format!("(SELECT stages ->> 'current' FROM progress_records) = {number}");
        let brake = "SELECT COUNT(*) FROM lines AS a, lines AS b, lines AS c";
        let trigger = format!(
            "CREATE TRIGGER brake_{stage} AFTER {event} WHEN NEW.line >= 50000 AND {has_begun} \
             BEGIN {brake}; END"
        );
        contents.execute(trigger).await;
        let deadline = Instant::now() + PATIENCE;
        while contents.count(lines).await < 400 {
            assert!(Instant::now() < deadline, "{stage} does not move");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        shown(stage).await;
        server.kill();
        let count = contents.count(lines).await;
        assert!((400..99_000).contains(&count), "{stage} is not in the middle: {count}");
        assert_eq!(contents.record(job).await.status, Status::Running);
        contents.execute(format!("DROP TRIGGER brake_{stage}")).await;
        server = start(&address, folder);
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_in_each_stage_ends_with_exact_counts() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::new(100_000);
    let server = start("127.0.0.1:0", folder.path());
    let job = upload(&server, sample.file.as_bytes());
    let some_writes = async |_: &str| tokio::time::sleep(Duration::from_secs(1)).await;
    let server = kill_in_each_stage(server, folder.path(), id(&job), some_writes).await;
    let record = server.wait_for(&job, PATIENCE, is_finished);
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!(record["completion_message"], "99,000 lines imported, 1,000 rejected");
    assert_eq!((&record["attempt"], &record["failed_items"]), (&4.into(), &1_000.into()));
    Contents::of(folder.path()).await.assert_imported(&server, id(&job), &sample).await;
}

/// What the page was told of the job: the attempt, the stage and the percentage.
type Seen = (u64, u64, u64);

#[tokio::test(flavor = "multi_thread")]
async fn the_page_follows_an_import_that_is_killed_in_each_stage() {
    let Some(browser) = Browser::or_say_so().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::new(100_000);
    let file = folder.path().join("customers.csv");
    std::fs::write(&file, &sample.file).unwrap();
    let server = start("127.0.0.1:0", folder.path());

    browser.open(server.base()).await;
    browser.type_into("input[type=file]", file.to_str().unwrap()).await;
    browser.click("form button").await;
    browser.wait_for_bars(|bar| !bar.state.is_empty()).await;
    let job: String = browser.evaluate("new URLSearchParams(location.search).get('job')").await;
    let listen = "(globalThis.seen = [], globalThis.read = '', \
         addEventListener('progress-polling:progress', ({ detail: { data } }) => { \
         seen.push([data.attempt, data.stage, data.progress_percentage]); \
         requestAnimationFrame(() => \
         read += document.querySelector('progress-poller').textContent); }))";
    let _: Value = browser.evaluate(listen).await;
    let job: ProgressId = job.parse().unwrap();
    // After a kill, the page asks again some seconds later.
    let shown = async |stage: &str| {
        let text = format!(": {stage}");
        let deadline = Instant::now() + PATIENCE;
        while !browser.evaluate::<String>("read").await.contains(&text) {
            assert!(Instant::now() < deadline, "the page does not show {stage}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let server = kill_in_each_stage(server, folder.path(), job, shown).await;

    let bars = browser.wait_for_bars(|bar| bar.state == "completed").await;
    assert_eq!(bars[0].percent, Some(100));
    let message = browser.texts("progress-poller .progress-polling-message").await.join(" ");
    assert!(message.contains("99,000 lines imported, 1,000 rejected"), "{message}");
    let seen: Vec<Seen> = browser.evaluate("seen").await;
    for stage in 1..=3 {
        assert!(seen.iter().any(|seen| seen.1 == stage), "stage {stage} was not seen: {seen:?}");
    }
    let read: String = browser.evaluate("read").await;
    for text in ["Step 1 of 3: Read", "Step 2 of 3: Check", "Step 3 of 3: Import", "Attempt 3 of"] {
        assert!(read.contains(text), "the page did not say {text:?}");
    }
    for pair in seen.windows(2) {
        let goes_on = pair[0].0 == pair[1].0;
        assert!(!goes_on || pair[0] <= pair[1], "the bar went back: {pair:?}");
    }
    assert_eq!(seen.last().map(|seen| seen.0), Some(4), "{seen:?}");
    browser.wait_for_text("progress-poller li", |text| text.contains("not an address")).await;
    let link: String =
        browser.evaluate("document.querySelector('a.progress-polling-result').href").await;
    assert_eq!(link, format!("{}/imports/{job}/rejected.csv", server.base()));
    assert_eq!(browser.mistakes().await, [""; 0]);
    Contents::of(folder.path()).await.assert_imported(&server, job, &sample).await;
}
