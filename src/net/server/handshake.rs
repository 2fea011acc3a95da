//! One handshake: from bytes to a caller who has proved its name, or to the reason why not.
//!
//! Never waits for longer than the deadline.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::Error;
use rustls::pki_types::UnixTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::{self, Certificate};
use super::reason::Reason;
use super::verifier::SHOWN;
use super::{Standing, TlsServer};

/// A caller that has proved its name.
pub struct Session<S> {
    /// To speak with it.
    pub stream: TlsStream<S>,
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
        let accepted = TlsAcceptor::from(self.material().tls.clone()).accept(stream);
        let noting = SHOWN.scope(RefCell::new(None), async {
            let accepted = accepted.await;
            (accepted, SHOWN.with(RefCell::take))
        });
        let (stream, certificate) = match tokio::time::timeout(deadline, noting).await {
            Ok((Ok(stream), Some(certificate))) => (stream, certificate),
            Ok((Ok(_), None)) => return Err(Refused::Certificate(Reason::Absent, None)),
            Ok((Err(why), certificate)) => return Err(refused(&why, certificate)),
            Err(_) => return Err(Refused::Noise("it did not end in time")),
        };
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chain: Vec<_> = chain.iter().map(|one| one.clone().into_owned()).collect();
        let Some(ends_at) = certificate::first_end(&chain, UnixTime::now()) else {
            return Err(Refused::Certificate(Reason::Expired, Some(certificate)));
        };
        Ok(Session { stream, certificate, standing: Standing { chain, ends_at, turn } })
    }
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
