//! Clients that do not finish their requests, and clients that do not read the responses, do not
//! hold a connection forever.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Client, percentile};
use crate::report::{Finding, Report};
use crate::testserver::{TestServer, block_on, in_both, path};

const PATIENCE: Duration = Duration::from_secs(15);
/// How long to wait until connections are closed.
const LONGEST: Duration = Duration::from_secs(20);
const SLOWEST: Duration = Duration::from_millis(500);

pub(crate) fn run(report: &mut Report) {
    let clients = report.rounds(1_000, 100);
    let slowest = report.at_most(SLOWEST);
    in_both(report, 2 * u64::from(clients), |report, framework| {
        let half_sent = Half::ALL.map(|half| half_sent(framework, clients / 5, half, slowest, &[]));
        let unread = Deaf::ALL.map(|deaf| unread(framework, clients / 2, deaf, slowest, &[]));
        // At the same time, each on its own server, because most of the time is waiting.
        let (half_sent, unread) =
            block_on(async { tokio::join!(join_all(half_sent), join_all(unread)) });
        for (half, finding) in Half::ALL.iter().zip(half_sent) {
            report.check(&format!("{framework}-{}", half.name()), || finding);
        }
        for (deaf, finding) in Deaf::ALL.iter().zip(unread) {
            report.check(&format!("{framework}-{}", deaf.name()), || finding);
        }
    });
    report.check("control", || {
        let without = &["--without-limits"];
        let (half, unread) = block_on(async {
            tokio::join!(
                half_sent("axum", 20, Half::Head, slowest, without),
                unread("axum", 20, Deaf::Pipelining, slowest, without)
            )
        });
        Finding::new(
            !half.passes() && !unread.passes(),
            format_args!("axum::serve: {}; {}", half.figure(), unread.figure()),
            "some connections left",
        )
    });
}

#[derive(Clone, Copy)]
enum Half {
    Nothing,
    Head,
    Trickle,
    SecondHead,
    Body,
}

impl Half {
    const ALL: [Self; 5] = [Self::Nothing, Self::Head, Self::Trickle, Self::SecondHead, Self::Body];

    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "connected-only",
            Self::Head => "half-a-head",
            Self::Trickle => "a-head-by-the-byte",
            Self::SecondHead => "half-a-second-head",
            Self::Body => "half-a-body",
        }
    }
}

/// Measures how long the server keeps clients that do not finish a request.
async fn half_sent(
    framework: &'static str,
    clients: u32,
    half: Half,
    slowest: Duration,
    more: &[&str],
) -> Finding {
    let server = TestServer::start(framework, more);
    let job = path(&server.create(&json!({})).await);
    let honest = tokio::spawn(honest(server.address, job.clone(), LONGEST));
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        tasks.spawn(stay(server.address, job.clone(), half));
    }
    let stayed: Vec<_> = tasks.join_all().await;
    let open = stayed.iter().filter(|stayed| stayed.is_none()).count();
    let longest = stayed.into_iter().flatten().max().unwrap_or_default();
    let (slow, errors) = honest.await.unwrap();
    let figure = format!(
        "{open} of {clients} open after {LONGEST:?}, the others at most {longest:.1?}; \
         honest p99 {slow:.1?}, {errors} errors"
    );
    let are_served = slow <= slowest && errors == 0;
    if let ("actix", Half::SecondHead) = (framework, half) {
        // Its time-out is for the first head on a connection. No setting limits the next ones.
        return Finding::new(
            are_served,
            figure,
            format_args!("no limit in actix-web 4.18, {slowest:?}, 0"),
        );
    }
    Finding::new(
        open == 0 && longest <= PATIENCE && are_served,
        figure,
        format_args!("0, 15 s, {slowest:?}, 0"),
    )
}

