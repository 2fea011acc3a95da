//! Who may come in: rustls' own judgement of the chain, and then a name.
//!
//! The hard problem: an auditor wants to know whose revoked or expired certificate was shown, and rustls says only
//! that it was one. The answer: what the certificate says is laid aside for the handshake at hand, as soon as it is
//! sure that a trusted CA signed it.
//!
//! Never softer than rustls: it only refuses more.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::certificate::{self, Certificate};
use super::reason::Reason;

tokio::task_local! {
    /// What the genuine certificate of this handshake says.
    pub(super) static SHOWN: RefCell<Option<Certificate>>;
}

/// As rustls, and each certificate must name somebody, by a CA that has not ended.
#[derive(Debug)]
pub(super) struct NamingVerifier {
    chains: Arc<dyn ClientCertVerifier>,
    anchors: Vec<Anchor>,
}

/// A trusted CA: `webpki` does not look at its end.
#[derive(Debug)]
pub(super) struct Anchor {
    /// Its name, DER without the outer tag.
    pub(super) subject: Vec<u8>,
    pub(super) ends_at: UnixTime,
}

impl NamingVerifier {
    pub(super) fn new(chains: Arc<dyn ClientCertVerifier>, anchors: Vec<Anchor>) -> Self {
        Self { chains, anchors }
    }

    /// When a chain that was verified ends: with the first of its certificates, or with the CA that it leads to.
    /// None where that is over.
    pub(super) fn ends_at(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Option<UnixTime> {
        let anchor = chain.iter().filter_map(|one| self.anchor_ends_at(one)).min()?;
        certificate::first_end(chain, now).map(|end| end.min(anchor)).filter(|end| *end >= now)
    }

    /// When the CA that signed this one ends; of several by that name, the last.
    fn anchor_ends_at(&self, der: &CertificateDer<'_>) -> Option<UnixTime> {
        let issuer = certificate::issuer(der)?;
        self.anchors.iter().filter(|anchor| anchor.subject == issuer).map(|anchor| anchor.ends_at).max()
    }

    /// Whether the issuer's signature holds, though the certificate is refused: `webpki` looks at revocation only
    /// after the signature; what has ended, or not begun, is asked about as of a moment when it was valid.
    fn is_genuine(&self, error: &Error, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> bool {
        let Error::InvalidCertificate(error) = error else { return false };
        let then = match error {
            CertificateError::Revoked => return true,
            CertificateError::ExpiredContext { not_after, .. } => *not_after,
            CertificateError::NotValidYetContext { not_before, .. } => *not_before,
            _ => return false,
        };
        match self.chains.verify_client_cert(leaf, others, then) {
            Ok(_) => true,
            Err(Error::InvalidCertificate(error)) => error == CertificateError::Revoked,
            Err(_) => false,
        }
    }
}

impl ClientCertVerifier for NamingVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chains.verify_client_cert(leaf, others, now);
        // The first of them: what a caller shows beside its chain may take from it and add nothing.
        let signed = std::iter::once(leaf).chain(others).filter_map(|one| self.anchor_ends_at(one)).min();
        if verified.is_ok() && signed.is_none_or(|end| end < now) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        if verified.as_ref().err().is_some_and(|error| !self.is_genuine(error, leaf, others)) {
            return verified;
        }
        let refuse = |why: Reason| Error::from(CertificateError::Other(OtherError(Arc::new(why))));
        let certificate = Certificate::read(leaf).ok_or_else(|| refuse(Reason::Malformed))?;
        let flaw = if certificate.is_nameless() {
            Some(Reason::Nameless)
        } else if certificate.has_several_spiffe_ids() {
            Some(Reason::Ambiguous)
        } else {
            None
        };
        // Outside of a handshake nobody waits for it.
        let _ = SHOWN.try_with(|shown| shown.replace(Some(certificate)));
        match (verified, flaw) {
            (Ok(_), Some(flaw)) => Err(refuse(flaw)),
            (verified, _) => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, leaf, signed).map_err(not_owned)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, leaf, signed).map_err(not_owned)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// The signature over the handshake is wrong: the caller shows somebody else's certificate.
fn not_owned(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(_) => {
            CertificateError::Other(OtherError(Arc::new(Reason::NotOwned))).into()
        }
        other => other,
    }
}
