//! Checks of the text that a compiler does not read: long lines, and words that hide the actor of a
//! sentence. `CONTRIBUTING.md` has the rules.

use std::fs;
use std::process::Command;

use crate::step::root;

/// The longest line, in characters.
const COLUMNS: usize = 100;

/// How many longer lines there may be, such as an address that cannot be broken.
const LONG_LINES: usize = 20;

/// Words in place of the client, the worker, the caller.
const VAGUE: [&str; 3] = ["whoever", "nobody", "those who"];

/// How many of these there may be, with ", for" in the sense of "because".
const VAGUE_WORDS: usize = 5;

const ENDINGS: [&str; 10] = ["rs", "md", "js", "mjs", "css", "sql", "toml", "yml", "py", "run"];

/// Files that are generated, or in another language.
const EXCLUDED: [&str; 3] = ["/dist/", "package-lock.json", "xtask/src/prose.rs"];

/// Returns an error that lists the lines, if there are too many of either kind.
pub(crate) fn check() -> Result<(), String> {
    let list = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let list = list.map_err(|error| format!("git ls-files: {error}"))?;
    let list = String::from_utf8_lossy(&list.stdout);
    let is_checked = |path: &&str| {
        ENDINGS.iter().any(|ending| path.rsplit(['.', '/']).next() == Some(ending))
            && !EXCLUDED.iter().any(|excluded| path.contains(excluded))
    };
    let (mut long, mut vague) = (Vec::new(), Vec::new());
    for path in list.lines().filter(is_checked) {
        // A file that was deleted and not committed yet.
        let Ok(text) = fs::read_to_string(root().join(path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let place = || format!("{path}:{}: {}", number + 1, line.trim());
            if is_long(line) {
                long.push(place());
            }
            vague.extend((0..vague_words(line)).map(|_| place()));
        }
    }
    let mut problems = Vec::new();
    for (found, most, what) in [
        (&long, LONG_LINES, "lines of more than 100 columns"),
        (&vague, VAGUE_WORDS, "words that hide the actor, or \", for\" instead of \"because\""),
    ] {
        if found.len() > most {
            problems.push(format!("{} {what}:\n{}", found.len(), found.join("\n")));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Tables and addresses cannot be broken.
fn is_long(line: &str) -> bool {
    let is_table = line.trim_start_matches(['/', '!', ' ']).starts_with('|');
    line.chars().count() > COLUMNS && !is_table && !line.contains("](http")
}

fn vague_words(line: &str) -> usize {
    let line = line.to_lowercase();
    let because = line.match_indices(", for ").filter(|(place, _)| {
        let after = &line[place + 6..];
        !["example", "instance", "each ", "every ", "as long as", "less than", "up to", "at most"]
            .iter()
            .any(|phrase| after.starts_with(phrase))
    });
    VAGUE.iter().map(|word| line.matches(word).count()).sum::<usize>() + because.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_without_an_actor_are_found() {
        assert_eq!(vague_words("/// Nobody waits, for whoever asks is answered."), 3);
        assert_eq!(vague_words("for a while, for example, the worker waits"), 0);
    }

    #[test]
    fn tables_and_addresses_may_be_long() {
        let long = "x".repeat(101);
        assert!(is_long(&long) && !is_long(&format!("| {long} |")));
        assert!(!is_long(&format!("[{long}](https://example.com)")));
    }
}
