//! Encodes text for the fonts that every PDF reader has, which use one byte per character and have
//! only western letters.
//!
//! Characters of the encoding are kept. Other Latin letters lose their marks, Greek and Cyrillic
//! letters become Latin ones, and each run of other characters becomes one question mark.

/// Encodes for a font with `WinAnsiEncoding`; line breaks and other controls become spaces.
pub(super) fn encode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut inside_unknown = false;
    for character in text.chars() {
        if is_mark(character) {
            continue;
        }
        match (byte(character), transliteration(character)) {
            (Some(byte), _) => bytes.push(byte),
            (None, Some(latin)) => bytes.extend(latin.chars().filter_map(byte)),
            (None, None) if inside_unknown => continue,
            (None, None) => {
                bytes.push(b'?');
                inside_unknown = true;
                continue;
            }
        }
        inside_unknown = false;
    }
    bytes
}

/// Returns the byte of a character, if the encoding has it.
fn byte(character: char) -> Option<u8> {
    match character {
        _ if character.is_control() => Some(b' '),
        ' '..='~' | '\u{A0}'..='\u{FF}' => u8::try_from(character).ok(),
        _ => HIGH_CONTROLS.iter().find(|(known, _)| *known == character).map(|(_, byte)| *byte),
    }
}

/// Whether the character is a combining mark, which is left out because its letter precedes it.
fn is_mark(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36F}')
}

fn transliteration(character: char) -> Option<&'static str> {
    LATIN.iter().find(|(letters, _)| letters.contains(character)).map(|(_, latin)| *latin)
}

/// The printable characters of Windows-1252 in the range that Latin-1 uses for controls.
const HIGH_CONTROLS: [(char, u8); 27] = [
    ('€', 0x80),
    ('‚', 0x82),
    ('ƒ', 0x83),
    ('„', 0x84),
    ('…', 0x85),
    ('†', 0x86),
    ('‡', 0x87),
    ('ˆ', 0x88),
    ('‰', 0x89),
    ('Š', 0x8A),
    ('‹', 0x8B),
    ('Œ', 0x8C),
    ('Ž', 0x8E),
    ('‘', 0x91),
    ('’', 0x92),
    ('“', 0x93),
    ('”', 0x94),
    ('•', 0x95),
    ('–', 0x96),
    ('—', 0x97),
    ('˜', 0x98),
    ('™', 0x99),
    ('š', 0x9A),
    ('›', 0x9B),
    ('œ', 0x9C),
    ('ž', 0x9E),
    ('Ÿ', 0x9F),
];

