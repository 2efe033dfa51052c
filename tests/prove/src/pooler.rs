//! PgBouncer between a store and its server. In session mode, and in transaction mode with the URL
//! parameter that `PostgresStore` asks for, the store works as without it.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use progress_core::testing::conformance;
use progress_core::{Jobs, NewProgress, ProgressQuery, ProgressStore, ProgressUpdate, Status};
use progress_sqlx::PostgresStore;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use tempfile::TempDir;

use crate::place::{Place, open, runtime};
use crate::report::{Finding, Report, Waiting, quietly};

/// The URL parameter for poolers in transaction mode.
const BY_TRANSACTION: &str = "?statement-cache-capacity=0";
const COUNTS: u64 = 200;
const LEASE: Duration = Duration::from_millis(300);
/// Time limit for a job that takes a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(report: &mut Report) {
    let place = Place::servers().into_iter().find(|place| place.name == "postgres");
    let (Some(place), Ok(program)) = (place, std::env::var("PROGRESS_TEST_PGBOUNCER")) else {
        report.not_run("pgbouncer", "PROGRESS_TEST_PGBOUNCER or PROGRESS_TEST_POSTGRES is not set");
        return;
    };
    let sequences = report.rounds(200, 10);
    let mut checks: Vec<(String, Waiting)> = Vec::new();
    for (name, mode, parameter, is_shared) in [
        ("session", "session", "", false),
        ("session-shared", "session", "", true),
        ("transaction", "transaction", BY_TRANSACTION, false),
        ("transaction-shared", "transaction", BY_TRANSACTION, true),
    ] {
        let (place, program) = (place.another(), program.clone());
        let check = move || {
            let pooler = Pooler::start(&program, mode);
            pooled(pooler, &place, parameter, is_shared, sequences)
        };
        checks.push((name.to_owned(), Box::new(check)));
    }
    report.at_once(checks);
    // Control: without the parameter, prepared statements fail, because sessions are shared. This
    // shows that the pooler is in between, and in transaction mode.
    report.check("control", || {
        let pooler = Pooler::start(&program, "transaction");
        quietly(|| pooled(pooler, &place, "", false, 50)).must_fail()
    });
}

/// Checks a store behind a pooler, and that it cannot do anything once the pooler is gone.
fn pooled(
    pooler: Pooler,
    place: &Place,
    parameter: &str,
    is_shared: bool,
    sequences: u32,
) -> Finding {
    let url = format!("{}{parameter}", pooler.url(place));
    runtime().block_on(async {
        pooler.wait_until_ready(place).await;
        let store: Arc<dyn ProgressStore> = if is_shared {
            // sqlx asks for it by default, but PgBouncer does not know this parameter.
            let options: PgConnectOptions = url.parse().unwrap();
            let pool = PgPool::connect_with(options.extra_float_digits(None)).await.unwrap();
            let store = PostgresStore::new(pool);
            store.migrate().await.unwrap();
            Arc::new(store)
        } else {
            open(&url).await
        };
        // A panic reports the difference.
        let conforms = tokio::spawn(conformance(Arc::clone(&store), sequences)).await.is_ok();
        let kept = if conforms { counted(&store).await } else { 0 };
        let is_found = conforms && finds_the_dead(&store).await;
        drop(pooler);
        let is_in_between = store.list(&ProgressQuery::new()).await.is_err();
        Finding::new(
            conforms && kept == COUNTS && is_found && is_in_between,
            format_args!(
                "{} in {sequences} sequences, {kept} of {COUNTS} counts, a dead worker {}, \
                 the server {} without the pooler",
                if conforms { "0 differences" } else { "DIFFERENCES" },
                if is_found { "found" } else { "NOT FOUND" },
                if is_in_between { "unreachable" } else { "REACHABLE" }
            ),
            "0, all, found, unreachable",
        )
    })
}

/// Returns how many counts of a tracker arrive.
async fn counted(store: &Arc<dyn ProgressStore>) -> u64 {
    let jobs = Jobs::new(Arc::clone(store));
    let job = jobs.create(NewProgress::new("prove")).await.unwrap();
    let work = jobs.run(job.id, async |tracker| {
        for _ in 0..COUNTS {
            tracker.item_done("counted");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    });
    tokio::time::timeout(PATIENCE, work).await.map_or(0, |ended| ended.unwrap().succeeded)
}

/// Whether a janitor fails the job of a silent worker.
async fn finds_the_dead(store: &Arc<dyn ProgressStore>) -> bool {
    let jobs = Jobs::new(Arc::clone(store));
    let job = jobs.create(NewProgress::new("prove").with_lease(LEASE)).await.unwrap();
    store.update(job.id, &ProgressUpdate::start()).await.unwrap();
    let janitor = tokio::spawn(jobs.janitor().with_sweep_interval(LEASE / 9).run());
    let begun = Instant::now();
    let mut is_found = false;
    while !is_found && begun.elapsed() < PATIENCE {
        tokio::time::sleep(LEASE / 9).await;
        is_found = store.get(job.id).await.unwrap().unwrap().status == Status::Failed;
    }
    janitor.abort();
    is_found
}

/// A private PgBouncer, killed on drop.
struct Pooler {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Pooler {
    fn start(program: &str, mode: &str) -> Self {
        let server = std::env::var("PROGRESS_TEST_POSTGRES").unwrap();
        let server = server.rsplit_once('@').expect("a user").1;
        let (server, _) = server.rsplit_once('/').expect("a database");
        let (host, port) = server.rsplit_once(':').expect("a port");
        // A port that was free at this moment.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let settings = format!(
            "[databases]\n* = host={host} port={port} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = {mode}\ndefault_pool_size = {}\n",
            address.port(),
            // Fewer sessions than the store has connections, where they can be shared.
            if mode == "session" { 40 } else { 3 }
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(program);
        if rustix::process::getuid().is_root() {
            // It refuses to run as root, and has to read its settings as another user.
            std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
            command.args(["-u", "postgres"]);
        }
        command.arg("-q").arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        Self { child, address, _folder: folder }
    }

    /// Waits until a client can log in. A port that can be connected to is not enough: the pooler
    /// may still reset connections.
    async fn wait_until_ready(&self, place: &Place) {
        let options: PgConnectOptions = self.url(place).parse().unwrap();
        let options = options.extra_float_digits(None);
        let begun = Instant::now();
        while let Err(error) = PgConnection::connect_with(&options).await {
            assert!(begun.elapsed() < PATIENCE, "no login through the pooler: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The address of a database behind this pooler.
    fn url(&self, place: &Place) -> String {
        let (_, database) = place.url().rsplit_once('/').expect("a database");
        format!("postgres://postgres@{}/{database}", self.address)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
