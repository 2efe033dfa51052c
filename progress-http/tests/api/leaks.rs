//! A store's error messages go to the log, and never to viewers.

use std::io::Write;
use std::sync::Mutex;

use async_trait::async_trait;
use progress_core::{
    Changes, EntryPage, Heartbeat, Progress, ProgressError, ProgressPage, ProgressQuery,
};

use super::*;

/// A store that fails in calls of one kind, with a secret in its error message.
#[derive(Debug)]
struct Indiscreet {
    inner: MemoryStore,
    fault: Mutex<Option<(&'static str, Manner, String)>>,
}

#[derive(Debug, Clone, Copy)]
enum Manner {
    Unavailable,
    Broken,
    NotSetUp,
    Nested,
    Panics,
}

const MANNERS: [Manner; 5] =
    [Manner::Unavailable, Manner::Broken, Manner::NotSetUp, Manner::Nested, Manner::Panics];

impl Indiscreet {
    fn fail(&self, call: &str) -> Result<(), ProgressError> {
        let fault = self.fault.lock().unwrap().clone();
        let Some((_, manner, secret)) = fault.filter(|(failing, ..)| *failing == call) else {
            return Ok(());
        };
        Err(match manner {
            Manner::Unavailable => ProgressError::unavailable(secret),
            Manner::Broken => ProgressError::store(secret),
            Manner::NotSetUp => ProgressError::setup(secret),
            Manner::Nested => {
                let cause = ProgressError::store(secret);
                ProgressError::store(std::io::Error::other(cause))
            }
            Manner::Panics => panic!("{secret}"),
        })
    }
}

#[deny(clippy::missing_trait_methods, reason = "a default would bypass the inner store's method")]
#[async_trait]
impl ProgressStore for Indiscreet {
    async fn create(&self, job: &NewProgress) -> Result<Progress, ProgressError> {
        self.inner.create(job).await
    }
    async fn get(&self, id: ProgressId) -> Result<Option<Progress>, ProgressError> {
        self.fail("get")?;
        self.inner.get(id).await
    }
    async fn update(
        &self,
        id: ProgressId,
        update: &ProgressUpdate,
    ) -> Result<Progress, ProgressError> {
        self.fail("update")?;
        self.inner.update(id, update).await
    }
    async fn list(&self, query: &ProgressQuery) -> Result<ProgressPage, ProgressError> {
        self.fail("list")?;
        self.inner.list(query).await
    }
    async fn entries(
        &self,
        id: ProgressId,
        after: u64,
        limit: u32,
    ) -> Result<EntryPage, ProgressError> {
        self.fail("entries")?;
        self.inner.entries(id, after, limit).await
    }
    async fn delete(&self, id: ProgressId) -> Result<(), ProgressError> {
        self.fail("delete")?;
        self.inner.delete(id).await
    }
    async fn heartbeats(&self) -> Result<Vec<Heartbeat>, ProgressError> {
        self.inner.heartbeats().await
    }
    async fn delete_finished(
        &self,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, ProgressError> {
        self.inner.delete_finished(older_than, limit).await
    }
    async fn unannounced(&self, limit: u32) -> Result<Vec<Progress>, ProgressError> {
        self.inner.unannounced(limit).await
    }
    async fn delete_owned(&self, owner: &str, limit: u32) -> Result<u64, ProgressError> {
        self.inner.delete_owned(owner, limit).await
    }
    async fn ping(&self) -> Result<(), ProgressError> {
        self.fail("ping")?;
        self.inner.ping().await
    }
    async fn get_many(&self, ids: &[ProgressId]) -> Result<Vec<Option<Progress>>, ProgressError> {
        self.fail("get_many")?;
        self.inner.get_many(ids).await
    }
    async fn update_many(
        &self,
        updates: &[(ProgressId, ProgressUpdate)],
    ) -> Vec<Result<Progress, ProgressError>> {
        self.inner.update_many(updates).await
    }
    fn changes(&self) -> Option<Changes> {
        self.inner.changes()
    }
}

/// Collects the log output.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_a_store_says_is_in_the_log_and_nowhere_else() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // Only these panics are expected.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.to_string().contains("canary") {
            report(panic);
        }
    }));

    let store = Arc::new(Indiscreet { inner: MemoryStore::new(), fault: Mutex::default() });
    let api = ProgressApi::new(Jobs::with_freshness(store.clone(), Duration::ZERO));
    let id = store.create(&NewProgress::new("test").with_owner("ann")).await.unwrap().id;
    let ended = store.create(&NewProgress::new("test").with_owner("ann")).await.unwrap().id;
    store.update(ended, &ProgressUpdate::fail(Delta::new(), "over")).await.unwrap();
    let lines = [
        (format!("GET /{id}"), "get"),
        (format!("HEAD /{id}"), "get"),
        (format!("GET /{id}.html"), "get"),
        (format!("GET /{id}/log"), "get"),
        (format!("GET /{id}/log"), "entries"),
        (format!("GET /{id}/events"), "get"),
        (format!("POST /{id}/cancel"), "get"),
        (format!("POST /{id}/cancel"), "update"),
        (format!("DELETE /{ended}"), "delete"),
        ("GET /".to_owned(), "list"),
        ("GET /active".to_owned(), "list"),
        (format!("GET /?ids={id}"), "get_many"),
    ];
    let mut canaries = Vec::new();
    let ask = async |line: &str| {
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let headers = RequestHeaders::default();
        let call = match api.route(&Request { mount: "", method, path, query, headers }) {
            Route::Answered(reply) => return reply,
            Route::Call(call) => call,
        };
        match call.answer(&ann()).await {
            Answer::Whole(reply) => reply,
            // Which waits for the store without a word of it.
            Answer::Events(head, _) => head,
        }
    };
    for (number, (line, call)) in lines.iter().enumerate() {
        for manner in MANNERS {
            let secret = match number % 3 {
                0 => format!("postgres://app:canary-{number}-{manner:?}@10.0.0.7/app: refused"),
                1 => format!("error in SELECT * FROM canary-{number}-{manner:?} WHERE"),
                _ => format!("/srv/app/canary-{number}-{manner:?}/progress.db: permission denied"),
            };
            *store.fault.lock().unwrap() = Some((*call, manner, secret));
            let reply = ask(line).await;
            let expected = if line.ends_with("/events") { 200 } else { 503 };
            assert_eq!(reply.status, expected, "{line} while {call} fails");
            let text = format!("{:?} {}", reply.headers, String::from_utf8_lossy(&reply.body));
            for word in ["canary", "SELECT", "postgres", "/srv", "panicked", "progress.db"] {
                assert!(!text.contains(word), "{line}: {text}");
            }
            canaries.push(format!("canary-{number}-{manner:?}"));
            // An outage is logged once, so it must end before the next one.
            *store.fault.lock().unwrap() = None;
            assert_eq!(ask(&format!("GET /{id}")).await.status, 200);
        }
    }
    assert!(canaries.len() >= 40);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for canary in canaries {
        assert!(log.contains(&canary), "{canary} is not in the log");
    }
}
