//! A server that can be restarted: how, is said by those who started it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Ten times what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) enum Server {
    /// Restarted by `pg_ctl`, which waits until it answers: its words.
    Postgres(Vec<String>),
    /// Started again when it ends; its process is in this file.
    MariaDb(PathBuf),
}

impl Server {
    pub(super) fn of(name: &str) -> Option<Self> {
        if name == "postgres" {
            let words = std::env::var("PROGRESS_TEST_POSTGRES_CONTROL").ok()?;
            Some(Self::Postgres(words.lines().map(str::to_owned).collect()))
        } else {
            let file = std::env::var_os("PROGRESS_TEST_MYSQL_PID_FILE")?;
            Some(Self::MariaDb(file.into()))
        }
    }

    /// Returns when it takes connections again. With a warning its transactions are ended in order; without, it has to
    /// recover.
    pub(super) fn restart(&self, without_warning: bool) {
        match self {
            Self::Postgres(control) => {
                let how = if without_warning { "immediate" } else { "fast" };
                // One that was stopped and did not come back is started by a second attempt: others need it after us.
                assert!((0..2).any(|_| pg_ctl(control, how)), "PostgreSQL did not come back");
            }
            Self::MariaDb(file) => {
                let ended = read(file).expect("a server that runs");
                let signal = if without_warning { "-KILL" } else { "-TERM" };
                assert!(run(Command::new("kill").args([signal, &ended])), "kill {signal} {ended}");
                let begun = Instant::now();
                // The file is written by one that is ready.
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

/// The number of the process; `None` while there is none.
fn read(file: &PathBuf) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.ends_with('\n').then(|| text.trim().to_owned())
}
