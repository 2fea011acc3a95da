//! mTLS of the benchmark: its own authority, and both ends of a bare rustls connection.
//!
//! Never resumes a session and takes no ticket: neither does the daemon.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    string::Ia5String,
};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

/// Who the client certificate says its holder is.
pub(crate) const CLIENT: &str = "spiffe://bench/client";

/// Files of an authority in `directory`: `ca.crt`, and certificate and key of `server` and `client`.
pub(crate) fn issue(directory: &Path) {
    let keep = |name: &str, text: String| {
        let path = directory.join(name);
        std::fs::write(&path, text).expect("a file");
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, owner_only).expect("chmod");
    };
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    keep("ca.crt", ca.self_signed(&ca_key).expect("a certificate").pem());
    let issuer = Issuer::new(ca, ca_key);
    let uri = Ia5String::try_from(CLIENT).expect("ASCII");
    let leaves = [
        (
            "server",
            SanType::DnsName("localhost".try_into().expect("ASCII")),
            ExtendedKeyUsagePurpose::ServerAuth,
        ),
        ("client", SanType::URI(uri), ExtendedKeyUsagePurpose::ClientAuth),
    ];
    for (name, san, purpose) in leaves {
        let key = KeyPair::generate().expect("a key");
        let mut leaf = CertificateParams::default();
        leaf.subject_alt_names = vec![san];
        leaf.extended_key_usages = vec![purpose];
        leaf.use_authority_key_identifier_extension = true;
        keep(&format!("{name}.crt"), leaf.signed_by(&key, &issuer).expect("a certificate").pem());
        keep(&format!("{name}.key"), key.serialize_pem());
    }
}

struct Credentials {
    ca: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Credentials {
    fn read(directory: &Path, name: &str) -> Self {
        let mut ca = RootCertStore::empty();
        ca.add(CertificateDer::from_pem_file(directory.join("ca.crt")).expect("a certificate"))
            .expect("an authority");
        Self {
            ca: Arc::new(ca),
            chain: vec![
                CertificateDer::from_pem_file(directory.join(format!("{name}.crt"))).expect("a certificate"),
            ],
            key: PrivateKeyDer::from_pem_file(directory.join(format!("{name}.key"))).expect("a key"),
        }
    }
}

/// As strict as the daemon's: TLS 1.3, a client certificate, no resumption.
pub(crate) fn server(directory: &Path) -> Arc<ServerConfig> {
    let own = Credentials::read(directory, "server");
    let verifier = WebPkiClientVerifier::builder(own.ca).build().expect("a verifier");
    let mut config = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_client_cert_verifier(verifier)
        .with_single_cert(own.chain, own.key)
        .expect("a certificate that fits its key");
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Of a client that knows the authority in `directory`.
pub(crate) fn client(directory: &Path) -> Arc<ClientConfig> {
    let own = Credentials::read(directory, "client");
    let mut config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_root_certificates(own.ca)
        .with_client_auth_cert(own.chain, own.key)
        .expect("a certificate that fits its key");
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// The client's end of a connection.
pub(crate) struct Tls {
    socket: TcpStream,
    session: ClientConnection,
}

impl Tls {
    /// Connects and shakes hands. That the server takes the client's certificate shows in its first answer
    /// (RFC 8446, section 2: the client is done before the server is).
    pub(crate) fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").map_err(Error::other)?;
        let mut session = ClientConnection::new(Arc::clone(config), name).map_err(Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        // To be flushed, and no more: another `complete_io` would wait for what the server never says.
        while session.wants_write() {
            session.write_tls(&mut socket)?;
        }
        Ok(Self { socket, session })
    }

    /// What has come, after one read of the socket; nothing where no record is whole yet.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.session.read_tls(&mut self.socket)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.session.process_new_packets().map_err(Error::other)?;
        match self.session.reader().read(buffer) {
            Err(why) if why.kind() == ErrorKind::WouldBlock => Ok(0),
            read => read,
        }
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.session.writer().write_all(bytes)?;
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}

impl AsFd for Tls {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
