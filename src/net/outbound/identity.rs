//! Who we are to a server that asks for a certificate (RFC 8705): a chain and its key.
//!
//! Never kept: made for one request, and wiped with it.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A client's certificate with its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads both, PEM. None where one of them is not there.
    #[must_use]
    pub fn parse(chain: &[u8], key: &[u8]) -> Option<Self> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().ok()?;
        let key = PrivateKeyDer::from_pem_slice(key).ok()?;
        (!chain.is_empty()).then_some(Self { chain, key })
    }

    pub(super) fn into_parts(self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain, self.key)
    }
}
