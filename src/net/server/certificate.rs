//! What is read of a client certificate: its names, its number, and when it ends.
//!
//! The hard problem: the validity of a certificate is nothing that `webpki` shows. The answer: it is asked whether
//! the certificate is valid at the end of time, and its refusal says when the certificate ended. So there is no
//! parser of ours.
//!
//! Trusts nothing: whether the certificate is genuine is the verifier's matter.

use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};

use super::material::Life;

/// What a client certificate says of its owner. No more of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its URI names (RFC 5280, section 4.2.1.6), as they stand there.
    pub uris: Vec<String>,
    /// Its DNS names, as they stand there.
    pub dns: Vec<String>,
    /// Its serial number, lower-case hex, as `openssl x509 -serial` shows it.
    pub serial: String,
}

impl Certificate {
    /// Reads a certificate. None where it is none, or one of a kind that `webpki` does not take.
    #[must_use]
    pub fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let parsed = EndEntityCert::try_from(der).ok()?;
        Some(Self {
            uris: parsed.valid_uri_names().map(str::to_owned).collect(),
            dns: parsed.valid_dns_names().map(str::to_owned).collect(),
            serial: hex(parsed.serial()),
        })
    }

    /// Whether it names anybody.
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        self.uris.is_empty() && self.dns.is_empty()
    }

    /// Whether it is a SPIFFE certificate that breaks the rule of exactly one URI (X509-SVID, section 2).
    #[must_use]
    pub fn has_several_spiffe_ids(&self) -> bool {
        self.uris.len() > 1 && self.uris.iter().any(|uri| uri.starts_with("spiffe:"))
    }
}

/// The number without the byte that only says that it is positive (X.690, section 8.3).
fn hex(serial: &[u8]) -> String {
    let digits = match serial {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// When a certificate begins or ends, by what `webpki` says of it at a moment when it is not valid.
fn refused_at(der: &CertificateDer<'_>, moment: UnixTime) -> Option<Error> {
    let parsed = EndEntityCert::try_from(der).ok()?;
    // The validity is looked at before anything else; without trust anchors nothing else can be said.
    parsed.verify_for_usage(&[], &[], &[], moment, KeyUsage::server_auth(), None, None).err()
}

/// The name of whoever signed it: DER without the outer tag.
pub(super) fn issuer(der: &CertificateDer<'_>) -> Option<Vec<u8>> {
    EndEntityCert::try_from(der).ok().map(|parsed| parsed.issuer().to_vec())
}

/// The name of whose it is, in the same form.
pub(super) fn subject(der: &CertificateDer<'_>) -> Option<Vec<u8>> {
    EndEntityCert::try_from(der).ok().map(|parsed| parsed.subject().to_vec())
}

/// The last moment at which it is valid.
pub(super) fn ends_at(der: &CertificateDer<'_>) -> Option<UnixTime> {
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    match refused_at(der, end_of_time) {
        Some(Error::CertExpired { not_after, .. }) => Some(not_after),
        _ => None,
    }
}

/// From when to when it is valid.
pub(super) fn life(der: &CertificateDer<'_>) -> Option<Life> {
    let begins = match refused_at(der, UnixTime::since_unix_epoch(Duration::ZERO)) {
        Some(Error::CertNotValidYet { not_before, .. }) => moment(not_before),
        _ => SystemTime::UNIX_EPOCH,
    };
    Some(Life { begins, ends: moment(ends_at(der)?) })
}

fn moment(at: UnixTime) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at.as_secs())).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Why it cannot be a server's certificate now; none where nothing speaks against it.
pub(super) fn unfit_for_server(der: &CertificateDer<'_>, now: UnixTime) -> Option<&'static str> {
    match refused_at(der, now) {
        Some(Error::CertExpired { .. }) => Some("has expired"),
        Some(Error::CertNotValidYet { .. }) => Some("is not valid yet"),
        Some(Error::RequiredEkuNotFoundContext(_)) => Some("is not for servers (extended key usage)"),
        // Whether the clients trust it, they will say.
        Some(Error::UnknownIssuer | Error::CaUsedAsEndEntity) => None,
        _ => Some("cannot be read"),
    }
}

/// When the first of those that are valid now ends: a chain is worth no more than that.
pub(super) fn first_end(chain: &[CertificateDer<'_>], now: UnixTime) -> Option<UnixTime> {
    chain.iter().filter_map(ends_at).filter(|end| *end >= now).min()
}