/// Replacements for letters outside the encoding; Greek and Cyrillic roughly as in passports.
#[rustfmt::skip]
const LATIN: &[(&str, &str)] = &[
    ("ĀĂĄẢẠẤẦẨẪẬẮẰẲẴẶ", "A"), ("āăąảạấầẩẫậắằẳẵặ", "a"), ("ĆĈĊČ", "C"), ("ćĉċč", "c"), ("ĎĐ", "D"),
    ("ďđ", "d"), ("ĒĔĖĘĚẺẼẸẾỀỂỄỆ", "E"), ("ēĕėęěẻẽẹếềểễệ", "e"), ("ĜĞĠĢ", "G"), ("ĝğġģ", "g"),
    ("ĤĦ", "H"), ("ĥħ", "h"), ("ĨĪĬĮİỈỊ", "I"), ("ĩīĭįıỉị", "i"), ("Ĵ", "J"), ("ĵ", "j"),
    ("Ķ", "K"), ("ķ", "k"), ("ĹĻĽĿŁ", "L"), ("ĺļľŀł", "l"), ("ŃŅŇ", "N"), ("ńņň", "n"),
    ("ŌŎŐƠỎỌỐỒỔỖỘỚỜỞỠỢ", "O"), ("ōŏőơỏọốồổỗộớờởỡợ", "o"), ("ŔŖŘ", "R"), ("ŕŗř", "r"), ("ŚŜŞȘ", "S"),
    ("śŝşș", "s"), ("ŢŤŦȚ", "T"), ("ţťŧț", "t"), ("ŨŪŬŮŰŲƯỦỤỨỪỬỮỰ", "U"), ("ũūŭůűųưủụứừửữự", "u"),
    ("Ŵ", "W"), ("ŵ", "w"), ("ŶỲỶỸỴ", "Y"), ("ŷỳỷỹỵ", "y"), ("ŹŻ", "Z"), ("źż", "z"),

    ("ΑΆ", "A"), ("αά", "a"), ("Β", "V"), ("β", "v"), ("Γ", "G"), ("γ", "g"), ("Δ", "D"),
    ("δ", "d"), ("ΕΈ", "E"), ("εέ", "e"), ("Ζ", "Z"), ("ζ", "z"), ("ΗΉΙΊΪ", "I"), ("ηήιίϊΐ", "i"),
    ("Θ", "Th"), ("θ", "th"), ("Κ", "K"), ("κ", "k"), ("Λ", "L"), ("λ", "l"), ("Μ", "M"),
    ("μ", "m"), ("Ν", "N"), ("ν", "n"), ("Ξ", "X"), ("ξ", "x"), ("ΟΌΩΏ", "O"), ("οόωώ", "o"),
    ("Π", "P"), ("π", "p"), ("Ρ", "R"), ("ρ", "r"), ("Σ", "S"), ("σς", "s"), ("Τ", "T"), ("τ", "t"),
    ("ΥΎΫ", "Y"), ("υύϋΰ", "y"), ("Φ", "F"), ("φ", "f"), ("Χ", "Ch"), ("χ", "ch"), ("Ψ", "Ps"),
    ("ψ", "ps"),

    ("А", "A"), ("а", "a"), ("Б", "B"), ("б", "b"), ("В", "V"), ("в", "v"), ("ГҐ", "G"),
    ("гґ", "g"), ("Д", "D"), ("д", "d"), ("ЕЁЭ", "E"), ("еёэ", "e"), ("Є", "Ye"), ("є", "ie"),
    ("Ж", "Zh"), ("ж", "zh"), ("З", "Z"), ("з", "z"), ("ИІ", "I"), ("иі", "i"), ("Ї", "Yi"),
    ("ї", "i"), ("ЙЫ", "Y"), ("йы", "y"), ("Ј", "J"), ("ј", "j"), ("К", "K"), ("к", "k"),
    ("Л", "L"), ("л", "l"), ("Љ", "Lj"), ("љ", "lj"), ("М", "M"), ("м", "m"), ("Н", "N"),
    ("н", "n"), ("Њ", "Nj"), ("њ", "nj"), ("О", "O"), ("о", "o"), ("П", "P"), ("п", "p"),
    ("Р", "R"), ("р", "r"), ("С", "S"), ("с", "s"), ("Т", "T"), ("т", "t"), ("УЎ", "U"),
    ("уў", "u"), ("Ф", "F"), ("ф", "f"), ("Х", "Kh"), ("х", "kh"), ("Ц", "Ts"), ("ц", "ts"),
    ("Ч", "Ch"), ("ч", "ch"), ("Ћ", "C"), ("ћ", "c"), ("Ђ", "Dj"), ("ђ", "dj"), ("Џ", "Dz"),
    ("џ", "dz"), ("Ш", "Sh"), ("ш", "sh"), ("Щ", "Shch"), ("щ", "shch"), ("Ю", "Yu"), ("ю", "yu"),
    ("Я", "Ya"), ("я", "ya"),
    // The hard and soft signs have no sound.
    ("ЪЬъь", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_of_the_encoding_are_kept() {
        assert_eq!(encode("Café 5 € – «ok»"), b"Caf\xE9 5 \x80 \x96 \xABok\xBB");
    }

    #[test]
    fn other_letters_become_latin_or_question_marks() {
        for (text, expected) in [
            ("Łódzka Świt", "L\u{f3}dzka Swit"),
            ("Kovács Őrség", "Kov\u{e1}cs Ors\u{e9}g"),
            ("Северный", "Severnyy"),
            ("Ελαιώνες Κρήτης", "Elaiones Kritis"),
            ("Shōten 緑商店 Ltd", "Shoten ? Ltd"),
            ("e\u{301}t\u{301}", "et"),
            ("two\r\nlines\u{85}", "two  lines "),
            ("👩\u{200d}🚀", "?"),
        ] {
            let latin: String = encode(text).into_iter().map(char::from).collect();
            assert_eq!(latin, expected);
        }
    }
}
