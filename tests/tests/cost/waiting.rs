//! How much memory requests take that wait for a change, without that of their connections.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use axum::body::{Body, HttpBody as _};
use axum::http::Request;
use axum::response::Response;
use axum::routing::get;
use progress_core::{Jobs, MemoryStore, NewProgress, ProgressId, ProgressStore as _};
use tower_service::Service as _;

const WAITERS: usize = 200;

/// The most bytes of a request that waits, on axum, with all that axum keeps for it.
const MOST_PER_WAITER: i64 = 2_050;
/// The most bytes of an event stream, without the task of its connection.
const MOST_PER_STREAM: i64 = 980;
/// The most bytes of a record that is watched, beside its watchers.
const MOST_PER_RECORD: i64 = 950;

type Waiting = Pin<Box<dyn Future<Output = Response>>>;

struct Server {
    router: axum::Router,
    jobs: Jobs,
}

impl Server {
    fn new() -> Self {
        let jobs = progress_core::testing::jobs(std::sync::Arc::new(MemoryStore::new()));
        let router = progress_axum::router::<progress_axum::Anyone, _>("/progress", jobs.clone());
        let router = router.route("/bare/{id}", get(std::future::pending::<()>));
        Self { router: router.with_state(()), jobs }
    }

    async fn create(&self) -> ProgressId {
        let job = NewProgress::new("export").with_total(10_000).with_title("Exporting invoices");
        self.jobs.create(job).await.unwrap().id
    }

    fn request(&mut self, path: &str, more: (&str, &str)) -> Waiting {
        let request = Request::get(path).header("host", "app.example.com").header(more.0, more.1);
        let answer = self.router.call(request.body(Body::empty()).unwrap());
        Box::pin(async { answer.await.unwrap() })
    }

    fn wait(&mut self, id: ProgressId) -> Waiting {
        let mut waiting = self.request(&format!("/progress/{id}"), ("prefer", "wait=25"));
        assert!(poll(waiting.as_mut()).is_pending(), "waits for a change");
        waiting
    }

    /// A request of a handler that only waits.
    fn wait_bare(&mut self, id: ProgressId) -> Waiting {
        let mut waiting = self.request(&format!("/bare/{id}"), ("prefer", "wait=25"));
        assert!(poll(waiting.as_mut()).is_pending(), "waits forever");
        waiting
    }

    fn stream(&mut self, id: ProgressId) -> Body {
        let mut head =
            self.request(&format!("/progress/{id}/events"), ("accept", "text/event-stream"));
        let Poll::Ready(head) = poll(head.as_mut()) else { panic!("the head is not delayed") };
        assert_eq!(head.status().as_u16(), 200);
        let mut events = head.into_body();
        let mut context = Context::from_waker(Waker::noop());
        let mut received = 0;
        while Pin::new(&mut events).poll_frame(&mut context).is_ready() {
            received += 1;
        }
        assert_eq!(received, 2, "the pace and the record");
        events
    }
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Returns the bytes that each of many takes.
fn bytes_each<T>(ids: &[ProgressId], mut start: impl FnMut(ProgressId) -> T) -> i64 {
    let mut started = Vec::with_capacity(ids.len());
    let info = allocation_counter::measure(|| {
        started.extend(ids.iter().map(|id| start(*id)));
    });
    info.bytes_current / i64::try_from(ids.len()).unwrap()
}

#[test]
fn what_waits_takes_little_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let mut server = Server::new();
    let (one, each): (ProgressId, Vec<_>) = runtime.block_on(async {
        let mut each = Vec::new();
        for _ in 0..WAITERS {
            each.push(server.create().await);
        }
        (server.create().await, each)
    });
    // The first has more to do.
    let _first = (server.wait(one), server.stream(one));
    let same = [one; WAITERS];
    let waiter = bytes_each(&same, |id| server.wait(id));
    let bare = bytes_each(&same, |id| server.wait_bare(id));
    let stream = bytes_each(&same, |id| server.stream(id));
    let watch = bytes_each(&same, |id| server.jobs.store().watch(id));
    let record = bytes_each(&each, |id| {
        assert!(poll(server.jobs.store().get(id).as_mut()).is_ready());
        server.jobs.store().watch(id)
    }) - watch;
    println!("bytes: {waiter} a request that waits, {stream} a stream, {record} a watched record");
    println!("bytes: {bare} a request of a handler that only waits");
    assert!(waiter <= MOST_PER_WAITER, "{waiter} bytes for a request that waits");
    assert!(stream <= MOST_PER_STREAM, "{stream} bytes for an event stream");
    assert!(record <= MOST_PER_RECORD, "{record} bytes for a watched record");
}
