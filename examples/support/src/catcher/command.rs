//! Parses command lines. Whether a command is allowed at that point is up to the session.

/// A well-formed command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo(String),
    Helo(String),
    /// The sender, empty for a bounce, and the announced size.
    Mail {
        from: String,
        size: Option<u64>,
    },
    Recipient(String),
    Data,
    Reset,
    Noop,
    Verify,
    Help,
    Quit,
}

/// Parses a line without its ending. The error is the reply to the client.
pub(super) fn parse(line: &[u8]) -> Result<Command, &'static str> {
    let line = std::str::from_utf8(line)
        .ok()
        .filter(|line| line.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')));
    let line = line.ok_or("500 5.5.2 only printable ASCII is accepted here")?.trim_end();
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim_start();
    let alone = |command| {
        if rest.is_empty() { Ok(command) } else { Err("501 5.5.4 this command takes no argument") }
    };
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => client_name(rest).map(Command::Ehlo),
        "HELO" => client_name(rest).map(Command::Helo),
        "MAIL" => mail(rest),
        "RCPT" => recipient(rest),
        "DATA" => alone(Command::Data),
        "RSET" => alone(Command::Reset),
        "QUIT" => alone(Command::Quit),
        "NOOP" => Ok(Command::Noop),
        "VRFY" if !rest.is_empty() => Ok(Command::Verify),
        "VRFY" => Err("501 5.5.4 VRFY needs a name"),
        "HELP" => Ok(Command::Help),
        "EXPN" | "TURN" | "STARTTLS" | "AUTH" | "BDAT" | "ETRN" => {
            Err("502 5.5.1 not implemented here")
        }
        _ => Err("500 5.5.2 unknown command"),
    }
}

fn client_name(rest: &str) -> Result<String, &'static str> {
    match rest.split_ascii_whitespace().next() {
        Some(name) if rest == name => Ok(name.to_owned()),
        _ => Err("501 5.5.4 expected one host name"),
    }
}

fn mail(rest: &str) -> Result<Command, &'static str> {
    let (from, parameters) = path(rest, "FROM:").ok_or("501 5.1.7 expected MAIL FROM:<address>")?;
    if !from.is_empty() && !has_both_parts(&from) {
        return Err("501 5.1.7 not a sender address");
    }
    let mut size = None;
    for parameter in parameters.split_ascii_whitespace() {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match (key.to_ascii_uppercase().as_str(), value.to_ascii_uppercase().as_str()) {
            ("SIZE", _) => size = Some(value.parse().map_err(|_| "501 5.5.4 SIZE needs a number")?),
            ("BODY", "7BIT" | "8BITMIME") => {}
            ("BODY", _) => return Err("501 5.5.4 BODY is 7BIT or 8BITMIME"),
            _ => return Err("555 5.5.4 unknown parameter"),
        }
    }
    Ok(Command::Mail { from, size })
}

fn recipient(rest: &str) -> Result<Command, &'static str> {
    let (to, parameters) = path(rest, "TO:").ok_or("501 5.1.3 expected RCPT TO:<address>")?;
    // The only address without a domain (RFC 5321, section 4.5.1).
    if !has_both_parts(&to) && !to.eq_ignore_ascii_case("postmaster") {
        return Err("501 5.1.3 not a recipient address");
    }
    if parameters.is_empty() {
        Ok(Command::Recipient(to))
    } else {
        Err("555 5.5.4 unknown parameter")
    }
}

/// Splits `FROM:<address> parameters`. Drops a route before the address, as RFC 5321 requires.
fn path<'a>(rest: &'a str, keyword: &str) -> Option<(String, &'a str)> {
    let (start, rest) = rest.split_at_checked(keyword.len())?;
    let inside =
        rest.trim_start().strip_prefix('<').filter(|_| start.eq_ignore_ascii_case(keyword))?;
    let end = unquoted(inside, '>')?;
    let (address, parameters) = (&inside[..end], &inside[end + 1..]);
    if address.len() > LONGEST_ADDRESS || !(parameters.is_empty() || parameters.starts_with(' ')) {
        return None;
    }
    let address = match address.strip_prefix('@') {
        Some(route) => route.split_once(':')?.1,
        None => address,
    };
    let clean = unquoted(address, ' ').is_none() && unquoted(address, '<').is_none();
    clean.then(|| (address.to_owned(), parameters.trim_start()))
}

/// Returns the first index of a character outside quotes. Inside quotes a backslash escapes the
/// next character.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.char_indices().find_map(|(index, character)| {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if !quoted && character == wanted => return Some(index),
            _ => {}
        }
        None
    })
}

fn has_both_parts(address: &str) -> bool {
    address.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

/// RFC 5321, section 4.5.3.1.3, requires 256 with the angle brackets.
const LONGEST_ADDRESS: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_in_all_their_forms() {
        for (line, address) in [
            ("RCPT TO:<a@b.example>", "a@b.example"),
            ("rcpt to: <a@b.example>  ", "a@b.example"),
            ("RCPT TO:<@relay.example,@other.example:a@b.example>", "a@b.example"),
            (r#"RCPT TO:<"odd >\" name"@b.example>"#, r#""odd >\" name"@b.example"#),
            ("RCPT TO:<Postmaster>", "Postmaster"),
        ] {
            assert_eq!(
                parse(line.as_bytes()),
                Ok(Command::Recipient(address.to_owned())),
                "{line}"
            );
        }
        let bounce = Command::Mail { from: String::new(), size: Some(12) };
        assert_eq!(parse(b"MAIL FROM:<> SIZE=12 BODY=8bitmime"), Ok(bounce));
    }

    #[test]
    fn malformed_commands_get_a_reply_that_names_the_mistake() {
        for (line, code) in [
            ("", "500"),
            ("MAILFROM:<a@b.example>", "500"),
            ("DATA now", "501"),
            ("EHLO", "501"),
            ("HELO two words", "501"),
            ("VRFY", "501"),
            ("MAIL", "501"),
            ("MAIL FROM:", "501"),
            ("MAIL FROM:a@b.example", "501"),
            ("MAIL FROM:<a@b.example", "501"),
            ("MAIL FROM:<local>", "501"),
            ("MAIL FROM:<a b@c.example>", "501"),
            ("MAIL FROM:<a@b.example>SIZE=1", "501"),
            ("MAIL FROM:<a@b.example> SIZE=big", "501"),
            ("MAIL FROM:<a@b.example> SMTPUTF8", "555"),
            ("RCPT TO:<>", "501"),
            ("RCPT TO:<@b.example>", "501"),
            ("RCPT TO:<a@b.example> NOTIFY=NEVER", "555"),
            ("RCPT TO:<\u{e9}@b.example>", "500"),
            ("STARTTLS", "502"),
            ("GET / HTTP/1.1", "500"),
        ] {
            let reply = parse(line.as_bytes()).unwrap_err();
            assert!(reply.starts_with(code), "{line}: {reply}");
        }
        assert!(parse(format!("RCPT TO:<{}@b.example>", "a".repeat(300)).as_bytes()).is_err());
        assert!(parse(b"NOOP \xff").is_err());
    }
}
