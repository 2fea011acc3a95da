//! The accept loop, the same for both doors: who connects is found out once, and how many may is bounded, in all
//! and for each.
//!
//! On a socket the kernel says who it is. Over TLS a handshake does, which is the caller's to make and may fail or
//! stall; until it is done the caller holds no place.
//!
//! A client that opens too many connections is turned away and costs nobody else a place.

use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;

use tokenkeep_client::problem::Code;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::application::Application;
use super::handshakes::Handshakes;
use super::places::{Holder, Register};
use super::pulse::Deadlines;
use super::standing::Standing;
use super::{answer, connection};
use crate::domain::san::San;
use crate::metrics;
use crate::net::server::{Certificate, Reason, Refused, Session, TlsServer};
use crate::os::doorman::Peers;
use crate::os::peer::Peer;
use crate::vault::caller::{Caller, Origin};
use crate::vault::refusal::Refusal;
use crate::vault::request_id::RequestId;

pub use super::places::Places;

/// As much of a first request as is waited for.
const UNREAD: u64 = 16 << 10;

/// Which door a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// The admin socket.
    Admin,
    /// The application socket.
    Application,
}

/// Bound and listening.
pub enum Door {
    /// For callers with certificates.
    Mtls(StdTcpListener, Arc<TlsServer>),
    /// For processes of this host.
    Unix(StdUnixListener, Entrance, Arc<Peers>),
}

/// What an accept loop needs.
pub struct Listener {
    /// Where callers come in.
    pub door: Door,
    /// How many may come.
    pub places: Places,
    /// How long they may stall.
    pub deadlines: Deadlines,
    /// What serves them.
    pub application: Arc<Application>,
}

enum Accepting {
    Mtls(TcpListener, Arc<TlsServer>, Handshakes),
    Unix(UnixListener, Entrance, Arc<Peers>),
}

