//! Certificates of the tests: a CA for the daemon, one for its clients, one that nobody trusts, and certificates
//! that are wrong in each way there is.
//!
//! Made anew for each test: none lies in the repository, and none ever expires there.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};

use super::vault::write_private;

pub const HOUR: Duration = Duration::from_secs(3600);

/// A certificate and its key, PEM, as a program is given them.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Leaf first.
    pub chain: String,
    pub key: String,
    /// Lower-case hex.
    pub serial: String,
    pub number: SerialNumber,
}

/// What a certificate is to be like; as it should be unless said otherwise.
#[derive(Debug, Clone)]
pub struct Wish {
    pub sans: Vec<&'static str>,
    pub begins: SystemTime,
    pub ends: SystemTime,
    pub purpose: ExtendedKeyUsagePurpose,
}

impl Wish {
    /// For a client of this name: a URI if it has a scheme, a DNS name otherwise.
    pub fn client(san: &'static str) -> Self {
        Self {
            sans: vec![san],
            begins: SystemTime::now() - HOUR,
            ends: SystemTime::now() + 24 * HOUR,
            purpose: ExtendedKeyUsagePurpose::ClientAuth,
        }
    }

    pub fn named(self, sans: &[&'static str]) -> Self {
        Self { sans: sans.to_vec(), ..self }
    }

    pub fn expired(self) -> Self {
        Self { begins: SystemTime::now() - 48 * HOUR, ends: SystemTime::now() - HOUR, ..self }
    }

    pub fn not_yet_valid(self) -> Self {
        Self { begins: SystemTime::now() + HOUR, ..self }
    }

    pub fn ending_in(self, span: Duration) -> Self {
        Self { ends: SystemTime::now() + span, ..self }
    }

    pub fn for_servers(self) -> Self {
        Self { purpose: ExtendedKeyUsagePurpose::ServerAuth, ..self }
    }
}

/// A certification authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, PEM.
    pub certificate: String,
}

impl Ca {
    pub fn new(name: &str) -> Self {
        Self::valid(name, SystemTime::now() - HOUR, SystemTime::now() + 1000 * HOUR)
    }

    pub fn valid(name: &str, begins: SystemTime, ends: SystemTime) -> Self {
        let mut params = authority(name);
        (params.not_before, params.not_after) = (begins.into(), ends.into());
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// One that this one vouches for.
    pub fn below(&self, name: &str) -> Self {
        let (mut params, key) = (authority(name), KeyPair::generate().expect("a key"));
        params.not_before = (SystemTime::now() - HOUR).into();
        params.not_after = (SystemTime::now() + 1000 * HOUR).into();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub fn issue(&self, wish: &Wish) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "made for a test");
        params.extended_key_usages = vec![wish.purpose.clone()];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        (params.not_before, params.not_after) = (wish.begins.into(), wish.ends.into());
        params.subject_alt_names = wish.sans.iter().map(|san| subject_alternative_name(san)).collect();
        // 15 random bytes, the first of them neither 0 nor negative (RFC 5280, section 4.1.2.2).
        let mut number = KeyPair::generate().expect("a key").public_key_raw()[1..16].to_vec();
        number[0] = number[0] & 0x7f | 0x40;
        params.serial_number = Some(SerialNumber::from_slice(&number));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity {
            chain: certificate.pem(),
            key: key.serialize_pem(),
            serial: number.iter().map(|byte| format!("{byte:02x}")).collect(),
            number: SerialNumber::from_slice(&number),
        }
    }

    /// The list of those it has revoked, PEM.
    pub fn revocation_list(&self, revoked: &[&Identity]) -> String {
        self.revocation_list_until(revoked, SystemTime::now() + 24 * HOUR)
    }

    pub fn revocation_list_until(&self, revoked: &[&Identity], next_update: SystemTime) -> String {
        let entry = |identity: &&Identity| RevokedCertParams {
            serial_number: identity.number.clone(),
            revocation_time: (SystemTime::now() - HOUR).into(),
            reason_code: None,
            invalidity_date: None,
        };
        CertificateRevocationListParams {
            this_update: (SystemTime::now() - 48 * HOUR).into(),
            next_update: next_update.into(),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer)
        .expect("a list")
        .pem()
        .expect("PEM")
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn subject_alternative_name(text: &str) -> SanType {
    match text.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if text.contains(':') => SanType::URI(text.try_into().expect("ASCII")),
        Err(_) => SanType::DnsName(text.try_into().expect("ASCII")),
    }
}

/// Everything that the tests need of certificates.
pub struct Pki {
    /// Signs the daemon's certificate.
    pub servers: Ca,
    /// The daemon trusts it to name clients.
    pub clients: Ca,
    /// Nobody trusts it.
    pub others: Ca,
}

impl Pki {
    pub fn new() -> Self {
        Self { servers: Ca::new("servers"), clients: Ca::new("clients"), others: Ca::new("others") }
    }

    /// A client of this name, as it should be.
    pub fn client(&self, san: &'static str) -> Identity {
        self.clients.issue(&Wish::client(san))
    }

    /// A new certificate for the daemon.
    pub fn server(&self) -> Identity {
        self.servers.issue(&Wish::client("localhost").named(&["localhost", "127.0.0.1"]).for_servers())
    }

    /// Writes what a daemon in this room is configured with: `server.crt`, `server.key`, `clients-ca.crt`.
    pub fn furnish(&self, room: &Path) {
        self.furnish_with(room, &self.server());
        write(&room.join("clients-ca.crt"), &self.clients.certificate);
    }

    /// Writes another certificate of the daemon.
    pub fn furnish_with(&self, room: &Path, server: &Identity) {
        write(&room.join("server.crt"), &server.chain);
        write_private(&room.join("server.key"), server.key.as_bytes());
    }
}

/// Puts a file in place as an operator should: whole or not at all.
pub fn write(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    write_private(&beside, text.as_bytes());
    fs::rename(beside, path).expect("rename");
}
