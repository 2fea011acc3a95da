//! One handshake: from bytes to a caller who has proved its name, or to the reason why not.
//!
//! Never waits for longer than the deadline.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::Error;
use rustls::pki_types::UnixTime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::Certificate;
use super::reason::Reason;
use super::verifier::SHOWN;
use super::{Standing, TlsServer};
use crate::net::wiped_io::{WipedIo, wiped};

/// How long a refused caller may take to hear why.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 16 << 10;

/// A caller that has proved its name.
pub struct Session<S> {
    /// To speak with it.
    pub stream: TlsStream<WipedIo<S>>,
    /// What its certificate says.
    pub certificate: Certificate,
    /// What the connection stands on.
    pub standing: Standing,
}

/// Why there is no session.
#[derive(Debug)]
pub enum Refused {
    /// It did not prove who it is. What its certificate says is there where a trusted CA has signed it; that the
    /// caller has its key is not proved.
    Certificate(Reason, Option<Certificate>),
    /// It went away, stalled, or does not speak our TLS: no attempt to come in.
    Noise(&'static str),
}

impl TlsServer {
    /// Shakes hands.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn shake<S>(&self, stream: S, deadline: Duration) -> Result<Session<S>, Refused>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // First the turn, then the set: one that comes between is then looked at once more, not once too little.
        let turn = self.turn.load(Ordering::Acquire);
        let material = self.material();
        // rustls decrypts in the buffer that it reads into.
        let accepted = TlsAcceptor::from(Arc::clone(&material.tls)).accept(wiped(stream)).into_fallible();
        let noting = SHOWN.scope(RefCell::new(None), async {
            let accepted = accepted.await;
            (accepted, SHOWN.with(RefCell::take))
        });
        let (stream, certificate) = match tokio::time::timeout(deadline, noting).await {
            Ok((Ok(stream), Some(certificate))) => (stream, certificate),
            Ok((Ok(_), None)) => return Err(Refused::Certificate(Reason::Absent, None)),
            Ok((Err((why, stream)), certificate)) => {
                let refused = refused(&why, certificate);
                if matches!(refused, Refused::Certificate(..)) {
                    // However it ends, the caller is refused.
                    let _ = tokio::time::timeout(LINGER, linger(stream)).await;
                }
                return Err(refused);
            }
            Err(_) => return Err(Refused::Noise("it did not end in time")),
        };
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chain: Vec<_> = chain.iter().map(|one| one.clone().into_owned()).collect();
        match material.verifier.ends_at(&chain, UnixTime::now()) {
            Some(ends_at) => Ok(Session { stream, certificate, standing: Standing { chain, ends_at, turn } }),
            None => Err(Refused::Certificate(Reason::Expired, Some(certificate))),
        }
    }
}

/// Lets the caller read the alert: closing a socket with bytes unread, say of a first request that came with the
/// handshake, sends a reset, which takes what was sent before with it (RFC 9293, section 3.10.4).
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await.map(|_| ())
}

fn refused(why: &io::Error, certificate: Option<Certificate>) -> Refused {
    let Some(why) = why.get_ref().and_then(|why| why.downcast_ref::<Error>()) else {
        return Refused::Noise("the connection broke");
    };
    match Reason::of(why) {
        Some(reason) => Refused::Certificate(reason, certificate),
        None => Refused::Noise(match why {
            Error::AlertReceived(_) => "the caller broke it off",
            Error::InvalidMessage(_) => "it is not TLS",
            Error::NoApplicationProtocol => "there is no common protocol (ALPN)",
            Error::PeerIncompatible(_) => "there is no common version, suite or key exchange",
            _ => "the handshake is not well-formed",
        }),
    }
}
