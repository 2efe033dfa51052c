//! Follows a job in a terminal: a bar, the worker's message, the errors of single items, and an
//! exit code that says how the job ended.

mod follow;
mod record;
mod screen;
mod source;
mod text;

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::follow::{Event, follow};
use crate::record::{Record, Status};
use crate::screen::Screen;
use crate::source::Source;

/// Exit codes, as the README lists them. 2 is that of clap, after wrong arguments.
mod exit {
    pub(crate) const COMPLETED: u8 = 0;
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const CANCELLED: u8 = 3;
    /// The end of the job is not known.
    pub(crate) const LOST: u8 = 4;
    pub(crate) const INTERRUPTED: u8 = 130;
    pub(crate) const TERMINATED: u8 = 143;
}

/// Follows a job until it ends.
///
/// The exit code says how it ended: 0 completed, 1 failed, 3 cancelled, 4 it can no longer be
/// followed, 130 you left it with Ctrl-C. 2 means wrong arguments.
///
/// Ctrl-C asks whether to cancel the job; a second Ctrl-C leaves it running. Without a terminal, or
/// with --plain, there are lines instead of a bar, and Ctrl-C leaves.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    /// The address of the job, which ends with /progress/ID; with --database its id
    job: String,

    /// Reads the job in its store: sqlite:///PATH, postgres://USER:PASSWORD@HOST/NAME or mysql://…
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database: Option<String>,

    /// A header of each request, such as 'Authorization: Bearer …'
    #[arg(long, env = "WATCH_HEADER", value_name = "NAME: VALUE", hide_env_values = true)]
    header: Vec<String>,

    /// Lines instead of a bar, as without a terminal
    #[arg(long)]
    plain: bool,
}

/// What the main loop waits for.
enum Input {
    Event(Event),
    Interrupt,
    Terminate,
    /// The line that was typed as the answer to the question; `None` at the end of the input.
    Line(Option<String>),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return usage(&error.to_string()),
    };
    let code = runtime.block_on(watch(arguments));
    // A request or a read of the terminal may still be waiting.
    runtime.shutdown_background();
    code
}

fn usage(error: &str) -> ExitCode {
    eprintln!("watch: {}", text::clean(error));
    ExitCode::from(exit::USAGE)
}

async fn watch(arguments: Arguments) -> ExitCode {
    let source = match &arguments.database {
        // An address is one in any case, so that DATABASE_URL of the environment does no harm.
        Some(database) if !arguments.job.contains("://") => {
            Source::store(database, &arguments.job).await
        }
        _ => Source::http(&arguments.job, &arguments.header),
    };
    let source = match source {
        Ok(source) => source,
        Err(error) => return usage(&error),
    };
    let (Ok(mut interrupts), Ok(mut terminations)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return usage("signals cannot be handled");
    };
    let is_plain = arguments.plain || !std::io::stdout().is_terminal();
    let may_ask = !is_plain && std::io::stdin().is_terminal();
    let mut screen = if is_plain { Screen::lines() } else { Screen::bar() };
    let (sender, mut events) = mpsc::channel(16);
    tokio::spawn(follow(source.clone(), sender.clone()));
    let (typed, mut lines) = mpsc::channel(1);
    // Whether the question is on the screen, and whether it was answered with yes.
    let (mut is_asking, mut was_cancelled) = (false, false);
    let mut last: Option<Box<Record>> = None;
    loop {
        let input = tokio::select! {
            Some(event) = events.recv() => Input::Event(event),
            Some(()) = interrupts.recv() => Input::Interrupt,
            Some(()) = terminations.recv() => Input::Terminate,
            Some(line) = lines.recv() => Input::Line(line),
        };
        match input {
            Input::Event(Event::Record(record)) => {
                let ending = match record.status {
                    Status::Completed => Some(exit::COMPLETED),
                    Status::Failed => Some(exit::FAILED),
                    Status::Cancelled => Some(exit::CANCELLED),
                    Status::Pending | Status::Running => None,
                };
                if let Some(code) = ending {
                    screen.ended(&record);
                    return ExitCode::from(code);
                }
                screen.show(&record);
                last = Some(record);
            }
            Input::Event(Event::ItemFailed(text)) => screen.item_failed(&text),
            Input::Event(Event::Trouble(text)) => screen.trouble(&text),
            Input::Event(Event::Lost(text)) => {
                screen.left(&text);
                return ExitCode::from(exit::LOST);
            }
            Input::Interrupt if !may_ask || is_asking || was_cancelled || last.is_none() => {
                screen.left("The job goes on; you left it.");
                return ExitCode::from(exit::INTERRUPTED);
            }
            Input::Interrupt => {
                is_asking = true;
                screen.ask("Cancel the job? y: cancel it, n: go on, Ctrl-C: leave it running. ");
                let typed = typed.clone();
                tokio::task::spawn_blocking(move || {
                    let mut line = String::new();
                    let read = std::io::stdin().lock().read_line(&mut line);
                    let _ = typed.blocking_send(read.is_ok_and(|read| read > 0).then_some(line));
                });
            }
            Input::Line(line) => {
                is_asking = false;
                screen.answered();
                let line = line.unwrap_or_default().trim().to_lowercase();
                if line == "y" || line == "yes" {
                    was_cancelled = true;
                    let (source, sender) = (source.clone(), sender.clone());
                    tokio::spawn(async move {
                        if let Some(text) = follow::cancel(&source).await {
                            let _ = sender.send(Event::Trouble(text)).await;
                        }
                    });
                }
            }
            Input::Terminate => {
                screen.left("The job goes on; this program was stopped.");
                return ExitCode::from(exit::TERMINATED);
            }
        }
    }
}
