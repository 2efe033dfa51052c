//! The results of the checks, one line each.

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// How much to run: everything, or as much as fits into a run of all tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Full,
    Quick,
}

/// The result of a check: a figure, its limit, and whether the figure is within the limit.
pub(crate) struct Finding {
    figure: String,
    limit: String,
    passes: bool,
}

impl Finding {
    pub(crate) fn new(passes: bool, figure: impl Display, limit: impl Display) -> Self {
        Self { figure: figure.to_string(), limit: limit.to_string(), passes }
    }

    /// Adds another condition and its figure.
    pub(crate) fn and(self, passes: bool, figure: impl Display) -> Self {
        let passes = self.passes && passes;
        Self { passes, figure: format!("{}; {figure}", self.figure), ..self }
    }

    pub(crate) const fn passes(&self) -> bool {
        self.passes
    }

    /// Inverts the result of a control, which brings a bug back and must fail the same check.
    pub(crate) fn must_fail(self) -> Self {
        Self::new(!self.passes, self.figure, "detected")
    }

    pub(crate) fn figure(&self) -> &str {
        &self.figure
    }
}

/// A check that mostly waits.
pub(crate) type Waiting = Box<dyn FnOnce() -> Finding + Send>;

pub(crate) struct Report {
    scale: Scale,
    check: &'static str,
    begun: Instant,
    passed: u32,
    failed: u32,
    not_run: u32,
}

impl Report {
    pub(crate) fn new(scale: Scale) -> Self {
        Self { scale, check: "", begun: Instant::now(), passed: 0, failed: 0, not_run: 0 }
    }

    pub(crate) fn begin(&mut self, check: &'static str) {
        self.check = check;
        self.begun = Instant::now();
    }

    /// Prints how long all parts of a check took.
    pub(crate) fn end(&self) {
        println!("CHECK {} took {:.0?}", self.check, self.begun.elapsed());
    }

    /// Returns how many rounds to do, depending on the scale.
    pub(crate) fn rounds(&self, full: u32, quick: u32) -> u32 {
        match self.scale {
            Scale::Full => full,
            Scale::Quick => quick,
        }
    }

    /// Returns a time limit: the promised one at full scale, and four times that at quick scale,
    /// where other tests run at the same time and nothing is optimised.
    pub(crate) fn at_most(&self, promised: Duration) -> Duration {
        promised * self.rounds(1, 4)
    }

    /// Runs one check on one store and prints its line. A panic is a FAIL.
    pub(crate) fn check(&mut self, part: &str, check: impl FnOnce() -> Finding) {
        let finding = std::panic::catch_unwind(AssertUnwindSafe(check));
        let finding =
            finding.unwrap_or_else(|_| Finding::new(false, "panicked, see above", "no panic"));
        let word = if finding.passes { "PASS" } else { "FAIL" };
        println!(
            "CHECK {}/{part} {word} figure={} limit={}",
            self.check, finding.figure, finding.limit
        );
        if finding.passes {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Runs several checks at the same time, because they mostly wait.
    pub(crate) fn at_once(&mut self, checks: impl IntoIterator<Item = (String, Waiting)>) {
        let running: Vec<_> =
            checks.into_iter().map(|(part, check)| (part, thread::spawn(check))).collect();
        for (part, thread) in running {
            self.check(&part, || thread.join().unwrap());
        }
    }

    /// Reports a check that cannot be run here. In CI, that is a failure.
    pub(crate) fn not_run(&mut self, part: &str, reason: &str) {
        println!("CHECK {}/{part} NOT RUN {reason}", self.check);
        self.not_run += 1;
    }

    pub(crate) fn finish(self) -> ExitCode {
        println!(
            "checks: {} passed, {} failed, {} skipped",
            self.passed, self.failed, self.not_run
        );
        let must_run_all = std::env::var("CI").is_ok_and(|value| value == "true");
        let is_well = self.failed == 0 && (self.not_run == 0 || !must_run_all);
        if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Runs something whose panics are expected, without printing them: they would look like failures.
pub(crate) fn quietly<T>(run: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = run();
    std::panic::set_hook(hook);
    outcome
}
