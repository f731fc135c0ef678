//! What an answer of the server means for the next try.

use sqlx::Error;

use crate::store::StoreError;

/// Classes of SQLSTATE after which trying again may help: connection, transaction rolled back (deadlock, serialization),
/// no resources (disk full, too many connections), intervention (shutdown, restart, cancelled), system error.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const TRANSIENT: [&str; 5] = ["08", "40", "53", "57", "58"];
/// Read-only (a server that has become a standby); a session that was idle in a transaction, or a transaction, for longer
/// than the server allows, as of a machine that was stopped for a while; lock not available.
const TRANSIENT_CODES: [&str; 4] = ["25006", "25P03", "25P04", "55P03"];
/// After these the session is over, or is on a server that is not the one to write to.
const ENDING: [&str; 6] = ["08", "57P", "25006", "25P03", "25P04", "58"];

/// Whether trying again later may help.
fn is_transient(error: &Error) -> bool {
    match code(error) {
        Some(code) => TRANSIENT.iter().any(|class| code.starts_with(class)) || TRANSIENT_CODES.contains(&&*code),
        None => ends_connection(error),
    }
}

/// Whether the connection is of no use any more.
pub(super) fn ends_connection(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
        _ => code(error).is_some_and(|code| ENDING.iter().any(|class| code.starts_with(class))),
    }
}

fn code(error: &Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// As the brain takes it.
pub(in crate::store) fn told(name: &str, error: &Error) -> StoreError {
    let (database, reason) = (name.to_owned(), error.to_string());
    if is_transient(error) {
        StoreError::Busy { database, reason }
    } else {
        StoreError::Database { database, reason }
    }
}