/// Returns how long the server keeps a stalled client; `None` if longer than [`LONGEST`].
async fn stay(server: SocketAddr, path: String, half: Half) -> Option<Duration> {
    let mut client = Client::connect(server).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: prove\r\nx-slow: ");
    match half {
        Half::Nothing | Half::Trickle => {}
        Half::Head => client.stream.write_all(head.as_bytes()).await.unwrap(),
        Half::SecondHead => {
            assert_eq!(client.get(&path, None, "").await.unwrap().status, 200);
            client.stream.write_all(head.as_bytes()).await.unwrap();
        }
        Half::Body => {
            let head = "POST /test/jobs HTTP/1.1\r\nhost: prove\r\ncontent-length: 100\r\n\r\n{";
            client.stream.write_all(head.as_bytes()).await.unwrap();
        }
    }
    let begun = Instant::now();
    let closed = async {
        if let Half::Trickle = half {
            let (mut reading, mut writing) = client.stream.split();
            tokio::select! {
                () = until_closed(&mut reading) => {}
                () = async {
                    for byte in head.as_bytes().iter().chain(std::iter::repeat(&b'a')) {
                        if writing.write_all(&[*byte]).await.is_err() {
                            return;
                        }
                        sleep(Duration::from_millis(500)).await;
                    }
                } => {}
            }
        } else {
            until_closed(&mut client.stream).await;
        }
    };
    timeout(LONGEST, closed).await.ok().map(|()| begun.elapsed())
}

async fn until_closed(stream: &mut (impl AsyncReadExt + Unpin)) {
    let mut buffer = [0; 1_024];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

#[derive(Clone, Copy)]
enum Deaf {
    Pipelining,
    Events,
}

impl Deaf {
    const ALL: [Self; 2] = [Self::Pipelining, Self::Events];

    fn name(self) -> &'static str {
        match self {
            Self::Pipelining => "answers-not-read",
            Self::Events => "events-not-read",
        }
    }
}

/// Clients that request more than fits into any buffer, and read none of it.
async fn unread(
    framework: &'static str,
    clients: u32,
    deaf: Deaf,
    slowest: Duration,
    more: &[&str],
) -> Finding {
    let server = TestServer::start(framework, more);
    let job = server.create(&json!({"metadata": "x".repeat(16_000)})).await;
    server.run(&job, Duration::from_millis(10)).await;
    let request = match deaf {
        Deaf::Pipelining => {
            let one = "GET /progress/progress-polling.js HTTP/1.1\r\nhost: prove\r\n\r\n";
            // Four megabytes of responses: more than the kernel buffers.
            one.repeat(120)
        }
        Deaf::Events => format!("GET {}/events HTTP/1.1\r\nhost: prove\r\n\r\n", path(&job)),
    };
    let before = server.sockets();
    let honest =
        tokio::spawn(honest(server.address, path(&server.create(&json!({})).await), LONGEST));
    let mut kept = Vec::new();
    for _ in 0..clients {
        let stream = connect_deaf(server.address).await;
        // As much as fits without waiting.
        let _ = stream.try_write(request.as_bytes());
        kept.push(stream);
    }
    // Waits until the server has accepted all clients; only then can it close them.
    let all = before + usize::from(HONEST) + clients as usize;
    let begun = Instant::now();
    while server.sockets() < all && begun.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The honest clients stay connected.
    let gone = server.until_sockets(before + usize::from(HONEST), LONGEST).await;
    let open = server.sockets().saturating_sub(before + usize::from(HONEST));
    let (slow, errors) = honest.await.unwrap();
    drop(kept);
    Finding::new(
        gone.is_some_and(|gone| gone <= PATIENCE) && slow <= slowest && errors == 0,
        format_args!(
            "{open} of {clients} open after {:.1?}, {} MB; honest p99 {slow:.1?}, {errors} errors",
            gone.unwrap_or(LONGEST),
            server.peak_memory()
        ),
        format_args!("0 after 15 s, {slowest:?}, 0"),
    )
}

async fn connect_deaf(server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // Small, so that the client's side takes little.
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(server).await.unwrap()
}

const HONEST: u8 = 20;

/// Runs well-behaved clients, with four polls a second each. Returns the 99th percentile of their
/// response times and the number of failed polls.
async fn honest(server: SocketAddr, path: String, time: Duration) -> (Duration, u32) {
    let mut tasks = JoinSet::new();
    for _ in 0..HONEST {
        let path = path.clone();
        tasks.spawn(async move {
            let (begun, mut times, mut errors) = (Instant::now(), Vec::new(), 0);
            let mut client = Client::connect(server).await.unwrap();
            while begun.elapsed() < time {
                let asked = Instant::now();
                match client.get(&path, None, "").await {
                    Ok(answer) if answer.status == 200 => times.push(asked.elapsed()),
                    _ => {
                        errors += 1;
                        client = Client::connect(server).await.unwrap();
                    }
                }
                sleep(Duration::from_millis(250)).await;
            }
            (times, errors)
        });
    }
    let (times, errors): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().unzip();
    let mut times: Vec<_> = times.into_iter().flatten().collect();
    (percentile(&mut times, 99), errors.into_iter().sum())
}
