//! From PEM to what rustls takes: certificate, key and CA become one configuration, or a reason why not.
//!
//! The key is wiped here wherever it passes through: the file's bytes, the decoded key. What the parser of
//! rustls used as scratch is beyond reach; aws-lc wipes its own copy when the configuration goes.
//!
//! Never trusts a CA that was not given.

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Why credentials, or an address, cannot be used. Never shows their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// The address is not `HOST:PORT`, or the name is none.
    Address,
    /// There is no CA certificate in PEM form, or one that does not parse.
    Ca,
    /// There is no certificate in PEM form, or one that does not parse.
    Certificate,
    /// The client asks at a Unix socket, where there are no credentials.
    Door,
    /// There is no private key in PEM form, or it is of a kind that is not supported.
    Key,
    /// The key is not the certificate's. While both are being replaced, this passes.
    Mismatch,
    /// A file cannot be read.
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "the address is not HOST:PORT",
            Self::Ca => "no CA certificate that can be read, in PEM",
            Self::Certificate => "no certificate that can be read, in PEM",
            Self::Door => "a Unix socket takes no credentials",
            Self::Key => "no private key of a supported kind, in PEM",
            Self::Mismatch => "the private key is not the certificate's",
            Self::Unreadable { path, kind } => {
                return write!(f, "{} cannot be read: {kind}", path.display());
            }
        })
    }
}

impl std::error::Error for Unusable {}

/// The configuration of a client that shows this certificate and trusts this CA alone.
pub(super) fn config(certificate: &[u8], key: &[u8], ca: &[u8]) -> Result<ClientConfig, Unusable> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certified = certified(certificate, key)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| Unusable::Key)?
        .with_root_certificates(roots(ca)?)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // The daemon gives no tickets; and a connection is the right of who opened it, not of who resumes it.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn certified(certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, Unusable> {
    let chain = certificates(certificate).ok_or(Unusable::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map(Zeroizing::new).map_err(|_| Unusable::Key)?;
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(|_| Unusable::Key)?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Unusable::Mismatch),
        Err(_) => Err(Unusable::Certificate),
    }
}

fn roots(ca: &[u8]) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca).ok_or(Unusable::Ca)? {
        roots.add(certificate).map_err(|_| Unusable::Ca)?;
    }
    Ok(roots)
}

/// At least one, and none that does not parse.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}
