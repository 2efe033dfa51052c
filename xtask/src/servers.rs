//! Private database servers for the tests: on a free local port, in a temporary folder, stopped and
//! removed on drop, also after a failure.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::setup::{self, install};
use crate::step::Report;

/// Time limit for a server to become ready: ten times what it needs under load.
const PATIENCE: Duration = Duration::from_secs(30);

/// A user that may connect only with TLS, with the password `canary`.
const ENCRYPTED: &str = "encrypted";

/// File name of the CA certificate in a server's folder. Clients trust it.
const AUTHORITY: &str = "authority.pem";

/// The servers that could be started. An error says why one could not.
pub(crate) struct Servers {
    postgres: Result<Postgres, String>,
    mariadb: Result<MariaDb, String>,
    /// Whether there is a program. Each test that needs Redis starts a server of its own.
    redis: Result<(), String>,
}

impl Servers {
    /// Starts one of each kind.
    pub(crate) fn start() -> Self {
        Self { postgres: postgres(), mariadb: mariadb(), redis: setup::redis() }
    }

    /// Starts PostgreSQL alone.
    pub(crate) fn postgres() -> Result<Self, String> {
        let others = || "not needed".to_owned();
        Ok(Self { postgres: Ok(postgres()?), mariadb: Err(others()), redis: Err(others()) })
    }

    /// Reports what is skipped because a server is missing.
    pub(crate) fn report(&self, report: &mut Report) {
        if let Err(reason) = &self.postgres {
            report.not_run("stores, proofs and invoice-mailer on PostgreSQL", reason);
        }
        if let Err(reason) = &self.mariadb {
            report.not_run("stores and proofs on MariaDB", reason);
        }
        if let Err(reason) = &self.redis {
            report.not_run("store, proofs and invoice-mailer on Redis", reason);
        }
    }

    /// Passes the servers' addresses to a program, in environment variables.
    pub(crate) fn tell(&self, program: &mut Command) {
        if let Ok(postgres) = &self.postgres {
            program.env("PROGRESS_TEST_POSTGRES", postgres.url());
            program.env("PROGRESS_TEST_POSTGRES_CONTROL", words(&postgres.control(&[])));
            program.env("PROGRESS_TEST_POSTGRES_AUTHORITY", postgres.folder.path.join(AUTHORITY));
        }
        if let Ok(mariadb) = &self.mariadb {
            program.env("PROGRESS_TEST_MYSQL", mariadb.url());
            program.env("PROGRESS_TEST_MYSQL_PID_FILE", mariadb.folder.path.join("pid"));
            program.env("PROGRESS_TEST_MYSQL_AUTHORITY", mariadb.folder.path.join(AUTHORITY));
        }
    }
}

/// A private PostgreSQL server.
struct Postgres {
    programs: PathBuf,
    folder: Folder,
    port: u16,
}

/// Starts a server, which takes about two seconds. Installs PostgreSQL if it is missing and this
/// process may install packages.
fn postgres() -> Result<Postgres, String> {
    let programs = match postgres_programs() {
        Some(programs) => programs,
        None => {
            install(&["postgresql"])?;
            postgres_programs().ok_or("postgresql is installed, but not in /usr/lib/postgresql")?
        }
    };
    let folder = Folder::new("postgres", "postgres")?;
    let data = folder.path.join("data");
    let mut create = as_user("postgres", &programs.join("initdb"));
    run(create.arg("-D").arg(&data).args([
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-sync",
    ]))?;
    let [certificate, key] = certificate(&folder, "postgres")?;
    // The first matching line counts, so this one stands before the lines that admit every user.
    let entrances = data.join("pg_hba.conf");
    let known = fs::read_to_string(&entrances).map_err(|error| format!("pg_hba.conf: {error}"))?;
    fs::write(&entrances, format!("hostnossl all {ENCRYPTED} all reject\n{known}"))
        .map_err(|error| format!("pg_hba.conf: {error}"))?;
    let port = free_port()?;
    // The data is temporary, so no write waits for the disk. Commits are still handed to the
    // operating system at once, because the tests kill the server, which then loses what it has not
    // handed over.
    let options = format!(
        "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} \
         -c max_connections=500 -c fsync=off -c synchronous_commit=on -c full_page_writes=off \
         -c ssl=on -c ssl_cert_file={} -c ssl_key_file={}",
        folder.path.display(),
        certificate.display(),
        key.display()
    );
    // Created before the start, so that drop also stops a server whose start failed half-way.
    let server = Postgres { programs, folder, port };
    let mut start = server.control(&["start", "-w", "-o", &options]);
    run(start.arg("-l").arg(server.folder.path.join("log")))?;
    let mut user = Command::new(server.programs.join("psql"));
    user.arg(server.url()).args(["-X", "-c", &format!("CREATE ROLE {ENCRYPTED} SUPERUSER LOGIN")]);
    run(&mut user)?;
    Ok(server)
}

