//! Polls of a job that does not change cost next to nothing.

use std::time::Duration;

use serde_json::json;

use crate::client::Client;
use crate::report::{Finding, Report};
use crate::testserver::{TestServer, block_on, in_both, path};

const POLLS: u32 = 100;
const LARGEST: usize = 300;

pub(crate) fn run(report: &mut Report) {
    let pause = Duration::from_millis(report.rounds(200, 20).into());
    in_both(report, 10, |report, framework| {
        report.check(framework, || {
            let (unchanged, largest) =
                block_on(poll(framework, pause, &json!({"transition": "heartbeat"})));
            Finding::new(
                unchanged >= 99 && largest <= LARGEST,
                format_args!("{unchanged} of {POLLS} are 304, of at most {largest} bytes"),
                "99, 300 bytes",
            )
        });
    });
    report.check("control", || {
        let (unchanged, _) =
            block_on(poll("axum", Duration::from_millis(20), &json!({"succeeded": 1})));
        Finding::new(
            unchanged <= 95,
            format_args!("{unchanged} of {POLLS} are 304 while the job advances"),
            "at most 95",
        )
    });
}

/// Polls a running job that is updated now and then. Returns how many responses were 304, and the
/// size of the largest of these.
async fn poll(
    framework: &'static str,
    pause: Duration,
    happens: &serde_json::Value,
) -> (u32, usize) {
    let server = TestServer::start(framework, &[]);
    let id = server.create(&json!({"total": 1_000})).await;
    let update = format!("/test/jobs/{id}/update");
    server.post(&update, &json!({"transition": "start"})).await;
    let mut client = Client::connect(server.address).await.unwrap();
    let mut etag = client.get(&path(&id), None, "").await.unwrap().etag;
    let (mut unchanged, mut largest) = (0, 0);
    for poll in 0..POLLS {
        tokio::time::sleep(pause).await;
        if poll % 20 == 10 {
            server.post(&update, happens).await;
        }
        let answer = client.get(&path(&id), etag.as_deref(), "").await.unwrap();
        if answer.status == 304 {
            unchanged += 1;
            largest = largest.max(answer.size);
        } else {
            assert_eq!(answer.status, 200);
        }
        etag = answer.etag;
    }
    (unchanged, largest)
}
