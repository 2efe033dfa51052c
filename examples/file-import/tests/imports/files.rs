//! Files of all kinds: each ends with exact counts, or with a text that says what is wrong.

use std::io::Write as _;
use std::net::TcpStream;

use progress_axum::{ProgressQuery, ProgressStore as _};
use progress_test_support::{Browser, Server};
use serde_json::Value;

use crate::support::{Contents, PATIENCE, id, is_finished, post, start, upload};

const HEADER: &str = "name,email,amount";
const WRONG_HEADER: &str = "The first line of the file must be: name,email,amount";

/// Imports a file to the end. Returns the record, and the rejected lines.
fn import(server: &Server, file: &[u8]) -> (Value, String) {
    let job = upload(server, file);
    let record = server.wait_for(&job, PATIENCE, is_finished);
    let file = server.get(&format!("/imports/{}/rejected.csv", id(&job))).text;
    (record, file.lines().skip(1).collect::<Vec<_>>().join("|"))
}

/// Returns bytes that are no text, the same in each run.
fn rubbish(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(byte).take(length).collect()
}

#[test]
fn a_file_of_another_kind_fails_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let server = start("127.0.0.1:0", folder.path());
    let long = format!("{HEADER}\nAnn,a@example.com,1.00\n{}\n", "x".repeat(1_000_000));
    let quote = format!("{HEADER}\n\"Ann{}", ",a@example.com,1.00\n".repeat(100_000));
    for (file, reason) in [
        (Vec::new(), WRONG_HEADER),
        (b"\n\n\n".to_vec(), WRONG_HEADER),
        (b"Ann,ann@example.com,1.00\n".to_vec(), WRONG_HEADER),
        (b"name;email;amount\nAnn;ann@example.com;1.00\n".to_vec(), WRONG_HEADER),
        (rubbish(100_000), WRONG_HEADER),
        (long.into_bytes(), "Line 3 is too long. Is a quotation mark missing?"),
        (quote.into_bytes(), "Line 2 is too long. Is a quotation mark missing?"),
    ] {
        let (record, _) = import(&server, &file);
        let start = String::from_utf8_lossy(&file[..file.len().min(40)]);
        assert_eq!(
            (&record["status"], &record["attempt"]),
            (&"failed".into(), &1.into()),
            "{start}"
        );
        assert_eq!(record["error_message"], reason, "{start}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_an_odd_file_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = start("127.0.0.1:0", folder.path());
    let contents = Contents::of(folder.path()).await;
    let (ann, bob) = ("Ann,ann@example.com,1.00", "Bob,bob@example.com,20.05");
    for (file, imported, rejected) in [
        (format!("{HEADER}\n"), 0, ""),
        (HEADER.to_owned(), 0, ""),
        (format!("{HEADER}\n{ann}\n{bob}"), 2, ""),
        (format!("\u{feff}{HEADER}\n{ann}\n"), 1, ""),
        (format!("{HEADER}\r\n{ann}\r\n{bob}\r\nx\r\n"), 2, "4,there must be 3 fields,x"),
        (format!("{HEADER}\r{ann}\r{bob}\rx\r"), 2, "4,there must be 3 fields,x"),
        (format!("{HEADER}\n\"A\nn\n\nn\",a@example.com,1.00\n{bob}\n"), 2, ""),
        (format!("{HEADER}\n\n{ann}\n\n"), 1, ""),
        (format!("{HEADER}\n{ann},x\n"), 0, "2,there must be 3 fields,Ann,ann@example.com,1.00,x"),
        (
            format!("{HEADER}\n=1+1,a@example.com,-1.00\n"),
            0,
            "2,the amount must look like 1234.50,'=1+1,a@example.com,'-1.00",
        ),
        (
            format!("{HEADER}\nAnn,a@b@example.com,1.00\n"),
            0,
            "2,the email is not an address,Ann,a@b@example.com,1.00",
        ),
        (
            format!("{HEADER}\nAnn,a@example.com,9999999999999.00\n"),
            0,
            "2,the amount must look like 1234.50,Ann,a@example.com,9999999999999.00",
        ),
    ] {
        let (record, file_of_rejected) = import(&server, file.as_bytes());
        let failed = rejected.lines().count() as u64;
        let message = format!("{imported} lines imported, {failed} rejected");
        assert_eq!(record["status"], "completed", "{file:?}: {record}");
        assert_eq!(record["completion_message"], message, "{file:?}");
        assert_eq!(
            (&record["total_items"], &record["success_count"]),
            (&imported.into(), &imported.into())
        );
        assert_eq!(record["failed_items"], failed, "{file:?}");
        let stages = contents.record(id(record["job_id"].as_str().unwrap())).await.stages.unwrap();
        let read = &stages.all[0];
        assert_eq!((read.total, read.succeeded), (Some(imported + failed), imported + failed));
        assert_eq!(file_of_rejected, rejected, "{file:?}");
        assert_eq!(record["result"].is_null(), failed == 0, "{file:?}");
    }
    let latin = b"name,email,amount\nJos\xe9,jose@example.com,1.00\nAnn,ann@example.com,1.00\n";
    let (record, rejected) = import(&server, latin);
    assert_eq!(record["completion_message"], "1 lines imported, 1 rejected");
    assert_eq!(rejected, "2,the text is not UTF-8,Jos\u{fffd},jose@example.com,1.00");
    let odd = [HEADER.as_bytes(), b"\n", &rubbish(100_000)].concat();
    let (record, _) = import(&server, &odd);
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!(
        (&record["total_items"], record["failed_items"].as_u64() > Some(300)),
        (&0.into(), true),
        "{record}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_foreign_or_incomplete_is_no_job() {
    let folder = tempfile::tempdir().unwrap();
    let server = start("127.0.0.1:0", folder.path());
    let lines = format!("{HEADER}\n{}", "\n".repeat(1_000_001));
    assert_eq!(post(&server, lines.as_bytes()).0, 413);
    let foreign = [("sec-fetch-site", "cross-site"), ("origin", "https://example.com")];
    assert_eq!(server.post_with("/imports", &foreign, HEADER).status, 403);
    let mut broken = TcpStream::connect(server.base().trim_start_matches("http://")).unwrap();
    let head = "POST /imports HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n";
    write!(broken, "{head}{HEADER}\nAnn").unwrap();
    drop(broken);
    let job = upload(&server, HEADER.as_bytes());
    server.wait_for(&job, PATIENCE, is_finished);
    let contents = Contents::of(folder.path()).await;
    let jobs = contents.store.list(&ProgressQuery::new()).await.unwrap();
    assert_eq!(jobs.items.iter().map(|job| job.id).collect::<Vec<_>>(), [id(&job)]);
    let unknown = "/imports/67e55044-10b1-426f-9247-bb680e5fe0c8/rejected.csv";
    assert_eq!(server.get(unknown).status, 404);
    assert_eq!(server.get("/imports/x/rejected.csv").status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_that_a_file_is_too_large() {
    let Some(browser) = Browser::or_say_so().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = start("127.0.0.1:0", folder.path());
    let file = folder.path().join("large.csv");
    // The server knows it long before the browser has sent all of it.
    std::fs::write(&file, ["\n".repeat(1_000_002), "x".repeat(100_000_000)].concat()).unwrap();
    browser.open(server.base()).await;
    browser.type_into("input[type=file]", file.to_str().unwrap()).await;
    browser.click("form button").await;
    browser.wait_for_text("[role=status]", |text| text.contains("1,000,000 lines")).await;
    assert_eq!(std::fs::read_dir(folder.path().join("uploads")).unwrap().count(), 0);
}
