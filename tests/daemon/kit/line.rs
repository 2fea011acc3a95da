//! A line to the daemon: through one door, in one protocol. What every answer must carry is looked at here, once
//! for all tests, and so is what differs from door to door.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::entry::AuditPrincipal;
use super::http::Wire;
use super::tls::{TlsCaller, strict};
use super::{Request, Response, http2, own_uid};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

#[derive(Clone)]
pub struct Line {
    pub protocol: Protocol,
    pub(super) reach: Reach,
}

#[derive(Clone)]
pub(super) enum Reach {
    Socket(PathBuf),
    Tls(TlsCaller),
}

/// A connection that stays.
pub enum Connection {
    Http1(Wire),
    Http2(http2::Session),
}

impl Connection {
    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// The daemon hung up.
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        match self {
            Self::Http1(wire) => wire.send(request),
            Self::Http2(session) => Ok(session.send(request)),
        }
    }
}

impl Line {
    /// Sends a request over a connection of its own.
    pub fn send(&self, request: &Request) -> Response {
        let answer = self.connect().and_then(|mut connection| connection.send(request));
        let answer = answer.expect("the daemon answers");
        match self.reach {
            Reach::Socket(_) => {
                assert_eq!(answer.header("strict-transport-security"), None, "only TLS promises TLS");
                answer.well_kept()
            }
            Reach::Tls(_) => strict(answer),
        }
    }

    pub fn get(&self, target: &str) -> Response {
        self.send(&Request::get(target))
    }

    pub fn put(&self, target: &str, json: &Value) -> Response {
        self.send(&Request::put(target, json))
    }

    pub fn post(&self, target: &str, json: &Value) -> Response {
        self.send(&Request::post(target, json))
    }

    pub fn delete(&self, target: &str) -> Response {
        self.send(&Request::delete(target))
    }

    /// A connection on which bytes are sent as they are, for HTTP/1.1.
    ///
    /// # Errors
    /// Nobody is there, or they do not want this caller.
    pub fn wire(&self) -> io::Result<Wire> {
        match &self.reach {
            Reach::Socket(socket) => Wire::connect(socket),
            Reach::Tls(caller) => caller.wire(),
        }
    }

    /// A connection that stays, for one request after the other.
    ///
    /// # Errors
    /// Nobody is there, or they do not want this caller.
    pub fn connect(&self) -> io::Result<Connection> {
        Ok(match (&self.reach, self.protocol) {
            (_, Protocol::Http1) => Connection::Http1(self.wire()?),
            (Reach::Socket(socket), Protocol::Http2) => Connection::Http2(http2::Session::at(socket)),
            (Reach::Tls(caller), Protocol::Http2) => Connection::Http2(caller.http2()),
        })
    }

    /// A principal that the daemon shows is this one, as this door proves it.
    pub fn is_shown_as(&self, name: &str, shown: &Value) {
        let mut expected = match &self.reach {
            Reach::Socket(_) => json!({"proof": "unix", "uid": own_uid(), "pid": std::process::id()}),
            Reach::Tls(caller) => json!({"proof": "mtls", "san": caller.san, "serial": caller.serial}),
        };
        expected["name"] = json!(name);
        for (field, value) in expected.as_object().expect("an object") {
            assert_eq!(&shown[field], value, "{field} of {shown}");
        }
        let foreign: &[&str] = match &self.reach {
            Reach::Socket(_) => &["san", "serial", "address"],
            Reach::Tls(_) => &["uid", "gid", "pid"],
        };
        for field in foreign {
            assert_eq!(shown.get(field), None, "{field} does not belong to this door: {shown}");
        }
    }

    /// A principal in the audit log is this one.
    pub fn is_recorded_as(&self, name: &str, recorded: &AuditPrincipal) {
        assert_eq!(recorded.name, name);
        match &self.reach {
            Reach::Socket(_) => {
                assert_eq!((recorded.uid, recorded.pid), (Some(own_uid()), Some(std::process::id())));
                assert_eq!((&recorded.san, &recorded.serial, &recorded.address), (&None, &None, &None));
            }
            Reach::Tls(caller) => {
                assert_eq!((recorded.uid, recorded.pid), (None, None));
                assert_eq!((recorded.san.as_deref(), recorded.serial.as_deref()), caller.proof());
                let address = recorded.address.as_deref().expect("where it called from");
                assert!(address.starts_with("127.0.0.1"), "{address}");
            }
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let door = match self.reach {
            Reach::Socket(_) => "the socket",
            Reach::Tls(_) => "mTLS",
        };
        write!(f, "{:?} over {door}", self.protocol)
    }
}
