//! Ordinary proxies between the page and the server: nginx and Apache, both compressing and below a
//! prefix. Through each of them polls get 304, waiting polls wait, events arrive at once, and
//! Cancel works over plain http.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::report::{Finding, Report};
use crate::testserver::{FRAMEWORKS, TestServer, block_on};

/// How soon a client knows of a change, beside busy processors.
const SOON: Duration = Duration::from_millis(800);

pub(crate) fn run(report: &mut Report) {
    let [nginx, apache] = ["NGINX", "APACHE"].map(|name| {
        let variable = format!("PROGRESS_TEST_{name}");
        std::env::var(&variable).map_err(|_| format!("{variable} is not set"))
    });
    for framework in FRAMEWORKS {
        match &nginx {
            Ok(program) => report.check(&format!("{framework}-nginx"), || {
                let server = TestServer::start(framework, &[]);
                let proxy = Proxy::nginx(program, &server, "");
                // nginx replaces Host by the address of the server and tells nobody the public one.
                let hidden = proxy.cancel(&server, "/hidden");
                let finding = proxy.try_all(&server, "/app");
                let cancel = proxy.cancel(&server, "/app");
                finding.and(hidden == 403 && cancel == 202, format_args!("{hidden}, {cancel}"))
            }),
            Err(reason) => report.not_run(&format!("{framework}-nginx"), reason),
        }
        match &apache {
            Ok(program) => report.check(&format!("{framework}-apache"), || {
                let server = TestServer::start(framework, &[]);
                let proxy = Proxy::apache(program, &server);
                let finding = proxy.try_all(&server, "/app");
                let cancel = proxy.cancel(&server, "/app");
                finding.and(cancel == 202, cancel)
            }),
            Err(reason) => report.not_run(&format!("{framework}-apache"), reason),
        }
    }
    if let Ok(program) = &nginx {
        report.check("guide", || {
            let server = TestServer::start("axum", &[]);
            let proxy = Proxy::nginx(program, &server, "");
            let (finding, cancel) = (proxy.try_all(&server, ""), proxy.cancel(&server, ""));
            finding.and(cancel == 202, cancel)
        });
        report.check("control-buffers", || {
            let server = TestServer::start("axum", &[]);
            // As if the server had not asked nginx to pass events on at once.
            let buffers = "proxy_ignore_headers X-Accel-Buffering;";
            Proxy::nginx(program, &server, buffers).try_all(&server, "/app").must_fail()
        });
    }
}

