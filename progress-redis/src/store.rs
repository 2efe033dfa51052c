//! The store contract: load a record, update it, and write it back unless it has changed meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use progress_core::{
    Changes, Cursor, Entry, EntryPage, Heartbeat, NewProgress, Progress, ProgressError, ProgressId,
    ProgressPage, ProgressQuery, ProgressUpdate, Record, Status,
};
use redis::{Cmd, FromRedisValue, Value};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::keys::{Keys, id_at, place};
use crate::scripts::{self, DELETE, ENTRIES, LIST, READ, WRITE};
use crate::server::Server;

/// How many records of an owner are deleted at once, so that the server is not busy for long.
const DELETE_CHUNK: usize = 50;

/// What the clones of a store share.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) server: Arc<Server>,
    pub(crate) locks: Arc<Locks>,
    pub(crate) keys: Keys,
    pub(crate) log_limit: u32,
    pub(crate) read_deadline: Duration,
    pub(crate) write_deadline: Duration,
}

/// Lets the calls of this process change a record one after the other. Without it, a hundred tasks
/// that count on one record would mostly write what others have outdated. A record shares its lock
/// with others, so that their number is fixed.
#[derive(Debug)]
pub(crate) struct Locks([Mutex<()>; 256]);

impl Default for Locks {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }
}

impl Locks {
    async fn lock(&self, ids: impl Iterator<Item = ProgressId>) -> Vec<MutexGuard<'_, ()>> {
        // In order, so that two calls never wait for each other.
        let places: BTreeSet<_> = ids.map(|id| id.as_uuid().as_bytes()[15]).collect();
        let mut guards = Vec::with_capacity(places.len());
        for place in places {
            guards.push(self.0[usize::from(place)].lock().await);
        }
        guards
    }
}

/// A record as it was read.
struct Stored {
    revision: String,
    record: Record,
}

type Result<T> = std::result::Result<T, ProgressError>;

impl Store {
    /// Checks that the server never deletes keys by itself.
    pub(crate) async fn check(&self) -> Result<()> {
        let mut memory = redis::cmd("INFO");
        memory.arg("memory");
        let memory: String = self.one(memory, self.write_deadline).await?;
        let policy = memory.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
        match policy {
            None | Some("noeviction") => Ok(()),
            Some(policy) => Err(ProgressError::setup(format!(
                "Redis deletes keys when its memory is full, so it could forget jobs: set \
                 maxmemory-policy to noeviction instead of {policy}"
            ))),
        }
    }

    pub(crate) async fn create(&self, job: &NewProgress) -> Result<Progress> {
        let (now, _) = self.read(&[], self.write_deadline).await?;
        let record = Record::new(job, now)?;
        let progress = record.progress.clone();
        let write = self.write(None, &record, &[])?;
        match self.send([write], self.write_deadline).await?.first() {
            Some(1) => Ok(progress),
            _ => Err(ProgressError::AlreadyExists(progress.id)),
        }
    }

    pub(crate) async fn get_many(&self, ids: &[ProgressId]) -> Result<Vec<Option<Progress>>> {
        let (now, found) = self.read(ids, self.read_deadline).await?;
        let snapshot = |stored: Result<Stored>| Ok(stored?.record.snapshot(now));
        found.into_iter().map(|stored| stored.map(snapshot).transpose()).collect()
    }

    /// Applies updates, each to another record or to the same. An update whose record
    /// was changed meanwhile is tried again.
    pub(crate) async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress>> {
        let begun = Instant::now();
        let _guards = self.locks.lock(updates.iter().map(|(id, _)| *id)).await;
        let mut outcomes: Vec<Option<Result<Progress>>> = updates.iter().map(|_| None).collect();
        while outcomes.iter().any(Option::is_none) {
            if begun.elapsed() > self.write_deadline {
                let busy = ProgressError::unavailable("others change the record all the time");
                fail_rest(&mut outcomes, &busy);
                break;
            }
            // Of several updates of a record, the first one is applied in this round.
            let mut round: Vec<usize> = Vec::new();
            for index in (0..updates.len()).filter(|index| outcomes[*index].is_none()) {
                if round.iter().all(|other| updates[*other].0 != updates[index].0) {
                    round.push(index);
                }
            }
            if let Err(error) = self.update_round(updates, &round, &mut outcomes).await {
                fail_rest(&mut outcomes, &error);
            }
        }
        outcomes.into_iter().flatten().collect()
    }

