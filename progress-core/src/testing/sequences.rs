//! Random sequences of updates: the store must produce the same records as `Progress::apply`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::random::Random;
use super::rules::must;
use super::timeless;
use crate::limits::MAX_COUNT;
use crate::{
    Checkpoint, Completion, Delta, EntryLevel, NewEntry, NewProgress, Progress, ProgressError,
    ProgressStore, ProgressUpdate, Record, Stamp, TotalChange,
};

const TEXTS: [&str; 12] = [
    "",
    "plain",
    "Ünïcödé ñ ß",
    "💡 astral 𝒳",
    "right to left \u{202E}gnp.exe",
    "e\u{301}\u{301}\u{301} combining",
    "two\r\nlines\tand a tab",
    "\u{1b}[31mred\u{1b}[0m",
    "NUL \0 inside",
    "'; DROP TABLE progress; --",
    r#"{"json": "\u0000\\"}"#,
    "%s $1 ?1 :name",
];
const COUNTS: [u64; 8] = [0, 0, 1, 2, 7, 1_000, MAX_COUNT, u64::MAX];
const TOTALS: [u64; 6] = [0, 1, 3, 10, MAX_COUNT, u64::MAX];

/// The content that the store should have.
struct Model {
    record: Record,
    log: Vec<(u64, EntryLevel, Option<String>, String)>,
}

impl Model {
    fn update(&mut self, update: &ProgressUpdate) -> Result<(), ProgressError> {
        let applied = self.record.update(update, self.record.progress.updated_at)?;
        self.log.extend(
            applied
                .entries
                .into_iter()
                .map(|entry| (entry.seq, entry.level, entry.item, entry.message)),
        );
        Ok(())
    }
}

pub(super) async fn compare(store: &dyn ProgressStore, seed: u64) {
    let mut random = Random::new(seed);
    let created = store.create(&job(&mut random)).await.expect(must::CREATE);
    let id = created.id;
    let record = Record { progress: created.clone(), stamps: BTreeMap::new() };
    let mut model = Model { record, log: Vec::new() };
    let writers = [Uuid::from_u128(1), Uuid::from_u128(2)];
    let mut before = created;
    // Most sequences start the job, because a pending job refuses most updates.
    if !random.once_in(8) {
        before = step(store, &mut model, &before, &ProgressUpdate::start(), seed).await;
    }
    for _ in 0..(4 + random.next() % 16) {
        let mut update = update(&mut random);
        if random.once_in(2) {
            // Sometimes of an attempt before or after the current one.
            let attempt = model.record.progress.attempt + u32::from(random.once_in(8));
            update = update.with_attempt(attempt.saturating_sub(u32::from(random.once_in(8))));
        }
        if !random.once_in(4) {
            let writer = *random.pick(&writers);
            let last = model.record.stamps.get(&writer).copied().unwrap_or(0);
            // Some updates are repeated, as after a lost acknowledgement.
            let seq = if random.once_in(4) { last.max(1) } else { last + 1 };
            update = update.with_stamp(Stamp { writer, seq });
        }
        before = step(store, &mut model, &before, &update, seed).await;
    }
    if before.status.is_finished() && before.announce_at.is_some() {
        // The rules about announcements and deletions find only their own.
        step(store, &mut model, &before, &ProgressUpdate::announced(), seed).await;
    }
    let log = store.entries(id, 0, u32::MAX).await.expect(must::READ_LOG);
    let kept: Vec<_> = log
        .entries
        .iter()
        .map(|entry| (entry.seq, entry.level, entry.item.clone(), entry.message.clone()))
        .collect();
    assert_eq!(
        kept, model.log,
        "entries: the log must hold the entries of all accepted updates, seed {seed}"
    );
    assert_eq!(
        log.dropped,
        model.record.progress.last_entry - model.log.len() as u64,
        "entries: `dropped` must count the entries that never reached the store, seed {seed}"
    );
}

async fn step(
    store: &dyn ProgressStore,
    model: &mut Model,
    before: &Progress,
    update: &ProgressUpdate,
    seed: u64,
) -> Progress {
    let id = before.id;
    match (store.update(id, update).await, model.update(update)) {
        (Ok(after), Ok(())) => {
            assert_eq!(
                timeless(&after),
                timeless(&model.record.progress),
                "update: the record must be as `Record::update` makes it, seed {seed}, by {update:?}"
            );
            assert_times(before, &after, seed);
        }
        (Err(ProgressError::Refused { status, .. }), Err(_)) => {
            assert_eq!(
                status, model.record.progress.status,
                "update: a refusal must name the current status, seed {seed}, by {update:?}"
            );
        }
        (theirs, ours) => panic!(
            "update: the outcome must be the one of `Record::update`, {ours:?}, but it is \
             {theirs:?}, seed {seed}, by {update:?}"
        ),
    }
    let read = store.get(id).await.expect(must::READ).expect(must::FIND);
    assert_eq!(
        timeless(&read),
        timeless(&model.record.progress),
        "get: the record must be the one that update returned, seed {seed}, after {update:?}"
    );
    read
}

