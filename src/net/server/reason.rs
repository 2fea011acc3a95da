//! Why a handshake is refused: the few words of it that the audit log and the server log know.
//!
//! Never carries anything of the certificate.

use std::fmt;

use rustls::{CertificateError, Error};

/// Why a caller has not proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It showed no certificate.
    Absent,
    /// Its certificate names several SPIFFE ids, or several clients.
    Ambiguous,
    /// Its certificate has ended.
    Expired,
    /// What it showed is no certificate, or one that breaks the rules in a way not listed here.
    Malformed,
    /// Its certificate names nobody.
    Nameless,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// It could not show that it has the certificate's key.
    NotOwned,
    /// The revocation list has ended: nobody knows who is revoked.
    RevocationListExpired,
    /// The revocation list is not its issuer's.
    RevocationListUnusable,
    /// No revocation list speaks of its issuer.
    RevocationUnknown,
    /// Its certificate is revoked.
    Revoked,
    /// Its certificate is of no CA that is trusted here.
    Untrusted,
    /// Its certificate is not for clients.
    WrongPurpose,
}

impl Reason {
    /// The word for it in the audit log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "certificate_absent",
            Self::Ambiguous => "certificate_ambiguous",
            Self::Expired => "certificate_expired",
            Self::Malformed => "certificate_malformed",
            Self::Nameless => "certificate_without_san",
            Self::NotYetValid => "certificate_not_yet_valid",
            Self::NotOwned => "certificate_not_owned",
            Self::RevocationListExpired => "revocation_list_expired",
            Self::RevocationListUnusable => "revocation_list_unusable",
            Self::RevocationUnknown => "revocation_unknown",
            Self::Revoked => "certificate_revoked",
            Self::Untrusted => "certificate_untrusted",
            Self::WrongPurpose => "certificate_wrong_purpose",
        }
    }

    /// The reason behind an error of rustls. None where the handshake failed for what is no matter of
    /// certificates: a port scanner, a client that speaks another version.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        match error {
            Error::NoCertificatesPresented => Some(Self::Absent),
            Error::InvalidCertificate(error) => Some(Self::of_certificate(error)),
            Error::InvalidCertRevocationList(_) => Some(Self::RevocationListUnusable),
            _ => None,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::Revoked => Self::Revoked,
            // Of the right name, and signed by somebody else.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Untrusted,
            CertificateError::UnknownRevocationStatus => Self::RevocationUnknown,
            CertificateError::ExpiredRevocationList
            | CertificateError::ExpiredRevocationListContext { .. } => Self::RevocationListExpired,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::WrongPurpose
            }
            CertificateError::Other(other) => {
                other.0.downcast_ref::<Self>().copied().unwrap_or(Self::Malformed)
            }
            _ => Self::Malformed,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The verifier hands it to rustls as an error of its own, and gets it back from there.
impl std::error::Error for Reason {}
