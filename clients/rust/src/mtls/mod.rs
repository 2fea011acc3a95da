//! The daemon's other door: TLS 1.3 over TCP, each side with a certificate.
//!
//! The daemon proves itself with a certificate of the configured CA for the configured name. The web's
//! roots are not asked: a public CA knows nothing of who keeps your tokens.
//!
//! The hard part is a certificate that changes under a running application: see [`Credentials`]. A
//! connection belongs to the credentials that it was opened with, and is not used once they are old.
//!
//! Never connects without proof of the peer, and never in an older TLS.

mod credentials;
mod pem;

pub use credentials::Credentials;
pub use pem::Unusable;

use crate::error::Handshake;
use crate::wiped_io::WipedIo;
use credentials::Current;
use hyper::http::uri::Authority;
use rustls::AlertDescription;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::{Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where the daemon listens, what it is called there, and what this side shows.
pub(crate) struct Mtls {
    host: String,
    port: u16,
    authority: String,
    name: ServerName<'static>,
    current: Mutex<Current>,
}

impl Mtls {
    /// The door at `HOST:PORT`, called by the host's name.
    pub(crate) fn new(address: &str, credentials: Credentials) -> Result<Self, Unusable> {
        let (host, _) = parse(address)?;
        Self::named(address, &host, credentials)
    }

    /// The door at `HOST:PORT`, called by another name.
    pub(crate) fn named(address: &str, name: &str, credentials: Credentials) -> Result<Self, Unusable> {
        let (host, port) = parse(address)?;
        let name = ServerName::try_from(name.to_owned()).map_err(|_| Unusable::Address)?;
        let current = Mutex::new(Current::new(credentials));
        Ok(Self { host, port, authority: address.to_owned(), name, current })
    }

    /// `HOST:PORT`, as it was given.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Counts the credentials that this door has had. Looks at their files where that is due.
    pub(crate) fn epoch(&self) -> u64 {
        self.current().look().1
    }

    pub(crate) fn replace(&self, credentials: Credentials) {
        self.current().replace(credentials);
    }

    pub(crate) fn reload(&self) -> Result<(), Unusable> {
        self.current().reload()
    }

    pub(crate) async fn open(&self) -> io::Result<(TlsStream<WipedIo<TcpStream>>, u64)> {
        let (config, epoch) = self.current().look();
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        // A request is one write and waits for its answer: nothing to gather.
        tcp.set_nodelay(true)?;
        let connecting = TlsConnector::from(config).connect(self.name.clone(), WipedIo::new(tcp));
        Ok((connecting.await?, epoch))
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What went wrong between the certificates, where it was that.
pub(crate) fn handshake(error: &io::Error) -> Option<Handshake> {
    tls_error(error).map(of_tls)
}

/// What the daemon says against our side of the handshake. In TLS 1.3 it says so only after this side has
/// finished (RFC 8446, section 4.4.2.4), when a request may be on its way already.
pub(crate) fn refusal(error: &hyper::Error) -> Option<Handshake> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<io::Error>().and_then(tls_error) {
            Some(error @ rustls::Error::AlertReceived(_)) => return Some(of_tls(error)),
            _ => next = error.source(),
        }
    }
    None
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn of_tls(error: &rustls::Error) -> Handshake {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => Handshake::Unproven,
        rustls::Error::AlertReceived(
            AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            // A signature that does not verify: of another CA with the same name, say.
            | AlertDescription::DecryptError
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate,
        ) => Handshake::Refused,
        _ => Handshake::Failed,
    }
}

/// RFC 3986, section 3.2: a host, brackets around one of IPv6, and a port, which has no default here.
fn parse(address: &str) -> Result<(String, u16), Unusable> {
    let authority: Authority = address.parse().map_err(|_| Unusable::Address)?;
    let port = authority.port_u16().ok_or(Unusable::Address)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || address.contains('@') {
        return Err(Unusable::Address);
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_and_no_more() {
        let parsed = |text: &str| parse(text).ok();
        assert_eq!(parsed("vault.internal:8443"), Some(("vault.internal".to_owned(), 8443)));
        assert_eq!(parsed("127.0.0.1:1"), Some(("127.0.0.1".to_owned(), 1)));
        assert_eq!(parsed("[::1]:8443"), Some(("::1".to_owned(), 8443)));
        for wrong in [
            "",
            "vault",
            "vault:",
            ":8443",
            "vault:x",
            "vault:65536",
            "me@vault:1",
            "https://vault:1",
            "vault:1/x",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
