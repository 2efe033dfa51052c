//! Private database servers for the tests: on a free port of this machine, in a temporary folder, gone when they are dropped,
//! also by a failure.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::setup::install;
use crate::step::Report;

/// How long a server may take to answer: ten times what it needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who is let in by encrypted connections alone, with the password `canary`.
const ENCRYPTED: &str = "encrypted";

/// The certificate that clients trust, in a server's folder.
const AUTHORITY: &str = "authority.pem";

/// The servers that there can be here; the others are named with the reason.
pub(crate) struct Servers {
    postgres: Result<Postgres, String>,
    mariadb: Result<MariaDb, String>,
}

impl Servers {
    /// Starts one of each kind.
    pub(crate) fn start() -> Self {
        Self { postgres: postgres(), mariadb: mariadb() }
    }

    /// Says aloud what will not be run for want of a server.
    pub(crate) fn report(&self, report: &mut Report) {
        if let Err(reason) = &self.postgres {
            report.not_run("stores, proofs and invoice-mailer on PostgreSQL", reason);
        }
        if let Err(reason) = &self.mariadb {
            report.not_run("stores, proofs and invoice-mailer on MariaDB", reason);
        }
    }

    /// Tells a program where they are.
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

/// A PostgreSQL server of our own.
struct Postgres {
    programs: PathBuf,
    folder: Folder,
    port: u16,
}

/// Starts one, which takes about two seconds; installs it when it is missing and we may.
fn postgres() -> Result<Postgres, String> {
    let programs = match postgres_programs() {
        Some(programs) => programs,
        None => {
            install(&["postgresql"])?;
            postgres_programs().ok_or("postgresql was installed, and is not where it belongs")?
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
    // First come, first served: these stand before the lines by which everybody is let in.
    let entrances = data.join("pg_hba.conf");
    let known = fs::read_to_string(&entrances).map_err(|error| format!("pg_hba.conf: {error}"))?;
    fs::write(&entrances, format!("hostnossl all {ENCRYPTED} all reject\n{known}"))
        .map_err(|error| format!("pg_hba.conf: {error}"))?;
    let port = free_port()?;
    // Nothing here outlives the machine, so nothing waits for the disk. A server that is killed does lose what it had not
    // handed to the system yet, so that is not put off.
    let options = format!(
        "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c max_connections=500 \
         -c fsync=off -c synchronous_commit=on -c full_page_writes=off -c ssl=on -c ssl_cert_file={} -c ssl_key_file={}",
        folder.path.display(),
        certificate.display(),
        key.display()
    );
    // Made before the start, so that a start that fails half-way is stopped as well.
    let server = Postgres { programs, folder, port };
    let mut start = server.control(&["start", "-w", "-o", &options]);
    run(start.arg("-l").arg(server.folder.path.join("log")))?;
    let mut user = Command::new(server.programs.join("psql"));
    user.arg(server.url()).args(["-X", "-c", &format!("CREATE ROLE {ENCRYPTED} SUPERUSER LOGIN")]);
    run(&mut user)?;
    Ok(server)
}

impl Postgres {
    /// Where tests may make databases.
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
            eprintln!("PostgreSQL in {} was not stopped: {error}", self.folder.path.display());
        }
    }
}

/// The newest of those that are installed.
fn postgres_programs() -> Option<PathBuf> {
    let versions =
        fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin"));
    versions.filter(|programs| programs.join("initdb").exists()).max_by_key(|programs| {
        let version = programs.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    })
}

/// A MariaDB server of our own.
struct MariaDb {
    // Before the folder, into which it writes: fields are dropped in this order.
    _server: Kept,
    folder: Folder,
    port: u16,
}

/// Starts one, which takes about two seconds; installs it when it is missing and we may.
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
    // Nothing here outlives the machine, so nothing waits for the disk, but commits are handed to the system at once.
    start.args(["--innodb-flush-log-at-trx-commit=2", "--max-connections=500"]);
    start.args([option("--datadir", &data), option("--socket", &socket), format!("--port={port}")]);
    start.arg(option("--pid-file", &folder.path.join("pid")));
    start.arg(option("--log-error", &folder.path.join("log")));
    let [certificate, key] = certificate(&folder, "mysql")?;
    start.args([option("--ssl-cert", &certificate), option("--ssl-key", &key)]);
    start.stdout(Stdio::null()).stderr(Stdio::null());
    let kept = Kept::start(start).map_err(|error| format!("mariadbd: {error}"))?;
    // Made before it answers, so that one that never does is stopped as well.
    let server = MariaDb { _server: kept, folder, port };
    let begun = Instant::now();
    loop {
        let mut user = Command::new(client);
        user.args(["--no-defaults", "--user=root", "--execute"]);
        user.arg(format!(
            "CREATE USER progress@127.0.0.1; GRANT ALL ON *.* TO progress@127.0.0.1 WITH GRANT OPTION; \
             CREATE USER {ENCRYPTED}@127.0.0.1 IDENTIFIED BY 'canary' REQUIRE SSL; GRANT ALL ON *.* TO {ENCRYPTED}@127.0.0.1"
        ));
        match run(user.arg(option("--socket", &socket))) {
            Ok(()) => return Ok(server),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

impl MariaDb {
    /// Where tests may make databases.
    fn url(&self) -> String {
        format!("mysql://progress@127.0.0.1:{}/mysql", self.port)
    }
}

/// Makes what a server needs for encrypted connections, in its folder: the authority's certificate, which its clients trust,
/// and its own for 127.0.0.1, with the key.
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

/// A server that is started again when it ends, as the system's service manager does, until this is dropped.
struct Kept {
    /// Nothing is ever sent: its end is the word.
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
                Err(error) => return eprintln!("a server is not there any more: {error}"),
            }
        }
    }
    // What it holds is thrown away; there is nothing to end in peace.
    if let Err(error) = server.kill().and_then(|()| server.wait().map(|_| ())) {
        eprintln!("a server (process {}) was not stopped: {error}", server.id());
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.over.take());
        // A panic in there has been reported by the panic hook.
        let _ = self.keeper.take().map(JoinHandle::join);
    }
}

/// A temporary folder that belongs to a server's user, removed with everything in it.
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
            eprintln!("{} is left behind: {error}", self.path.display());
        }
    }
}

fn is_root() -> bool {
    number("-u", "").is_ok_and(|user| user == 0)
}

/// A user's number (`-u`), or its group's (`-g`); of ourselves without a name.
fn number(which: &str, user: &str) -> Result<u32, String> {
    let mut id = Command::new("id");
    id.arg(which).args((!user.is_empty()).then_some(user));
    let output = id.output().map_err(|error| format!("id: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| format!("there is no user {user}"))
}

/// A program of a server's, which refuses to be run by root. Others run it as themselves.
fn as_user(user: &str, program: &Path) -> Command {
    let mut command = if is_root() {
        // Not runuser, which would stand between us and the server that we want to end.
        let mut command = Command::new("setpriv");
        command.args(["--reuid", user, "--regid", user, "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // A folder that everybody may enter.
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// A command in one variable: a word a line.
fn words(command: &Command) -> OsString {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    words.join(OsStr::new("\n"))
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

/// Runs to the end, in silence: a server that goes on in the background would keep a pipe open.
fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().display().to_string();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} {:?}: {status}", command.get_args().collect::<Vec<_>>())),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
