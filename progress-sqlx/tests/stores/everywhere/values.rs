//! Values come back unchanged, and a query finds exactly the matching records.

use std::time::Duration;

use progress_core::limits::MAX_COUNT;
use progress_core::{
    Completion, Delta, NewEntry, NewProgress, ProgressError, ProgressQuery, ProgressUpdate, Stamp,
    TotalChange,
};
use serde_json::json;
use uuid::Uuid;

use super::{on_every_database, running};
use crate::database::Database;
use crate::one;

on_every_database!(
    counts_stop_at_the_largest_exact_integer,
    stamps_are_told_apart_over_all_64_bits,
    text_and_json_come_back_as_they_were,
    json_that_could_not_be_read_back_is_refused,
    the_clock_is_the_databases_to_the_millisecond,
    no_age_overflows,
    the_oldest_endings_go_first_with_all_that_is_theirs,
    owners_and_kinds_are_compared_byte_by_byte,
    the_longest_text_fits,
    a_long_log_is_trimmed_now_and_then_and_shows_its_newest_entries,
    the_queries_of_the_guide_run,
);

async fn counts_stop_at_the_largest_exact_integer(database: Database) {
    let store = database.store().await;
    let job = store.create(&NewProgress::new("test").with_total(u64::MAX)).await.unwrap();
    assert_eq!(job.total, Some(MAX_COUNT));
    store.update(job.id, &ProgressUpdate::start()).await.unwrap();
    let most = Delta::new()
        .with_succeeded(u64::MAX)
        .with_failed(MAX_COUNT)
        .with_total(TotalChange::Add(u64::MAX))
        .with_dropped_entries(u64::MAX);
    for _ in 0..2 {
        let seen = store.update(job.id, &ProgressUpdate::advance(most.clone())).await.unwrap();
        assert_eq!(
            (seen.succeeded, seen.failed, seen.last_entry),
            (MAX_COUNT, MAX_COUNT, MAX_COUNT)
        );
    }
    // At the number where counting stops, the log still takes its newest entry.
    for text in ["last", "very last"] {
        let delta = Delta::new().with_entry(NewEntry::info(text));
        store.update(job.id, &ProgressUpdate::advance(delta)).await.unwrap();
        let log = store.entries(job.id, MAX_COUNT - 1, 10).await.unwrap();
        assert_eq!((log.entries.len(), log.entries[0].message.as_str()), (1, text));
    }
    let page = store.entries(job.id, u64::MAX, u32::MAX).await.unwrap();
    assert_eq!((page.entries.len(), page.next_after), (0, u64::MAX));
}

async fn stamps_are_told_apart_over_all_64_bits(database: Database) {
    let store = database.store().await;
    let job = running(&store).await;
    let writer = Uuid::new_v4();
    for seq in [0, 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX] {
        for _ in 0..2 {
            store.update(job.id, &one().with_stamp(Stamp { writer, seq })).await.unwrap();
        }
    }
    assert_eq!(store.get(job.id).await.unwrap().unwrap().succeeded, 6);
}

async fn text_and_json_come_back_as_they_were(database: Database) {
    let store = database.store().await;
    let controls: String = (1..=0x9f).filter_map(char::from_u32).collect();
    let texts = [
        controls.as_str(),
        "💡 𝒳 e\u{301} \u{202E} \u{2028} \u{FFFE} \u{10FFFF}",
        "'; DROP TABLE progress_records; -- $1 ?1 %s \\ \"",
    ];
    for text in texts {
        let metadata =
            json!({ text: [text, "a\0b", 0.1 + 0.2, 1e-308, u64::MAX, i64::MIN, null, true] });
        let job = NewProgress::new(text)
            .with_owner(text)
            .with_title(text)
            .with_metadata(metadata.clone());
        let job = store.create(&job).await.unwrap();
        store.update(job.id, &ProgressUpdate::start()).await.unwrap();
        let delta =
            Delta::new().with_message(text).with_entry(NewEntry::error(text).with_item(text));
        let completion =
            Completion::new().with_message(text).try_with_result(metadata.clone()).unwrap();
        store.update(job.id, &ProgressUpdate::complete(delta, completion)).await.unwrap();

        let seen =
            store.list(&ProgressQuery::new().with_owner(text).with_task_type(text)).await.unwrap();
        let seen = &seen.items[0];
        assert_eq!(
            (seen.metadata.as_ref(), seen.result.as_ref()),
            (Some(&metadata), Some(&metadata))
        );
        assert_eq!((seen.title.as_deref(), seen.message.as_deref()), (Some(text), Some(text)));
        let entry = &store.entries(job.id, 0, 10).await.unwrap().entries[0];
        assert_eq!(
            (entry.message.as_str(), entry.item.as_deref(), entry.at),
            (text, Some(text), seen.updated_at)
        );
    }
    let seen = store.create(&NewProgress::new("a\0b")).await.unwrap();
    assert_eq!(seen.task_type, "a\u{FFFD}b");
    let largest = json!("\"".repeat(8 * 1024 - 1));
    assert_eq!(largest.to_string().len(), 16 * 1024);
    let seen =
        store.create(&NewProgress::new("test").with_metadata(largest.clone())).await.unwrap();
    assert_eq!(seen.metadata, Some(largest));
}

