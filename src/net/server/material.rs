//! The files of the listener: read, judged as a whole, and made into what a handshake needs.
//!
//! The hard problem: each file may be fine and the set still useless: a key of another certificate, a CA without
//! its revocation list. Found at the first handshake, that is an outage. The answer: a set is judged before it is
//! used, so that a bad new one is refused while the old one still serves.
//!
//! Never accepts a set that would let in nobody, or anybody.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use webpki::EndEntityCert;
use zeroize::{Zeroize, Zeroizing};

use super::certificate;
use super::revocation::RevocationList;
use super::verifier::{Anchor, NamingVerifier};
use crate::os::private_file::{self, PrivateFileError};

/// A bundle of CAs with room to spare.
const LONGEST_CERTIFICATES: usize = 1 << 20;
const LONGEST_KEY: usize = 64 << 10;
/// A list of a million revoked certificates has some 40 MB.
const LONGEST_LIST: usize = 64 << 20;

/// Where the files are, and how low a caller may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The listener's own certificate and those between it and its CA, PEM.
    pub certificate: PathBuf,
    /// Its key.
    pub key: Key,
    /// The CAs of the clients, PEM.
    pub client_ca: PathBuf,
    /// Their revocation lists, PEM or DER; without it nobody is revoked.
    pub crl: Option<PathBuf>,
    /// The oldest version that is spoken.
    pub minimum: Version,
}

/// Where the key is: the same bytes, with the rules of the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// What systemd put into the unit's credentials directory.
    Credential(PathBuf),
    /// A file that is the daemon's alone.
    File(PathBuf),
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// RFC 5246, with forward-secret AEAD suites alone.
    Tls12,
    /// RFC 8446.
    #[default]
    Tls13,
}

/// Why the files are no set.
#[derive(Debug)]
pub enum MaterialError {
    /// One cannot be had, or others can get at it.
    File(PrivateFileError),
    /// One is not what it should be: which, what is wrong, and the mend.
    Unusable(PathBuf, &'static str, &'static str),
}

impl fmt::Display for MaterialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "{error}"),
            Self::Unusable(path, what, mend) => write!(f, "{} {what}; {mend}", path.display()),
        }
    }
}

impl std::error::Error for MaterialError {}

impl From<PrivateFileError> for MaterialError {
    fn from(error: PrivateFileError) -> Self {
        Self::File(error)
    }
}

/// From when to when something is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// From this moment on.
    pub begins: SystemTime,
    /// Until this moment.
    pub ends: SystemTime,
}

/// The lives of what was read: where there are several, that which ends first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lives {
    /// The listener's own certificate.
    pub certificate: Life,
    /// The clients' CAs.
    pub client_ca: Life,
    /// The revocation lists.
    pub crl: Option<Life>,
}

/// A set, ready for handshakes.
pub(super) struct Material {
    pub(super) tls: Arc<ServerConfig>,
    pub(super) verifier: Arc<NamingVerifier>,
    pub(super) lives: Lives,
}

impl Sources {
    /// The file of the key.
    #[must_use]
    pub fn key_file(&self) -> &Path {
        match &self.key {
            Key::Credential(path) | Key::File(path) => path,
        }
    }

    /// Every file.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        [self.certificate.as_path(), self.key_file(), &self.client_ca].into_iter().chain(self.crl.as_deref())
    }

    /// Reads and judges them.
    pub(super) fn read(&self) -> Result<Material, MaterialError> {
        let provider = Arc::new(provider());
        let now = UnixTime::now();
        let (chain, certificate) = self.read_certificate(now)?;
        let (roots, anchors, client_ca) = self.read_client_ca()?;
        let mut chains = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let mut crl = None;
        if let Some(path) = &self.crl {
            let lists = read_lists(path)?;
            crl = Some(judge_lists(path, &lists, &anchors, &provider)?);
            // Who is not known not to be revoked is not let in, and a list that has ended says nothing.
            chains = chains.with_crls(lists).enforce_revocation_expiration();
        }
        let chains: Arc<dyn ClientCertVerifier> = chains.build().map_err(|_| {
            let path = self.crl.clone().unwrap_or_else(|| self.client_ca.clone());
            let what = "is of a kind that is not understood (RFC 5280: version 2, complete, direct)";
            MaterialError::Unusable(path, what, "ask the CA for a full list")
        })?;
        let ends = anchors.iter().filter_map(|anchor| {
            Some(Anchor { subject: certificate::subject(anchor)?, ends_at: certificate::ends_at(anchor)? })
        });
        let verifier = Arc::new(NamingVerifier::new(chains, ends.collect()));
        let tls = self.configure(provider, Arc::clone(&verifier), chain)?;
        Ok(Material { tls: Arc::new(tls), verifier, lives: Lives { certificate, client_ca, crl } })
    }

    fn configure(
        &self,
        provider: Arc<CryptoProvider>,
        verifier: Arc<NamingVerifier>,
        chain: Vec<CertificateDer<'static>>,
    ) -> Result<ServerConfig, MaterialError> {
        let versions: &[&SupportedProtocolVersion] = match self.minimum {
            Version::Tls12 => &[&version::TLS13, &version::TLS12],
            Version::Tls13 => &[&version::TLS13],
        };
        let unusable = |what, mend| MaterialError::Unusable(self.key_file().to_owned(), what, mend);
        let mut der = self.read_key()?;
        let key = aws_lc_rs::sign::any_supported_type(&der);
        der.zeroize();
        let key = key.map_err(|_| {
            unusable("is a key of a kind that is not understood", "use ECDSA P-256 or P-384, Ed25519, or RSA")
        })?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|_| {
            unusable("is not the key of the certificate", "put both files in place that belong together")
        })?;
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|_| unusable("cannot be used with this version of TLS", "leave out minimum_version"))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Each connection proves itself anew: what was revoked meanwhile would come in again by resumption.
        tls.session_storage = Arc::new(NoServerSessionStorage {});
        tls.send_tls13_tickets = 0;
        tls.max_early_data_size = 0;
        // RFC 7627: without it, TLS 1.2 does not bind the master secret to the handshake.
        tls.require_ems = true;
        Ok(tls)
    }

    fn read_certificate(&self, now: UnixTime) -> Result<(Vec<CertificateDer<'static>>, Life), MaterialError> {
        let path = &self.certificate;
        let chain = read_certificates(path)?;
        let renew = "put a new one in place, with its key";
        let unusable = |what| MaterialError::Unusable(path.clone(), what, renew);
        if let Some(what) = certificate::unfit_for_server(&chain[0], now) {
            return Err(unusable(what));
        }
        let life = chain.iter().filter_map(certificate::life).min_by_key(|life| life.ends);
        Ok((chain, life.ok_or_else(|| unusable("cannot be read"))?))
    }

    fn read_client_ca(&self) -> Result<(RootCertStore, Vec<CertificateDer<'static>>, Life), MaterialError> {
        let path = &self.client_ca;
        let anchors = read_certificates(path)?;
        let mut roots = RootCertStore::empty();
        let mut lives = Vec::with_capacity(anchors.len());
        for anchor in &anchors {
            let unusable = |what| MaterialError::Unusable(path.clone(), what, "remove it, or renew it");
            let life = certificate::life(anchor).ok_or_else(|| unusable("holds a CA that cannot be read"))?;
            if life.ends < SystemTime::now() {
                return Err(unusable("holds a CA that has expired"));
            }
            roots.add(anchor.clone()).map_err(|_| unusable("holds a certificate that cannot be a CA's"))?;
            lives.push(life);
        }
        let first = lives.into_iter().min_by_key(|life| life.ends);
        let none = || MaterialError::Unusable(path.clone(), "holds no CA", "put the CA of the clients there");
        Ok((roots, anchors, first.ok_or_else(none)?))
    }

    fn read_key(&self) -> Result<PrivateKeyDer<'static>, MaterialError> {
        let bytes = match &self.key {
            Key::Credential(path) => private_file::read_credential(path, LONGEST_KEY),
            Key::File(path) => private_file::read(path, LONGEST_KEY),
        }?;
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
            let what = "holds no private key in PEM";
            MaterialError::Unusable(self.key_file().to_owned(), what, "write it unencrypted, as PKCS #8")
        })
    }
}

