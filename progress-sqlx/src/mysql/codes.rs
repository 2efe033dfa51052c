//! Error numbers of MySQL (<https://dev.mysql.com/doc/mysql-errors/8.0/en/>) and MariaDB. Errors
//! are classified by number, because their SQLSTATE is mostly HY000, "general error".

use crate::error::Kind;

pub(crate) fn kind(number: u16) -> Kind {
    match number {
        // Deadlock; the table was altered; group replication rolled back.
        1213 | 1412 | 3101 => Kind::Conflict,
        1205 | 3572 => Kind::Locked,
        // The server is read-only, but may become the primary.
        1290 | 1792 | 1836 => Kind::ReadOnly,
        // Access denied.
        1045 | 1698 => Kind::Login,
        1146 => Kind::NoTables,
        // Connections that have ended: shutdown, aborted, killed, idle, lost in the network.
        1053 | 1152 | 1158..=1161 | 1184 | 1927 | 2006 | 2013 | 3169 | 4031
        // The connection and the server disagree: a statement is unknown (1243) or must be prepared
        // again (1615), a transaction is in progress (1568).
        | 1243 | 1568 | 1615 => Kind::Connection,
        // Disk and memory.
        3 | 1021 | 1026 | 1028 | 1037 | 1041 | 1114
        // Too many or failed connections, also of one user in an hour; too many transactions.
        | 1040 | 1042 | 1043 | 1079 | 1129 | 1203 | 1226 | 1637
        // Interrupted by an operator, or by a limit of the server.
        | 1317 | 1969 | 3024
        // A member of a cluster is not ready.
        | 1047 | 3168 => Kind::Transient,
        _ => Kind::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_are_classified() {
        for (kind_of, numbers) in [
            (Kind::Transient, &[1040, 1114, 1317, 1047, 3168][..]),
            (Kind::Connection, &[1053, 1927, 4031, 3169, 1184, 2013, 1243, 1568]),
            (Kind::Conflict, &[1213, 3101]),
            (Kind::Locked, &[1205]),
            (Kind::ReadOnly, &[1290, 1792]),
            (Kind::Login, &[1045]),
            (Kind::NoTables, &[1146]),
            // No such column, no such database, duplicate key, syntax.
            (Kind::Permanent, &[1054, 1049, 1046, 1062, 1064, 0]),
        ] {
            for number in numbers {
                assert_eq!(kind(*number), kind_of, "{number}");
            }
        }
    }
}
