//! The client's side of TLS: a connection with a certificate, as HTTP/1.1 by hand and as HTTP/2.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::http::{Stream, Wire};
use super::pki::{Ca, Identity};
use super::{PATIENCE, Request, Response, http2};

/// A caller over TLS: where it calls, whom it believes, and who it says it is.
#[derive(Clone)]
pub struct TlsCaller {
    pub address: SocketAddr,
    config: Arc<ClientConfig>,
    /// The name in its certificate, and its serial number.
    pub san: Option<String>,
    pub serial: Option<String>,
}

impl TlsCaller {
    /// With a certificate, or without one.
    pub fn new(address: SocketAddr, servers: &Ca, identity: Option<&Identity>) -> Self {
        Self::with(address, servers, identity, rustls::DEFAULT_VERSIONS)
    }

    pub fn with(
        address: SocketAddr,
        servers: &Ca,
        identity: Option<&Identity>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(servers.certificate.as_bytes()).expect("PEM");
        roots.add(ca).expect("a CA");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("a version")
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes());
                let chain = chain.collect::<Result<Vec<_>, _>>().expect("PEM");
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("PEM");
                let key = aws_lc_rs::sign::any_supported_type(&key).expect("a key");
                // Not compared with the certificate: thieves have the one without the other.
                let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
                config.with_client_cert_resolver(Arc::new(shown))
            }
        };
        let serial = identity.map(|identity| identity.serial.clone());
        Self { address, config: Arc::new(config), san: identity.and_then(Identity::san), serial }
    }

    /// Name and serial number, as the audit log has them.
    pub fn proof(&self) -> (Option<&str>, Option<&str>) {
        (self.san.as_deref(), self.serial.as_deref())
    }

    /// As this caller, offering these protocols (ALPN).
    pub fn offering(&self, protocols: &[&str]) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { config: Arc::new(config), ..self.clone() }
    }

    /// Shakes hands. Over TLS 1.3 the daemon's verdict on the certificate comes with the first read.
    pub fn connect(&self) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("localhost").expect("a name");
        let session = ClientConnection::new(Arc::clone(&self.config), name).expect("a session");
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    /// A connection for HTTP/1.1.
    pub fn wire(&self) -> io::Result<Wire> {
        Ok(Wire::over(Session(self.offering(&["http/1.1"]).connect()?)))
    }

    /// Sends a request over a connection of its own; what every answer over TLS must carry is looked at here.
    pub fn send(&self, request: &Request) -> Response {
        let answer = self.wire().and_then(|mut wire| wire.send(request)).expect("the daemon answers");
        strict(answer)
    }

    /// The same over HTTP/2.
    pub fn send_http2(&self, request: &Request) -> Response {
        strict(self.http2().send(request))
    }

    /// A connection for HTTP/2.
    pub fn http2(&self) -> http2::Session {
        let (config, address) = (self.offering(&["h2"]).config, self.address);
        http2::Session::over(move || {
            let config = Arc::clone(&config);
            async move {
                let socket = tokio::net::TcpStream::connect(address).await.expect("the daemon listens");
                let name = ServerName::try_from("localhost").expect("a name");
                let stream =
                    tokio_rustls::TlsConnector::from(config).connect(name, socket).await.expect("TLS");
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                stream
            }
        })
    }

    /// Why there is no answer: the daemon broke off the handshake, or the connection right after it.
    pub fn refused(&self) -> io::Error {
        let answer = self.wire().and_then(|mut wire| wire.send(&Request::get("/v1/status")));
        answer.map(|answer| answer.shown()).expect_err("no answer")
    }
}

pub(super) fn strict(answer: Response) -> Response {
    let found = answer.header("strict-transport-security");
    assert_eq!(found, Some("max-age=63072000; includeSubDomains"), "{}", answer.shown());
    answer.well_kept()
}

/// A connection whose daemon may answer before it has read everything, and hang up. The reader of rustls would
/// first finish writing, fail, and never see the answer.
struct Session(StreamOwned<ClientConnection, TcpStream>);

impl Read for Session {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let StreamOwned { conn, sock } = &mut self.0;
        loop {
            match conn.reader().read(piece) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            conn.read_tls(sock)?;
            conn.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}

impl Write for Session {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for Session {
    fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.0.sock.set_nonblocking(on)
    }

    fn finish(&mut self) {
        self.0.conn.send_close_notify();
        // The daemon may have closed already.
        let _ = self.flush();
    }
}
