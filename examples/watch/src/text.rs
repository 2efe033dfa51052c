//! Texts that come from others. A title such as `\x1b]0;…` would otherwise be a command to the
//! terminal.

/// Replaces each character that a terminal may obey: control characters, and those that change the
/// direction of the text after them. A line break becomes a space.
pub(crate) fn clean(text: &str) -> String {
    let clean = |character: char| match character {
        '\n' | '\r' | '\t' => ' ',
        // Control characters of C0 and C1, marks and overrides of direction, separators of lines.
        _ if character.is_control() => '\u{fffd}',
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            '\u{fffd}'
        }
        character => character,
    };
    text.chars().map(clean).collect()
}

/// Returns a duration as a person says it.
pub(crate) fn duration(seconds: f64) -> String {
    // Beyond this no job lasts, and it fits.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let seconds = seconds.clamp(0.0, 1e9).round() as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_left_that_a_terminal_obeys() {
        let hostile = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}evil\u{2066}\r\nnext\tcolumn\u{7f}";
        let text = clean(hostile);
        assert_eq!(text, "�]0;owned��31m�evil�  next column�");
        let all: String = (0..=0x2_ffff).filter_map(char::from_u32).collect();
        assert!(!clean(&all).chars().any(char::is_control));
        assert_eq!(clean("Größe 🎉 日本 שלום"), "Größe 🎉 日本 שלום");
    }

    #[test]
    fn durations_are_short() {
        let texts = [0.4, 59.6, 119.0, 120.0, 7_199.0, 7_200.0].map(duration);
        assert_eq!(texts, ["0 s", "60 s", "119 s", "2 min", "119 min", "2 h 0 min"]);
    }
}
