//! A server of this machine, asked from outside whether it does its work: what `healthy` of each binary does, for an image
//! without a shell has nothing else that could ask.

use std::{
    io::{self, Error, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// How long to connect, to write and to read may take, each.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer's first line that are read.
const LONGEST: u64 = 256;

/// Whether what listens at `listen` answers `path` over HTTP with 200.
///
/// # Errors
/// Why not: nobody there, no answer in three seconds each way, or another status, which is told.
pub fn http(listen: SocketAddr, path: &str) -> io::Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    ask(listen, request.as_bytes())?
        .take(LONGEST)
        .read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let line = answer.lines().next().unwrap_or_default();
    match line.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(other(format!("{listen}{path} answers {line:?}"))),
    }
}

/// Whether what listens at `listen` answers a client of MQTT, be it with a refusal.
///
/// # Errors
/// Why not, as [`http`].
pub fn mqtt(listen: SocketAddr) -> io::Result<()> {
    // CONNECT of MQTT 3.1.1: a clean session of no name, alive for ten seconds.
    const CONNECT: &[u8] = b"\x10\x0c\0\x04MQTT\x04\x02\0\x0a\0\0";
    let mut answer = [0; 4];
    let mut stream = ask(listen, CONNECT)?;
    stream.read_exact(&mut answer)?;
    if answer[0] != 0x20 {
        return Err(other(format!("{listen} answers no CONNACK, but {answer:02x?}")));
    }
    // DISCONNECT, so that this is no client that was lost; it may be gone already where it was refused.
    stream.write_all(b"\xe0\0").or(Ok(()))
}

/// Whether anybody takes connections at `listen`: of what speaks TLS nothing else is asked.
///
/// # Errors
/// Nobody is there, or does not answer in three seconds.
pub fn listens(listen: SocketAddr) -> io::Result<()> {
    TcpStream::connect_timeout(&here(listen), PATIENCE).map(drop)
}

fn ask(listen: SocketAddr, question: &[u8]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&here(listen), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(question)?;
    Ok(stream)
}

/// What listens on every address does so on loopback.
fn here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn other(message: String) -> Error {
    Error::new(ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// Serves one client with `answer`, and gives the address and what the client had said in the end.
    fn server(answer: &'static [u8]) -> (SocketAddr, thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut said = vec![0; 14];
            stream.read_exact(&mut said).unwrap();
            stream.write_all(answer).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            // Whatever else comes: a socket that is closed with bytes unread resets the other side.
            stream.read_to_end(&mut said).unwrap();
            said
        });
        (at, server)
    }

    #[test]
    fn only_200_is_healthy() {
        let (at, serving) = server(b"HTTP/1.1 200 OK\r\n\r\n{}");
        let any = SocketAddr::from(([0, 0, 0, 0], at.port()));
        http(any, "/healthz").unwrap();
        let said = String::from_utf8(serving.join().unwrap()).unwrap();
        assert!(
            said.starts_with("GET /healthz HTTP/1.1\r\nHost: localhost\r\n"),
            "{said}"
        );
        for (answer, told) in [
            (&b"HTTP/1.1 503 Service Unavailable\r\n\r\n"[..], "503"),
            (&b""[..], "\"\""),
            (&b"200\r\n"[..], "\"200\""),
        ] {
            let (at, _server) = server(answer);
            let fault = http(at, "/healthz").unwrap_err().to_string();
            assert!(fault.contains(told), "{fault}");
        }
    }

    #[test]
    fn a_broker_that_answers_is_healthy_even_where_it_refuses() {
        for answer in [&b"\x20\x02\0\0"[..], &b"\x20\x02\0\x05"[..]] {
            let (at, server) = server(answer);
            mqtt(at).unwrap();
            assert_eq!(server.join().unwrap(), b"\x10\x0c\0\x04MQTT\x04\x02\0\x0a\0\0\xe0\0");
        }
        for answer in [&b"HTTP"[..], &b"\x20"[..], &b""[..]] {
            let (at, _server) = server(answer);
            mqtt(at).unwrap_err();
        }
    }

    #[test]
    fn nobody_there_is_a_fault() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        listens(at).unwrap();
        drop(listener);
        listens(at).unwrap_err();
        assert_eq!(mqtt(at).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
