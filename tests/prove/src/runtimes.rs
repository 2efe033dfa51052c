//! A framework with a runtime for each of its workers: the store opens few sessions on its server,
//! and keeps them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::client::Client;
use crate::place::{Place, runtime};
use crate::report::{Finding, Report, Waiting};
use crate::session::Session;
use crate::testserver::{TestServer, path};

const JOBS: u32 = 10;
/// How often each page polls its job.
const POLL: Duration = Duration::from_millis(250);
/// How many sessions a store has at most.
const POOL: usize = 10;
/// Time for the first sessions to be opened.
const WARM_UP: Duration = Duration::from_secs(3);
/// How many sessions may be opened in a second after that.
const NEW_PER_SECOND: f64 = 0.5;

pub(crate) fn run(report: &mut Report) {
    let time = Duration::from_secs(report.rounds(50, 5).into());
    let mut checks: Vec<(String, Waiting)> = Vec::new();
    for place in Place::servers() {
        for workers in [1, 2, 4] {
            let (name, place) = (format!("{}-{workers}", place.name), place.another());
            checks.push((name, Box::new(move || sessions(&place, workers, time, &[]))));
        }
        let name = format!("{}-control", place.name);
        let control =
            move || sessions(&place, 2, Duration::from_secs(3), &["--store-per-call"]).must_fail();
        checks.push((name, Box::new(control)));
    }
    report.at_once(checks);
}

/// Counts the sessions of a server that runs jobs and answers pages.
fn sessions(place: &Place, workers: usize, time: Duration, more: &[&str]) -> Finding {
    let workers = workers.to_string();
    let settings = [&["--store", place.url(), "--workers", &workers], more].concat();
    let server = TestServer::start("actix", &settings);
    runtime().block_on(async {
        let mut pages = JoinSet::new();
        for id in server.create_many(JOBS).await {
            server.run(&id, Duration::from_millis(20)).await;
            let mut page = Client::connect(server.address).await.unwrap();
            pages.spawn(async move {
                loop {
                    page.get(&path(&id), None, "").await.unwrap();
                    tokio::time::sleep(POLL).await;
                }
            });
        }
        let mut observer = Observer::start(place).await;
        observer.watch(WARM_UP).await;
        let (before, most_before) = (observer.seen.len(), observer.most);
        observer.watch(time).await;
        assert_eq!(pages.len(), JOBS as usize, "a page got no response");
        let most = observer.most;
        // A pool that grows opens sessions too.
        let new = (observer.seen.len() - before).saturating_sub(most - most_before);
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let new = new as f64 / time.as_secs_f64();
        Finding::new(
            most > 0 && most <= POOL && new <= NEW_PER_SECOND,
            format_args!(
                "{most} sessions at most, {new:.1} new ones a second, \
                 {workers} workers with {JOBS} jobs and pages for {time:?}"
            ),
            format_args!("{POOL}, {NEW_PER_SECOND}"),
        )
    })
}

/// Watches the sessions of a database.
struct Observer {
    session: Session,
    sessions: &'static str,
    seen: HashSet<i64>,
    most: usize,
}

impl Observer {
    async fn start(place: &Place) -> Self {
        // Process ids are used again, start times are not.
        let sessions = match place.name {
            "postgres" => {
                "SELECT (extract(epoch FROM backend_start) * 1000000)::bigint \
                 FROM pg_stat_activity WHERE datname = current_database() \
                 AND backend_type = 'client backend' \
                 AND pid <> pg_backend_pid()"
            }
            _ => {
                "SELECT CAST(id AS SIGNED) FROM information_schema.processlist \
                 WHERE db = database() AND id <> connection_id()"
            }
        };
        let session = Session::open(place.url()).await;
        Self { session, sessions, seen: HashSet::new(), most: 0 }
    }

    async fn watch(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            let sessions = self.session.numbers(self.sessions).await;
            self.most = self.most.max(sessions.len());
            self.seen.extend(sessions);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
