//! Error codes of PostgreSQL (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use crate::error::Kind;

/// Classifies an error code. `routine` is the routine of the server that reports it.
pub(crate) fn kind(code: &str, routine: Option<&str>) -> Kind {
    match code {
        // serialization_failure, deadlock_detected. Not 40003, which says that the outcome is
        // unknown.
        "40001" | "40P01" => Kind::Conflict,
        // lock_not_available
        "55P03" => Kind::Locked,
        // read_only_sql_transaction: the server may become the primary.
        "25006" => Kind::ReadOnly,
        // invalid_authorization_specification, invalid_password
        "28000" | "28P01" => Kind::Login,
        // undefined_table
        "42P01" => Kind::NoTables,
        // feature_not_supported, when a table was altered after a statement on it was prepared.
        "0A000" if routine == Some("RevalidateCachedQuery") => Kind::Connection,
        // Prepared statements: unknown (26000), existing (42P05). Transactions: none (25P01),
        // failed (25P02), ended by a time-out (25P03, 25P04). Sessions: ended (57P01, 57P02,
        // 57P05).
        "26000" | "42P05" | "25P01" | "25P02" | "25P03" | "25P04" | "57P01" | "57P02" | "57P05" => {
            Kind::Connection
        }
        // Connection exceptions.
        _ if code.starts_with("08") => Kind::Connection,
        // Rolled-back transactions, resources, operators, system errors.
        _ if ["40", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
            Kind::Transient
        }
        _ => Kind::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_are_classified() {
        for (kind_of, codes) in [
            (Kind::Transient, &["40003", "53300", "53100", "57014", "57P03", "58030"][..]),
            (
                Kind::Connection,
                &["08006", "08P01", "26000", "42P05", "25P02", "25P03", "25P04", "57P01", "57P05"],
            ),
            (Kind::Conflict, &["40001", "40P01"]),
            (Kind::Locked, &["55P03"]),
            (Kind::ReadOnly, &["25006"]),
            (Kind::Login, &["28P01", "28000"]),
            (Kind::NoTables, &["42P01"]),
            (Kind::Permanent, &["42703", "23505", "3D000", "22P02", "XX000", "0A000", ""]),
        ] {
            for code in codes {
                assert_eq!(kind(code, None), kind_of, "{code}");
            }
        }
        assert_eq!(kind("0A000", Some("RevalidateCachedQuery")), Kind::Connection);
    }
}
