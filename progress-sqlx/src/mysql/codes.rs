//! What MySQL's and MariaDB's error numbers say (<https://dev.mysql.com/doc/mysql-errors/8.0/en/>). Their SQLSTATE is mostly
//! HY000, "general error", so the numbers have to do.

/// Whether the same call may succeed later.
pub(crate) fn is_passing(number: u16) -> bool {
    const DISK_AND_MEMORY: [u16; 7] = [3, 1021, 1026, 1028, 1037, 1041, 1114];
    const CONNECTIONS: [u16; 10] = [1040, 1042, 1043, 1053, 1079, 1158, 1159, 1160, 1161, 1927];
    // Of the user, who may have too many at a time or in an hour.
    const QUOTAS: [u16; 2] = [1203, 1226];
    const LOCKS: [u16; 3] = [1205, 1213, 3572];
    // Interrupted by an operator, or by a limit of the server's own.
    const INTERRUPTED: [u16; 4] = [1317, 1028, 3024, 1969];
    let passing = [&DISK_AND_MEMORY[..], &CONNECTIONS, &QUOTAS, &LOCKS, &INTERRUPTED];
    is_read_only(number) || passing.iter().any(|numbers| numbers.contains(&number))
}

/// Whether the server takes no writes, or not yet: it may become the primary.
pub(crate) fn is_read_only(number: u16) -> bool {
    matches!(number, 1290 | 1792 | 1836)
}

/// Whether the transaction lost against another one: a deadlock.
pub(crate) fn is_conflict(number: u16) -> bool {
    number == 1213
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_and_what_does_not() {
        for number in [1040, 1053, 1205, 1213, 1290, 1317, 1114] {
            assert!(is_passing(number), "{number}");
        }
        // No such table, column, database; duplicate key; access denied; syntax.
        for number in [1146, 1054, 1049, 1046, 1062, 1045, 1064, 0] {
            assert!(!is_passing(number), "{number}");
        }
        assert!(is_read_only(1290) && !is_read_only(1205));
        assert!(is_conflict(1213) && !is_conflict(1205));
    }
}
