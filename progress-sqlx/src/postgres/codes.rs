//! What PostgreSQL's error codes say (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

/// Whether the same call may succeed later.
pub(crate) fn is_passing(code: &str) -> bool {
    // Connections, transactions undone, resources, operators, the system below.
    const CLASSES: [&str; 5] = ["08", "40", "53", "57", "58"];
    // A lock that others held too long, a session that the server closed because it was idle.
    const CODES: [&str; 3] = ["55P03", "25P03", "57P05"];
    // A server that takes no writes may do so later: it may become the primary.
    is_read_only(code)
        || CODES.contains(&code)
        || CLASSES.iter().any(|class| code.starts_with(class))
}

/// Whether the transaction could only read: read_only_sql_transaction.
pub(crate) fn is_read_only(code: &str) -> bool {
    code == "25006"
}

/// Whether the transaction lost against another one and is undone: serialization_failure, deadlock_detected.
pub(crate) fn is_conflict(code: &str) -> bool {
    matches!(code, "40001" | "40P01")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_and_what_does_not() {
        for code in [
            "08006", "40P01", "53300", "53100", "57P01", "57P03", "57014", "25006", "55P03",
            "58030",
        ] {
            assert!(is_passing(code), "{code}");
        }
        for code in ["42P01", "42703", "23505", "28P01", "3D000", "22P02", "25P02", "XX000", ""] {
            assert!(!is_passing(code), "{code}");
        }
        assert!(is_read_only("25006") && !is_read_only("25P02"));
        assert!(
            is_conflict("40001") && !is_conflict("40003"),
            "40003: nobody knows whether it happened"
        );
    }
}
