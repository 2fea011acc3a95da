//! The line between the daemon and `tokenkeep-egress`: a destination goes one way, a connected socket the other.
//!
//! ```text
//! daemon -> egress   host:port\n          at most 260 bytes, once
//! egress -> daemon   one byte             `+` with the socket (SCM_RIGHTS), or why there is none
//! ```
//!
//! The hard problem: whoever sits at the other end would see where secrets go. The answer: each end asks the kernel
//! who the other is; TLS is done in the daemon, so that nothing that passes through the socket is to be read by the
//! other; and the daemon judges the other end of what it gets by the rules that egress goes by.
//!
//! Never more than one request a connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use super::connection::{ConnectionError, judge_peer};
use super::destination::Destination;
use crate::os::peer::Peer;
use crate::os::{descriptor, socket, user};

/// With the socket.
const CONNECTED: u8 = b'+';

/// A line that is no destination. The daemon never sends one.
const MALFORMED: u8 = b'?';

/// Why there is no socket: each code stands for one reason, and no reason for two.
const CODES: [(u8, ConnectionError); 8] = [
    (b'b', ConnectionError::Busy),
    (b'c', ConnectionError::ConnectDeadline),
    (b'f', ConnectionError::Forbidden),
    (b'n', ConnectionError::NotNamed),
    (b'd', ConnectionError::ResolveDeadline),
    (b'r', ConnectionError::Refused),
    (b'u', ConnectionError::Unreachable),
    (b'x', ConnectionError::Unresolved),
];

/// Asks `tokenkeep-egress`, which listens at this path, for a connection, before this moment.
///
/// # Errors
/// See [`ConnectionError`].
pub fn ask(path: &Path, destination: &Destination, ends: Instant) -> Result<TcpStream, ConnectionError> {
    let away = |why: io::Error| match why.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ConnectionError::ConnectDeadline,
        io::ErrorKind::PermissionDenied => ConnectionError::Impostor(why.to_string()),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            ConnectionError::Egress("it closes the connection".into())
        }
        kind => ConnectionError::Egress(format!("{}: {kind}", path.display())),
    };
    let left = ends.checked_duration_since(Instant::now()).ok_or(ConnectionError::ConnectDeadline)?;
    let mut stream = socket::connect_within(path, left).map_err(away)?;
    judge_egress(&stream)?;
    // One that is busy has answered already, and closed: what it said is there all the same.
    drop(stream.write_all(format!("{destination}\n").as_bytes()));
    // The kernel takes a deadline of nothing for none at all.
    let left = ends.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
    stream.set_read_timeout(Some(left.ok_or(ConnectionError::ConnectDeadline)?)).map_err(away)?;
    let (code, socket) = descriptor::receive(&stream).map_err(away)?;
    let broken = || ConnectionError::Egress("its answer is none".into());
    match socket {
        Some(socket) if code == CONNECTED && descriptor::is_stream(&socket) => {
            let stream = TcpStream::from(socket);
            judge_peer(destination, &stream)?;
            Ok(stream)
        }
        _ => Err(CODES.into_iter().find(|(one, _)| *one == code).map_or_else(broken, |(_, why)| why)),
    }
}

/// The one who listens there: root, by way of the service manager's socket unit, or our own user.
fn judge_egress(stream: &UnixStream) -> Result<(), ConnectionError> {
    let uid = Peer::of(stream).map_err(|why| ConnectionError::Impostor(why.to_string()))?.uid;
    if uid == 0 || uid == user::effective() {
        return Ok(());
    }
    Err(ConnectionError::Impostor(format!("user {uid}")))
}

