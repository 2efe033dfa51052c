//! The lines that a benchmark prints.
//!
//! ```text
//! figure | value | limit | ratio | aim | gate
//! one flush, SQLite | 60.1 us | 21.9 us | 2.74 | <= 3 | <= 4.5
//! version | PostgreSQL | 15.13
//! not measured | one flush, MariaDB | set PROGRESS_TEST_MYSQL
//! ```
//!
//! The limit is what was measured in the same rounds without the library. `-` stands for a limit or
//! a ratio that does not exist. Aim and gate apply to the ratio, and without one to the value; both
//! may be left out. An aim may also stand in place of the limit. `bench --quick` fails if a figure
//! misses its gate. Any other line is a remark.

/// A line of a benchmark.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    Figure(Figure),
    Version(String, String),
    NotMeasured(String, String),
    Remark,
}

#[derive(Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) limit: String,
    pub(super) ratio: String,
    pub(super) aim: Option<Bound>,
    pub(super) gate: Option<Bound>,
}

/// An upper or a lower bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn parse(text: &str) -> Option<Self> {
        let (kind, number) = text.split_once(' ')?;
        let number = number.parse().ok()?;
        match kind {
            "<=" => Some(Self::AtMost(number)),
            ">=" => Some(Self::AtLeast(number)),
            _ => None,
        }
    }

    fn holds(self, number: f64) -> bool {
        match self {
            Self::AtMost(most) => number <= most,
            Self::AtLeast(least) => number >= least,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::AtLeast(least) => write!(f, ">= {least}"),
        }
    }
}

impl Figure {
    /// The number to which aim and gate apply.
    fn number(&self) -> Option<f64> {
        let of_value = || self.value.split(' ').next()?.replace(',', "").parse().ok();
        self.ratio.parse().ok().or_else(of_value)
    }

    /// Whether the aim is reached; `None` without an aim.
    pub(super) fn is_reached(&self) -> Option<bool> {
        self.aim.map(|aim| self.meets(aim))
    }

    pub(super) fn misses_gate(&self) -> bool {
        self.gate.is_some_and(|gate| !self.meets(gate))
    }

    /// A figure without a number meets nothing.
    fn meets(&self, bound: Bound) -> bool {
        self.number().is_some_and(|number| bound.holds(number))
    }
}

impl Line {
    pub(super) fn parse(line: &str) -> Self {
        let fields: Vec<_> = line.split(" | ").map(str::trim).collect();
        let owned = |text: &str| text.to_owned();
        match fields[..] {
            ["version", name, version] => Self::Version(owned(name), owned(version)),
            ["not measured", name, reason] => Self::NotMeasured(owned(name), owned(reason)),
            [name, value, limit, ratio, ref bounds @ ..] if bounds.len() <= 2 => {
                let bound = |index: usize| bounds.get(index).copied().and_then(Bound::parse);
                let (limit, aim_as_limit) = match Bound::parse(limit) {
                    Some(aim) => ("-", Some(aim)),
                    None => (limit, None),
                };
                Self::Figure(Figure {
                    name: owned(name),
                    value: owned(value),
                    limit: owned(limit),
                    ratio: owned(ratio),
                    aim: bound(0).or(aim_as_limit),
                    gate: bound(1),
                })
            }
            _ => Self::Remark,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(line: &str) -> Figure {
        let Line::Figure(figure) = Line::parse(line) else { panic!("not a figure: {line}") };
        figure
    }

    #[test]
    fn aim_and_gate_apply_to_the_ratio() {
        let flush = figure("one flush | 60.1 us | 20.0 us | 3.01 | <= 3 | <= 4.5");
        assert_eq!((flush.is_reached(), flush.misses_gate()), (Some(false), false));
        let slow = figure("one flush | 60.1 us | 10.0 us | 6.01 | <= 3 | <= 4.5");
        assert_eq!((slow.is_reached(), slow.misses_gate()), (Some(false), true));
        let fast = figure("one flush | 60.1 us | 21.9 us | 2.74 | <= 3 | <= 4.5");
        assert_eq!((fast.is_reached(), fast.misses_gate()), (Some(true), false));
    }

    #[test]
    fn without_a_ratio_they_apply_to_the_value() {
        let requests = figure("requests | 81,000 a second | - | - | >= 90000");
        assert_eq!((requests.is_reached(), requests.misses_gate()), (Some(false), false));
        assert_eq!(figure("cores | 0.45 | - | - | <= 0.5").is_reached(), Some(true));
        assert_eq!(figure("p99 in ms | 40.1 | <= 2 | 2.5").is_reached(), Some(false));
    }

    #[test]
    fn a_figure_without_a_number_reaches_nothing() {
        let figure = figure("requests | NaN | - | - | >= 1 | >= 1");
        assert_eq!((figure.is_reached(), figure.misses_gate()), (Some(false), true));
    }

    #[test]
    fn other_lines_are_told_apart() {
        let line = Line::parse("version | SQLite | 3.50.4");
        assert_eq!(line, Line::Version("SQLite".to_owned(), "3.50.4".to_owned()));
        assert!(matches!(Line::parse("not measured | flush | no server"), Line::NotMeasured(..)));
        assert_eq!(Line::parse("running 15 rounds"), Line::Remark);
        assert_eq!(figure("a | 1 ns | 1 ns | 1.00").is_reached(), None);
    }
}