/// A proxy that runs. Killed when dropped.
struct Proxy {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    fn nginx(program: &str, server: &TestServer, more: &str) -> Self {
        // What the guide says, with the address of this server.
        let guide = include_str!("../../../docs/operating.md");
        let guide = guide.split_once("```nginx\n").and_then(|(_, rest)| rest.split_once("```"));
        let guide = guide.expect("a location for nginx in the guide").0;
        let guide = guide.replace("127.0.0.1:3000", &server.address.to_string());
        let (folder, address) = place();
        let path = folder.path().display();
        let settings = format!(
            "daemon off; master_process off; pid {path}/pid; error_log {path}/errors;
             events {{}}
             http {{
               access_log off; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;
               fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi;
               scgi_temp_path {path}/scgi;
               gzip on; gzip_proxied any; gzip_min_length 1;
               gzip_types application/json text/javascript; {more}
               server {{
                 listen {address};
                 {guide}
                 location /hidden/ {{ proxy_pass http://{server}/; }}
                 location /app/ {{
                   proxy_pass http://{server}/;
                   proxy_set_header X-Forwarded-Host $http_host;
                 }}
               }}
             }}",
            server = server.address
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, settings).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(file).arg("-e").arg(folder.path().join("errors"));
        Self::start(command, folder, address)
    }

    fn apache(program: &str, server: &TestServer) -> Self {
        let (folder, address) = place();
        let path = folder.path().display();
        let modules = Path::new("/usr/lib/apache2/modules");
        let modules: String =
            ["mpm_event", "authz_core", "proxy", "proxy_http", "filter", "deflate"]
                .map(|name| {
                    format!("LoadModule {name}_module {}/mod_{name}.so\n", modules.display())
                })
                .concat();
        let settings = format!(
            "{modules}ServerRoot {path}\nPidFile {path}/pid\nErrorLog {path}/errors\nMutex posixsem
             ServerName localhost\nListen {address}\nUser nobody\nGroup nogroup
             AddOutputFilterByType DEFLATE application/json text/javascript
             ProxyPass /app/ http://{}/\n",
            server.address
        );
        let file = folder.path().join("apache.conf");
        fs::write(&file, settings).unwrap();
        let mut command = Command::new(program);
        command.arg("-DFOREGROUND").arg("-f").arg(file);
        Self::start(command, folder, address)
    }

    fn start(mut command: Command, folder: TempDir, address: String) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let proxy = Self { child, address, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(&proxy.address).is_err() {
            let errors = fs::read_to_string(proxy._folder.path().join("errors"));
            assert!(Instant::now() < deadline, "the proxy does not listen: {errors:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        proxy
    }

    fn curl(&self, path: &str, headers: &[&str]) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--no-buffer", "--include", "--compressed", "--max-time", "30"]);
        curl.args(["-H", "x-viewer: owner:ann"]);
        for header in headers {
            curl.args(["-H", header]);
        }
        curl.arg(format!("http://{}{path}", self.address));
        curl
    }

    /// Sends a request, and returns the status, the head in lower case, and the body.
    fn ask(&self, path: &str, headers: &[&str]) -> (u16, String, Value) {
        let output = self.curl(path, headers).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = serde_json::from_str(body).unwrap_or_default();
        (status.unwrap_or_default(), head.to_ascii_lowercase(), body)
    }

    /// Cancels a job as an old browser does on a page of the public address.
    fn cancel(&self, server: &TestServer, prefix: &str) -> u16 {
        let id = running(server);
        let origin = format!("origin: http://{}", self.address);
        let path = format!("{prefix}/progress/{id}/cancel");
        let mut curl = self.curl(&path, &[&origin, "content-length: 0"]);
        let output = curl.args(["--request", "POST"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    /// Tries what a page does, below a prefix.
    fn try_all(&self, server: &TestServer, prefix: &str) -> Finding {
        let id = running(server);
        let path = format!("{prefix}/progress/{id}");
        let update = format!("/test/jobs/{id}/update");
        let change = || drop(block_on(server.post(&update, &json!({"succeeded": 1}))));

        let script = self.ask(&format!("{prefix}/progress/progress-polling.js"), &[]).0;
        let (first, head, _) = self.ask(&path, &[]);
        let is_compressed = head.contains("content-encoding: gzip");
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap_or_default();
        let known = format!("if-none-match: {}", tag.replace("w/", "W/"));
        let (again, ..) = self.ask(&path, &[&known]);

        let begun = Instant::now();
        let (unchanged, ..) = self.ask(&path, &[&known, "prefer: wait=2"]);
        let waited = begun.elapsed();
        let began = Instant::now();
        let (changed, told) = std::thread::scope(|scope| {
            let poll = scope.spawn(|| self.ask(&path, &[&known, "prefer: wait=20"]));
            std::thread::sleep(Duration::from_secs(1));
            change();
            let reply = poll.join().unwrap();
            (reply.2["success_count"] == 1, began.elapsed() - Duration::from_secs(1))
        });
        let event = self.time_of_event(&path, change);
        Finding::new(
            (script, first, again, unchanged) == (200, 200, 304, 304)
                && is_compressed
                && changed
                && waited >= Duration::from_millis(1_900)
                && told < SOON
                && event.is_some_and(|event| event < SOON),
            format_args!(
                "script {script}, poll {first}, again {again}, compressed {is_compressed}; \
                 waited {waited:.1?}, a change told after {told:.1?}, an event after {event:.1?}"
            ),
            "200, 200, 304, compressed; 2 s, 0.8 s, 0.8 s",
        )
    }

    /// Returns how long after a change its event arrives; `None` if it takes more than 5 s.
    fn time_of_event(&self, path: &str, change: impl FnOnce()) -> Option<Duration> {
        let mut curl = self.curl(&format!("{path}/events"), &["accept: text/event-stream"]);
        let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(curl.stdout.take().unwrap()).lines();
        let (sender, events) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok).filter(|line| line.starts_with("data: {\"")) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let limit = Duration::from_secs(5);
        let first = events.recv_timeout(limit);
        let begun = Instant::now();
        change();
        let second = first.and_then(|_| events.recv_timeout(limit));
        let time = second.map(|_| begun.elapsed()).ok();
        let _ = curl.kill();
        let _ = curl.wait();
        time
    }
}

/// Creates a running job of Ann's.
fn running(server: &TestServer) -> String {
    block_on(async {
        let id = server.create(&json!({"owner": "ann", "total": 10})).await;
        let update = format!("/test/jobs/{id}/update");
        server.post(&update, &json!({"transition": "start"})).await;
        id
    })
}

/// A folder that every user may read, because Apache changes its user, and a free address.
fn place() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), permissions).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    (folder, free.local_addr().unwrap().to_string())
}
