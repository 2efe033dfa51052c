//! Whatever a client sends, it gets a reply, and never a server error.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Generates a valid text with a few characters replaced, or arbitrary text.
fn near(valid: &'static [&'static str]) -> impl Strategy<Value = String> {
    let special = select(&['"', '\\', ',', ';', '=', '%', '-', '.', '/', '*', '0'][..]);
    let changes = vec((any::<prop::sample::Index>(), prop_oneof![any::<char>(), special]), 0..4);
    let shaken = (select(valid), changes).prop_map(|(text, changes)| {
        let mut characters: Vec<char> = text.chars().collect();
        for (index, change) in changes {
            let at = index.index(characters.len());
            characters[at] = change;
        }
        characters
    });
    let printable = vec(proptest::char::range(' ', '~'), 0..200);
    let text = prop_oneof![3 => shaken, 1 => vec(any::<char>(), 0..60), 1 => printable];
    text.prop_map(|characters| characters.into_iter().collect())
}

/// The runtime and the server, created once per thread, because there are many cases.
struct Stage {
    runtime: tokio::runtime::Runtime,
    server: Server,
}

thread_local! {
    static STAGE: Stage = {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let server = Server::new();
        let job = NewProgress::new("test").with_owner("ann").with_id(JOB.parse().unwrap());
        runtime.block_on(server.create(job));
        Stage { runtime, server }
    };
}

/// Sends the line unchanged: a generated line is never used as a template.
fn ask(line: &str, headers: &[(&str, &str)]) -> Reply {
    STAGE.with(|stage| stage.runtime.block_on(stage.server.ask_with(&ann(), line, headers)))
}

fn ask_for_the_job(headers: &[(&str, &str)]) -> Reply {
    ask(&format!("GET /{JOB}"), headers)
}

/// The id of the only job.
const JOB: &str = "5f0c3d2e-9a41-4c7b-8e6d-1b2a3c4d5e6f";

/// An unknown id, too different from the job's id to become it by a few replaced characters.
const ID: &str = "00000000-0000-4000-8000-00000000000f";

fn config() -> ProptestConfig {
    // No file is written beside the sources; a failure prints its input.
    ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn ids(id in near(&[
        ID,
        "00000000-0000-4000-8000-00000000000F",
        "{00000000-0000-4000-8000-00000000000f}",
    ])) {
        // Without the characters that would end the path on a request line.
        let id: String = id.chars().filter(|character| !matches!(character, '?' | ' ')).collect();
        let reply = ask(&format!("GET /{id}"), &[]);
        let is_a_list = id.trim_matches('/').is_empty() || id.trim_matches('/') == "active";
        prop_assert!(
            reply.status == 404 || is_a_list && reply.status == 200,
            "{} {id:?}",
            reply.status
        );
    }

    #[test]
    fn tags(tag in near(&["\"18bcfe56800-3\"", "W/\"a\", \"b\",, *", "*"])) {
        let reply = ask_for_the_job(&[("if-none-match", &tag)]);
        prop_assert!(matches!(reply.status, 200 | 304), "{} {tag:?}", reply.status);
        prop_assert_eq!(
            reply.status == 304,
            tag.trim() == "*" || tag.contains(reply.header("etag").unwrap())
        );
    }

    #[test]
    fn prefixes(prefix in near(&[
        "/app",
        "//evil.example",
        "/\\evil.example",
        "\"><script>",
        "/",
    ])) {
        let headers = [("hx-request", "true"), ("x-forwarded-prefix", prefix.as_str())];
        let reply = ask(&format!("GET /{JOB}.html"), &headers);
        prop_assert_eq!(reply.status, 200);
        let html = String::from_utf8(reply.body.to_vec()).unwrap();
        let (_, address) = html.split_once(" hx-get=\"").unwrap();
        let (address, _) = address.split_once("\" hx-trigger=\"every").unwrap();
        // A path of this server, and nothing that ends the attribute.
        let mut characters = address.chars();
        prop_assert_eq!(characters.next(), Some('/'));
        let second = characters.next().unwrap();
        prop_assert!(!"/\\ ".contains(second) && !second.is_control(), "{address:?}");
        prop_assert!(!address.contains(['"', '<', '>']), "{address:?}");
    }

    #[test]
    fn preferences(prefer in near(&[
        "wait=10",
        "respond-async, wait=\"3\"; x=y",
        "foo=\"a,b\", Wait = 0",
    ])) {
        // Not the current tag, so that the request does not wait.
        let reply = ask_for_the_job(&[("prefer", &prefer), ("if-none-match", "\"a\"")]);
        prop_assert_eq!(reply.status, 200);
        if let Some(applied) = reply.header("preference-applied") {
            let seconds: u64 = applied.strip_prefix("wait=").unwrap().parse().unwrap();
            prop_assert!(seconds <= 25, "{prefer:?}: {applied}");
        }
    }

    #[test]
    fn cursors(cursor in near(&[
        "1700000000000.00000000-0000-4000-8000-00000000000f",
        "-1.x",
        "%00",
        "1%2E",
    ])) {
        let cursor: String = cursor.chars().filter(|character| *character != ' ').collect();
        let reply = ask(&format!("GET /?cursor={cursor}"), &[]);
        prop_assert!(matches!(reply.status, 200 | 400), "{} {cursor:?}", reply.status);
    }

    #[test]
    fn what_is_read(accept in near(&[
        "application/json",
        "text/html, */*;q=0.1",
        "application/*;q=0",
    ])) {
        let reply = ask_for_the_job(&[("accept", &accept)]);
        prop_assert!(matches!(reply.status, 200 | 406), "{} {accept:?}", reply.status);
    }

    #[test]
    fn codings(coding in near(&[
        "gzip",
        "br;q=1.0, gzip;q=0.8, *;q=0.1",
        "identity;q=0, x-gzip;q=0.5",
        "gzip;q=0",
    ])) {
        let reply = ask("GET /progress-polling.js", &[("accept-encoding", &coding)]);
        prop_assert_eq!(reply.status, 200);
        match reply.header("content-encoding") {
            Some(chosen) => {
                prop_assert_eq!(chosen, "gzip");
                prop_assert!(reply.body.starts_with(&[0x1f, 0x8b]), "{coding:?}");
                // Only a client that asks for gzip, or for any coding, gets it.
                let asked = coding.to_ascii_lowercase();
                prop_assert!(asked.contains("gzip") || asked.contains('*'), "{coding:?}");
            }
            None => {
                let content = progress_http::widget::FILES[0].content;
                prop_assert_eq!(&*reply.body, content.as_bytes());
            }
        }
    }
}
