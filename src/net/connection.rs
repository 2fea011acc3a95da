//! A connection to a destination: its name resolved once, every address judged, one of them connected.
//!
//! The hard problem: a name that is looked up twice may lead to two places, and what was judged is then not what is
//! connected. The answer: one look-up; a connection to the very address that was judged; and the address that the
//! kernel says is at the other end compared with it. A name of whose addresses one is [forbidden](super::address) leads
//! nowhere.
//!
//! The same for the daemon and for `tokenkeep-egress`. Blocks, until its deadline: a resolver that hangs is left behind
//! in its thread, and there are only so many of those.
//!
//! Never heeds a proxy, never connects to what was not judged.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::address::is_forbidden;
use super::destination::Destination;

/// Threads that wait for a resolver. The C library gives up in the end (resolv.conf(5), `timeout`, `attempts`).
const RESOLVING: usize = 64;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionError {
    /// Too much is being asked at once.
    Busy,
    /// Nobody answered in time.
    ConnectDeadline,
    /// `tokenkeep-egress` cannot be asked, or does not answer as it should; why.
    Egress(String),
    /// The name leads to this host, or to what only this host can reach.
    Forbidden,
    /// What answers as `tokenkeep-egress` is somebody else; who.
    Impostor(String),
    /// `tokenkeep-egress` does not know the destination.
    NotNamed,
    /// There is a host, and it lets nobody in there.
    Refused,
    /// The resolver did not answer in time.
    ResolveDeadline,
    /// There is no way there.
    Unreachable,
    /// The name has no address.
    Unresolved,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("too many connections are being made at once"),
            Self::ConnectDeadline => f.write_str("nobody answers there"),
            Self::Egress(why) => write!(f, "tokenkeep-egress cannot be asked: {why}"),
            Self::Forbidden => {
                f.write_str("the name leads to this host, or to what only this host can reach")
            }
            Self::Impostor(who) => write!(f, "what answers in place of tokenkeep-egress is {who}"),
            Self::NotNamed => f.write_str("tokenkeep-egress finds it in no configuration"),
            Self::Refused => f.write_str("connection refused"),
            Self::ResolveDeadline => f.write_str("the resolver does not answer"),
            Self::Unreachable => f.write_str("there is no way there"),
            Self::Unresolved => f.write_str("the name does not resolve"),
        }
    }
}

impl std::error::Error for ConnectionError {}

/// Connects, before this moment.
///
/// # Errors
/// See [`ConnectionError`].
pub fn connect(destination: &Destination, ends: Instant) -> Result<TcpStream, ConnectionError> {
    let resolve: Resolve = |host, port| (host, port).to_socket_addrs().map(Iterator::collect);
    connect_by(resolve, destination, ends)
}

/// Asks the resolver of the host: every address of a name.
type Resolve = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

fn connect_by(
    resolve: Resolve,
    destination: &Destination,
    ends: Instant,
) -> Result<TcpStream, ConnectionError> {
    let addresses = addresses(resolve, destination, ends)?;
    let mut failed = ConnectionError::Unresolved;
    for (tried, address) in addresses.iter().enumerate() {
        // Each with its share of the time that is left, so that one that swallows everything does not hide the next.
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = ends.saturating_duration_since(Instant::now()) / left;
        match connect_to(*address, share.max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(why) => failed = why,
        }
    }
    Err(failed)
}

fn addresses(
    resolve: Resolve,
    destination: &Destination,
    ends: Instant,
) -> Result<Vec<SocketAddr>, ConnectionError> {
    if let Some(address) = destination.address() {
        return Ok(vec![SocketAddr::new(address, destination.port())]);
    }
    let addresses = look_up(resolve, destination, ends)?;
    if addresses.iter().any(|address| is_forbidden(address.ip())) {
        return Err(ConnectionError::Forbidden);
    }
    Ok(addresses)
}

fn look_up(
    resolve: Resolve,
    destination: &Destination,
    ends: Instant,
) -> Result<Vec<SocketAddr>, ConnectionError> {
    let place = Place::take().ok_or(ConnectionError::Busy)?;
    let (say, said) = mpsc::sync_channel(1);
    let (host, port) = (destination.host().to_owned(), destination.port());
    let started = thread::Builder::new().name("resolver".into()).spawn(move || {
        let _place = place;
        drop(say.send(resolve(&host, port)));
    });
    started.map_err(|_| ConnectionError::Busy)?;
    match said.recv_timeout(ends.saturating_duration_since(Instant::now())) {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(_)) => Err(ConnectionError::Unresolved),
        Err(_) => Err(ConnectionError::ResolveDeadline),
    }
}

