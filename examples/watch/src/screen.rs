//! What is written: a bar in a terminal, or lines elsewhere.

use std::io::Write as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::record::{Record, Tone};
use crate::text::clean;

/// Lines say at least this often that the job moves.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

pub(crate) enum Screen {
    Bar(Box<Bar>),
    Lines(Lines),
}

impl Screen {
    pub(crate) fn bar() -> Self {
        Self::Bar(Box::new(Bar::new()))
    }

    pub(crate) fn lines() -> Self {
        Self::Lines(Lines::default())
    }

    pub(crate) fn show(&mut self, record: &Record) {
        match self {
            Self::Bar(bar) => bar.show(record),
            Self::Lines(lines) => lines.show(record),
        }
    }

    /// Shows how the job ended, and stays on the screen.
    pub(crate) fn ended(&mut self, record: &Record) {
        match self {
            Self::Bar(bar) => {
                bar.answered();
                bar.show(record);
                bar.leave(record.result().as_deref());
            }
            Self::Lines(lines) => {
                lines.show(record);
                if let Some(result) = record.result() {
                    line(&result);
                }
            }
        }
    }

    pub(crate) fn item_failed(&mut self, text: &str) {
        let text = format!("error: {}", clean(text));
        match self {
            Self::Bar(bar) => bar.print(text),
            Self::Lines(_) => line(&text),
        }
    }

    /// Says why there is no news, while the last known state stays on the screen.
    pub(crate) fn trouble(&mut self, text: &str) {
        match self {
            Self::Bar(bar) => bar.trouble(text),
            Self::Lines(lines) => lines.trouble(text),
        }
    }

    /// Says why the program ends before the job.
    pub(crate) fn left(&mut self, text: &str) {
        match self {
            Self::Bar(bar) => {
                bar.answered();
                bar.leave(Some(text));
            }
            Self::Lines(_) => complain(text),
        }
    }

    pub(crate) fn ask(&mut self, question: &str) {
        if let Self::Bar(bar) = self {
            bar.ask(question);
        }
    }

    pub(crate) fn answered(&mut self) {
        if let Self::Bar(bar) = self {
            bar.answered();
        }
    }
}

/// Three lines: title and state, the bar with its counts, and the message.
pub(crate) struct Bar {
    lines: MultiProgress,
    head: ProgressBar,
    bar: ProgressBar,
    foot: ProgressBar,
    /// The tone of the bar, and whether its percentage is known.
    shown: Option<(Tone, bool)>,
    title: String,
    /// What waits for the answer to a question; `None` if none is asked.
    held: Option<Vec<String>>,
}

impl Bar {
    fn new() -> Self {
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let [head, bar, foot] = [(); 3].map(|()| lines.add(ProgressBar::new(100)));
        head.set_style(style("{wide_msg}"));
        bar.set_style(style("{wide_msg}"));
        foot.set_style(style("{wide_msg}"));
        head.set_message("Connecting");
        let title = "Progress".to_owned();
        Self { lines, head, bar, foot, shown: None, title, held: None }
    }

    fn show(&mut self, record: &Record) {
        let percentage = record.percentage();
        let shape = (record.tone(), percentage.is_some());
        if self.shown != Some(shape) {
            let color = match shape.0 {
                Tone::Waiting => "white",
                Tone::Running => "blue",
                Tone::Success => "green",
                Tone::Warning => "yellow",
                Tone::Error => "red",
            };
            let is_moving = !shape.1 && shape.0 == Tone::Running;
            self.bar.set_style(match percentage {
                Some(_) => style(&format!("{{bar:30.{color}/bright.black}} {{wide_msg}}")),
                None if is_moving => style(&format!("{{spinner:.{color}}} {{wide_msg}}")),
                None => style("{wide_msg}"),
            });
            if is_moving {
                self.bar.enable_steady_tick(Duration::from_millis(150));
            } else {
                self.bar.disable_steady_tick();
            }
            self.shown = Some(shape);
        }
        let state = [Some(record.state()), record.stage()];
        let state = state.into_iter().flatten().collect::<Vec<_>>().join(", ");
        self.title = record.title();
        self.head.set_message(format!("{} - {state}", self.title));
        self.bar.set_position(u64::from(percentage.unwrap_or(0)));
        let percentage = percentage.map(|percentage| format!("{percentage} %  "));
        self.bar.set_message(format!("{}{}", percentage.unwrap_or_default(), record.counts()));
        self.foot.set_message(record.message());
    }

