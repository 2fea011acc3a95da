//! The provider of the tests, from outside: started, told to misbehave, and asked what it saw.
//!
//! Ends with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::kit::vault::write_private;
use crate::kit::{TestVault, skip};

/// With every character that is written otherwise in a form (RFC 6749, section 2.3.1).
pub(super) const SECRET: &str = "s3cr:et /%+";

pub(super) struct OAuthServer {
    process: Child,
    address: String,
}

/// A refresh token, as the provider's account names it.
pub(super) fn name_of(token: &str) -> String {
    let hash = Sha256::digest(token.as_bytes());
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What the provider says of one token request.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Call {
    pub(super) result: String,
    /// The refresh token that was shown, hashed.
    pub(super) token: Option<String>,
    /// The one that was given for it, hashed.
    pub(super) next: Option<String>,
    /// Whether its answer was thrown away.
    pub(super) lost: bool,
    /// When it came, in milliseconds of the wall clock.
    pub(super) at: u64,
    /// When its answer was written, where it was.
    pub(super) answered_at: Option<u64>,
}

impl OAuthServer {
    /// With access tokens that live so many seconds. None, and said so, where node or its packages are missing.
    pub(super) fn start(access_ttl: u32) -> Option<Self> {
        Self::start_with(access_ttl, &[])
    }

    /// As [`OAuthServer::start`], with these variables.
    pub(super) fn start_with(access_ttl: u32, variables: &[(&str, &str)]) -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        if !root.join("demo/node_modules/oidc-provider").exists() {
            skip("needs oidc-provider: run `npm ci` in demo/");
            return None;
        }
        let mut process = Command::new("node")
            .arg(root.join("tests/daemon/refresh/oauth_server.mjs"))
            .arg(root.join("demo"))
            .env("CLIENT_SECRET", SECRET)
            .env("ACCESS_TTL", access_ttl.to_string())
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let said = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let address =
            said.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("http://")?.to_owned()));
        Some(Self { process, address: address.expect("an address") })
    }

    /// Adds itself to a configuration as `oidc`, with a client whose tokens rotate.
    pub(super) fn revocation_endpoint(&self) -> String {
        format!("http://{}/token/revocation", self.address)
    }

    pub(super) fn configure(&self, vault: &mut TestVault, lines: &str) {
        self.configure_as(vault, &format!("client_id = \"rotates\"\nrotation = \"rotates\"\n{lines}"));
    }

    /// Adds itself to a configuration as `oidc`; the lines name the client.
    pub(super) fn configure_as(&self, vault: &mut TestVault, lines: &str) {
        let secret = vault.room().join("client.secret");
        write_private(&secret, SECRET.as_bytes());
        let text = format!(
            "[[provider]]\nid = \"oidc\"\ntoken_endpoint = \"{}\"\n\
             client_secret = {{ file = \"{}\" }}\nclient_auth = \"basic\"\n\
             http_loopback = true\n{lines}\n",
            self.endpoint(),
            secret.display(),
        );
        vault.configuration.more = Box::leak(text.into_boxed_str());
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// A refresh token, as a person's consent would give.
    pub(super) fn issue(&self, client: &str) -> String {
        self.ask("POST", "/_test/issue", &json!({ "client": client }))
    }

    /// What happens to the next token requests.
    pub(super) fn fault(&self, fault: &Value) {
        self.ask("POST", "/_test/fault", fault);
    }

    /// The chance of each fault from now on.
    pub(super) fn weather(&self, chances: &Value) {
        self.ask("POST", "/_test/weather", chances);
    }

    /// Keeps all answers back.
    pub(super) fn hold(&self) {
        self.ask("POST", "/_test/hold", &Value::Null);
    }

    /// How many are kept back.
    pub(super) fn held(&self) -> usize {
        self.ask("GET", "/_test/held", &Value::Null).parse().expect("a number")
    }

    /// Throws away what was kept back, and goes on.
    pub(super) fn release(&self) {
        self.ask("POST", "/_test/release", &Value::Null);
    }

    pub(super) fn set_secret(&self, secret: &str) {
        self.ask("POST", "/_test/secret", &json!({ "secret": secret }));
    }

    /// Each token request so far.
    pub(super) fn log(&self) -> Vec<Call> {
        serde_json::from_str(&self.ask("GET", "/_test/log", &Value::Null)).expect("a log")
    }

    /// Every secret that went over the wire, and what it was.
    #[allow(dead_code, reason = "for the tests of its memory")]
    pub(super) fn plaintext(&self) -> Vec<(String, String)> {
        serde_json::from_str(&self.ask("GET", "/_test/plaintext", &Value::Null)).expect("pairs")
    }

    /// How each of them ended.
    pub(super) fn results(&self) -> Vec<String> {
        self.log().into_iter().map(|call| call.result).collect()
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("the provider");
        let body = body.to_string();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: provider\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        body.to_owned()
    }
}

impl Drop for OAuthServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