enum Arrival {
    Mtls(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Accepting {
    fn new(door: &Door) -> std::io::Result<Self> {
        Ok(match door {
            Door::Mtls(socket, tls) => {
                socket.set_nonblocking(true)?;
                let socket = TcpListener::from_std(socket.try_clone()?)?;
                Self::Mtls(socket, Arc::clone(tls), Handshakes::start()?)
            }
            Door::Unix(socket, entrance, peers) => {
                Self::Unix(UnixListener::from_std(socket.try_clone()?)?, *entrance, Arc::clone(peers))
            }
        })
    }

    async fn accept(&self) -> std::io::Result<Arrival> {
        match self {
            Self::Mtls(socket, ..) => socket.accept().await.map(|(stream, from)| Arrival::Mtls(stream, from)),
            Self::Unix(socket, ..) => socket.accept().await.map(|(stream, _)| Arrival::Unix(stream)),
        }
    }
}

/// What a connection is served with.
#[derive(Clone)]
struct Service {
    application: Arc<Application>,
    deadlines: Deadlines,
    register: Register,
    stopping: watch::Receiver<bool>,
}

/// Accepts until `stopping` says so, then waits for the connections to end.
///
/// # Errors
/// The socket cannot be waited on.
pub async fn accept(listener: Listener, mut stopping: watch::Receiver<bool>) -> std::io::Result<()> {
    let accepting = Accepting::new(&listener.door)?;
    let service = Service {
        application: listener.application,
        deadlines: listener.deadlines,
        register: Register::new(listener.places),
        stopping: stopping.clone(),
    };
    let mut connections = JoinSet::new();
    loop {
        let arrival = tokio::select! {
            accepted = accepting.accept() => match accepted {
                Ok(arrival) => arrival,
                Err(why) => {
                    // Out of descriptors, say: wait for some to come back rather than spin.
                    tracing::warn!(%why, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = stopping.changed() => break,
            Some(_) = connections.join_next() => continue,
        };
        match (arrival, &accepting) {
            (Arrival::Mtls(stream, from), Accepting::Mtls(_, tls, handshakes)) => {
                let handshake = service.shake(stream, from, tls, handshakes);
                if let Some(handshake) = handshake {
                    connections.spawn(service.clone().serve_remote(handshake, from, Arc::clone(tls)));
                }
            }
            (Arrival::Unix(stream), Accepting::Unix(_, entrance, peers)) => {
                // Never waits where the kernel is asked, and no longer than the doorman's deadline.
                if let Ok(peer) = peers.of(&stream) {
                    service.serve_local(stream, peer, *entrance, &mut connections);
                }
            }
            _ => {}
        }
    }
    // Both descriptors: as long as one is open, who comes now would wait instead of being refused.
    drop((accepting, listener.door));
    while connections.join_next().await.is_some() {}
    Ok(())
}

type Handshake = JoinHandle<Result<Session<TcpStream>, Refused>>;

impl Service {
    fn serve_local(&self, stream: UnixStream, peer: Peer, entrance: Entrance, connections: &mut JoinSet<()>) {
        let (door, deadlines) = match entrance {
            Entrance::Admin => (metrics::Door::Admin, self.deadlines.of_admins()),
            Entrance::Application => (metrics::Door::Unix, self.deadlines),
        };
        let Some(place) = self.register.enter(Holder::User(peer.uid)) else {
            self.application.vault.meters().turned_away(door);
            tokio::spawn(turn_away(stream, no_place(self.application.request_ids.next(), "")));
            return;
        };
        let caller = match entrance {
            Entrance::Admin => self.application.vault.identify_admin(peer),
            Entrance::Application => self.application.vault.identify(peer),
        };
        let open = self.application.vault.meters().opened(door);
        let serving = connection::serve(
            stream,
            Arc::clone(&self.application),
            Arc::new(caller),
            deadlines,
            Standing::Lasting,
            self.stopping.clone(),
        );
        connections.spawn(async move {
            serving.await;
            drop((place, open));
        });
    }

    fn shake(
        &self,
        stream: TcpStream,
        from: SocketAddr,
        tls: &Arc<TlsServer>,
        handshakes: &Handshakes,
    ) -> Option<Handshake> {
        // Answers are written whole: waiting for more of them only delays.
        stream.set_nodelay(true).ok()?;
        let (tls, deadline) = (Arc::clone(tls), Duration::from_secs(self.deadlines.header.into()));
        handshakes.begin(Origin::network(from.ip()), async move { tls.shake(stream, deadline).await })
    }

    async fn serve_remote(self, handshake: Handshake, from: SocketAddr, tls: Arc<TlsServer>) {
        let Session { stream, certificate, standing } = match handshake.await {
            Ok(Ok(session)) => session,
            Ok(Err(Refused::Certificate(reason, certificate))) => {
                return self.record_refused(from, reason, certificate);
            }
            Ok(Err(Refused::Noise(why))) => return tracing::debug!(why, "a handshake came to nothing"),
            Err(_) => return,
        };
        let vault = &self.application.vault;
        let caller = vault.identify_remote(from, &names(&certificate), certificate.serial);
        if caller.is_ambiguous() {
            self.record_turned_away(&caller, Reason::Ambiguous);
        }
        let holder = match &caller {
            caller if caller.is_known() => Holder::Client(caller.principal().name.clone()),
            _ => Holder::Strangers,
        };
        let Some(place) = self.register.enter(holder) else {
            vault.meters().turned_away(metrics::Door::Mtls);
            let (name, value) = answer::STRICT_TRANSPORT;
            let words = no_place(self.application.request_ids.next(), &format!("{name}: {value}\r\n"));
            return turn_away_remote(stream, words).await;
        };
        let open = vault.meters().opened(metrics::Door::Mtls);
        let standing = Standing::Proved(tls, standing);
        connection::serve(
            stream,
            self.application,
            Arc::new(caller),
            self.deadlines,
            standing,
            self.stopping,
        )
        .await;
        drop((place, open));
    }

    fn record_refused(&self, from: SocketAddr, reason: Reason, certificate: Option<Certificate>) {
        let name = certificate.as_ref().and_then(|certificate| names(certificate).into_iter().next());
        let serial = certificate.map(|certificate| certificate.serial);
        self.record_turned_away(&self.application.vault.unproved(from, name, serial), reason);
    }

    fn record_turned_away(&self, caller: &Caller, reason: Reason) {
        let request = self.application.request_ids.next();
        // Too many of them, or no audit log: then nobody is served either.
        if self.application.vault.record_turned_away(caller, &request, reason.as_str()).is_ok() {
            tracing::info!(%reason, "a caller was not let in");
        }
    }
}

/// The names that can stand for a client. What is not written as one stands for nobody.
fn names(certificate: &Certificate) -> Vec<San> {
    let uris = certificate.uris.iter().filter_map(|uri| San::uri(uri));
    uris.chain(certificate.dns.iter().filter_map(|dns| San::dns(dns))).collect()
}

/// What those are told who are turned away before a request was read. Not recorded: a flood would fill the
/// audit log.
fn no_place(request: RequestId, more: &str) -> Vec<u8> {
    let refusal = Refusal {
        retry_after: Some(1),
        ..Refusal::new(Code::RateLimited, "there are too many connections; keep one and use it again")
    };
    let body = serde_json::to_string(&answer::document(&refusal, request)).unwrap_or_default();
    let length = body.len();
    format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/problem+json\r\n\
         cache-control: no-store\r\nx-request-id: {request}\r\nretry-after: 1\r\nconnection: close\r\n\
         {more}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// As [`turn_away`], for a caller whose first request may be under way: unread when the socket is closed, it would reset
/// the connection, and the words with it (RFC 9293, section 3.10.4).
async fn turn_away_remote(mut stream: impl AsyncRead + AsyncWrite + Unpin, words: Vec<u8>) {
    turn_away(&mut stream, words).await;
    let rest = async { tokio::io::copy(&mut stream.take(UNREAD), &mut tokio::io::sink()).await };
    // Whatever comes of it, there is no more to say.
    drop(tokio::time::timeout(Duration::from_secs(1), rest).await);
}

async fn turn_away(mut stream: impl AsyncWrite + Unpin, words: Vec<u8>) {
    tracing::debug!("a connection was turned away: no place left");
    let say = async {
        stream.write_all(&words).await?;
        stream.shutdown().await
    };
    drop(tokio::time::timeout(Duration::from_secs(1), say).await);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::request_id::RequestIds;
    use tokenkeep_client::problem::Problem;

    #[test]
    fn the_words_for_those_without_a_place_are_a_problem_document() {
        for more in ["", "strict-transport-security: max-age=1\r\n"] {
            let text = String::from_utf8(no_place(RequestIds::new().next(), more)).expect("ASCII");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.contains(&format!("content-length: {}", body.len())), "it is {}", body.len());
            assert!(head.contains(more.trim_end()));
            let problem: Problem = serde_json::from_str(body).expect("a problem document");
            assert!(head.contains(&format!("x-request-id: {}", problem.request_id)));
            assert_eq!((problem.status, problem.retry_after), (429, Some(1)));
        }
    }
}
