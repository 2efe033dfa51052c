use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::gatherer::MIN_INTERVAL;
use super::watch::HINTED_INTERVAL;
use super::*;
use crate::flush::RunsOn;
use crate::testing::{Fault, FaultyStore, conformance};
use crate::{ChangesSender, Delta, Jobs, MemoryStore, Status};

/// How late a timer of tokio may be.
const TIMER: Duration = Duration::from_millis(2);

struct Fixture {
    inside: Arc<FaultyStore>,
    store: CachedStore,
    id: ProgressId,
}

async fn fixture() -> Fixture {
    let inside = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let id = inside.create(&NewProgress::new("test")).await.unwrap().id;
    Fixture { store: CachedStore::new(inside.clone()), inside, id }
}

impl Fixture {
    async fn version(&self) -> Option<u64> {
        self.store.get(self.id).await.unwrap().map(|progress| progress.version)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    conformance(Arc::new(CachedStore::new(Arc::new(MemoryStore::new()))), 1_000).await;
}

#[tokio::test(start_paused = true)]
async fn fresh_records_are_not_read_again() {
    let fixture = fixture().await;
    for _ in 0..10 {
        assert_eq!(fixture.version().await, Some(1));
        sleep(Duration::from_millis(100)).await;
    }
    // Reads at 0, 300, 600 and 900 ms, because a record read 200 ms ago is fresh.
    assert_eq!(fixture.inside.reads(), 4);
}

#[tokio::test(start_paused = true)]
async fn writes_of_other_processes_are_seen_after_the_freshness() {
    let fixture = fixture().await;
    assert_eq!(fixture.version().await, Some(1));
    fixture.inside.update(fixture.id, &ProgressUpdate::start()).await.unwrap();
    sleep(Duration::from_millis(249)).await;
    assert_eq!(fixture.version().await, Some(1));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(fixture.version().await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn own_writes_are_seen_at_once() {
    let fixture = fixture().await;
    assert_eq!(fixture.version().await, Some(1));
    fixture.store.update(fixture.id, &ProgressUpdate::start()).await.unwrap();
    let one = ProgressUpdate::advance(Delta::new().with_succeeded(1));
    let outcomes = fixture.store.update_many(&[(fixture.id, one.clone()), (fixture.id, one)]).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(fixture.version().await, Some(4));
    assert_eq!(fixture.inside.reads(), 1, "own writes need no read");

    fixture.store.update(fixture.id, &ProgressUpdate::fail(Delta::new(), "over")).await.unwrap();
    fixture.store.delete(fixture.id).await.unwrap();
    assert_eq!(fixture.version().await, None);
}

#[tokio::test(start_paused = true)]
async fn updates_of_a_tracker_refresh_the_cache() {
    let fixture = fixture().await;
    let jobs = Jobs::on(fixture.store.clone(), RunsOn::Task);
    assert_eq!(fixture.version().await, Some(1));
    let tracker = jobs.tracker(fixture.id).await.unwrap();
    assert_eq!(fixture.version().await, Some(2), "the start is seen at once");
    tracker.handle().inc(5);
    sleep(Duration::from_millis(300)).await;
    // Last read 300 ms ago, but fresh because the tracker wrote 50 ms ago.
    assert_eq!(fixture.store.get(fixture.id).await.unwrap().unwrap().succeeded, 5);
    assert_eq!(fixture.inside.reads(), 1);
    tracker.complete(()).await.unwrap();
    assert_eq!(fixture.store.get(fixture.id).await.unwrap().unwrap().status, Status::Completed);
    assert_eq!(fixture.inside.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_with_an_unknown_outcome_invalidates_the_record() {
    let fixture = fixture().await;
    let start = ProgressUpdate::start();
    assert_eq!(fixture.version().await, Some(1));
    fixture.inside.set(Fault::LosesAnswers);
    fixture.store.update(fixture.id, &start).await.unwrap_err();
    assert_eq!(fixture.version().await, Some(2), "the update was applied");

    fixture.inside.set(Fault::None);
    let fail = ProgressUpdate::fail(Delta::new(), "over");
    fixture.inside.update(fixture.id, &fail).await.unwrap();
    fixture.store.update(fixture.id, &fail).await.unwrap_err();
    assert_eq!(fixture.version().await, Some(3), "a refusal shows that another process wrote");

    sleep(Duration::from_secs(1)).await;
    assert_eq!(fixture.store.delete_finished(Duration::ZERO, 10).await.unwrap(), 1);
    assert_eq!(fixture.version().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_write_invalidates_the_record() {
    let fixture = fixture().await;
    assert_eq!(fixture.version().await, Some(1));
    fixture.inside.set(Fault::Silent);
    let start = ProgressUpdate::start();
    let write =
        tokio::time::timeout(Duration::from_millis(10), fixture.store.update(fixture.id, &start));
    write.await.unwrap_err();
    fixture.inside.set(Fault::None);
    assert_eq!(fixture.inside.reads(), 1);
    assert_eq!(fixture.version().await, Some(1));
    assert_eq!(fixture.inside.reads(), 2);
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
    async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError> {
        self.inside.unannounced(limit).await
    }
    async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError> {
        self.inside.delete_owned(owner, limit).await
    }
}

async fn slow() -> (Arc<SlowStore>, CachedStore, ProgressId) {
    let inside = Arc::new(MemoryStore::new());
    let id = inside.create(&NewProgress::new("test")).await.unwrap().id;
    let slow = Arc::new(SlowStore { inside, gate: Notify::new(), reads: AtomicU64::new(0) });
    (slow.clone(), CachedStore::new(slow), id)
}

/// Lets all ready tasks run.
async fn run_ready_tasks() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn concurrent_reads_share_one_read_of_the_store() {
    let (slow, store, id) = slow().await;
    for id in [id, ProgressId::new()] {
        let mut readers = JoinSet::new();
        for _ in 0..1_000 {
            let store = store.clone();
            readers.spawn(async move { store.get(id).await.unwrap().map(|progress| progress.id) });
        }
        run_ready_tasks().await;
        slow.gate.notify_one();
        assert!(readers.join_all().await.iter().all(|found| found.is_none_or(|found| found == id)));
    }
    assert_eq!(slow.reads.load(Ordering::Relaxed), 2, "one read for each id, missing or not");
}

#[tokio::test(start_paused = true)]
async fn concurrent_batches_read_each_record_once() {
    let fixture = fixture().await;
    let mut ids = vec![fixture.id];
    for _ in 0..2 {
        ids.push(fixture.inside.create(&NewProgress::new("test")).await.unwrap().id);
    }
    let mut readers = JoinSet::new();
    for number in 0..1_000 {
        let store = fixture.store.clone();
        // In different orders, and overlapping.
        let ids = [ids[number % 3], ids[(number + 1) % 3]];
        readers.spawn(async move {
            let found = store.get_many(&ids).await.unwrap();
            assert!(found.iter().zip(ids).all(|(found, id)| found.as_ref().unwrap().id == id));
        });
    }
    readers.join_all().await;
    let reads = fixture.inside.reads();
    assert!(reads <= 3, "{reads} reads of three records");
}

#[tokio::test(start_paused = true)]
async fn a_record_created_during_a_read_is_found() {
    let inside = Arc::new(MemoryStore::new());
    let slow = Arc::new(SlowStore { inside, gate: Notify::new(), reads: AtomicU64::new(0) });
    let store = CachedStore::new(slow.clone());
    let job = NewProgress::new("test");
    let early = tokio::spawn({
        let (store, id) = (store.clone(), job.id());
        async move { store.get(id).await.unwrap() }
    });
    run_ready_tasks().await;
    store.create(&job).await.unwrap();
    slow.gate.notify_one();
    assert!(early.await.unwrap().is_some());
    assert!(store.get(job.id()).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_deletion_invalidates_all_records() {
    let fixture = fixture().await;
    fixture.inside.update(fixture.id, &ProgressUpdate::fail(Delta::new(), "over")).await.unwrap();
    assert_eq!(fixture.version().await, Some(2));
    fixture.inside.set(Fault::Silent);
    let moment = Duration::from_millis(10);
    let deletion = fixture.store.delete_finished(Duration::ZERO, 10);
    tokio::time::timeout(moment, deletion).await.unwrap_err();
    fixture.inside.set(Fault::None);
    assert_eq!(fixture.version().await, Some(2));
    assert_eq!(fixture.inside.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_reader_continues_when_the_first_is_dropped() {
    let (slow, store, id) = slow().await;
    let first = tokio::spawn({
        let store = store.clone();
        async move { store.get(id).await.unwrap() }
    });
    run_ready_tasks().await;
    let second = tokio::spawn(async move { store.get(id).await.unwrap() });
    run_ready_tasks().await;
    first.abort();
    run_ready_tasks().await;
    slow.gate.notify_one();
    assert_eq!(second.await.unwrap().unwrap().id, id);
    assert_eq!(slow.reads.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_read_in_progress_does_not_hide_a_later_write() {
    let (slow, store, id) = slow().await;
    let read = |store: &CachedStore| {
        let store = store.clone();
        tokio::spawn(async move { store.get(id).await.unwrap() })
    };
    let early = read(&store);
    run_ready_tasks().await;
    store.update(id, &ProgressUpdate::start()).await.unwrap();
    slow.gate.notify_one();
    assert_eq!(early.await.unwrap().unwrap().version, 2);
    assert_eq!(store.get(id).await.unwrap().unwrap().version, 2);

    // The same with a deletion, which leaves no version to compare.
    sleep(Duration::from_secs(1)).await;
    let early = read(&store);
    run_ready_tasks().await;
    store.update(id, &ProgressUpdate::cancel(Delta::new())).await.unwrap();
    store.delete(id).await.unwrap();
    slow.gate.notify_one();
    run_ready_tasks().await;
    slow.gate.notify_one();
    assert_eq!(early.await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_fails_all_waiting_readers() {
    let fixture = fixture().await;
    fixture.inside.set(Fault::Away);
    let mut readers = JoinSet::new();
    for _ in 0..100 {
        let (store, id) = (fixture.store.clone(), fixture.id);
        readers.spawn(async move { store.get(id).await });
    }
    for outcome in readers.join_all().await {
        assert!(outcome.unwrap_err().is_transient());
    }
    fixture.inside.set(Fault::None);
    assert_eq!(fixture.version().await, Some(1), "a failure is not cached");
}

#[tokio::test(start_paused = true)]
async fn unknown_ids_do_not_fill_the_cache() {
    let fixture = fixture().await;
    for _ in 0..10_000 {
        assert_eq!(fixture.store.get(ProgressId::new()).await.unwrap(), None);
    }
    assert_eq!(fixture.store.cache.entries.len(), 0);
    let bogus: Vec<_> = (0..100).map(|_| ProgressId::new()).collect();
    assert!(fixture.store.get_many(&bogus).await.unwrap().iter().all(Option::is_none));
    assert_eq!(fixture.store.cache.entries.len(), 0);

    fixture.inside.set(Fault::Away);
    for _ in 0..10_000 {
        fixture.store.get(ProgressId::new()).await.unwrap_err();
    }
    assert!(fixture.store.cache.entries.len() <= 256);
}

#[tokio::test(start_paused = true)]
async fn old_entries_are_evicted() {
    let fixture = fixture().await;
    for _ in 0..2_000 {
        let id = fixture.inside.create(&NewProgress::new("test")).await.unwrap().id;
        fixture.store.get(id).await.unwrap().unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    assert!(fixture.store.cache.entries.len() <= 256, "{}", fixture.store.cache.entries.len());
}

#[tokio::test(start_paused = true)]
async fn several_records_are_read_in_one_call() {
    let fixture = fixture().await;
    let mut ids = vec![fixture.id];
    for _ in 0..9 {
        ids.push(fixture.inside.create(&NewProgress::new("test")).await.unwrap().id);
    }
    ids.insert(5, ProgressId::new());
    fixture.store.get(ids[3]).await.unwrap();
    let found = fixture.store.get_many(&ids).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|found| found.map(|progress| progress.id)).collect();
    let expected = ids.iter().enumerate().map(|(index, id)| (index != 5).then_some(*id));
    assert_eq!(found, expected.collect::<Vec<_>>());
    assert_eq!(fixture.inside.reads(), 2);
    fixture.store.get(ids[9]).await.unwrap();
    assert_eq!(fixture.inside.reads(), 2);
}

impl Fixture {
    async fn create_many(&self, count: usize) -> Vec<ProgressId> {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(self.inside.create(&NewProgress::new("test")).await.unwrap().id);
        }
        ids
    }
}

#[tokio::test(start_paused = true)]
async fn pages_that_poll_a_job_each_share_calls() {
    let fixture = fixture().await;
    let mut pages = JoinSet::new();
    for (id, nth) in fixture.create_many(1_000).await.into_iter().zip(0..) {
        let store = fixture.store.clone();
        pages.spawn(async move {
            sleep(Duration::from_micros(500) * nth).await;
            let mut slowest = Duration::ZERO;
            for _ in 0..20 {
                let began = Instant::now();
                assert_eq!(store.read(id).await.unwrap().unwrap().id, id);
                slowest = slowest.max(began.elapsed());
                sleep(Duration::from_millis(500)).await;
            }
            slowest
        });
    }
    let slowest = pages.join_all().await.into_iter().max().unwrap();
    assert!(slowest <= MIN_INTERVAL + TIMER, "{slowest:?}");
    let reads = fixture.inside.reads();
    assert!(reads <= 700, "{reads} calls for 20,000 reads in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn a_page_alone_and_a_loop_do_not_wait() {
    let fixture = fixture().await;
    let began = Instant::now();
    let ids = fixture.create_many(100).await;
    for id in &ids {
        assert!(fixture.store.get(*id).await.unwrap().is_some());
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    fixture.store.read(ids[0]).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    // One read waits for others, which do not come.
    for id in &ids[1..] {
        fixture.store.read(*id).await.unwrap();
    }
    assert!(began.elapsed() <= MIN_INTERVAL + TIMER, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_herd_is_read_a_hundred_at_a_time() {
    let fixture = fixture().await;
    let mut readers = JoinSet::new();
    for id in fixture.create_many(2_000).await {
        let store = fixture.store.clone();
        readers.spawn(async move { assert_eq!(store.read(id).await.unwrap().unwrap().id, id) });
    }
    let began = Instant::now();
    readers.join_all().await;
    assert!(began.elapsed() <= MIN_INTERVAL + TIMER, "{:?}", began.elapsed());
    // One alone, 19 full batches, and the last 99.
    assert_eq!(fixture.inside.reads(), 21);
}

#[tokio::test(start_paused = true)]
async fn gathered_reads_fail_together_only_in_an_outage() {
    let fixture = fixture().await;
    let ids = fixture.create_many(10).await;
    let read_all = async || {
        let mut readers = JoinSet::new();
        for id in ids.clone() {
            let store = fixture.store.clone();
            readers.spawn(async move { store.read(id).await });
        }
        readers.join_all().await
    };
    fixture.inside.set(Fault::Away);
    assert!(read_all().await.into_iter().all(|read| read.unwrap_err().is_transient()));
    assert_eq!(fixture.inside.reads(), 2, "one alone, and a batch");
    fixture.inside.set(Fault::Broken);
    sleep(Duration::from_secs(1)).await;
    assert!(read_all().await.into_iter().all(|read| !read.unwrap_err().is_transient()));
    assert_eq!(fixture.inside.reads(), 2 + 2 + 9, "each again alone");

    // One record cannot be read.
    let mut mock = crate::MockProgressStore::new();
    let bad = ids[3];
    let read = move |id| match id {
        id if id == bad => Err(ProgressError::store("unreadable")),
        id => Ok(Some(Progress::new(&NewProgress::new("t").with_id(id), Default::default())?)),
    };
    mock.expect_get().returning(read);
    mock.expect_get_many().returning(move |ids| ids.iter().map(|id| read(*id)).collect());
    let store = CachedStore::new(Arc::new(mock));
    let mut readers = JoinSet::new();
    for id in ids {
        let store = store.clone();
        readers.spawn(async move { assert_eq!(store.read(id).await.is_err(), id == bad) });
    }
    readers.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn gathered_reads_do_not_depend_on_the_first() {
    for is_dropped in [true, false] {
        let fixture = fixture().await;
        let ids = fixture.create_many(3).await;
        fixture.store.read(fixture.id).await.unwrap();
        let [mut first, mut second, mut third] =
            [0, 1, 2].map(|nth| Box::pin(fixture.store.read(ids[nth])));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        if is_dropped {
            drop(first);
            assert_eq!(second.await.unwrap().unwrap().id, ids[1]);
            continue;
        }
        // Not polled, as if its thread were blocked.
        sleep(MIN_INTERVAL + TIMER).await;
        assert!((&mut second).now_or_never().is_none());
        assert_eq!((&mut third).now_or_never().unwrap().unwrap().unwrap().id, ids[2]);
        assert_eq!(second.await.unwrap().unwrap().id, ids[1]);
        assert_eq!(first.await.unwrap().unwrap().id, ids[0]);
        assert_eq!(fixture.inside.reads(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn one_watch_reads_for_all() {
    let fixture = fixture().await;
    let mut watchers = JoinSet::new();
    for _ in 0..2_000 {
        let mut watch = fixture.store.watch(fixture.id);
        watchers.spawn(async move {
            while watch.read().await.unwrap().unwrap().version < 2 {
                watch.changed().await;
            }
            Instant::now()
        });
    }
    let began = Instant::now();
    sleep(Duration::from_millis(9_900)).await;
    let reads = fixture.inside.reads();
    assert!((39..=41).contains(&reads), "{reads} reads in ten seconds");
    // Not through the cache.
    fixture.inside.update(fixture.id, &ProgressUpdate::start()).await.unwrap();
    let told = watchers.join_all().await;
    let latest = told.iter().max().unwrap().duration_since(began);
    assert!(latest <= Duration::from_millis(10_150), "{latest:?}");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(fixture.inside.reads(), reads + 1, "without watchers there are no reads");
}

#[tokio::test(start_paused = true)]
async fn a_change_between_the_read_and_the_watch_is_seen() {
    let fixture = fixture().await;
    let read = fixture.store.read(fixture.id).await.unwrap().unwrap();
    fixture.store.update(fixture.id, &ProgressUpdate::start()).await.unwrap();
    let wait = Duration::from_millis(200);
    // The control: a watch by the id sees only what comes later.
    let mut by_id = fixture.store.watch(fixture.id);
    assert!(tokio::time::timeout(wait, by_id.changed()).await.is_err());
    let mut since = fixture.store.watch_since(&read);
    assert!(tokio::time::timeout(wait, since.changed()).await.is_ok());
    assert_eq!(since.read().await.unwrap().map(|progress| progress.version), Some(2));
    assert!(
        tokio::time::timeout(wait, since.changed()).await.is_err(),
        "nothing has changed since"
    );
}

#[tokio::test(start_paused = true)]
async fn watches_see_changes_of_this_process_at_once() {
    let fixture = fixture().await;
    let jobs = Jobs::on(fixture.store.clone(), RunsOn::Task);
    let tracker = jobs.tracker(fixture.id).await.unwrap();
    let mut watch = fixture.store.watch(fixture.id);
    watch.read().await.unwrap();
    sleep(Duration::from_millis(250)).await;
    tracker.handle().inc(1);
    let began = Instant::now();
    watch.changed().await;
    assert_eq!(watch.read().await.unwrap().unwrap().succeeded, 1);
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn watched_records_are_read_a_hundred_at_a_time() {
    let fixture = fixture().await;
    let mut watchers = JoinSet::new();
    for _ in 0..1_000 {
        let id = fixture.inside.create(&NewProgress::new("test")).await.unwrap().id;
        let mut watch = fixture.store.watch(id);
        watchers.spawn(async move {
            watch.read().await.unwrap();
            watch.changed().await;
        });
    }
    sleep(Duration::from_millis(100)).await;
    let reads = fixture.inside.reads();
    sleep(Duration::from_secs(10)).await;
    let reads = fixture.inside.reads() - reads;
    assert!((390..=410).contains(&reads), "{reads} calls for 40,000 reads");
}

#[tokio::test(start_paused = true)]
async fn watches_survive_an_outage_and_a_deletion() {
    let fixture = fixture().await;
    let mut watch = fixture.store.watch(fixture.id);
    watch.read().await.unwrap();
    for fault in [Fault::Away, Fault::Silent] {
        fixture.inside.set(fault);
        let reads = fixture.inside.reads();
        let waited = tokio::time::timeout(Duration::from_secs(10), watch.changed()).await;
        assert!(waited.is_err(), "{fault:?} is not a change");
        let reads = fixture.inside.reads() - reads;
        assert!((9..=41).contains(&reads), "{reads} attempts in ten seconds of {fault:?}");
    }
    fixture.inside.set(Fault::None);
    fixture.inside.update(fixture.id, &ProgressUpdate::fail(Delta::new(), "over")).await.unwrap();
    watch.changed().await;
    assert_eq!(watch.read().await.unwrap().unwrap().status, Status::Failed);
    fixture.inside.delete(fixture.id).await.unwrap();
    watch.changed().await;
    assert!(watch.read().await.unwrap().is_none());
    let reads = fixture.inside.reads();
    assert!(tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.is_err());
    assert!(fixture.inside.reads() - reads <= 41);
    drop(watch);
    fixture.store.get(fixture.id).await.unwrap();
    assert_eq!(fixture.store.cache.entries.len(), 0);
}

/// A store with hints, which the test sends.
async fn hinted() -> (Fixture, ChangesSender) {
    let (sender, changes) = Changes::channel();
    let inside = FaultyStore::new(Arc::new(MemoryStore::new())).with_changes(changes);
    let inside = Arc::new(inside);
    let id = inside.create(&NewProgress::new("test")).await.unwrap().id;
    (Fixture { store: CachedStore::new(inside.clone()), inside, id }, sender)
}

impl Fixture {
    /// Returns how many reads the store gets in ten seconds while a watch waits.
    async fn reads_while_waiting(&self, watch: &mut Watch) -> u64 {
        watch.read().await.unwrap();
        let before = self.inside.reads();
        let waited = tokio::time::timeout(Duration::from_secs(10), watch.changed()).await;
        assert!(waited.is_err(), "nothing has changed");
        self.inside.reads() - before
    }
}

#[tokio::test(start_paused = true)]
async fn hints_replace_most_reads() {
    let (fixture, sender) = hinted().await;
    let mut watch = fixture.store.watch(fixture.id);
    let reads = fixture.reads_while_waiting(&mut watch).await;
    assert!((39..=41).contains(&reads), "{reads} reads before hints are live");
    sender.set_live(true);
    // It reads once, because there may have been changes.
    fixture.reads_while_waiting(&mut watch).await;
    let reads = fixture.reads_while_waiting(&mut watch).await;
    assert!((2..=4).contains(&reads), "{reads} reads while hints are live");
    // Heartbeats, and other records.
    sender.send([(fixture.id, 1), (ProgressId::new(), 9)]);
    let reads = fixture.reads_while_waiting(&mut watch).await;
    assert!((2..=4).contains(&reads), "{reads} reads after hints without news");
    drop(sender);
    let reads = fixture.reads_while_waiting(&mut watch).await;
    assert!((39..=41).contains(&reads), "{reads} reads after the end of the hints");
}

#[tokio::test(start_paused = true)]
async fn a_hinted_change_is_seen_at_once_and_a_lost_hint_after_three_seconds() {
    let (fixture, sender) = hinted().await;
    sender.set_live(true);
    let mut watch = fixture.store.watch(fixture.id);
    fixture.reads_while_waiting(&mut watch).await;
    for (update, is_hinted, latest) in [
        (ProgressUpdate::start(), true, Duration::from_millis(30)),
        (ProgressUpdate::advance(Delta::new().with_succeeded(1)), true, Duration::from_millis(30)),
        (ProgressUpdate::advance(Delta::new().with_succeeded(1)), false, HINTED_INTERVAL),
        (ProgressUpdate::fail(Delta::new(), "over"), true, Duration::from_millis(30)),
    ] {
        let written = fixture.inside.update(fixture.id, &update).await.unwrap();
        let began = Instant::now();
        if is_hinted {
            sender.send([(fixture.id, written.version)]);
        }
        watch.changed().await;
        assert_eq!(watch.read().await.unwrap().unwrap().version, written.version);
        assert!(began.elapsed() <= latest, "{:?} is later than {latest:?}", began.elapsed());
    }
    fixture.inside.delete(fixture.id).await.unwrap();
    sender.send([(fixture.id, Changes::DELETED)]);
    watch.changed().await;
    assert!(watch.read().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_unspecific_hint_causes_at_most_four_reads_a_second() {
    let (fixture, sender) = hinted().await;
    sender.set_live(true);
    let mut watch = fixture.store.watch(fixture.id);
    fixture.reads_while_waiting(&mut watch).await;
    let before = fixture.inside.reads();
    let flood = async {
        loop {
            sender.send_any();
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = watch.changed() => panic!("nothing has changed"),
        () = flood => {}
        () = sleep(Duration::from_secs(10)) => {}
    }
    let reads = fixture.inside.reads() - before;
    assert!((38..=41).contains(&reads), "{reads} reads in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_after_a_hint_is_repeated() {
    let (fixture, sender) = hinted().await;
    sender.set_live(true);
    let mut watch = fixture.store.watch(fixture.id);
    fixture.reads_while_waiting(&mut watch).await;
    let started = fixture.inside.update(fixture.id, &ProgressUpdate::start()).await.unwrap();
    for fault in [Fault::Away, Fault::Silent] {
        fixture.inside.set(fault);
        sender.send([(fixture.id, started.version)]);
        let waited = tokio::time::timeout(Duration::from_secs(2), watch.changed()).await;
        assert!(waited.is_err(), "{fault:?}: the store cannot be read");
    }
    fixture.inside.set(Fault::None);
    let began = Instant::now();
    watch.changed().await;
    assert!(began.elapsed() < Duration::from_millis(1_300), "{:?}", began.elapsed());
}

/// The watch that reads for all has its own answer, and its read is dropped.
#[tokio::test(start_paused = true)]
async fn a_dropped_read_does_not_delay_a_hinted_change() {
    let (fixture, sender) = hinted().await;
    sender.set_live(true);
    let [mut first, mut second] = [(); 2].map(|()| fixture.store.watch(fixture.id));
    fixture.reads_while_waiting(&mut first).await;
    second.read().await.unwrap();
    let started = fixture.inside.update(fixture.id, &ProgressUpdate::start()).await.unwrap();
    fixture.inside.set(Fault::Silent);
    sender.send([(fixture.id, started.version)]);
    let waited = tokio::time::timeout(Duration::from_millis(50), first.changed()).await;
    assert!(waited.is_err(), "the store is silent");
    fixture.inside.set(Fault::None);
    let began = Instant::now();
    second.changed().await;
    assert!(began.elapsed() <= Duration::from_millis(30), "{:?}", began.elapsed());
}
