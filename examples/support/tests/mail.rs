//! Sends invoices through the mailer to the catcher, and to servers that misbehave.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic as tests do")]

use std::collections::HashSet;
use std::error::Error;
use std::time::{Duration, Instant};

use example_support::catcher::Catcher;
use example_support::invoice::Invoice;
use example_support::mailer::{Mailer, SendError};
use example_support::pdf;
use futures_util::StreamExt;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

async fn send_all(
    mailer: &Mailer,
    count: u32,
    in_flight: usize,
) -> Vec<(Invoice, Result<(), SendError>)> {
    futures_util::stream::iter((1..=count).map(Invoice::sample))
        .map(|invoice| async move {
            let outcome = mailer.send(&invoice, &invoice.number.to_string()).await;
            (invoice, outcome)
        })
        .buffer_unordered(in_flight)
        .collect()
        .await
}

fn header(raw: &[u8], name: &str) -> String {
    let mail = mailparse::parse_mail(raw).unwrap();
    mailparse::MailHeaderMap::get_first_value(mail.headers.as_slice(), name).unwrap_or_default()
}

#[tokio::test]
async fn every_mail_arrives_once_or_is_refused_with_the_servers_reply() {
    let catcher = Catcher::start().await.unwrap();
    let mailer = Mailer::new(&format!("smtp://{}", catcher.address()), 8).unwrap();
    mailer.check().await.unwrap();
    let start = Instant::now();
    let outcomes = send_all(&mailer, 40, 8).await;
    println!("40 mails, 8 in flight: {:.0} mails per second", 40.0 / start.elapsed().as_secs_f64());

    let mut errors: Vec<String> = Vec::new();
    for (invoice, outcome) in &outcomes {
        if let Err(error) = outcome {
            assert!(!error.is_unreachable() && error.source().is_none());
            assert_eq!(
                (error.is_permanent(), error.is_temporary()),
                (invoice.number != 13, invoice.number == 13)
            );
            errors.push(format!("{} {error}", invoice.number));
        }
    }
    errors.sort();
    let address = |number| Invoice::sample(number).email;
    assert_eq!(
        errors,
        [
            format!("13 451 4.2.1 <{}>: mailbox busy, try again later", address(13)),
            format!("32 550 5.1.1 <{}>: no such mailbox here", address(32)),
            format!("7 550 5.1.1 <{}>: no such mailbox here", address(7)),
        ]
    );

    assert_eq!(catcher.total(), 37);
    for (invoice, _) in outcomes.iter().filter(|(_, outcome)| outcome.is_ok()) {
        let caught: Vec<_> = catcher
            .messages()
            .into_iter()
            .filter(|caught| caught.to == [invoice.email.clone()])
            .collect();
        let [caught] = caught.as_slice() else {
            panic!("{} arrived {} times", invoice.reference, caught.len())
        };
        assert_eq!(caught.from, "billing@invoices.example");
        assert_eq!(caught.subject, format!("Invoice {}", invoice.reference));
        assert!(
            caught.text.contains(&invoice.customer) && caught.text.contains(&invoice.amount()),
            "{}",
            caught.text
        );
        let document = pdf::render(invoice);
        let attachment = caught.attachment.as_ref().unwrap();
        assert_eq!((&attachment.name, attachment.bytes), (&invoice.file_name(), document.len()));
        let message = catcher.message(caught.id).unwrap();
        assert_eq!(message.attachment().unwrap(), document);
        assert!(String::from_utf8_lossy(&message.raw).contains("Content-Type: application/pdf"));
        assert_eq!(header(&message.raw, "From"), "Billing <billing@invoices.example>");
        assert!(
            header(&message.raw, "To").contains(&invoice.customer)
                || invoice.customer.contains('&')
        );
        let id = format!("<{}@invoices.example>", invoice.number);
        assert_eq!(header(&message.raw, "Message-ID"), id);
        assert!(!header(&message.raw, "Date").is_empty());
    }
}

