//! What keeps a database from being written for a while. Each is over when it is dropped, also by a panic.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};

use crate::place::{Place, runtime};
use crate::signals::Worker;

pub(crate) trait Obstacle: Send {
    /// The database.
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

/// A small volume of its own, which can be full without harm to the machine.
pub(crate) struct Full(tempfile::TempDir);

impl Full {
    const SIZE: usize = 16 << 20;

    pub(crate) fn mount() -> Result<Self, &'static str> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={}", Self::SIZE);
        if run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs"], &[folder.path()]) {
            Ok(Self(folder))
        } else {
            Err("a small volume that can be filled needs root to be mounted")
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
        // Until there is not a byte left, whatever else grows meanwhile.
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

/// Files that the system lets nobody change, whoever opened them when. It is what a volume does that has become read-only:
/// writing fails on what is open, and what is opened now can only be read. No volume does so on demand and comes back: it is
/// busy, or wants to be repaired first.
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
            .ok_or("files that cannot be changed need root, and a file system that knows them")
    }

    /// Not the index of the log, which is memory that processes share.
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

/// A database on a server that takes no writes: all sessions are told that it is read-only.
pub(crate) struct ReadOnly {
    place: Place,
    /// The address of those who may write as ever, and of those who may not.
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
        // Those who may do everything may also write.
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
            // A default of the database would not do: stores say that their transactions write. A server that is a
            // standby, after a failover, refuses in these words.
            self.operate(
                "CREATE FUNCTION refuse_writes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 RAISE read_only_sql_transaction; END $$; \
                 CREATE TRIGGER refuse_writes BEFORE INSERT OR UPDATE OR DELETE ON progress_records \
                 EXECUTE FUNCTION refuse_writes()",
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

/// Whether a program said that all went well.
fn run(program: &str, arguments: &[&str], paths: &[impl AsRef<Path>]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).args(paths.iter().map(AsRef::as_ref));
    command.stdin(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
