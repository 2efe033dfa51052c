//! A server that can be restarted, in the way that xtask names in environment variables.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::place::Place;

/// Ten times what it takes under load.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) enum Server<'p> {
    /// Restarted by `pg_ctl`, which waits until the server is ready: its command line.
    Postgres(Vec<String>),
    /// Restarted by xtask when it ends: the file with its process id.
    MariaDb(PathBuf),
    /// The server of this store.
    Redis(&'p Place),
}

impl<'p> Server<'p> {
    pub(super) fn of(place: &'p Place) -> Option<Self> {
        if place.name == "redis" {
            Some(Self::Redis(place))
        } else if place.name == "postgres" {
            let words = std::env::var("PROGRESS_TEST_POSTGRES_CONTROL").ok()?;
            Some(Self::Postgres(words.lines().map(str::to_owned).collect()))
        } else {
            let file = std::env::var_os("PROGRESS_TEST_MYSQL_PID_FILE")?;
            Some(Self::MariaDb(file.into()))
        }
    }

    /// Restarts the server and returns when it accepts connections again. Without a warning, the
    /// server stops at once and has to recover; otherwise it first ends its transactions.
    pub(super) fn restart(&self, without_warning: bool) {
        match self {
            Self::Redis(place) => place.restart_redis(without_warning),
            Self::Postgres(control) => {
                let how = if without_warning { "immediate" } else { "fast" };
                // A second attempt starts a server that stopped and did not come back, because
                // later checks need it.
                assert!((0..2).any(|_| pg_ctl(control, how)), "PostgreSQL did not come back");
            }
            Self::MariaDb(file) => {
                let ended = read(file).expect("a running server");
                let signal = if without_warning { "-KILL" } else { "-TERM" };
                assert!(run(Command::new("kill").args([signal, &ended])), "kill {signal} {ended}");
                let begun = Instant::now();
                // A server that is ready writes the file.
                while read(file).is_none_or(|process| process == ended) {
                    assert!(begun.elapsed() < PATIENCE, "MariaDB did not come back");
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }
}

fn pg_ctl(control: &[String], how: &str) -> bool {
    let (program, arguments) = control.split_first().expect("a command");
    let mut command = Command::new(program);
    // It may run as another user, who must be able to enter the folder.
    run(command.args(arguments).args(["restart", "-w", "-m", how]).current_dir("/"))
}

fn run(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

/// Returns the process id; `None` while there is no process.
fn read(file: &PathBuf) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.ends_with('\n').then(|| text.trim().to_owned())
}