async fn json_that_could_not_be_read_back_is_refused(database: Database) {
    let store = database.store().await;
    let deep = (0..1_000).fold(json!(1), |inner, _| json!([inner]));
    let job = NewProgress::new("test").with_metadata(deep.clone());
    assert!(matches!(store.create(&job).await, Err(ProgressError::Invalid(_))));
    let job = running(&store).await;
    let completion = Completion::new().try_with_result(deep);
    if let Ok(completion) = completion {
        let ending = ProgressUpdate::complete(Delta::new(), completion);
        assert!(matches!(store.update(job.id, &ending).await, Err(ProgressError::Invalid(_))));
        assert_eq!(store.get(job.id).await.unwrap().unwrap().version, job.version);
    }
}

async fn the_clock_is_the_databases_to_the_millisecond(database: Database) {
    let store = database.store().await;
    for _ in 0..200 {
        let before = chrono::Utc::now().timestamp_millis();
        let job = store.create(&NewProgress::new("test")).await.unwrap();
        let after = chrono::Utc::now().timestamp_millis();
        assert!((before..=after).contains(&job.created_at.timestamp_millis()));
        assert_eq!((job.updated_at, job.observed_at), (job.created_at, job.created_at));
    }
}

async fn no_age_overflows(database: Database) {
    let store = database.store().await;
    let job = running(&store).await;
    store.update(job.id, &ProgressUpdate::fail(Delta::new(), "over")).await.unwrap();
    for age in [Duration::MAX, Duration::from_millis(u64::MAX), Duration::from_secs(1 << 40)] {
        assert_eq!(store.delete_finished(age, u32::MAX).await.unwrap(), 0);
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(store.delete_finished(Duration::ZERO, 0).await.unwrap(), 0);
    assert_eq!(store.delete_finished(Duration::ZERO, u32::MAX).await.unwrap(), 1);
    assert_eq!(store.get(job.id).await.unwrap(), None);
}

async fn the_oldest_endings_go_first_with_all_that_is_theirs(database: Database) {
    let store = database.store().await;
    let mut ids = Vec::new();
    for _ in 0..120 {
        let job = running(&store).await;
        let delta = Delta::new().with_entry(NewEntry::info("over"));
        let stamp = Stamp { writer: Uuid::new_v4(), seq: 1 };
        store.update(job.id, &ProgressUpdate::fail(delta, "over").with_stamp(stamp)).await.unwrap();
        ids.push(job.id);
    }
    let pool = database.pool().await;
    // Spreads the endings over time, so that the last record ended first.
    for (age, id) in ids.iter().rev().enumerate() {
        pool.execute(&format!("UPDATE progress_records SET finished_at = {age} WHERE id = '{id}'"))
            .await;
    }
    assert_eq!(
        store.delete_finished(Duration::from_secs(60), 70).await.unwrap(),
        70,
        "in two chunks"
    );
    let left = store.get_many(&ids).await.unwrap();
    assert!(left[..50].iter().all(Option::is_some) && left[50..].iter().all(Option::is_none));
    assert_eq!(store.delete_finished(Duration::from_secs(60), 70).await.unwrap(), 50);
    for table in ["progress_records", "progress_entries", "progress_writers"] {
        assert_eq!(pool.integer(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
}

async fn owners_and_kinds_are_compared_byte_by_byte(database: Database) {
    let store = database.store().await;
    let texts = [
        "ann",
        "Ann",
        "ann ",
        " ann",
        "änn",
        "a\u{308}nn",
        "ann\u{200b}",
        "ann\n",
        "%",
        "_nn",
        "ß",
        "ss",
    ];
    for text in texts {
        store.create(&NewProgress::new(text).with_owner(text)).await.unwrap();
    }
    for text in texts {
        for query in
            [ProgressQuery::new().with_owner(text), ProgressQuery::new().with_task_type(text)]
        {
            let page = store.list(&query).await.unwrap();
            let found: Vec<_> = page.items.iter().map(|job| job.owner.as_deref()).collect();
            assert_eq!(found, [Some(text)]);
        }
    }
    for query in
        [ProgressQuery::new().with_owner("ann\0"), ProgressQuery::new().with_task_type("a\0nn")]
    {
        assert_eq!(store.list(&query).await.unwrap().items, [], "no record contains a NUL");
    }
}

async fn the_longest_text_fits(database: Database) {
    let store = database.store().await;
    let text = "💡".repeat(3_000);
    let owner = "💡".repeat(200);
    let job =
        NewProgress::new(&text).with_owner(&owner).with_title(&text).with_completion_message(&text);
    let job = store.create(&job.with_metadata(json!("💡".repeat(4_000)))).await.unwrap();
    store.update(job.id, &ProgressUpdate::start()).await.unwrap();
    let entry = NewEntry::error(&text).with_item(&text);
    let delta = Delta::new().with_message(&text).with_entry(entry);
    let failed = store.update(job.id, &ProgressUpdate::fail(delta, &text)).await.unwrap();
    assert_eq!(failed.error.unwrap().chars().count(), 2_000);
    let seen = &store.list(&ProgressQuery::new().with_owner(owner)).await.unwrap().items[0];
    assert_eq!((seen.title.as_deref(), &seen.metadata), (job.title.as_deref(), &job.metadata));
    let entry = &store.entries(job.id, 0, 1).await.unwrap().entries[0];
    assert_eq!(
        (entry.message.chars().count(), entry.item.as_ref().unwrap().chars().count()),
        (500, 200)
    );
}

async fn a_long_log_is_trimmed_now_and_then_and_shows_its_newest_entries(database: Database) {
    let store = database.store().await;
    let pool = database.pool().await;
    let jobs = [running(&store).await.id, running(&store).await.id];
    let mut longest = 0;
    for step in 1..=60_u64 {
        let delta = (0..37).fold(Delta::new(), |delta, line| {
            delta.with_entry(NewEntry::info(format!("{step}.{line}")))
        });
        // First in a batch for each job, then in one batch for both.
        let updates = jobs.map(|id| (id, ProgressUpdate::advance(delta.clone())));
        let batches = if step < 30 { updates.chunks(1) } else { updates.chunks(2) };
        for batch in batches {
            store.update_many(batch).await.into_iter().for_each(|outcome| drop(outcome.unwrap()));
        }
        let last = step * 37;
        let log = store.entries(jobs[0], 0, u32::MAX).await.unwrap();
        assert_eq!(log.entries.len() as u64, last.min(1_000), "step {step}");
        assert_eq!((log.dropped, log.next_after), (last.saturating_sub(1_000), last));
        assert_eq!(log.entries[0].seq, log.dropped + 1);
        let tail = store.entries(jobs[1], last - 2, 10).await.unwrap();
        assert_eq!(
            tail.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
            [last - 1, last]
        );
        let sql =
            format!("SELECT count(*) FROM progress_entries WHERE progress_id = '{}'", jobs[1]);
        longest = longest.max(pool.integer(&sql).await);
    }
    assert!((1_001..=1_137).contains(&longest), "a log had {longest} entries");
}

async fn the_queries_of_the_guide_run(database: Database) {
    let store = database.store().await;
    running(&store).await;
    let guide = include_str!("../../../../docs/operating.md");
    let blocks: Vec<_> = guide.split("```sql\n").skip(1).collect();
    assert!(blocks.len() >= 2);
    for block in blocks {
        let queries = block.split("```").next().unwrap();
        database.pool().await.execute(queries).await;
    }
}
