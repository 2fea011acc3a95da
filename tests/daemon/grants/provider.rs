//! The provider of these tests, from outside: started, told to misbehave, asked what it saw; and the person before it.
//!
//! Ends with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::kit::vault::write_private;
use crate::kit::{TestVault, skip};

/// With every character that is written otherwise in a form (RFC 6749, section 2.3.1).
const SECRET: &str = "s3cr:et /%+";

/// Where its client is sent back to.
pub(super) const REDIRECT: &str = "https://app.example/callback";

pub(super) struct OAuthServer {
    process: Child,
    address: String,
}

/// What the provider says of one request.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Call {
    pub(super) what: String,
}

impl OAuthServer {
    /// None, and said so, where node or its packages are missing.
    pub(super) fn start() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        if !root.join("demo/node_modules/oidc-provider").exists() {
            skip("needs oidc-provider: run `npm ci` in demo/");
            return None;
        }
        let mut process = Command::new("node")
            .arg(root.join("tests/daemon/grants/server.mjs"))
            .arg(root.join("demo"))
            .env("CLIENT_SECRET", SECRET)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let said = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let address =
            said.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("http://")?.to_owned()));
        Some(Self { process, address: address.expect("an address") })
    }

    /// Adds itself to a configuration as `oidc`.
    pub(super) fn configure(&self, vault: &mut TestVault, lines: &str) {
        let secret = vault.room().join("client.secret");
        write_private(&secret, SECRET.as_bytes());
        let at = &self.address;
        let text = format!(
            "[[provider]]\nid = \"oidc\"\ntoken_endpoint = \"http://{at}/token\"\n\
             authorization_endpoint = \"http://{at}/auth?prompt=consent\"\n\
             revocation_endpoint = \"http://{at}/token/revocation\"\nclient_id = \"app\"\n\
             client_secret = {{ file = \"{}\" }}\nclient_auth = \"basic\"\nrotation = \"rotates\"\n\
             refresh_early = \"allowed\"\nhttp_loopback = true\n{lines}\n",
            secret.display(),
        );
        vault.configuration.more = Box::leak(text.into_boxed_str());
    }

    /// How it names itself.
    pub(super) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A person opens this address, signs in and consents; the address that the browser is sent back to.
    pub(super) fn consent(&self, url: &str) -> String {
        self.ask("POST", "/_test/consent", &json!({ "url": url }))
    }

    /// A person opens this address and declines.
    pub(super) fn decline(&self, url: &str) -> String {
        self.ask("POST", "/_test/consent", &json!({ "url": url, "deny": true }))
    }

    /// Whether a refresh token works.
    pub(super) fn is_alive(&self, token: &str) -> bool {
        self.ask("POST", "/_test/alive", &json!({ "token": token })) == "true"
    }

    /// What happens to the next requests of a path.
    pub(super) fn fault(&self, fault: &Value) {
        self.ask("POST", "/_test/fault", fault);
    }

    /// Each request so far.
    pub(super) fn log(&self) -> Vec<Call> {
        serde_json::from_str(&self.ask("GET", "/_test/log", &Value::Null)).expect("a log")
    }

    /// How many requests ended so.
    pub(super) fn count(&self, what: &str) -> usize {
        self.log().iter().filter(|call| call.what == what).count()
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
