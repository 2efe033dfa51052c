//! The catcher as a client sees it, byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A client that sends any bytes and reads complete replies.
struct Client {
    stream: TcpStream,
}

impl Client {
    async fn connect(catcher: &Catcher) -> Client {
        let mut client = Client { stream: TcpStream::connect(catcher.address()).await.unwrap() };
        assert!(client.reply().await.starts_with("220 "));
        client
    }

    async fn greeted(catcher: &Catcher) -> Client {
        let mut client = Client::connect(catcher).await;
        client.expect("EHLO client.example", "250").await;
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Reads all lines of one reply.
    async fn reply(&mut self) -> String {
        let mut reply = Vec::new();
        loop {
            let byte = self.stream.read_u8().await.expect("the catcher closed the connection");
            reply.push(byte);
            let line = reply.split(|byte| *byte == b'\n').rev().nth(1);
            if byte == b'\n' && line.is_some_and(|line| line.get(3) == Some(&b' ')) {
                return String::from_utf8(reply).unwrap();
            }
        }
    }

    async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }

    async fn expect(&mut self, line: &str, code: &str) {
        let reply = self.ask(line).await;
        assert!(reply.starts_with(code), "{line}: {reply}");
    }

    async fn rest(mut self) -> String {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).await.unwrap();
        rest
    }
}

async fn deliver(client: &mut Client, content: &[u8]) -> String {
    client.expect("MAIL FROM:<a@b.example>", "250").await;
    client.expect("RCPT TO:<c@d.example>", "250").await;
    client.expect("DATA", "354").await;
    client.send(content).await;
    client.reply().await
}

#[tokio::test]
async fn a_whole_dialogue_goes_as_the_standard_says() {
    let catcher = Catcher::start().await.unwrap();
    let mut client = Client::connect(&catcher).await;
    for (line, code) in [
        ("MAIL FROM:<a@b.example>", "503"),
        ("HELO client.example", "250 localhost"),
        ("EHLO client.example", "250-localhost"),
        ("RCPT TO:<c@d.example>", "503"),
        ("DATA", "503"),
        ("MAIL FROM:<a@b.example> SIZE=99999999", "552"),
        ("MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME", "250"),
        ("MAIL FROM:<a@b.example>", "503"),
        ("DATA", "554"),
        (
            "RCPT TO:<gone.fishing@d.example>",
            "550 5.1.1 <gone.fishing@d.example>: no such mailbox here\r\n",
        ),
        (
            "RCPT TO:<Later@d.example>",
            "451 4.2.1 <Later@d.example>: mailbox busy, try again later\r\n",
        ),
        ("RCPT TO:<c@d.example>", "250"),
        ("RCPT TO:<postmaster>", "250"),
        ("NOOP whatever", "250"),
        ("VRFY c", "252"),
        ("EXPN list", "502"),
        ("XYZZY", "500"),
        ("DATA", "354"),
        ("Subject: hello\r\n\r\ntext\r\n.", "250 2.0.0 caught as number 1\r\n"),
        ("RSET", "250"),
        ("QUIT", "221"),
    ] {
        client.expect(line, code).await;
    }
    assert_eq!(client.rest().await, "");
    let caught = catcher.messages().remove(0);
    assert_eq!((caught.id, &*caught.from, &*caught.subject), (1, "a@b.example", "hello"));
    assert_eq!(caught.to, ["c@d.example", "postmaster"]);
}

#[tokio::test]
async fn added_dots_are_removed_and_others_stay() {
    let catcher = Catcher::start().await.unwrap();
    let mut client = Client::greeted(&catcher).await;
    let reply = deliver(&mut client, b"..\r\n...two\r\na.\r\n\r\n..end\r\n\xff\xfe\r\n.\r\n").await;
    assert!(reply.starts_with("250"), "{reply}");
    assert_eq!(&*catcher.message(1).unwrap().raw, b".\r\n..two\r\na.\r\n\r\n.end\r\n\xff\xfe\r\n");
    // The final dot may arrive in pieces.
    client.expect("MAIL FROM:<>", "250").await;
    client.expect("RCPT TO:<c@d.example>", "250").await;
    client.expect("DATA", "354").await;
    for piece in ["text", "\r", "\n", ".", "\r", "\n"] {
        client.send(piece.as_bytes()).await;
        tokio::task::yield_now().await;
    }
    assert!(client.reply().await.starts_with("250"));
    assert_eq!(&*catcher.message(2).unwrap().raw, b"text\r\n");
}

#[tokio::test]
async fn bare_line_feeds_cannot_hide_a_second_mail() {
    let catcher = Catcher::start().await.unwrap();
    let mut client = Client::greeted(&catcher).await;
    for hidden in [
        &b"text\n.\r\nMAIL FROM:<x@y.example>\r\n.\r\n"[..],
        b"text\r\n.\nRSET\r\n.\r\n",
        b"text\n.\nRSET\r\n.\r\n",
    ] {
        let reply = deliver(&mut client, hidden).await;
        assert!(reply.starts_with("554 5.6.0"), "{reply}");
        client.expect("NOOP", "250").await;
    }
    assert_eq!(catcher.total(), 0);
}

