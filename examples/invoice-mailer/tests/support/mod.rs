//! Helpers for tests of the whole program.

mod program;

use std::time::Duration;

use progress_test_support::{Answer, Server};

pub(crate) use self::program::{is_finished, number, program};

/// How many of 180 mails are accepted; the mail catcher refuses the others. It keeps 200.
pub(crate) const ACCEPTED_OF_180: u64 = 168;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Creates a job and returns the path of its record.
pub(crate) fn send(server: &Server, count: u32) -> String {
    let answer =
        server.post("/invoices/send", "application/json", &format!("{{\"count\": {count}}}"));
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(answer.json["success"], true);
    let job = address(&answer);
    assert_eq!(job, format!("/progress/{}", answer.json["job_id"].as_str().unwrap()));
    job
}

/// Returns the path of the job that a request has created.
pub(crate) fn address(answer: &Answer) -> String {
    let location = answer.location.as_deref().unwrap();
    // Relative to `/invoices/send`.
    location.strip_prefix("..").unwrap_or_else(|| panic!("{location:?}")).to_owned()
}

/// Returns how many mails the catcher has accepted.
pub(crate) fn caught(server: &Server) -> u64 {
    number(&server.get("/outbox/messages").json, "total")
}

/// Returns how many invoices of a job have a result, and how many of those were sent.
pub(crate) fn results(server: &Server, job: &str, total: u64) -> (u64, u64) {
    let id = job.rsplit('/').next().unwrap();
    let (mut results, mut sent) = (0, 0);
    for from in (1..=total).step_by(200) {
        let table = server.get(&format!("/invoices/{id}?from={from}")).json;
        let rows = table["invoices"].as_array().unwrap();
        let known = rows.iter().filter(|invoice| invoice["outcome"] != "waiting").count();
        results += known as u64;
        sent += rows.iter().filter(|invoice| invoice["outcome"] == "sent").count() as u64;
        // Mails are sent in the order of their numbers.
        if known == 0 {
            break;
        }
    }
    (results, sent)
}
