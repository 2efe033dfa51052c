//! What the tests of the whole program share.

mod program;

use std::time::Duration;

use progress_tests::Server;

pub(crate) use self::program::{is_finished, number, program};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn send(server: &Server, count: u32) -> String {
    let answer =
        server.post("/invoices/send", "application/json", &format!("{{\"count\": {count}}}"));
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(answer.json["success"], true);
    let location = answer.location.unwrap();
    assert_eq!(location, format!("/progress/{}", answer.json["job_id"].as_str().unwrap()));
    location
}

/// How many mails the built-in catcher has taken.
pub(crate) fn caught(server: &Server) -> u64 {
    number(&server.get("/outbox/messages").json, "total")
}

/// How many invoices of a job have come to something, and how many of those were sent.
pub(crate) fn noted(server: &Server, job: &str, total: u64) -> (u64, u64) {
    let id = job.rsplit('/').next().unwrap();
    let (mut noted, mut sent) = (0, 0);
    for from in (1..=total).step_by(200) {
        let table = server.get(&format!("/invoices?job={id}&total={total}&from={from}")).json;
        let rows = table["invoices"].as_array().unwrap();
        let known = rows.iter().filter(|invoice| invoice["outcome"] != "waiting").count();
        noted += known as u64;
        sent += rows.iter().filter(|invoice| invoice["outcome"] == "sent").count() as u64;
        // They go out in the order of their numbers.
        if known == 0 {
            break;
        }
    }
    (noted, sent)
}
