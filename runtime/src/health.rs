//! A server of this machine, asked from outside whether it does its work: what `healthy` of each binary does, for an image
//! without a shell has nothing else that could ask.

use std::{
    io::{self, BufRead, BufReader, Error, ErrorKind, Read, Write},
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
    http_over(connect(listen)?, &format!("{listen}{path}"), path)
}

/// As [`http`], over a connection that is there, be it one of TLS. `whom` stands in the fault.
///
/// # Errors
/// Likewise.
pub fn http_over(mut stream: impl Read + Write, whom: &str, path: &str) -> io::Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut line = Vec::new();
    BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line);
    let line = line.trim_end();
    match line.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(other(format!("{whom} answers {line:?}"))),
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
    let mut stream = connect(listen)?;
    stream.write_all(CONNECT)?;
    stream.read_exact(&mut answer)?;
    if answer[0] != 0x20 {
        return Err(other(format!("{listen} answers no CONNACK, but {answer:02x?}")));
    }
    // DISCONNECT, so that this is no client that was lost; it may be gone already where it was refused.
    stream.write_all(b"\xe0\0").or(Ok(()))
}

/// Whether what listens at `listen` speaks TLS: to what is none it answers with an alert, before anybody's certificate counts.
///
/// # Errors
/// Why not, as [`http`].
pub fn tls(listen: SocketAddr) -> io::Result<()> {
    const ALERT: u8 = 0x15;
    // As long as the head of a record, which is looked at when it is whole (RFC 8446, 5.1): a handshake of a version that there is
    // not. It must begin as one, for our broker also speaks in the clear with who is on its machine and does not.
    const NO_RECORD: &[u8] = b"\x16foreshado";
    let mut answer = [0; 1];
    let mut stream = connect(listen)?;
    stream.write_all(NO_RECORD)?;
    stream.read_exact(&mut answer)?;
    match answer {
        [ALERT] => Ok(()),
        [other_byte] => Err(other(format!("{listen} answers no alert of TLS, but {other_byte:02x}"))),
    }
}

/// A connection to what listens at `listen`, whose reads and writes take three seconds each at most.
///
/// # Errors
/// Nobody is there, or does not answer in time.
pub fn connect(listen: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&here(listen), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
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
    fn what_speaks_tls_answers_with_an_alert() {
        for (answer, is_tls) in [
            (&b"\x15\x03\x03\0\x02\x02\x0a"[..], true),
            (&b"\x20\x02\0\0"[..], false),
            (&b""[..], false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let at = listener.local_addr().unwrap();
            let server = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                stream.read_exact(&mut [0; 10]).unwrap();
                stream.write_all(answer).unwrap();
            });
            assert_eq!(tls(at).is_ok(), is_tls, "{answer:?}");
            server.join().unwrap();
        }
    }

    #[test]
    fn nobody_there_is_a_fault() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        connect(at).unwrap();
        drop(listener);
        connect(at).unwrap_err();
        assert_eq!(mqtt(at).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
