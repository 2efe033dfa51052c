//! Lost acknowledgements: a commit succeeds, its acknowledgement is cut off, and the repeated
//! update counts once.
//!
//! Not on SQLite: there is no network to cut. The caller learns of its commit, or dies with it
//! (`sigkill`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use progress_core::{
    Delta, Jobs, NewProgress, ProgressId, ProgressStore, ProgressUpdate, Stamp, Status,
    TrackerOptions,
};
use progress_test_support::Network;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::place::{Place, open, runtime};
use crate::report::{Finding, Report};
use crate::worker::{join_all, running};

const WRITERS: u32 = 8;
/// The full form takes less than a minute for each kind of writers.
const LONGEST: Duration = Duration::from_secs(300);

pub(crate) fn run(report: &mut Report) {
    let cuts = report.rounds(250, 20);
    for place in Place::remote() {
        let check = |writers| runtime().block_on(cut(&place, cuts, writers));
        report.check(&format!("{}-tracker", place.name), || exact(&check(Writers::Trackers)));
        report.check(&format!("{}-stamped", place.name), || exact(&check(Writers::Stamped)));
        if place.name == "redis" {
            // A repeated write knows its own revision, so even an update without a stamp counts
            // once. The controls are those of the databases.
            continue;
        }
        report.check(&format!("{}-control", place.name), || {
            let Counts { cuts, expected, kept } = check(Writers::Blind);
            let doubled = kept - expected;
            Finding::new(
                doubled == i128::from(cuts),
                format_args!(
                    "without stamps {doubled} of {expected} are counted twice, after {cuts} cuts"
                ),
                "one for each cut",
            )
        });
    }
}

/// The kind of writers.
#[derive(Clone, Copy)]
enum Writers {
    /// A tracker for each writer, with its own pool.
    Trackers,
    /// Updates with a stamp, on one pool, each repeated at once until it is acknowledged.
    Stamped,
    /// The same without stamps (the control).
    Blind,
}

struct Counts {
    cuts: u32,
    expected: i128,
    kept: i128,
}

fn exact(&Counts { cuts, expected, kept }: &Counts) -> Finding {
    let difference = kept - expected;
    Finding::new(
        difference == 0,
        format_args!("{difference:+} of {expected} counts after {cuts} cut acknowledgements"),
        "0",
    )
}

/// Counts until `wanted` acknowledgements have been cut.
async fn cut(place: &Place, wanted: u32, writers: Writers) -> Counts {
    let scissors = Arc::new(Scissors::new(place.name, wanted));
    let network = Network::carrying(place.url(), {
        let scissors = Arc::clone(&scissors);
        move |client, server| carry(client, server, Arc::clone(&scissors))
    })
    .await;
    let url = readable(network.url());
    let direct = place.open().await;
    let mut tasks = JoinSet::new();
    let shared = open(&url).await;
    for _ in 0..WRITERS {
        let scissors = Arc::clone(&scissors);
        if matches!(writers, Writers::Trackers) {
            let store = open(&url).await;
            let job = direct.create(&NewProgress::new("prove")).await.unwrap().id;
            tasks.spawn(async move { (job, track(store, job, &scissors).await) });
        } else {
            let store = Arc::clone(&shared);
            let job = running(&direct).await;
            let has_stamp = matches!(writers, Writers::Stamped);
            tasks.spawn(async move { (job, count(&*store, job, has_stamp, &scissors).await) });
        }
    }
    scissors.open();
    let (mut expected, mut kept) = (0, 0);
    for (job, counted) in join_all(tasks).await {
        expected += i128::from(counted);
        let job = direct.get(job).await.unwrap().unwrap();
        kept += i128::from(job.succeeded);
        let ended = matches!(writers, Writers::Trackers);
        assert_eq!(job.status, if ended { Status::Completed } else { Status::Running });
    }
    Counts { cuts: scissors.cuts.load(Ordering::Relaxed), expected, kept }
}

/// Returns the address of connections that are not encrypted, because the scissors read them.
fn readable(url: &str) -> String {
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => format!("{url}?sslmode=disable"),
        Some(("mysql", _)) => format!("{url}?ssl-mode=DISABLED"),
        _ => url.to_owned(),
    }
}