#[tokio::test]
async fn a_malformed_address_is_an_error_of_its_mail_only() {
    let catcher = Catcher::start().await.unwrap();
    let mailer = Mailer::new(&format!("smtp://{}", catcher.address()), 1).unwrap();
    for email in
        ["", "local", "a b@c.example", "a@b.example\r\nRCPT TO:<x@y.example>", "é@c.example"]
    {
        let error = mailer
            .send(&Invoice { email: email.to_owned(), ..Invoice::sample(1) }, "1")
            .await
            .unwrap_err();
        assert!(error.is_permanent() && !error.is_unreachable(), "{email}: {error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
    let odd =
        Invoice { customer: "A \"B\" <c>\r\nBcc: x@y.example".to_owned(), ..Invoice::sample(1) };
    mailer.send(&odd, "1").await.unwrap();
    assert_eq!(catcher.total(), 1);
    assert_eq!(header(&catcher.message(1).unwrap().raw, "Bcc"), "");
}

#[tokio::test]
async fn a_server_that_is_down_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mailer = Mailer::new(&format!("smtp://someone:open-sesame@{address}"), 2).unwrap();
    for error in [
        mailer.send(&Invoice::sample(1), "1").await.unwrap_err(),
        mailer.check().await.unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "cannot reach the mail server");
        assert!(error.is_unreachable() && error.is_temporary() && !error.is_permanent());
        let cause = error.source().unwrap();
        assert!(cause.to_string().starts_with("Connection refused"), "{cause}");
        assert!(cause.source().is_none());
        assert!(!format!("{error:?} {mailer:?}").contains("sesame"));
    }
}

#[tokio::test]
async fn unusable_urls_are_refused_without_repeating_them() {
    for url in [
        "",
        "sesame",
        "127.0.0.1:25",
        "someone:sesame@mail.example",
        "http://someone:sesame@mail.example",
        "smtp://",
        "smtp://:25",
        "smtp://someone:sesame@",
        "smtp://someone:sesame@:25",
        "smtp://someone:sesame@mail.example:99999",
        "smtp://someone:sesame@mail.example?tls=sesame",
        "smtp://someone:ses/ame@mail.example",
        "smtp://someone:%ffsesame@mail.example",
        "smtp://[::1",
    ] {
        let error = Mailer::new(url, 1).expect_err(url);
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("mail server") && !text.contains("sesame") && !text.contains("ame@mail"),
            "{text}"
        );
    }
    for url in [
        "smtp://[::1]:2525",
        "SMTP://localhost",
        "smtps://someone:sesame@mail.example",
        "smtp://h?tls=required",
    ] {
        let mailer = Mailer::new(url, 0).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert!(!format!("{mailer:?}").contains("sesame"));
    }
}

