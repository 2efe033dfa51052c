//! What is in a file.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use progress_axum::Failure;

const HEADER: [&str; 3] = ["name", "email", "amount"];
/// Limits the memory that is used when a quotation mark is missing.
const LONGEST_LINE: u64 = 16 * 1024;

/// The number of lines before a place, without the header, and the number of bytes.
pub(crate) type Place = (u64, u64);

/// Reads some lines of any form. Returns them as JSON, numbered as in a spreadsheet:
/// `[[2,["Ann","ann@example.com","1.50"]]]`, and the place after them.
pub(crate) fn read(path: &Path, (mut count, byte): Place) -> Result<(String, Place), Failure> {
    let refuse = |reason| Err(Failure::new(reason).permanent()); // the next attempt reads the same
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(byte))?;
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.has_headers(false).flexible(true);
    let mut reader = reader.from_reader(file.take(LONGEST_LINE));
    let (mut lines, mut line) = (Vec::new(), csv::ByteRecord::new());
    if byte == 0 && (!reader.read_byte_record(&mut line)? || line != HEADER[..]) {
        return refuse(format!("The first line of the file must be: {}", HEADER.join(",")));
    }
    while lines.len() < 1_000 && reader.read_byte_record(&mut line)? {
        count += 1;
        if reader.get_ref().limit() == 0 {
            return refuse(format!("Line {} is too long. Is a quotation mark missing?", count + 1));
        }
        reader.get_mut().set_limit(LONGEST_LINE);
        let fields: Vec<_> = line.iter().map(String::from_utf8_lossy).collect();
        lines.push(serde_json::to_string(&(count + 1, fields))?);
    }
    Ok((format!("[{}]", lines.join(",")), (count, byte + reader.position().byte())))
}

/// Returns what is wrong with the fields of a line, if anything is.
pub(crate) fn mistake(fields: &str) -> Option<&'static str> {
    let fields: Vec<String> = serde_json::from_str(fields).unwrap_or_default();
    let [name, email, amount] = &*fields else { return Some("there must be 3 fields") };
    let (user, host) = email.split_once('@').unwrap_or_default();
    let (whole, cents) = amount.split_once('.').unwrap_or_default();
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let checks = [
        (!fields.concat().contains(char::REPLACEMENT_CHARACTER), "the text is not UTF-8"),
        ((1..=200).contains(&name.trim().len()), "the name must have 1 to 200 bytes"),
        (!user.is_empty() && host.contains('.'), "the email is not an address"),
        (!host.contains('@') && !email.contains(' '), "the email is not an address"),
        ((1..=12).contains(&whole.len()) && cents.len() == 2, "the amount must look like 1234.50"),
        (is_number(whole) && is_number(cents), "the amount must look like 1234.50"),
    ];
    checks.into_iter().find_map(|(is_right, mistake)| (!is_right).then_some(mistake))
}
