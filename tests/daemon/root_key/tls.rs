//! Certificates of the servers of the tests.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::kit::vault::write_private;

/// `server.crt` and `server.key` for this name, signed by `ca.pem`; and `other-ca.pem`, which signed nothing.
pub(crate) fn write(room: &Path, name: &str) {
    authority(&room.join("other-ca.pem"));
    let issuer = authority(&room.join("ca.pem"));
    let pair = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new([name.to_owned()]).expect("a name");
    let certificate = parameters.signed_by(&pair, &issuer).expect("a certificate");
    write_private(&room.join("server.crt"), certificate.pem().as_bytes());
    write_private(&room.join("server.key"), pair.serialize_pem().as_bytes());
}

fn authority(file: &Path) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, file.display().to_string());
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a key"));
    let issuer = issuer.expect("an authority");
    write_private(file, issuer.pem().as_bytes());
    issuer
}
