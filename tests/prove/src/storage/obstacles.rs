//! Obstacles that prevent writes to a database for a while. Each ends when it is dropped, also
//! after a panic.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};

use crate::place::{Place, runtime};
use crate::signals::Worker;

pub(crate) trait Obstacle: Send {
    /// The address of the database.
    fn url(&self) -> String;
    fn begin(&mut self);
    fn end(&mut self);
}

/// A file that another process has locked.
pub(crate) struct Locked {
    pub(crate) place: Place,
    pub(crate) locker: Option<Worker>,
}

impl Obstacle for Locked {
    fn url(&self) -> String {
        self.place.url().to_owned()
    }

    fn begin(&mut self) {
        let mut locker = Worker::start(&["lock", self.place.url()]);
        assert_eq!(locker.line().as_deref(), Some("locked"));
        self.locker = Some(locker);
    }

    fn end(&mut self) {
        self.locker = None;
    }
}

/// A small volume, which can be filled without affecting others.
pub(crate) struct Full(tempfile::TempDir);

impl Full {
    const SIZE: usize = 16 << 20;

    pub(crate) fn mount() -> Result<Self, &'static str> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={}", Self::SIZE);
        if run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs"], &[folder.path()]) {
            Ok(Self(folder))
        } else {
            Err("mounting a small volume that can be filled needs root")
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }
}

impl Obstacle for Full {
    fn url(&self) -> String {
        format!("sqlite://{}", self.0.path().join("progress.db").display())
    }

    fn begin(&mut self) {
        // More than fits, so that not a byte is left. The write itself fails at the end.
        let _ = std::fs::write(self.filler(), vec![0; Self::SIZE]);
    }

    fn end(&mut self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        run("umount", &["--lazy"], &[self.0.path()]);
    }
}

/// Files that the system lets no process change, not even one that opened them before. This is how
/// a volume behaves that has become read-only: writes to open files fail, and newly opened files
/// can only be read. A real volume does not do so on demand and recover: it is busy, or needs a
/// repair.
pub(crate) struct Immutable(Place);

impl Immutable {
    pub(crate) fn new() -> Result<Self, &'static str> {
        let immutable = Self(Place::sqlite());
        let probe = immutable.files()[0].with_file_name("probe");
        let mut file = std::fs::File::create(&probe).unwrap();
        let is_made = run("chattr", &["+i"], &[&probe]);
        let is_kept = std::io::Write::write(&mut file, b"x").is_err();
        let is_well = is_made && is_kept;
        run("chattr", &["-i"], &[&probe]);
        is_well
            .then_some(immutable)
            .ok_or("immutable files need root and a file system that supports them")
    }

    /// Not the index of the write-ahead log, which is memory that processes share.
    fn files(&self) -> [PathBuf; 2] {
        let file = self.0.url().strip_prefix("sqlite://").expect("a file");
        [file.into(), format!("{file}-wal").into()]
    }
}

impl Obstacle for Immutable {
    fn url(&self) -> String {
        self.0.url().to_owned()
    }

    fn begin(&mut self) {
        assert!(run("chattr", &["+i"], &self.files()));
    }

    fn end(&mut self) {
        assert!(run("chattr", &["-i"], &self.files()));
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        run("chattr", &["-i"], &self.files());
    }
}

/// A database on a server that rejects writes: all sessions are told that it is read-only.
pub(crate) struct ReadOnly {
    place: Place,
    /// The address of a user that may always write, and of one that may not.
    operator: String,
    url: String,
}

impl ReadOnly {
    pub(crate) fn new(place: Place) -> Self {
        let (server, database) = place.url().rsplit_once('/').expect("a database");
        if place.name == "postgres" {
            let url = place.url().to_owned();
            return Self { operator: url.clone(), url, place };
        }
        // A user with all privileges may write to a read-only server.
        let (_, host) = server.rsplit_once('@').expect("a user");
        let (operator, url) =
            (place.url().to_owned(), format!("mysql://{database}@{host}/{database}"));
        let user = format!("{database}@127.0.0.1");
        let read_only = Self { operator, url, place };
        let database = read_only.database();
        read_only.operate(&format!("CREATE USER {user}; GRANT ALL ON {database}.* TO {user}"));
        read_only
    }

    fn database(&self) -> &str {
        self.place.url().rsplit_once('/').expect("a database").1
    }

    fn operate(&self, script: &str) {
        let script = sqlx::raw_sql(AssertSqlSafe(script.to_owned()));
        runtime().block_on(async {
            if self.place.name == "postgres" {
                let mut connection = PgConnection::connect(&self.operator).await.unwrap();
                script.execute(&mut connection).await.unwrap();
            } else {
                let mut connection = MySqlConnection::connect(&self.operator).await.unwrap();
                script.execute(&mut connection).await.unwrap();
            }
        });
    }

    fn set(&self, is_read_only: bool) {
        if self.place.name != "postgres" {
            // For the whole server, and at once for all sessions.
            self.operate(&format!("SET GLOBAL read_only = {is_read_only}"));
        } else if is_read_only {
            // A default of the database is not enough, because stores start transactions that may
            // write. A standby, after a failover, rejects writes with this error.
            self.operate(
                "CREATE FUNCTION refuse_writes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 RAISE read_only_sql_transaction; END $$; \
                 CREATE TRIGGER refuse_writes BEFORE INSERT OR UPDATE OR DELETE \
                 ON progress_records EXECUTE FUNCTION refuse_writes()",
            );
        } else {
            self.operate("DROP FUNCTION IF EXISTS refuse_writes() CASCADE");
        }
    }
}

impl Obstacle for ReadOnly {
    fn url(&self) -> String {
        self.url.clone()
    }

    fn begin(&mut self) {
        self.set(true);
    }

    fn end(&mut self) {
        self.set(false);
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// Runs a program; returns whether it exited successfully.
fn run(program: &str, arguments: &[&str], paths: &[impl AsRef<Path>]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).args(paths.iter().map(AsRef::as_ref));
    command.stdin(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