#[tokio::test]
async fn pipelined_commands_get_their_replies_in_order() {
    let catcher = Catcher::start().await.unwrap();
    let mut client = Client::greeted(&catcher).await;
    client
        .send(
            b"MAIL FROM:<a@b.example>\r\nRCPT TO:<gone@d.example>\r\n\
              RCPT TO:<c@d.example>\r\nDATA\r\n",
        )
        .await;
    for code in ["250 2.1.0", "550 5.1.1", "250 2.1.5", "354"] {
        let reply = client.reply().await;
        assert!(reply.starts_with(code), "{reply}");
    }
    client.send(b"text\r\n.\r\nMAIL FROM:<a@b.example>\r\nRSET\r\nQUIT\r\n").await;
    let codes: Vec<String> = client.rest().await.lines().map(|line| line[..3].to_owned()).collect();
    assert_eq!(codes, ["250", "250", "250", "221"]);
}

#[tokio::test]
async fn messages_that_are_too_big_are_refused_at_their_end() {
    let limits = Limits { message_bytes: 1_000, ..Limits::default() };
    let catcher = Catcher::start_with((std::net::Ipv4Addr::LOCALHOST, 0), limits).await.unwrap();
    let mut client = Client::greeted(&catcher).await;
    let many_lines = [b"0123456789\r\n".repeat(100), b".\r\n".to_vec()].concat();
    let one_line = [b"x".repeat(50_000), b"\r\n.\r\n".to_vec()].concat();
    for content in [many_lines, one_line] {
        let reply = deliver(&mut client, &content).await;
        assert!(reply.starts_with("552 5.3.4"), "{reply}");
    }
    let fits = [b"x".repeat(998), b"\r\n.\r\n".to_vec()].concat();
    let reply = deliver(&mut client, &fits).await;
    assert!(reply.starts_with("250"), "{reply}");
    assert_eq!(catcher.total(), 1);
}

#[tokio::test]
async fn long_lines_garbage_and_errors_end_at_most_their_own_connection() {
    let catcher = Catcher::start().await.unwrap();
    let mut good = Client::greeted(&catcher).await;
    let mut client = Client::greeted(&catcher).await;
    client.send(&[b"NOOP ".to_vec(), b"x".repeat(100_000), b"\r\n".to_vec()].concat()).await;
    assert!(client.reply().await.starts_with("500 5.5.2 line too long"));
    client.expect("NOOP", "250").await;
    client.send(&[0, 159, 146, 150, b'\r', b'\n', b'\n']).await;
    for _ in 0..2 {
        assert!(client.reply().await.starts_with("500"));
    }
    for _ in 0..17 {
        client.expect("nonsense", "500").await;
    }
    client.send(b"nonsense\r\n").await;
    assert!(client.rest().await.ends_with("421 4.7.0 too many errors, goodbye\r\n"));
    assert!(deliver(&mut good, b"text\r\n.\r\n").await.starts_with("250"));
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_leaves_no_mail() {
    let catcher = Catcher::start().await.unwrap();
    let mut client = Client::greeted(&catcher).await;
    client.expect("MAIL FROM:<a@b.example>", "250").await;
    client.expect("RCPT TO:<c@d.example>", "250").await;
    client.expect("DATA", "354").await;
    client.send(b"half a mess").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, "");
    // If the client closes its side between commands, complete commands are still answered.
    let mut client = Client::greeted(&catcher).await;
    client.send(b"NOOP\r\nNOOP").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, "250 2.0.0 still here\r\n");
    assert_eq!(catcher.total(), 0);
}

#[tokio::test]
async fn a_silent_client_is_disconnected() {
    let limits = Limits { idle: Duration::from_millis(50), ..Limits::default() };
    let catcher = Catcher::start_with((std::net::Ipv4Addr::LOCALHOST, 0), limits).await.unwrap();
    let client = Client::connect(&catcher).await;
    assert_eq!(client.rest().await, "421 4.4.2 silent for too long, goodbye\r\n");
}

#[tokio::test]
async fn too_many_connections_are_refused_until_one_ends() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let catcher = Catcher::start_with((std::net::Ipv4Addr::LOCALHOST, 0), limits).await.unwrap();
    let (mut first, _second) = (Client::connect(&catcher).await, Client::connect(&catcher).await);
    let third = Client { stream: TcpStream::connect(catcher.address()).await.unwrap() };
    assert!(third.rest().await.starts_with("421 "));
    first.expect("QUIT", "221").await;
    assert_eq!(first.rest().await, "");
    // The server notices the end of a connection a moment after its last byte.
    let mut fourth = Client { stream: TcpStream::connect(catcher.address()).await.unwrap() };
    while fourth.reply().await.starts_with("421 ") {
        fourth = Client { stream: TcpStream::connect(catcher.address()).await.unwrap() };
    }
}

#[tokio::test]
async fn dropping_the_catcher_closes_its_connections_and_its_port() {
    let catcher = Catcher::start().await.unwrap();
    let address = catcher.address();
    let client = Client::greeted(&catcher).await;
    drop(catcher);
    assert_eq!(client.rest().await, "");
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