impl Postgres {
    /// The address at which tests may create databases.
    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn control(&self, arguments: &[&str]) -> Command {
        let mut control = as_user("postgres", &self.programs.join("pg_ctl"));
        control.arg("-D").arg(self.folder.path.join("data")).args(arguments);
        control
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Err(error) = run(&mut self.control(&["stop", "-w", "-m", "immediate"])) {
            eprintln!("could not stop PostgreSQL in {}: {error}", self.folder.path.display());
        }
    }
}

/// The program folder of the newest installed version.
fn postgres_programs() -> Option<PathBuf> {
    let versions =
        fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin"));
    versions.filter(|programs| programs.join("initdb").exists()).max_by_key(|programs| {
        let version = programs.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    })
}

/// A private MariaDB server.
struct MariaDb {
    // Before the folder, because fields are dropped in this order and the server writes into it.
    _server: Kept,
    folder: Folder,
    port: u16,
}

/// Starts a server, which takes about two seconds. Installs MariaDB if it is missing and this
/// process may install packages.
fn mariadb() -> Result<MariaDb, String> {
    let programs =
        ["/usr/sbin/mariadbd", "/usr/bin/mariadb-install-db", "/usr/bin/mariadb"].map(Path::new);
    if !programs.iter().all(|program| program.exists()) {
        install(&["mariadb-server"])?;
    }
    let [server, create, client] = programs;
    let folder = Folder::new("mariadb", "mysql")?;
    let data = folder.path.join("data");
    let socket = folder.path.join("socket");
    let mut create = as_user("mysql", create);
    create.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
    run(create.arg(option("--datadir", &data)))?;
    let port = free_port()?;
    let mut start = as_user("mysql", server);
    start.args([
        "--no-defaults",
        "--bind-address=127.0.0.1",
        "--skip-log-bin",
        "--skip-name-resolve",
    ]);
    // As with PostgreSQL: no write waits for the disk, but commits go to the system at once.
    start.args(["--innodb-flush-log-at-trx-commit=2", "--max-connections=500"]);
    // As on a server that is set up for its data: the tables of the largest benchmark fit in.
    start.arg("--innodb-buffer-pool-size=2G");
    start.args([option("--datadir", &data), option("--socket", &socket), format!("--port={port}")]);
    start.arg(option("--pid-file", &folder.path.join("pid")));
    start.arg(option("--log-error", &folder.path.join("log")));
    let [certificate, key] = certificate(&folder, "mysql")?;
    start.args([option("--ssl-cert", &certificate), option("--ssl-key", &key)]);
    start.stdout(Stdio::null()).stderr(Stdio::null());
    let kept = Kept::start(start).map_err(|error| format!("mariadbd: {error}"))?;
    // Created before the server is ready, so that drop also stops one that never becomes ready.
    let server = MariaDb { _server: kept, folder, port };
    let begun = Instant::now();
    loop {
        let mut user = Command::new(client);
        user.args(["--no-defaults", "--user=root", "--execute"]);
        user.arg(format!(
            "CREATE USER progress@127.0.0.1; \
             GRANT ALL ON *.* TO progress@127.0.0.1 WITH GRANT OPTION; \
             CREATE USER {ENCRYPTED}@127.0.0.1 IDENTIFIED BY 'canary' REQUIRE SSL; \
             GRANT ALL ON *.* TO {ENCRYPTED}@127.0.0.1"
        ));
        match run(user.arg(option("--socket", &socket))) {
            Ok(()) => return Ok(server),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

impl MariaDb {
    /// The address at which tests may create databases.
    fn url(&self) -> String {
        format!("mysql://progress@127.0.0.1:{}/mysql", self.port)
    }
}

/// A private Redis server without files. Benchmarks run it on one processor.
pub(crate) struct Redis {
    _server: Kept,
    port: u16,
}

impl Redis {
    /// Starts a server. Installs Redis if it is missing and this process may install packages.
    pub(crate) fn start() -> Result<Self, String> {
        setup::redis()?;
        let port = free_port()?;
        let mut start = Command::new("taskset");
        start.args(["-c", "0", "redis-server"]);
        start.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        start.args(["--save", "", "--appendonly", "no"]);
        start.current_dir(std::env::temp_dir());
        start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let kept = Kept::start(start).map_err(|error| format!("redis-server: {error}"))?;
        let server = Self { _server: kept, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > PATIENCE {
                return Err("redis-server is not ready".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Passes the server's address to a program, in an environment variable.
    pub(crate) fn tell(&self, program: &mut Command) {
        program.env("REDIS_URL", format!("redis://127.0.0.1:{}/0", self.port));
    }
}

/// Creates a server's TLS files in its folder: a CA certificate, which the clients trust, and the
/// server's certificate for 127.0.0.1 with its key. Returns the latter two.
fn certificate(folder: &Folder, user: &str) -> Result<[PathBuf; 2], String> {
    let file = |name: &str| folder.path.join(name);
    let create = |name: &str, certificate: &Path, key: &Path| {
        let mut create = as_user(user, Path::new("openssl"));
        create.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ]);
        create
            .args(["-days", "2", "-subj", name])
            .arg("-out")
            .arg(certificate)
            .arg("-keyout")
            .arg(key);
        create
    };
    let [authority, authority_key] = [AUTHORITY, "authority.key"].map(file);
    run(&mut create("/CN=an authority for tests", &authority, &authority_key))?;
    let [certificate, key] = ["server.pem", "server.key"].map(file);
    let mut server = create("/CN=a server for tests", &certificate, &key);
    server.arg("-CA").arg(&authority).arg("-CAkey").arg(&authority_key);
    server.args([
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]);
    run(&mut server)?;
    Ok([certificate, key])
}

/// A server that is restarted whenever it ends, as a service manager does, until this is dropped.
struct Kept {
    /// Never sent on. Dropping it tells the keeper thread to stop.
    over: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Kept {
    fn start(mut command: Command) -> std::io::Result<Self> {
        let server = command.spawn()?;
        let (over, is_over) = channel();
        let keeper = std::thread::spawn(move || keep(server, &mut command, &is_over));
        Ok(Self { over: Some(over), keeper: Some(keeper) })
    }
}

fn keep(mut server: Child, command: &mut Command, is_over: &Receiver<()>) {
    while is_over.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
        if matches!(server.try_wait(), Ok(Some(_))) {
            match command.spawn() {
                Ok(again) => server = again,
                Err(error) => return eprintln!("could not restart a server that ended: {error}"),
            }
        }
    }
    // Killed, because its data is discarded and needs no clean shutdown.
    if let Err(error) = server.kill().and_then(|()| server.wait().map(|_| ())) {
        eprintln!("could not stop a server (process {}): {error}", server.id());
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.over.take());
        // The panic hook has already reported a panic of that thread.
        let _ = self.keeper.take().map(JoinHandle::join);
    }
}

/// A temporary folder that a server's user owns. Dropping it removes it with everything in it.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new(name: &str, user: &str) -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("progress-{name}-{}", std::process::id()));
        let explain = |error| format!("{}: {error}", path.display());
        fs::create_dir(&path).map_err(explain)?;
        let folder = Self { path };
        if is_root() {
            let explain = |error| format!("{}: {error}", folder.path.display());
            let (user, group) = (number("-u", user)?, number("-g", user)?);
            chown(&folder.path, Some(user), Some(group)).map_err(explain)?;
        }
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("could not remove {}: {error}", self.path.display());
        }
    }
}

fn is_root() -> bool {
    number("-u", "").is_ok_and(|user| user == 0)
}

/// A user's id (`-u`) or group id (`-g`); those of this process without a name.
fn number(which: &str, user: &str) -> Result<u32, String> {
    let mut id = Command::new("id");
    id.arg(which).args((!user.is_empty()).then_some(user));
    let output = id.output().map_err(|error| format!("id: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| format!("user {user} does not exist"))
}

/// Runs a server's program, which refuses to run as root, as this user. Without root rights, runs
/// it as the current user.
fn as_user(user: &str, program: &Path) -> Command {
    let mut command = if is_root() {
        // Not runuser: it would stay as the parent, and killing it would not end the server.
        let mut command = Command::new("setpriv");
        command.args(["--reuid", user, "--regid", user, "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // A folder that every user may enter.
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// Encodes a command for one environment variable, one argument per line.
fn words(command: &Command) -> OsString {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    words.join(OsStr::new("\n"))
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// A port that was free at the time of the call.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

/// Runs a command to its end, without pipes: a server in the background would keep them open.
fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().display().to_string();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} {:?}: {status}", command.get_args().collect::<Vec<_>>())),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