    async fn update_round(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
        round: &[usize],
        outcomes: &mut [Option<Result<Progress>>],
    ) -> Result<()> {
        let ids: Vec<_> = round.iter().map(|index| updates[*index].0).collect();
        let (now, found) = self.read(&ids, self.write_deadline).await?;
        let mut writes = Vec::new();
        for (&index, stored) in round.iter().zip(found) {
            let (id, update) = &updates[index];
            let Stored { revision, mut record } =
                match stored.unwrap_or(Err(ProgressError::NotFound(*id))) {
                    Ok(stored) => stored,
                    Err(error) => {
                        outcomes[index] = Some(Err(error));
                        continue;
                    }
                };
            let status = record.progress.status;
            match record.update(update, now) {
                Err(error) => outcomes[index] = Some(Err(error)),
                Ok(applied) if !applied.is_new => outcomes[index] = Some(Ok(record.progress)),
                Ok(applied) => {
                    let command =
                        self.write(Some((&revision, status)), &record, &applied.entries)?;
                    writes.push((index, record.progress, command));
                }
            }
        }
        if writes.is_empty() {
            return Ok(());
        }
        let commands = writes.iter().map(|(_, _, command)| command.clone());
        let written = self.send(commands, self.write_deadline).await?;
        for ((index, progress, _), is_written) in writes.into_iter().zip(written) {
            if is_written == 1 {
                outcomes[index] = Some(Ok(progress));
            }
        }
        Ok(())
    }

    pub(crate) async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage> {
        let list = |status: &Status| self.keys.list(*status, query.owner(), query.task_type());
        let lists: Vec<_> = query.statuses().iter().map(list).collect();
        let mut from = query.after().map_or("+".to_owned(), |cursor| format!("({}", place(cursor)));
        let mut found: Vec<Progress> = Vec::new();
        let wanted = query.limit() as usize + 1;
        while found.len() < wanted && !lists.is_empty() {
            let mut command = scripts::run(&LIST, &lists);
            command.arg(&from).arg(wanted - found.len());
            let places: Vec<String> = self.one(command, self.read_deadline).await?;
            let Some(last) = places.last() else { break };
            from = format!("({last}");
            let ids: Vec<_> = places.iter().filter_map(|place| id_at(place)).collect();
            let records = self.get_many(&ids).await?;
            // One that has changed since may have left the list.
            found.extend(records.into_iter().flatten().filter(|progress| query.matches(progress)));
        }
        found.truncate(wanted);
        Ok(ProgressPage::from_one_more(found, query.limit()))
    }

    pub(crate) async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage> {
        let keys = [self.keys.record(id), self.keys.log(id)];
        let mut command = scripts::run(&ENTRIES, &keys);
        command.arg(after).arg(limit);
        let found: Vec<Option<String>> = self.one(command, self.read_deadline).await?;
        let mut found = found.into_iter();
        let document = found.next().flatten().ok_or(ProgressError::NotFound(id))?;
        let kept: u64 = found.next().flatten().and_then(|kept| kept.parse().ok()).unwrap_or(0);
        let entries = found.flatten().map(|entry| parse(&entry)).collect::<Result<Vec<Entry>>>()?;
        let newest = parse::<Record>(&document)?.progress.last_entry;
        Ok(EntryPage {
            next_after: entries.last().map_or(after, |entry| entry.seq),
            dropped: newest.saturating_sub(kept),
            entries,
        })
    }

    pub(crate) async fn delete(&self, id: ProgressId) -> Result<()> {
        loop {
            let (_, mut found) = self.read(&[id], self.write_deadline).await?;
            let stored = found.pop().flatten().unwrap_or(Err(ProgressError::NotFound(id)))?;
            let status = stored.record.progress.status;
            if status.is_active() {
                return Err(ProgressError::Refused { id, status });
            }
            let command = self.deletion(&stored);
            if self.send([command], self.write_deadline).await? == [1] {
                return Ok(());
            }
        }
    }

    pub(crate) async fn heartbeats(&self) -> Result<Vec<Heartbeat>> {
        let mut all = redis::cmd("HGETALL");
        all.arg(self.keys.running());
        let running: Vec<(String, String)> = self.one(all, self.read_deadline).await?;
        let heartbeat = |(id, text): (String, String)| {
            let (at, lease) = text.split_once(' ')?;
            Some(Heartbeat {
                id: id.parse().ok()?,
                at: DateTime::from_timestamp_millis(at.parse().ok()?)?,
                lease: Duration::from_millis(lease.parse().ok()?),
            })
        };
        let unreadable = || ProgressError::store("a heartbeat in Redis is not readable");
        running.into_iter().map(|text| heartbeat(text).ok_or_else(unreadable)).collect()
    }

