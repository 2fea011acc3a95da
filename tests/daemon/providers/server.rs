//! The real OAuth server of these tests, as a child process, and what its clients prove themselves with.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};

use crate::kit::pki::Pki;
use crate::kit::vault::write_private;

/// With characters that a form escapes: as it is, it decodes into another one.
pub(super) const SECRET: &str = "s3cret+of/the%25client&of=these: tests, long enough";

/// It ends with this value.
pub(super) struct OAuthServer {
    process: Child,
    pub(super) issuer: String,
    /// The same server over TLS.
    pub(super) encrypted: String,
}

impl OAuthServer {
    /// A server whose clients' keys and secrets lie in `room`. None where its package is not installed.
    pub(super) fn start(room: &Path) -> Option<Self> {
        furnish(room);
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("node");
        command.arg(root.join("tests/daemon/providers/server.mjs")).arg(demo(root)?.join("package.json"));
        command.arg(room);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("node");
        let mut issuer = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut issuer).expect("its issuer");
        assert!(issuer.starts_with("http://127.0.0.1:"), "the OAuth server does not start: {issuer}");
        let (issuer, encrypted) = issuer.trim().split_once(' ').expect("two addresses");
        Some(Self { process, issuer: issuer.to_owned(), encrypted: encrypted.to_owned() })
    }
}

impl Drop for OAuthServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The demo's directory with its packages, installed once from the lock file beside it.
fn demo(root: &Path) -> Option<PathBuf> {
    let demo = root.join("demo");
    if demo.join("node_modules/oidc-provider").exists() {
        return Some(demo);
    }
    let install =
        Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(&demo).status();
    let installed = install.is_ok_and(|status| status.success());
    if !installed {
        crate::kit::skip("oidc-provider is not installed, and npm does not install it");
    }
    installed.then_some(demo)
}

fn furnish(room: &Path) {
    write_private(&room.join("secret"), format!("{SECRET}\n").as_bytes());
    write_private(&room.join("wrong-secret"), b"not-the-secret\n");
    for name in ["es256.pem", "other-es256.pem"] {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        write_private(&room.join(name), key.serialize_pem().as_bytes());
    }
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
    write_private(&room.join("rs256.pem"), key.serialize_pem().as_bytes());
    let (pki, tls) = (Pki::new(), room.join("tls"));
    fs::create_dir(&tls).expect("a directory");
    pki.furnish(&tls);
    fs::write(tls.join("ca.crt"), &pki.servers.certificate).expect("a certificate");
    for (name, san) in [("vault", "spiffe://example/vault"), ("other", "spiffe://example/other")] {
        let identity = pki.client(san);
        write_private(&tls.join(format!("{name}.crt")), identity.chain.as_bytes());
        write_private(&tls.join(format!("{name}.key")), identity.key.as_bytes());
    }
}
