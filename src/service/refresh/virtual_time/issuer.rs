//! A token endpoint on a loopback port that answers as it is told, and counts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokenkeep_client::ids::ProviderId;

use crate::domain::provider::client::{BodyForm, ClientAuth, OAuthClient};
use crate::domain::provider::client::{RefreshEarly, Rotation, ScopeSeparator};
use crate::domain::provider::{Address, Provider};
use crate::net::outbound::Roots;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    InvalidClient,
    InvalidGrant,
    Tokens,
}

pub(super) struct Issuer {
    address: String,
    answers: Arc<Mutex<Answers>>,
    calls: Arc<AtomicUsize>,
}

impl Issuer {
    /// Ends with the process.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (answers, calls) = (Arc::new(Mutex::new(Answers::Tokens)), Arc::new(AtomicUsize::new(0)));
        let (told, counted) = (Arc::clone(&answers), Arc::clone(&calls));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let told = *told.lock().unwrap();
                std::thread::spawn(move || serve(stream.unwrap(), told, number));
            }
        });
        Self { address, answers, calls }
    }

    pub(super) fn answer(&self, answers: Answers) {
        *self.answers.lock().unwrap() = answers;
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Our client there.
    pub(super) fn provider(&self) -> Provider {
        let client = OAuthClient {
            id: "client".into(),
            auth: ClientAuth::None,
            token_endpoint: Address::parse(&format!("http://{}/token", self.address)).unwrap(),
            authorization_endpoint: None,
            issuer: None,
            revocation: None,
            roots: Roots::Host,
            token_request: BodyForm::Form,
            headers: &[],
            rotation: Rotation::Rotates,
            leeway: Duration::ZERO,
            reuse_revokes_family: true,
            idle_limit: None,
            absolute_limit: None,
            access_token_lifetime: None,
            refresh_early: RefreshEarly::Allowed,
            errors_in_200: false,
            grant_errors: Vec::new(),
            client_errors: Vec::new(),
            scope_separator: ScopeSeparator::Space,
        };
        Provider {
            id: ProviderId::parse("idp").unwrap(),
            allowed_scopes: Vec::new(),
            requires_consent: false,
            preset: None,
            by_hand: Vec::new(),
            client: Some(client),
        }
    }
}

fn serve(stream: TcpStream, answers: Answers, number: usize) {
    let mut reader = BufReader::new(&stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (status, body) = match answers {
        Answers::InvalidClient => ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned()),
        Answers::InvalidGrant => ("400 Bad Request", r#"{"error":"invalid_grant"}"#.to_owned()),
        Answers::Tokens => (
            "200 OK",
            format!(r#"{{"access_token":"n{number}","refresh_token":"s{number}","expires_in":86400}}"#),
        ),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
    (&stream).write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).unwrap();
}