    pub(crate) async fn delete_finished(&self, older_than: Duration, limit: u32) -> Result<u64> {
        let (now, _) = self.read(&[], self.write_deadline).await?;
        let age = TimeDelta::from_std(older_than).unwrap_or(TimeDelta::MAX);
        let Some(before) = now.checked_sub_signed(age) else { return Ok(0) };
        let mut range = redis::cmd("ZRANGEBYSCORE");
        range.arg(self.keys.finished()).arg("-inf");
        range.arg(format!("({}", before.timestamp_millis()));
        range.arg("LIMIT").arg(0).arg(limit);
        let old: Vec<String> = self.one(range, self.write_deadline).await?;
        let ids: Vec<_> = old.iter().filter_map(|id| id.parse().ok()).collect();
        let (_, found) = self.read(&ids, self.write_deadline).await?;
        let deletions: Vec<_> =
            found.iter().flatten().flatten().map(|stored| self.deletion(stored)).collect();
        if deletions.is_empty() {
            return Ok(0);
        }
        let deleted = self.send(deletions, self.write_deadline).await?;
        Ok(deleted.iter().filter(|is_deleted| **is_deleted == 1).count() as u64)
    }

    pub(crate) async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>> {
        let (now, _) = self.read(&[], self.read_deadline).await?;
        let mut range = redis::cmd("ZRANGEBYSCORE");
        range.arg(self.keys.unannounced()).arg("-inf");
        range.arg(format!("({}", now.timestamp_millis()));
        range.arg("LIMIT").arg(0).arg(limit);
        let due: Vec<String> = self.one(range, self.read_deadline).await?;
        let ids: Vec<_> = due.iter().filter_map(|id| id.parse().ok()).collect();
        Ok(self.get_many(&ids).await?.into_iter().flatten().collect())
    }

    pub(crate) async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64> {
        let mut deleted = 0;
        for status in Status::ALL.into_iter().filter(|status| status.is_finished()) {
            let list = self.keys.list(status, Some(owner), None);
            deleted += self.delete_listed(&list, u64::from(limit) - deleted).await?;
        }
        Ok(deleted)
    }

    /// Deletes those records in a list whose jobs have ended.
    async fn delete_listed(&self, list: &str, limit: u64) -> Result<u64> {
        let (mut from, mut deleted) = ("-".to_owned(), 0);
        while deleted < limit {
            let mut range = redis::cmd("ZRANGE");
            range.arg(list).arg(&from).arg("+").arg(&["BYLEX", "LIMIT"]).arg(0).arg(DELETE_CHUNK);
            let places: Vec<String> = self.one(range, self.write_deadline).await?;
            let Some(last) = places.last() else { break };
            from = format!("({last}");
            let mut ids: Vec<_> = places.iter().filter_map(|place| id_at(place)).collect();
            while !ids.is_empty() && deleted < limit {
                let (_, found) = self.read(&ids, self.write_deadline).await?;
                let left = usize::try_from(limit - deleted).unwrap_or(usize::MAX);
                let finished: Vec<_> = found
                    .into_iter()
                    .flatten()
                    .flatten()
                    .filter(|stored| stored.record.progress.status.is_finished())
                    .take(left)
                    .collect();
                if finished.is_empty() {
                    break;
                }
                let deletions = finished.iter().map(|stored| self.deletion(stored));
                let outcomes = self.send(deletions, self.write_deadline).await?;
                // The others were changed since they were read.
                ids.clear();
                for (stored, outcome) in finished.iter().zip(outcomes) {
                    match outcome {
                        1 => deleted += 1,
                        _ => ids.push(stored.record.progress.id),
                    }
                }
            }
        }
        Ok(deleted)
    }

    /// Reads the server's clock and records.
    async fn read(
        &self,
        ids: &[ProgressId],
        deadline: Duration,
    ) -> Result<(DateTime<Utc>, Vec<Option<Result<Stored>>>)> {
        let mut keys: Vec<_> = ids.iter().map(|id| self.keys.record(*id)).collect();
        if keys.is_empty() {
            // A cluster finds the server by a key.
            keys.push(self.keys.running());
        }
        let found: Vec<Option<String>> = self.one(scripts::run(&READ, &keys), deadline).await?;
        let mut found = found.into_iter();
        let now = clock(found.next().flatten(), found.next().flatten())?;
        let mut records = Vec::with_capacity(ids.len());
        while let (Some(revision), Some(document)) = (found.next(), found.next()) {
            records.push(
                revision
                    .zip(document)
                    .map(|(revision, document)| Ok(Stored { revision, record: parse(&document)? })),
            );
        }
        records.truncate(ids.len());
        Ok((now, records))
    }

