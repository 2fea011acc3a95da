//! Whom TLS trusts: the certificate authorities of the host, or those of one named file and no other.
//!
//! The hard problem: a private server whose certificate no public authority signed must not be answered for by
//! whoever gets one from a public authority. The answer: where a file is named, it is the whole truth.
//!
//! The host's list is read from where distributions keep it (Go's `crypto/x509/root_linux.go` looks at the same
//! places), from a file that only root or the daemon's user can change, and never from where the environment says.
//!
//! Never an empty list, never without verification.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::{Identity, OutboundError};
use crate::os::private_file;

/// Debian, Fedora, openSUSE, older Fedora, Alpine.
const OF_THE_HOST: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A distribution's list has about 250 KiB.
const LONGEST: usize = 4 << 20;

/// Whom TLS trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// The authorities in this PEM file.
    File(PathBuf),
    /// Those that the host trusts.
    Host,
}

/// A client that trusts them, and shows this certificate where it is asked for one.
pub(super) fn client(roots: &Roots, identity: Option<Identity>) -> Result<Arc<ClientConfig>, OutboundError> {
    let path = match roots {
        Roots::File(path) => path.clone(),
        Roots::Host => host_list()?,
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|why| OutboundError::Host(why.to_string()))?;
    let builder = builder.with_root_certificates(load(&path, roots)?);
    let mut client = match identity.map(Identity::into_parts) {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|_| {
            OutboundError::Host("the client's certificate and its key do not belong together".into())
        })?,
    };
    client.resumption = Resumption::disabled();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(client))
}

/// Distributions link it from elsewhere: the file behind the link is judged and read.
fn host_list() -> Result<PathBuf, OutboundError> {
    let found = OF_THE_HOST.iter().find_map(|path| Path::new(path).canonicalize().ok());
    found.ok_or_else(|| {
        let places = OF_THE_HOST.join(", ");
        OutboundError::Roots(format!(
            "the host has no list of certificate authorities ({places}); install ca-certificates, or set ca"
        ))
    })
}

fn load(path: &Path, roots: &Roots) -> Result<RootCertStore, OutboundError> {
    let bytes = private_file::read_configuration(path, LONGEST);
    let bytes = bytes.map_err(|why| OutboundError::Roots(why.to_string()))?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let added = certificate.ok().map(|certificate| store.add(certificate));
        // A public list may hold one that rustls does not take; in a list of one's own each is meant.
        if !matches!(added, Some(Ok(()))) && matches!(roots, Roots::File(_)) {
            return Err(OutboundError::Roots(format!(
                "{} holds what is not a certificate in PEM",
                path.display()
            )));
        }
    }
    if store.is_empty() {
        return Err(OutboundError::Roots(format!("{} holds no certificate", path.display())));
    }
    Ok(store)
}