/// Counts through a tracker. The acknowledgements of its start and end are cut as well.
async fn track(store: Arc<dyn ProgressStore>, job: ProgressId, scissors: &Scissors) -> u64 {
    let options = TrackerOptions::new().with_flush_interval(Duration::from_millis(10));
    let tracker = Jobs::new(store).tracker_with(options, job).await.unwrap();
    let mut counted = 0;
    while !scissors.are_done() {
        tracker.handle().inc(1);
        counted += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tracker.complete(()).await.unwrap();
    counted
}

/// Counts one by one, without a tracker.
async fn count(
    store: &dyn ProgressStore,
    job: ProgressId,
    has_stamp: bool,
    scissors: &Scissors,
) -> u64 {
    let writer = Uuid::new_v4();
    let mut counted = 0;
    while !scissors.are_done() {
        counted += 1;
        let one = ProgressUpdate::advance(Delta::new().with_succeeded(1));
        let one = if has_stamp { one.with_stamp(Stamp { writer, seq: counted }) } else { one };
        while let Err(error) = store.update(job, &one).await {
            assert!(error.is_transient(), "{error:?}");
        }
    }
    counted
}

/// Decides which acknowledgements are cut.
struct Scissors {
    /// The client's COMMIT, and the server's acknowledgement of it.
    commit: Vec<u8>,
    committed: &'static [u8],
    /// The server's acknowledgement of a write without a transaction, if there are such writes.
    written: Option<&'static [u8]>,
    wanted: u32,
    commits: AtomicU32,
    cuts: AtomicU32,
    begun: Instant,
}

impl Scissors {
    /// Closed: nothing is cut yet.
    fn new(database: &str, wanted: u32) -> Self {
        let (commit, committed, written): (Vec<u8>, &[u8], Option<&[u8]>) = match database {
            // A simple query; a CommandComplete, which would say ROLLBACK after a failed statement;
            // a CommandComplete, a CloseComplete of the portal, and a ReadyForQuery that says "no
            // transaction".
            "postgres" => (
                b"Q\0\0\0\x0bCOMMIT\0".into(),
                b"C\0\0\0\x0bCOMMIT\0",
                Some(b"UPDATE 1\x003\0\0\0\x04Z\0\0\0\x05I"),
            ),
            // The first packet of an exchange, a query; the second, OK, with no affected row and no
            // insert id; the same with one affected row, and without a transaction.
            "mysql" => (
                b"\x07\0\0\0\x03COMMIT".into(),
                b"\x07\0\0\x01\0\0\0",
                Some(b"\0\0\x01\0\x01\0\x02\0"),
            ),
            // The script that writes a record; the integer 1.
            "redis" => {
                let text = include_str!("../../../progress-redis/src/scripts/write.lua");
                let commit = format!("$40\r\n{}\r\n", redis::Script::new(text).get_hash());
                (commit.into_bytes(), b":1\r\n", None)
            }
            other => panic!("unknown commit messages of {other}"),
        };
        Self {
            commit,
            committed,
            written,
            wanted,
            commits: AtomicU32::new(0),
            cuts: AtomicU32::new(u32::MAX),
            begun: Instant::now(),
        }
    }

    fn open(&self) {
        self.cuts.store(0, Ordering::Relaxed);
    }

    fn are_done(&self) -> bool {
        let cuts = self.cuts.load(Ordering::Relaxed);
        assert!(self.begun.elapsed() < LONGEST, "only {cuts} acknowledgements were recognised");
        cuts != u32::MAX && cuts >= self.wanted
    }

    /// Whether to cut the acknowledgement of the next commit: two in five, so that some repeated
    /// commits are cut again.
    fn want_next(&self) -> bool {
        let is_open = self.cuts.load(Ordering::Relaxed) < self.wanted;
        is_open && self.commits.fetch_add(1, Ordering::Relaxed) % 5 < 2
    }
}

/// Forwards data both ways, until the server acknowledges a commit that is to be cut. Then drops
/// both connections.
async fn carry(mut client: TcpStream, mut server: TcpStream, scissors: Arc<Scissors>) {
    let (mut asked, mut answered) = (vec![0; 1 << 14], vec![0; 1 << 14]);
    let mut commit = Search::new(&scissors.commit);
    let mut committed: Option<Search<'_>> = None;
    let mut written = scissors.written.map(Search::new);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Some(said) = said(read, &asked) else { return };
                if commit.finds_in(said) && scissors.want_next() {
                    committed = Some(Search::new(scissors.committed));
                }
                if server.write_all(said).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Some(said) = said(read, &answered) else { return };
                match &mut committed {
                    None => {
                        let is_written = written.as_mut().is_some_and(|ack| ack.finds_in(said));
                        if is_written && scissors.want_next() {
                            scissors.cuts.fetch_add(1, Ordering::Relaxed);
                            return;
                        }
                        if client.write_all(said).await.is_err() {
                            return;
                        }
                    }
                    Some(committed) => {
                        if committed.finds_in(said) {
                            scissors.cuts.fetch_add(1, Ordering::Relaxed);
                            return;
                        }
                    }
                }
            }
        }
    }
}

/// Returns what was read; `None` at the end.
fn said(read: std::io::Result<usize>, buffer: &[u8]) -> Option<&[u8]> {
    read.ok().filter(|length| *length > 0).map(|length| &buffer[..length])
}

/// Finds a byte sequence in a stream, also across reads.
struct Search<'p> {
    phrase: &'p [u8],
    heard: Vec<u8>,
}

impl<'p> Search<'p> {
    fn new(phrase: &'p [u8]) -> Self {
        Self { phrase, heard: Vec::new() }
    }

    fn finds_in(&mut self, said: &[u8]) -> bool {
        self.heard.extend_from_slice(said);
        let found = self.heard.windows(self.phrase.len()).any(|heard| heard == self.phrase);
        // Keeps only what may be the beginning of the phrase.
        let surplus = if found {
            self.heard.len()
        } else {
            self.heard.len().saturating_sub(self.phrase.len() - 1)
        };
        self.heard.drain(..surplus);
        found
    }
}
