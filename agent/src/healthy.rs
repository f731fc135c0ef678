//! Whether an agent of this user is connected to its broker: what an image without a shell can be asked.

use std::{fs, io};

/// The kernel's tables of TCP connections (`man 5 proc`).
const V4: &str = "/proc/net/tcp";
const V6: &str = "/proc/net/tcp6";

/// State "established" in these tables.
const ESTABLISHED: &str = "01";

/// Whether a process of this process's user has a connection to TCP port `port` of anybody, in this network namespace.
///
/// # Errors
/// The kernel's table cannot be read.
pub(crate) fn connected(port: u16) -> io::Result<bool> {
    let own = rustix::process::geteuid().as_raw();
    // Without IPv6 there is no second table.
    let (v4, v6) = (fs::read_to_string(V4)?, fs::read_to_string(V6).unwrap_or_default());
    Ok(any_to(&v4, port, own) || any_to(&v6, port, own))
}

fn any_to(table: &str, port: u16, user: u32) -> bool {
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(2);
        let remote = fields.next().and_then(|address| address.rsplit_once(':'));
        let to = remote.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        let state = fields.next();
        let owner = fields.nth(3).and_then(|user| user.parse().ok());
        to == Some(port) && state == Some(ESTABLISHED) && owner == Some(user)
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
        0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n   \
        1: 0100007F:9C40 0100007F:075B 01 00000000:00000000 02:0000012C 00000000   997        0 2 2 0 20 4 30 10 -1\n   \
        2: 0100007F:9C42 0100007F:22B3 06 00000000:00000000 03:0000012C 00000000   997        0 0 3 0\n";

    #[test]
    fn an_established_connection_of_the_same_user_counts() {
        for (port, user, counts) in [(1883, 997, true), (1883, 0, false), (8883, 997, false), (0, 0, false)] {
            assert_eq!(any_to(TABLE, port, user), counts, "{port} {user}");
        }
        assert!(!any_to("", 1883, 0) && !any_to("head\n 0: x y z\n", 1883, 0));
    }

    #[test]
    fn ours_is_found_in_the_kernels_table() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        assert!(!connected(at.port()).unwrap());
        let _stream = TcpStream::connect(at).unwrap();
        assert!(connected(at.port()).unwrap());
    }
}