fn connect_to(address: SocketAddr, within: Duration) -> Result<TcpStream, ConnectionError> {
    let stream = TcpStream::connect_timeout(&address, within).map_err(|why| match why.kind() {
        io::ErrorKind::ConnectionRefused => ConnectionError::Refused,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ConnectionError::ConnectDeadline,
        _ => ConnectionError::Unreachable,
    })?;
    let (peer, own) = (stream.peer_addr(), stream.local_addr());
    // A port that nobody listens on may be connected to itself (tcp(7) knows the simultaneous open).
    let is_there = peer.as_ref().is_ok_and(|peer| is_same(peer.ip(), address.ip())) && peer.ok() != own.ok();
    if is_there { Ok(stream) } else { Err(ConnectionError::Unreachable) }
}

/// Whether the other end of a connection that somebody else made is where the destination may lead.
///
/// # Errors
/// `Forbidden`, `Unreachable`.
pub(super) fn judge_peer(destination: &Destination, stream: &TcpStream) -> Result<(), ConnectionError> {
    let peer = stream.peer_addr().map_err(|_| ConnectionError::Unreachable)?;
    let is_fine = peer.port() == destination.port()
        && match destination.address() {
            Some(address) => is_same(address, peer.ip()),
            None => !is_forbidden(peer.ip()),
        };
    if is_fine { Ok(()) } else { Err(ConnectionError::Forbidden) }
}

fn is_same(one: IpAddr, other: IpAddr) -> bool {
    one.to_canonical() == other.to_canonical()
}

/// A place among the threads that wait for a resolver.
struct Place;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Place {
    fn take() -> Option<Self> {
        let free = |taken| (taken < RESOLVING).then_some(taken + 1);
        TAKEN.fetch_update(Ordering::SeqCst, Ordering::SeqCst, free).ok().map(|_| Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn named(text: &str) -> Destination {
        Destination::parse(text).unwrap()
    }

    #[test]
    fn an_address_that_is_named_is_connected_and_a_name_that_leads_there_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(connect(&named(&format!("127.0.0.1:{port}")), soon()).is_ok());
        assert!(connect(&named(&format!("localhost:{port}")), soon()).is_ok());
        let rebound: Resolve = |_, port| Ok(vec![([127, 0, 0, 1], port).into()]);
        let refused = connect_by(rebound, &named(&format!("evil.example:{port}")), soon());
        assert_eq!(refused.err(), Some(ConnectionError::Forbidden));
        let half: Resolve = |_, port| Ok(vec![([192, 0, 2, 1], port).into(), ([127, 0, 0, 1], port).into()]);
        let refused = connect_by(half, &named(&format!("evil.example:{port}")), soon());
        assert_eq!(refused.err(), Some(ConnectionError::Forbidden), "before anything is connected");
    }

    #[test]
    fn who_lets_nobody_in_and_what_does_not_resolve_are_told_apart() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = connect(&named(&gone.to_string()), soon()).err();
        assert!(
            matches!(refused, Some(ConnectionError::Refused | ConnectionError::Unreachable)),
            "{refused:?}"
        );
        let nothing: Resolve = |_, _| Err(io::ErrorKind::NotFound.into());
        assert_eq!(
            connect_by(nothing, &named("a.example:1"), soon()).err(),
            Some(ConnectionError::Unresolved)
        );
        let empty: Resolve = |_, _| Ok(Vec::new());
        assert_eq!(connect_by(empty, &named("a.example:1"), soon()).err(), Some(ConnectionError::Unresolved));
    }

    #[test]
    fn a_resolver_that_hangs_is_left_behind() {
        let hangs: Resolve = |_, _| loop {
            thread::park();
        };
        let ends = Instant::now() + Duration::from_millis(20);
        assert_eq!(
            connect_by(hangs, &named("a.example:1"), ends).err(),
            Some(ConnectionError::ResolveDeadline)
        );
    }

    #[test]
    fn a_connection_that_somebody_else_made_is_judged_too() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        let port = address.port();
        assert_eq!(judge_peer(&named(&format!("localhost:{port}")), &stream), Ok(()));
        for other in
            [format!("bao.example:{port}"), format!("127.0.0.2:{port}"), format!("localhost:{}", port ^ 1)]
        {
            assert_eq!(judge_peer(&named(&other), &stream), Err(ConnectionError::Forbidden), "{other}");
        }
    }
}