    /// Returns the command that writes a record. `before` is the revision and the status with which
    /// it was read; `None` for a new record.
    fn write(
        &self,
        before: Option<(&str, Status)>,
        record: &Record,
        entries: &[Entry],
    ) -> Result<Cmd> {
        let progress = &record.progress;
        let heartbeat = Heartbeat::of(progress).map_or(String::new(), |heartbeat| {
            format!("{} {}", heartbeat.at.timestamp_millis(), heartbeat.lease.as_millis())
        });
        let millis = |at: Option<DateTime<Utc>>| {
            at.map_or(String::new(), |at| at.timestamp_millis().to_string())
        };
        let announce_at = progress.announce_at.filter(|_| progress.finished_at.is_some());
        let mut keys = self.keys.of(progress);
        let (mut leaves, revision) = (0, before.map_or("", |(revision, _)| revision));
        if before.is_none_or(|(_, status)| status != progress.status) {
            if let Some((_, status)) = before {
                let left = self.keys.lists(progress, status);
                leaves = left.len();
                keys.extend(left);
            }
            keys.extend(self.keys.lists(progress, progress.status));
        }
        let mut command = scripts::run(&WRITE, &keys);
        // A revision is a random number, so that a repeated command knows its own work.
        command.arg(progress.id.to_string()).arg(revision).arg(Uuid::new_v4().to_string());
        command.arg(text(record)?).arg(place(Cursor::of(progress)));
        command.arg(heartbeat).arg(millis(progress.retention_begins_at()));
        command.arg(millis(announce_at)).arg(self.log_limit);
        command.arg(self.keys.changes()).arg(Changes::message([(progress.id, progress.version)]));
        command.arg(leaves);
        for entry in entries {
            command.arg(entry.seq).arg(text(entry)?);
        }
        Ok(command)
    }

    fn deletion(&self, stored: &Stored) -> Cmd {
        let progress = &stored.record.progress;
        let mut keys = self.keys.of(progress);
        keys.extend(self.keys.lists(progress, progress.status));
        let mut command = scripts::run(&DELETE, &keys);
        command.arg(progress.id.to_string()).arg(&stored.revision);
        command.arg(place(Cursor::of(progress)));
        command.arg(self.keys.changes()).arg(Changes::message([(progress.id, Changes::DELETED)]));
        command
    }

    /// Sends a command and returns its value.
    pub(crate) async fn one<T: FromRedisValue>(
        &self,
        command: Cmd,
        deadline: Duration,
    ) -> Result<T> {
        let value = self.server.send([command], deadline).await?.pop().unwrap_or(Value::Nil);
        redis::from_redis_value(value).map_err(ProgressError::store)
    }

    /// Sends commands that return integers.
    async fn send(
        &self,
        commands: impl IntoIterator<Item = Cmd>,
        deadline: Duration,
    ) -> Result<Vec<i64>> {
        let values = self.server.send(commands, deadline).await?.into_iter();
        values.map(|value| redis::from_redis_value(value).map_err(ProgressError::store)).collect()
    }
}

/// Returns the same error for each update of a batch.
pub(crate) fn same_for_all(count: usize, error: &ProgressError) -> Vec<Result<Progress>> {
    let mut outcomes: Vec<_> = (0..count).map(|_| None).collect();
    fail_rest(&mut outcomes, error);
    outcomes.into_iter().flatten().collect()
}

/// Gives the same error to all updates that have no outcome.
fn fail_rest(outcomes: &mut [Option<Result<Progress>>], error: &ProgressError) {
    // An error cannot be cloned, so each has the same text.
    let cause = std::error::Error::source(error).map_or(error.to_string(), ToString::to_string);
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
        *outcome = Some(Err(match error {
            ProgressError::Unavailable(_) => ProgressError::unavailable(cause.clone()),
            ProgressError::Setup(text) => ProgressError::Setup(text.clone()),
            _ => ProgressError::store(cause.clone()),
        }));
    }
}

fn clock(seconds: Option<String>, micros: Option<String>) -> Result<DateTime<Utc>> {
    let number = |text: Option<String>| text?.parse::<i64>().ok();
    number(seconds)
        .zip(number(micros))
        .and_then(|(seconds, micros)| {
            DateTime::from_timestamp_millis(seconds * 1_000 + micros / 1_000)
        })
        .ok_or_else(|| ProgressError::store("the clock of Redis is not readable"))
}

fn text(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(ProgressError::store)
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(ProgressError::store)
}
