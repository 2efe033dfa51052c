use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;
use crate::flush::RunsOn;
use crate::testing::{Fault, FaultyStore, conformance};
use crate::{Delta, Jobs, MemoryStore, Status};

struct Stage {
    inside: Arc<FaultyStore>,
    store: CachedStore,
    id: ProgressId,
}

async fn stage() -> Stage {
    let inside = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let id = inside.create(&NewProgress::new("test")).await.unwrap().id;
    Stage { store: CachedStore::new(inside.clone()), inside, id }
}

impl Stage {
    async fn version(&self) -> Option<u64> {
        self.store.get(self.id).await.unwrap().map(|progress| progress.version)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    conformance(Arc::new(CachedStore::new(Arc::new(MemoryStore::new()))), 1_000).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_read_is_not_read_again_for_a_while() {
    let stage = stage().await;
    for _ in 0..10 {
        assert_eq!(stage.version().await, Some(1));
        sleep(Duration::from_millis(100)).await;
    }
    // Reads at 0, 300, 600 and 900 ms, because a record read 200 ms ago is fresh.
    assert_eq!(stage.inside.reads(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_others_wrote_is_seen_when_freshness_ends() {
    let stage = stage().await;
    assert_eq!(stage.version().await, Some(1));
    stage.inside.update(stage.id, &ProgressUpdate::start()).await.unwrap();
    sleep(Duration::from_millis(249)).await;
    assert_eq!(stage.version().await, Some(1));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(stage.version().await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn own_writes_are_seen_at_once() {
    let stage = stage().await;
    assert_eq!(stage.version().await, Some(1));
    stage.store.update(stage.id, &ProgressUpdate::start()).await.unwrap();
    let one = ProgressUpdate::advance(Delta::new().with_succeeded(1));
    let outcomes = stage.store.update_many(&[(stage.id, one.clone()), (stage.id, one)]).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(stage.version().await, Some(4));
    assert_eq!(stage.inside.reads(), 1, "own writes need no read");

    stage.store.update(stage.id, &ProgressUpdate::fail(Delta::new(), "over")).await.unwrap();
    stage.store.delete(stage.id).await.unwrap();
    assert_eq!(stage.version().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_tracker_of_the_same_jobs_refreshes_it() {
    let stage = stage().await;
    let jobs = Jobs::on(stage.store.clone(), RunsOn::Task);
    assert_eq!(stage.version().await, Some(1));
    let tracker = jobs.tracker(stage.id).await.unwrap();
    assert_eq!(stage.version().await, Some(2), "the start is seen at once");
    tracker.handle().inc(5);
    sleep(Duration::from_millis(300)).await;
    // Last read 300 ms ago, but fresh because the tracker wrote 50 ms ago.
    assert_eq!(stage.store.get(stage.id).await.unwrap().unwrap().succeeded, 5);
    assert_eq!(stage.inside.reads(), 1);
    tracker.complete(()).await.unwrap();
    assert_eq!(stage.store.get(stage.id).await.unwrap().unwrap().status, Status::Completed);
    assert_eq!(stage.inside.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_knows_is_read_again() {
    let stage = stage().await;
    let start = ProgressUpdate::start();
    assert_eq!(stage.version().await, Some(1));
    stage.inside.set(Fault::LosesAnswers);
    stage.store.update(stage.id, &start).await.unwrap_err();
    assert_eq!(stage.version().await, Some(2), "the update was applied");

    stage.inside.set(Fault::None);
    let fail = ProgressUpdate::fail(Delta::new(), "over");
    stage.inside.update(stage.id, &fail).await.unwrap();
    stage.store.update(stage.id, &fail).await.unwrap_err();
    assert_eq!(stage.version().await, Some(3), "a refusal shows that another process wrote");

    sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.store.delete_finished(Duration::ZERO, 10).await.unwrap(), 1);
    assert_eq!(stage.version().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_given_up_is_not_trusted() {
    let stage = stage().await;
    assert_eq!(stage.version().await, Some(1));
    stage.inside.set(Fault::Silent);
    let start = ProgressUpdate::start();
    let write =
        tokio::time::timeout(Duration::from_millis(10), stage.store.update(stage.id, &start));
    write.await.unwrap_err();
    stage.inside.set(Fault::None);
    assert_eq!(stage.inside.reads(), 1);
    assert_eq!(stage.version().await, Some(1));
    assert_eq!(stage.inside.reads(), 2);
}

/// A store whose reads take the record at once, and return it when the gate opens.
#[derive(Debug)]
struct SlowStore {
    inside: Arc<dyn ProgressStore>,
    gate: Notify,
    reads: AtomicU64,
}

#[async_trait]
impl ProgressStore for SlowStore {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        self.inside.create(job).await
    }
    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let found = self.inside.get(id).await;
        self.gate.notified().await;
        found
    }
    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        self.inside.update(id, update).await
    }
    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        self.inside.list(query).await
    }
    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        self.inside.entries(id, after, limit).await
    }
    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        self.inside.delete(id).await
    }
    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        self.inside.heartbeats().await
    }
    async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        self.inside.delete_finished(older_than, limit).await
    }
}

async fn slow() -> (Arc<SlowStore>, CachedStore, ProgressId) {
    let inside = Arc::new(MemoryStore::new());
    let id = inside.create(&NewProgress::new("test")).await.unwrap().id;
    let slow = Arc::new(SlowStore { inside, gate: Notify::new(), reads: AtomicU64::new(0) });
    (slow.clone(), CachedStore::new(slow), id)
}

/// Lets all ready tasks run.
async fn breathe() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn reads_at_the_same_time_are_one() {
    let (slow, store, id) = slow().await;
    for id in [id, ProgressId::new()] {
        let mut readers = JoinSet::new();
        for _ in 0..1_000 {
            let store = store.clone();
            readers.spawn(async move { store.get(id).await.unwrap().map(|progress| progress.id) });
        }
        breathe().await;
        slow.gate.notify_one();
        assert!(readers.join_all().await.iter().all(|found| found.is_none_or(|found| found == id)));
    }
    assert_eq!(slow.reads.load(Ordering::Relaxed), 2, "one read for each id, missing or not");
}

#[tokio::test(start_paused = true)]
async fn batches_at_the_same_time_read_each_record_once() {
    let stage = stage().await;
    let mut ids = vec![stage.id];
    for _ in 0..2 {
        ids.push(stage.inside.create(&NewProgress::new("test")).await.unwrap().id);
    }
    let mut readers = JoinSet::new();
    for number in 0..1_000 {
        let store = stage.store.clone();
        // In different orders, and overlapping.
        let ids = [ids[number % 3], ids[(number + 1) % 3]];
        readers.spawn(async move {
            let found = store.get_many(&ids).await.unwrap();
            assert!(found.iter().zip(ids).all(|(found, id)| found.as_ref().unwrap().id == id));
        });
    }
    readers.join_all().await;
    let reads = stage.inside.reads();
    assert!(reads <= 3, "{reads} reads of three records");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_made_during_a_read_is_found() {
    let inside = Arc::new(MemoryStore::new());
    let slow = Arc::new(SlowStore { inside, gate: Notify::new(), reads: AtomicU64::new(0) });
    let store = CachedStore::new(slow.clone());
    let job = NewProgress::new("test");
    let early = tokio::spawn({
        let (store, id) = (store.clone(), job.id());
        async move { store.get(id).await.unwrap() }
    });
    breathe().await;
    store.create(&job).await.unwrap();
    slow.gate.notify_one();
    assert!(early.await.unwrap().is_some());
    assert!(store.get(job.id()).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_is_given_up_is_not_trusted() {
    let stage = stage().await;
    stage.inside.update(stage.id, &ProgressUpdate::fail(Delta::new(), "over")).await.unwrap();
    assert_eq!(stage.version().await, Some(2));
    stage.inside.set(Fault::Silent);
    let moment = Duration::from_millis(10);
    let deletion = stage.store.delete_finished(Duration::ZERO, 10);
    tokio::time::timeout(moment, deletion).await.unwrap_err();
    stage.inside.set(Fault::None);
    assert_eq!(stage.version().await, Some(2));
    assert_eq!(stage.inside.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_reader_may_go_away() {
    let (slow, store, id) = slow().await;
    let first = tokio::spawn({
        let store = store.clone();
        async move { store.get(id).await.unwrap() }
    });
    breathe().await;
    let second = tokio::spawn(async move { store.get(id).await.unwrap() });
    breathe().await;
    first.abort();
    breathe().await;
    slow.gate.notify_one();
    assert_eq!(second.await.unwrap().unwrap().id, id);
    assert_eq!(slow.reads.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_read_under_way_does_not_hide_what_was_written_since() {
    let (slow, store, id) = slow().await;
    let read = |store: &CachedStore| {
        let store = store.clone();
        tokio::spawn(async move { store.get(id).await.unwrap() })
    };
    let early = read(&store);
    breathe().await;
    store.update(id, &ProgressUpdate::start()).await.unwrap();
    slow.gate.notify_one();
    assert_eq!(early.await.unwrap().unwrap().version, 2);
    assert_eq!(store.get(id).await.unwrap().unwrap().version, 2);

    // The same with a deletion, which leaves no version to compare.
    sleep(Duration::from_secs(1)).await;
    let early = read(&store);
    breathe().await;
    store.update(id, &ProgressUpdate::cancel(Delta::new())).await.unwrap();
    store.delete(id).await.unwrap();
    slow.gate.notify_one();
    breathe().await;
    slow.gate.notify_one();
    assert_eq!(early.await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_everybodys_who_waited_for_it() {
    let stage = stage().await;
    stage.inside.set(Fault::Away);
    let mut readers = JoinSet::new();
    for _ in 0..100 {
        let (store, id) = (stage.store.clone(), stage.id);
        readers.spawn(async move { store.get(id).await });
    }
    for outcome in readers.join_all().await {
        assert!(outcome.unwrap_err().is_transient());
    }
    stage.inside.set(Fault::None);
    assert_eq!(stage.version().await, Some(1), "a failure is not cached");
}

#[tokio::test(start_paused = true)]
async fn bogus_ids_do_not_fill_the_memory() {
    let stage = stage().await;
    for _ in 0..10_000 {
        assert_eq!(stage.store.get(ProgressId::new()).await.unwrap(), None);
    }
    assert_eq!(stage.store.cache.entries.len(), 0);
    let bogus: Vec<_> = (0..100).map(|_| ProgressId::new()).collect();
    assert!(stage.store.get_many(&bogus).await.unwrap().iter().all(Option::is_none));
    assert_eq!(stage.store.cache.entries.len(), 0);

    stage.inside.set(Fault::Away);
    for _ in 0..10_000 {
        stage.store.get(ProgressId::new()).await.unwrap_err();
    }
    assert!(stage.store.cache.entries.len() <= 256);
}

#[tokio::test(start_paused = true)]
async fn records_of_yesterday_do_not_fill_the_memory() {
    let stage = stage().await;
    for _ in 0..2_000 {
        let id = stage.inside.create(&NewProgress::new("test")).await.unwrap().id;
        stage.store.get(id).await.unwrap().unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    assert!(stage.store.cache.entries.len() <= 256, "{}", stage.store.cache.entries.len());
}

#[tokio::test(start_paused = true)]
async fn several_are_read_in_one_call() {
    let stage = stage().await;
    let mut ids = vec![stage.id];
    for _ in 0..9 {
        ids.push(stage.inside.create(&NewProgress::new("test")).await.unwrap().id);
    }
    ids.insert(5, ProgressId::new());
    stage.store.get(ids[3]).await.unwrap();
    let found = stage.store.get_many(&ids).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|found| found.map(|progress| progress.id)).collect();
    let expected = ids.iter().enumerate().map(|(index, id)| (index != 5).then_some(*id));
    assert_eq!(found, expected.collect::<Vec<_>>());
    assert_eq!(stage.inside.reads(), 2);
    stage.store.get(ids[9]).await.unwrap();
    assert_eq!(stage.inside.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn however_many_watch_one_reads() {
    let stage = stage().await;
    let mut watchers = JoinSet::new();
    for _ in 0..2_000 {
        let mut watch = stage.store.watch(stage.id);
        watchers.spawn(async move {
            while watch.read().await.unwrap().unwrap().version < 2 {
                watch.changed().await;
            }
            Instant::now()
        });
    }
    let began = Instant::now();
    sleep(Duration::from_millis(9_900)).await;
    let reads = stage.inside.reads();
    assert!((39..=41).contains(&reads), "{reads} reads in ten seconds");
    // Not through the cache.
    stage.inside.update(stage.id, &ProgressUpdate::start()).await.unwrap();
    let told = watchers.join_all().await;
    let latest = told.iter().max().unwrap().duration_since(began);
    assert!(latest <= Duration::from_millis(10_150), "{latest:?}");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(stage.inside.reads(), reads + 1, "without watchers there are no reads");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_this_process_is_told_at_once() {
    let stage = stage().await;
    let jobs = Jobs::on(stage.store.clone(), RunsOn::Task);
    let tracker = jobs.tracker(stage.id).await.unwrap();
    let mut watch = stage.store.watch(stage.id);
    watch.read().await.unwrap();
    sleep(Duration::from_millis(250)).await;
    tracker.handle().inc(1);
    let began = Instant::now();
    watch.changed().await;
    assert_eq!(watch.read().await.unwrap().unwrap().succeeded, 1);
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn many_watched_records_are_read_a_hundred_at_a_time() {
    let stage = stage().await;
    let mut watchers = JoinSet::new();
    for _ in 0..1_000 {
        let id = stage.inside.create(&NewProgress::new("test")).await.unwrap().id;
        let mut watch = stage.store.watch(id);
        watchers.spawn(async move {
            watch.read().await.unwrap();
            watch.changed().await;
        });
    }
    sleep(Duration::from_millis(100)).await;
    let reads = stage.inside.reads();
    sleep(Duration::from_secs(10)).await;
    let reads = stage.inside.reads() - reads;
    assert!((390..=410).contains(&reads), "{reads} calls for 40,000 reads");
}

#[tokio::test(start_paused = true)]
async fn those_who_watch_survive_an_outage_and_a_deletion() {
    let stage = stage().await;
    let mut watch = stage.store.watch(stage.id);
    watch.read().await.unwrap();
    for fault in [Fault::Away, Fault::Silent] {
        stage.inside.set(fault);
        let reads = stage.inside.reads();
        let waited = tokio::time::timeout(Duration::from_secs(10), watch.changed()).await;
        assert!(waited.is_err(), "{fault:?} is not a change");
        let reads = stage.inside.reads() - reads;
        assert!((9..=41).contains(&reads), "{reads} attempts in ten seconds of {fault:?}");
    }
    stage.inside.set(Fault::None);
    stage.inside.update(stage.id, &ProgressUpdate::fail(Delta::new(), "over")).await.unwrap();
    watch.changed().await;
    assert_eq!(watch.read().await.unwrap().unwrap().status, Status::Failed);
    stage.inside.delete(stage.id).await.unwrap();
    watch.changed().await;
    assert_eq!(watch.read().await.unwrap(), None);
    let reads = stage.inside.reads();
    assert!(tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.is_err());
    assert!(stage.inside.reads() - reads <= 41);
    drop(watch);
    stage.store.get(stage.id).await.unwrap();
    assert_eq!(stage.store.cache.entries.len(), 0);
}