fn assert_times(before: &Progress, after: &Progress, seed: u64) {
    assert_eq!(
        after.created_at, before.created_at,
        "update: created_at must not change, seed {seed}"
    );
    assert!(
        after.updated_at >= before.updated_at,
        "update: updated_at must not go back, seed {seed}"
    );
    if after.version == before.version {
        assert_eq!(
            after.updated_at, before.updated_at,
            "update: updated_at must not change without a new version, seed {seed}"
        );
    }
    if before.finished_at.is_some() {
        assert_eq!(
            after.finished_at, before.finished_at,
            "update: finished_at must not change after the end, seed {seed}"
        );
    } else if after.finished_at.is_some() {
        assert_eq!(
            after.finished_at,
            Some(after.updated_at),
            "update: finished_at must be the time of the last update, seed {seed}"
        );
    }
    if let Some(started_at) = after.started_at {
        assert!(
            started_at >= after.created_at && started_at <= after.updated_at,
            "update: started_at must be between created_at and updated_at, seed {seed}"
        );
    }
}

fn job(random: &mut Random) -> NewProgress {
    let mut job = NewProgress::new(*random.pick(&TEXTS)).with_title(*random.pick(&TEXTS));
    if random.once_in(3) {
        job = job.with_attempts(1 + u32::from(random.once_in(2)) * 2);
        if random.once_in(2) {
            job = job.with_stages([("Ünï 💡", 1), ("two \r\n", 2), ("'; --", 7)]);
        }
    } else if random.once_in(4) {
        job = job.with_auto_complete();
    }
    if random.once_in(2) {
        job = job.with_announcement();
    }
    if random.once_in(4) {
        job = job.with_done(*random.pick(&COUNTS));
    }
    if random.once_in(2) {
        job = job.with_total(*random.pick(&TOTALS));
    }
    if random.once_in(4) {
        job = job.with_owner("owner ü").with_completion_message(*random.pick(&TEXTS));
    }
    if random.once_in(4) {
        job = job
            .with_metadata(json!({"text": *random.pick(&TEXTS), "n": [1, null, {"deep": true}]}));
    }
    job
}

fn counts(delta: Delta, random: &mut Random) -> Delta {
    delta.with_succeeded(*random.pick(&COUNTS)).with_failed(*random.pick(&COUNTS))
}

fn delta(random: &mut Random) -> Delta {
    let mut delta = counts(Delta::new(), random);
    if random.once_in(3) {
        delta = delta.with_message(random.pick(&TEXTS).repeat(if random.once_in(8) {
            1_000
        } else {
            1
        }));
    }
    if random.once_in(6) {
        delta = delta.with_total(TotalChange::Set(*random.pick(&TOTALS)));
    }
    if random.once_in(6) {
        delta = delta.with_total(TotalChange::Add(*random.pick(&TOTALS)));
    }
    for _ in 0..(random.next() % 3) {
        delta =
            delta.with_entry(NewEntry::error(*random.pick(&TEXTS)).with_item(*random.pick(&TEXTS)));
        delta = delta.with_entry(NewEntry::info(*random.pick(&TEXTS)));
    }
    if random.once_in(6) {
        // Sometimes of a stage that does not exist.
        delta = counts(delta.with_stage(*random.pick(&[1, 1, 2, 3])), random);
    }
    if random.once_in(6) {
        delta = delta.with_checkpoint(Checkpoint {
            stage: *random.pick(&[0, 0, 1, 2]),
            cursor: Some(json!({"line": random.next() % 100, "text": *random.pick(&TEXTS)})),
            succeeded: random.next() % 1_000,
            failed: random.next() % 1_000,
            total: random.once_in(2).then(|| random.next() % 1_000),
        });
    }
    if random.once_in(8) {
        delta = delta.with_dropped_entries(random.next() % 5);
    }
    delta
}

fn update(random: &mut Random) -> ProgressUpdate {
    match random.next() % 30 {
        14 => ProgressUpdate::announced(),
        0 => ProgressUpdate::start(),
        8 => ProgressUpdate::join(),
        10 | 11 => ProgressUpdate::start(),
        12 => ProgressUpdate::release(delta(random), *random.pick(&TEXTS), None),
        13 => {
            let delay = Duration::from_millis(random.next() % 100_000);
            ProgressUpdate::release(delta(random), *random.pick(&TEXTS), Some(delay))
        }
        9 => ProgressUpdate::abandon(delta(random)),
        1 | 2 => ProgressUpdate::heartbeat(),
        3 => ProgressUpdate::request_cancel(),
        4 => ProgressUpdate::cancel(delta(random)),
        5 => ProgressUpdate::fail(delta(random), *random.pick(&TEXTS)),
        6 => {
            let completion = Completion::new()
                .try_with_result(json!({"text": *random.pick(&TEXTS)}))
                .expect("a small result");
            ProgressUpdate::complete(delta(random), completion.with_message(*random.pick(&TEXTS)))
        }
        7 => ProgressUpdate::complete(delta(random), Completion::new()),
        _ => ProgressUpdate::advance(delta(random)),
    }
}
