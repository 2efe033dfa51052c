//! Pages that poll over HTTP as browsers do: on a persistent connection, and with the tag that they
//! have.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use progress_axum::Anyone;
use progress_core::{Jobs, ProgressId, ProgressStore};
use tokio::runtime::Runtime;

const INTERVAL: Duration = Duration::from_millis(500);

pub(super) struct Pages {
    is_over: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    threads: Vec<JoinHandle<()>>,
}

/// What the pages saw.
pub(super) struct Seen {
    pub(super) polls: u64,
    /// Responses with status 503.
    pub(super) refused: u64,
    /// Responses with a status other than 200, 304 and 503, or no response at all.
    pub(super) others: Vec<String>,
    /// Responses with less progress than before.
    pub(super) backwards: u64,
    last_refused: Instant,
    /// For each page, whether it has been answered since the last `forget`.
    answered: Vec<bool>,
}

impl Pages {
    /// Serves the records of a store and polls them from threads, each with its own connection.
    pub(super) fn open(
        runtime: &Runtime,
        store: Arc<dyn ProgressStore>,
        jobs: &[ProgressId],
        count: u32,
    ) -> Self {
        let app: Router = progress_axum::router::<Anyone, _>("/progress", Jobs::new(store));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        let is_over: Arc<AtomicBool> = Arc::default();
        let seen = Arc::new(Mutex::new(Seen {
            polls: 0,
            refused: 0,
            others: Vec::new(),
            backwards: 0,
            last_refused: Instant::now(),
            answered: vec![false; count as usize],
        }));
        let poll = |(page, job): (usize, &ProgressId)| {
            let mut page = Page::new(page, address, *job, Arc::clone(&seen));
            let is_over = Arc::clone(&is_over);
            // Spread over the interval.
            let first = INTERVAL * page.number.try_into().unwrap_or(0) / count;
            std::thread::spawn(move || {
                std::thread::sleep(first);
                while !is_over.load(Ordering::Relaxed) {
                    page.poll();
                    std::thread::sleep(INTERVAL);
                }
            })
        };
        let threads = jobs.iter().cycle().take(count as usize).enumerate().map(poll).collect();
        Self { is_over, seen, threads }
    }

    /// Marks all pages as not answered.
    pub(super) fn forget(&self) {
        self.seen.lock().unwrap().answered.fill(false);
    }

    pub(super) fn were_all_answered(&self) -> bool {
        self.seen.lock().unwrap().answered.iter().all(|answered| *answered)
    }

    pub(super) fn last_refused(&self) -> Instant {
        self.seen.lock().unwrap().last_refused
    }

    pub(super) fn close(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        let Ok(seen) = Arc::try_unwrap(self.seen) else { panic!("a page is still open") };
        seen.into_inner().unwrap()
    }
}

struct Page {
    number: usize,
    url: String,
    agent: ureq::Agent,
    tag: String,
    processed: u64,
    seen: Arc<Mutex<Seen>>,
}

impl Page {
    fn new(number: usize, address: SocketAddr, job: ProgressId, seen: Arc<Mutex<Seen>>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(10)));
        let url = format!("http://{address}/progress/{job}");
        Self { number, url, agent: config.build().into(), tag: String::new(), processed: 0, seen }
    }

    fn poll(&mut self) {
        let request = self.agent.get(&self.url).header("if-none-match", &self.tag);
        let outcome = request.call().map(|mut response| {
            let tag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
            let body = response.body_mut().read_json::<serde_json::Value>().unwrap_or_default();
            (response.status().as_u16(), tag, body["processed_items"].as_u64())
        });
        let mut seen = self.seen.lock().unwrap();
        seen.polls += 1;
        match outcome {
            Ok((200, Some(tag), Some(processed))) => {
                seen.backwards += u64::from(processed < self.processed);
                seen.answered[self.number] = true;
                (self.tag, self.processed) = (tag, processed);
            }
            Ok((304, ..)) => seen.answered[self.number] = true,
            Ok((503, ..)) => {
                seen.refused += 1;
                seen.last_refused = Instant::now();
                // A 503 does not count as answered.
                seen.answered[self.number] = false;
            }
            other => seen.others.push(format!("{other:?}")),
        }
    }
}
