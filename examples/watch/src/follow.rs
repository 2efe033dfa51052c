//! Asks for the job again and again, and says what has happened.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep};

use crate::record::Record;
use crate::source::{Call, Reply, Source};
use crate::text::clean;

/// How long a request asks the server to wait for a change, in seconds: the longest that it allows.
const WAIT: u64 = 25;

/// How long the program polls after a request that waited was cut, or was answered at once. Some
/// proxies do not let such requests through.
const NO_WAIT: Duration = Duration::from_secs(30);

/// The time between two requests, if the server names none.
const PACE: Duration = Duration::from_millis(500);

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often a job may be missing before it has been seen. A server may read it from a replica.
const MISSES: u32 = 3;

/// What has happened.
#[derive(Debug)]
pub(crate) enum Event {
    Record(Box<Record>),
    /// The item and its error.
    ItemFailed(String),
    /// There is no news of the job, and the next request follows.
    Trouble(String),
    /// The job cannot be followed any longer.
    Lost(String),
}

/// The result of one request.
enum News {
    Record(Box<Record>),
    Same,
    Trouble(String),
    Missing,
    Lost(String),
}

/// Follows the job until it ends or is lost, or until the events are no longer received.
pub(crate) async fn follow(source: Source, events: Sender<Event>) {
    let mut etag = None;
    let mut pace = PACE;
    let mut may_wait_at = Instant::now();
    let mut known: Option<Box<Record>> = None;
    let (mut failures, mut misses) = (0, 0);
    let mut log = Log::default();
    loop {
        // After a failure the answer must come at once, because it ends "no news".
        let may_wait = etag.is_some() && failures == 0 && Instant::now() >= may_wait_at;
        let wait = may_wait.then_some(WAIT);
        let call = Call { if_none_match: etag.clone(), wait, ..Call::default() };
        let reply = source.send(call).await;
        if wait.is_some() && !reply.as_ref().is_ok_and(|reply| reply.waited) {
            may_wait_at = Instant::now() + NO_WAIT;
            // Whether the server works is what the next request tells.
            if reply.is_err() {
                continue;
            }
        }
        let retry_after = reply.as_ref().ok().and_then(|reply| reply.retry_after);
        let sent = match news(&reply) {
            News::Record(record) => {
                (failures, misses) = (0, 0);
                etag = reply.ok().and_then(|reply| reply.etag);
                pace = record.poll_after().unwrap_or(PACE);
                for text in log.errors(&source, &record).await {
                    if events.send(Event::ItemFailed(text)).await.is_err() {
                        return;
                    }
                }
                let is_finished = record.is_finished();
                known = Some(record.clone());
                let sent = events.send(Event::Record(record)).await;
                if is_finished {
                    return;
                }
                sent
            }
            News::Same => {
                misses = 0;
                // After an outage the screen shows the job again.
                let again = known.clone().filter(|_| std::mem::take(&mut failures) > 0);
                match again {
                    Some(record) => events.send(Event::Record(record)).await,
                    None => Ok(()),
                }
            }
            News::Missing if known.is_none() && misses < MISSES => {
                misses += 1;
                Ok(())
            }
            News::Missing => {
                let text = match known {
                    Some(_) => "the job was deleted",
                    None => "there is no such job, or you may not see it",
                };
                let _ = events.send(Event::Lost(text.to_owned())).await;
                return;
            }
            News::Lost(text) => {
                let _ = events.send(Event::Lost(text)).await;
                return;
            }
            News::Trouble(text) => {
                let pause = back_off(failures, retry_after);
                failures += 1;
                let seconds = pause.as_secs();
                let text = format!("{text}; the next request follows in {seconds} s");
                if events.send(Event::Trouble(text)).await.is_err() {
                    return;
                }
                sleep(pause).await;
                continue;
            }
        };
        if sent.is_err() {
            return;
        }
        sleep(pace).await;
    }
}

fn news(reply: &Result<Reply, String>) -> News {
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => return News::Trouble(clean(error)),
    };
    match reply.status {
        200 => match serde_json::from_slice(&reply.body) {
            Ok(record) => News::Record(record),
            Err(_) => News::Trouble("the server sent something else than a record".to_owned()),
        },
        304 => News::Same,
        404 | 410 => News::Missing,
        401 | 403 => News::Lost("the server denies access: see --header".to_owned()),
        300..=399 => {
            News::Lost("the server redirects, perhaps to sign in: see --header".to_owned())
        }
        // Too early or too often, which passes.
        status @ (408 | 425 | 429 | 500..) => {
            News::Trouble(format!("the server answered with status {status}"))
        }
        status => News::Lost(format!("the server answered with status {status}")),
    }
}

/// Returns the pause after so many failures: 1 s, twice as long each time, at most 30 s, and at
/// least what the server asks for.
fn back_off(failures: u32, retry_after: Option<u64>) -> Duration {
    let pause = Duration::from_secs(1 << failures.min(5)).min(LONGEST_PAUSE);
    // A server in an outage for hours is asked again sooner, because a person is waiting.
    let asked = Duration::from_secs(retry_after.unwrap_or(0)).min(10 * LONGEST_PAUSE);
    pause.max(asked)
}

/// The log of the job, of which the failed items are shown.
#[derive(Default)]
struct Log {
    next_after: u64,
    failed: u64,
}

impl Log {
    /// Returns the items that have failed since the last call. A log that cannot be read is tried
    /// again when the next item fails.
    async fn errors(&mut self, source: &Source, record: &Record) -> Vec<String> {
        let mut errors = Vec::new();
        while record.failed_items > self.failed {
            let query = Some(format!("after={}&limit=1000", self.next_after));
            let call = Call { suffix: "/log", query, ..Call::default() };
            let Ok(Reply { status: 200, body, .. }) = source.send(call).await else { break };
            let Ok(page) = serde_json::from_slice::<Value>(&body) else { break };
            let entries = page["entries"].as_array().map_or(&[][..], Vec::as_slice);
            for entry in entries.iter().filter(|entry| entry["level"] == "error") {
                let texts = [&entry["item"], &entry["message"]];
                let texts: Vec<_> = texts.iter().filter_map(|text| text.as_str()).collect();
                errors.push(texts.join(" - "));
            }
            self.next_after = page["next_after"].as_u64().unwrap_or(self.next_after);
            if entries.len() < 1_000 {
                self.failed = record.failed_items;
            }
        }
        errors
    }
}

/// Asks the server to cancel the job. Returns a text if it did not.
pub(crate) async fn cancel(source: &Source) -> Option<String> {
    let call = Call { is_post: true, suffix: "/cancel", ..Call::default() };
    match source.send(call).await {
        // 409: it has ended meanwhile, which the next poll shows.
        Ok(Reply { status: 200..=299 | 409, .. }) => None,
        Ok(reply) => Some(format!("the job was not cancelled: status {}", reply.status)),
        Err(error) => Some(format!("the job was not cancelled: {}", clean(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_half_a_minute_and_obey_the_server() {
        let pauses = [0, 1, 2, 3, 4, 5, 6, 99].map(|failures| back_off(failures, None).as_secs());
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(back_off(0, Some(7)).as_secs(), 7);
        assert_eq!(back_off(9, Some(7)).as_secs(), 30);
    }
}