/// Answers every command with 250 and each message with 554, late on the first connection.
async fn sluggish_server(listener: TcpListener, delay: Duration) {
    for connection in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let (reader, mut writer) = stream.into_split();
            writer.write_all(b"220 ready\r\n").await.unwrap();
            let mut lines = BufReader::new(reader).lines();
            let mut in_message = false;
            while let Ok(Some(line)) = lines.next_line().await {
                let reply = match (in_message, line.as_str()) {
                    (true, ".") => {
                        in_message = false;
                        if connection == 0 {
                            tokio::time::sleep(delay).await;
                        }
                        format!("554 5.0.0 connection {connection}\r\n")
                    }
                    (true, _) => continue,
                    (false, "DATA") => {
                        in_message = true;
                        "354 go on\r\n".to_owned()
                    }
                    (false, _) => "250 fine\r\n".to_owned(),
                };
                if writer.write_all(reply.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

#[tokio::test]
async fn a_late_reply_is_never_taken_for_that_of_the_next_mail() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    tokio::spawn(sluggish_server(listener, Duration::from_secs(2)));
    let mailer = Mailer::new(&url, 2).unwrap().with_time_limit(Duration::from_secs(1));
    let error = mailer.send(&Invoice::sample(1), "1").await.unwrap_err();
    assert_eq!(error.to_string(), "the mail server did not answer within 1s");
    assert!(error.is_unreachable() && error.is_temporary());
    // This server refuses every message, so a success would be the reply to another mail.
    for number in 2..12 {
        let error = mailer.send(&Invoice::sample(number), "1").await.unwrap_err();
        let words = error.to_string();
        assert!(words.starts_with("554 5.0.0 connection ") && !words.ends_with(" 0"), "{words}");
    }
}

#[tokio::test]
async fn a_mail_whose_sender_stops_waiting_is_still_sent_completely() {
    let catcher = Catcher::start().await.unwrap();
    let mailer = Mailer::new(&format!("smtp://{}", catcher.address()), 1).unwrap();
    for number in 1..=5 {
        let invoice = Invoice::sample(number);
        let waiting = tokio::time::timeout(Duration::ZERO, mailer.send(&invoice, "1")).await;
        assert!(waiting.is_err());
    }
    mailer.send(&Invoice::sample(6), "1").await.unwrap();
    while catcher.total() < 6 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let references: HashSet<_> =
        catcher.messages().into_iter().map(|caught| caught.subject).collect();
    assert_eq!((references.len(), catcher.total()), (6, 6));
}

#[tokio::test]
async fn a_lost_connection_or_another_protocol_is_described_in_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mailer = Mailer::new(&format!("smtp://{}", listener.local_addr().unwrap()), 1).unwrap();
    for (greeting, text) in [
        ("", "the connection to the mail server was lost"),
        ("HTTP/1.1 400 Bad Request\r\n", "the connection to the mail server was lost"),
        ("554-5.7.1 not\r\n554 5.7.1 you\u{7}\r\n", "554 5.7.1 not you"),
        ("421 4.3.2 closing\r\n", "421 4.3.2 closing"),
    ] {
        let invoice = Invoice::sample(1);
        let server = async {
            let (mut stream, _): (TcpStream, _) = listener.accept().await.unwrap();
            stream.write_all(greeting.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        let (sent, ()) = tokio::join!(mailer.send(&invoice, "1"), server);
        assert_eq!(sent.unwrap_err().to_string(), text);
    }
}

/// Until the login succeeds, no mail can.
#[tokio::test]
async fn a_refused_login_is_told_from_a_refused_mail() {
    for (reply, is_denied) in [
        ("535 5.7.8 wrong password", true),
        ("534 5.7.9 too weak", true),
        ("550 5.7.1 not you", false),
        ("454 4.7.0 try later", false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://someone:sesame@{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (reader, mut writer) = stream.into_split();
            writer.write_all(b"220 ready\r\n").await.unwrap();
            let mut lines = BufReader::new(reader).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let reply = match line.split(' ').next() {
                    Some("EHLO") => "250-here\r\n250 AUTH PLAIN",
                    Some("AUTH") => reply,
                    _ => "250 fine",
                };
                let _ = writer.write_all(format!("{reply}\r\n").as_bytes()).await;
            }
        });
        let mailer = Mailer::new(&url, 1).unwrap();
        let error = mailer.send(&Invoice::sample(1), "1").await.unwrap_err();
        assert_eq!(error.to_string(), reply);
        assert_eq!(error.is_denied(), is_denied, "{reply}");
        assert!(!error.is_unreachable() && (error.is_permanent() || !is_denied));
    }
}

#[tokio::test]
async fn the_mailer_and_the_catcher_handle_many_mails() {
    let catcher = Catcher::start().await.unwrap();
    let mailer = Mailer::new(&format!("smtp://{}", catcher.address()), 8).unwrap();
    let start = Instant::now();
    let outcomes = send_all(&mailer, 300, 8).await;
    println!(
        "300 mails, 8 in flight: {:.0} mails per second",
        300.0 / start.elapsed().as_secs_f64()
    );
    let sent = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).count();
    assert_eq!((sent, catcher.total()), (300 - 12 - 8, 280));
    let kept = catcher.messages();
    assert_eq!((kept.len(), kept[0].id, kept[199].id), (200, 280, 81));
}