    fn trouble(&mut self, text: &str) {
        self.head.set_message(format!("{} - no news of the job", self.title));
        self.foot.set_message(text.to_owned());
        self.bar.disable_steady_tick();
        self.bar.set_style(match self.shown {
            Some((_, true)) => style("{bar:30.yellow/bright.black} {wide_msg}"),
            _ => style("{wide_msg}"),
        });
        self.shown = None;
    }

    /// Writes a line above the bar.
    fn print(&mut self, text: String) {
        match &mut self.held {
            Some(held) => held.push(text),
            // Nothing more can be done when the terminal is gone.
            None => drop(self.lines.println(text)),
        }
    }

    /// Writes the question below the bar, which stands still until it is answered.
    fn ask(&mut self, question: &str) {
        self.held = Some(Vec::new());
        self.lines.set_draw_target(ProgressDrawTarget::hidden());
        let mut stdout = std::io::stdout().lock();
        let _ = write!(stdout, "\r\n{question}").and_then(|()| stdout.flush());
    }

    fn answered(&mut self) {
        if let Some(held) = self.held.take() {
            self.lines.set_draw_target(ProgressDrawTarget::stdout());
            for line in held {
                self.print(line);
            }
            for line in [&self.head, &self.bar, &self.foot] {
                line.tick();
            }
        }
    }

    fn leave(&mut self, text: Option<&str>) {
        for line in [&self.head, &self.bar, &self.foot] {
            line.abandon();
        }
        if let Some(text) = text {
            line(text);
        }
    }
}

/// The templates are constants, so a mistake in one is found by the first run.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─")
}

/// One line for each change that matters.
#[derive(Default)]
pub(crate) struct Lines {
    shown: Option<(String, Option<u8>)>,
    written: Option<Instant>,
    trouble: Option<String>,
}

impl Lines {
    fn show(&mut self, record: &Record) {
        let state = [Some(record.state()), record.stage()];
        let state = state.into_iter().flatten().collect::<Vec<_>>().join(", ");
        // In steps of 5 %, so that the log of a build is not flooded.
        let step = record.percentage().map(|percentage| percentage / 5);
        let shown = Some((state.clone(), step));
        let is_due = self.written.is_none_or(|written| written.elapsed() >= LINE_INTERVAL);
        if shown == self.shown && !is_due && self.trouble.is_none() {
            return;
        }
        (self.shown, self.written, self.trouble) = (shown, Some(Instant::now()), None);
        let percentage = record.percentage().map(|percentage| format!("{percentage} %"));
        let parts = [
            Some(format!("{} - {state}", record.title())),
            percentage,
            Some(record.counts()),
            Some(record.message()).filter(|message| !message.is_empty()),
        ];
        line(&parts.into_iter().flatten().collect::<Vec<_>>().join(" - "));
    }

    fn trouble(&mut self, text: &str) {
        complain(text);
        self.trouble = Some(text.to_owned());
    }
}

/// Writes a line to stdout. Ends the program quietly when stdout is closed, as by `watch … | head`.
fn line(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_err() {
        std::process::exit(i32::from(crate::exit::LOST));
    }
}

fn complain(text: &str) {
    // If stderr is closed, the text is lost.
    let _ = writeln!(std::io::stderr(), "watch: {text}");
}