/// The hybrid key exchange first (FIPS 203 with X25519: draft-ietf-tls-ecdhe-mlkem), then what is not hybrid.
fn provider() -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    CryptoProvider {
        kx_groups: vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let bytes = private_file::read_configuration(path, LONGEST_CERTIFICATES)?;
    let certificates =
        CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    if certificates.is_empty() {
        let what = "holds no certificate in PEM";
        return Err(MaterialError::Unusable(
            path.to_owned(),
            what,
            "write it as -----BEGIN CERTIFICATE-----",
        ));
    }
    Ok(certificates)
}

fn read_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, MaterialError> {
    let bytes: Zeroizing<Vec<u8>> = private_file::read_configuration(path, LONGEST_LIST)?;
    // DER begins with the tag of a sequence, which no PEM does.
    if bytes.first() == Some(&0x30) {
        return Ok(vec![CertificateRevocationListDer::from(bytes.to_vec())]);
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let lists = lists.unwrap_or_default();
    if lists.is_empty() {
        let what = "holds no revocation list";
        return Err(MaterialError::Unusable(path.to_owned(), what, "write it as PEM (X509 CRL) or DER"));
    }
    Ok(lists)
}

/// Each CA must have its list, signed by it and still good: without one, none of its clients would come in. Lists of
/// CAs between it and a client may be there too; only a handshake shows whose they are. Gives the life
/// of that which ends first.
fn judge_lists(
    path: &Path,
    lists: &[CertificateRevocationListDer<'_>],
    anchors: &[CertificateDer<'_>],
    provider: &CryptoProvider,
) -> Result<Life, MaterialError> {
    let unusable = |what, mend| MaterialError::Unusable(path.to_owned(), what, mend);
    let broken = || unusable("holds a revocation list that cannot be read", "ask the CA for a new one");
    let lists: Vec<RevocationList<'_>> =
        lists.iter().map(|list| RevocationList::read(list).ok_or_else(broken)).collect::<Result<_, _>>()?;
    let first = lists.iter().min_by_key(|list| list.next_update).ok_or_else(broken)?;
    if first.next_update <= SystemTime::now() {
        return Err(unusable(
            "holds a revocation list that has ended (nextUpdate)",
            "ask the CA for a new one",
        ));
    }
    for (at, list) in lists.iter().enumerate() {
        if lists[..at].iter().any(|other| other.issuer == list.issuer) {
            return Err(unusable("holds two lists of one CA", "keep the newer one"));
        }
    }
    for anchor in anchors {
        let ca = EndEntityCert::try_from(anchor).map_err(|_| broken())?;
        let Some(list) = lists.iter().find(|list| list.issuer == ca.subject()) else {
            return Err(unusable(
                "lacks the list of a CA in client_ca, so its clients could not come in",
                "add it",
            ));
        };
        let algorithms = provider.signature_verification_algorithms.all;
        let signs = |algorithm: &&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
            ca.verify_signature(*algorithm, list.signed, list.signature).is_ok()
        };
        if !algorithms.iter().any(signs) {
            return Err(unusable("holds a list that its CA did not sign", "ask the CA for it"));
        }
    }
    Ok(Life { begins: first.this_update, ends: first.next_update })
}