/// Reads what is asked for. The stream has its deadline.
///
/// # Errors
/// `InvalidData`, where it is no destination; the kernel's.
pub fn read_destination(stream: &mut UnixStream, ends: Instant) -> io::Result<Destination> {
    let mut line = Vec::with_capacity(Destination::LONGEST + 1);
    loop {
        let left = ends.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        stream.set_read_timeout(Some(left.ok_or(io::ErrorKind::TimedOut)?))?;
        let mut part = [0; Destination::LONGEST + 1];
        let length = stream.read(&mut part)?;
        line.extend_from_slice(&part[..length]);
        if let Some(text) = line.strip_suffix(b"\n") {
            let text = std::str::from_utf8(text).unwrap_or_default();
            return Destination::parse(text).ok_or(io::ErrorKind::InvalidData.into());
        }
        if length == 0 || line.len() > Destination::LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// Hands over the connection, or says why there is none.
///
/// # Errors
/// The kernel's: the daemon is not there any more.
pub fn answer(stream: &UnixStream, made: &Result<TcpStream, ConnectionError>) -> io::Result<()> {
    match made {
        Ok(made) => descriptor::send(stream, CONNECTED, Some(made.as_fd())),
        Err(why) => {
            let code = CODES.iter().find(|(_, one)| one == why).map_or(MALFORMED, |(code, _)| *code);
            descriptor::send(stream, code, None)
        }
    }
}

/// Says that what was asked is no destination.
///
/// # Errors
/// The kernel's.
pub fn answer_malformed(stream: &UnixStream) -> io::Result<()> {
    descriptor::send(stream, MALFORMED, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::thread;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    /// What the daemon makes of one that answers so.
    fn asked(
        text: &str,
        egress: impl FnOnce(UnixStream) + Send + 'static,
    ) -> Result<TcpStream, ConnectionError> {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let told = thread::spawn(move || egress(listener.accept().unwrap().0));
        let answer = ask(&path, &Destination::parse(text).unwrap(), soon());
        told.join().unwrap();
        answer
    }

    #[test]
    fn every_code_says_what_was_meant() {
        for (code, why) in CODES {
            assert_eq!(CODES.iter().filter(|(other, _)| *other == code).count(), 1);
            let meant = why.clone();
            let told = asked("bao.example:8200", move |mut stream| {
                let asked = read_destination(&mut stream, soon()).unwrap();
                assert_eq!(asked.to_string(), "bao.example:8200");
                answer(&stream, &Err(meant)).unwrap();
            });
            assert_eq!(told.err(), Some(why));
        }
    }

    #[test]
    fn a_socket_is_taken_only_if_it_leads_where_it_should() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let hand = move |stream: UnixStream| {
            answer(&stream, &TcpStream::connect(address).map_err(|_| ConnectionError::Busy)).unwrap()
        };
        assert_eq!(asked(&address.to_string(), hand).err(), None);
        let elsewhere = asked(&format!("bao.example:{}", address.port()), hand);
        assert_eq!(elsewhere.err(), Some(ConnectionError::Forbidden), "a name does not lead to this host");
        let listening = asked(&address.to_string(), move |stream| {
            descriptor::send(&stream, CONNECTED, Some(listener.as_fd())).unwrap();
        });
        assert!(matches!(listening, Err(ConnectionError::Egress(_))), "{listening:?}");
        for said in [&b"+"[..], b"?", b"", b"\0+"] {
            let broken = asked("a.example:1", move |mut stream| stream.write_all(said).unwrap());
            assert!(matches!(broken, Err(ConnectionError::Egress(_))), "{broken:?}");
        }
    }

    #[test]
    fn a_request_is_one_line_and_not_a_long_one() {
        let read = |said: &[u8]| {
            let (mut ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(said).unwrap();
            drop(theirs);
            read_destination(&mut ours, soon()).map_err(|why| why.kind())
        };
        assert_eq!(read(b"a.example:1\n").unwrap().to_string(), "a.example:1");
        for wrong in
            [&b"a.example:1"[..], b"", b"\n", b"a.example:1\nb.example:1\n", b"a\0:1\n", &[b'a'; 4096]]
        {
            assert_eq!(read(wrong), Err(io::ErrorKind::InvalidData));
        }
        let (mut ours, _theirs) = UnixStream::pair().unwrap();
        let late = read_destination(&mut ours, Instant::now() + Duration::from_millis(20));
        assert!(matches!(late.unwrap_err().kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut));
    }

    #[test]
    fn nobody_there_and_one_that_says_nothing_are_told_apart() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("s");
        let destination = Destination::parse("a.example:1").unwrap();
        assert!(matches!(ask(&path, &destination, soon()), Err(ConnectionError::Egress(_))));
        let _silent = UnixListener::bind(&path).unwrap();
        let late = ask(&path, &destination, Instant::now() + Duration::from_millis(20));
        assert_eq!(late.err(), Some(ConnectionError::ConnectDeadline));
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(room.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(ask(&path, &destination, soon()), Err(ConnectionError::Impostor(_))));
    }
}
