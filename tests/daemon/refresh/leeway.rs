//! A second provider, of other people: django-oauth-toolkit, where a spent refresh token works on for a while. An answer that
//! was lost is asked for again inside that leeway, by the daemon itself, and nothing is lost.
//!
//! `TOKENKEEP_TEST_PYTHON` is a Python that has it (see the Makefile); without it these tests are not run, and say so.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::provider::{SECRET, name_of};
use super::{MAIN, await_generation, refreshed, shown};
use crate::kit::vault::write_private;
use crate::kit::{Configuration, TestVault, skip};

struct Toolkit {
    process: Child,
    told: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    port: u16,
}

impl Toolkit {
    fn start() -> Option<Self> {
        let named = std::env::var("TOKENKEEP_TEST_PYTHON").ok();
        let python = named.clone().unwrap_or_else(|| "python3".to_owned());
        let has = Command::new(&python).args(["-c", "import oauth2_provider"]).output();
        if !has.is_ok_and(|has| has.status.success()) {
            assert!(named.is_none(), "{python} lacks django-oauth-toolkit: see the Makefile");
            skip("python3 lacks django-oauth-toolkit: make unit installs it");
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/daemon/refresh/leeway_server.py");
        let mut process = Command::new(python)
            .arg(script)
            .arg(SECRET)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut says = BufReader::new(process.stdout.take().expect("piped"));
        let mut line = String::new();
        says.read_line(&mut line).expect("readable");
        let port = line.trim().parse().expect("a port");
        let told = Mutex::new((process.stdin.take().expect("piped"), says));
        Some(Self { process, told, port })
    }

    fn tell(&self, what: &Value) -> Value {
        let (input, output) = &mut *self.told.lock().expect("nobody panicked");
        writeln!(input, "{what}").expect("it listens");
        let mut line = String::new();
        output.read_line(&mut line).expect("readable");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{what} failed: {line:?}"))
    }

    /// A vault of this provider, with a connection whose access token lives. Gives the refresh token, too.
    fn vault(&self) -> (TestVault, String) {
        let mut vault = TestVault::stopped(Configuration::default());
        let secret = vault.room().join("client.secret");
        write_private(&secret, SECRET.as_bytes());
        let text = format!(
            "[[provider]]\nid = \"oidc\"\ntoken_endpoint = \"http://127.0.0.1:{}/o/token/\"\n\
             client_id = \"leeway\"\nclient_secret = {{ file = \"{}\" }}\nclient_auth = \"basic\"\n\
             rotation = \"rotates\"\nleeway = \"60s\"\nreuse_revokes_family = true\nrefresh_early = \"allowed\"\n\
             http_loopback = true\n",
            self.port,
            secret.display(),
        );
        vault.configuration.more = text.leak();
        vault.start();
        vault.create_org("acme");
        let refresh = self.tell(&json!({ "do": "issue" }))["token"].as_str().expect("a token").to_owned();
        vault.put_pair("acme", MAIN, "first", &refresh);
        (vault, refresh)
    }

    /// Which token each request showed, the status of its answer, and whether that was thrown away.
    fn log(&self) -> Vec<(String, u64, bool)> {
        let log = self.tell(&json!({ "do": "log" }));
        let calls = log.as_array().expect("calls").iter();
        let call = |call: &Value| {
            let token = call["token"].as_str().expect("text").to_owned();
            (token, call["status"].as_u64().expect("a number"), call["lost"].as_bool().expect("yes or no"))
        };
        calls.map(call).collect()
    }

    /// Shows a refresh token as the client would.
    fn show(&self, token: &str) -> String {
        let body = format!(
            "grant_type=refresh_token&refresh_token={token}&client_id=leeway&client_secret=s3cr%3Aet+%2F%25%2B"
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the provider");
        write!(
            stream,
            "POST /o/token/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{body}",
            body.len()
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Toolkit {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn an_answer_that_was_lost_is_had_again_inside_the_leeway() {
    let Some(provider) = Toolkit::start() else { return };
    let (vault, first) = provider.vault();
    provider.tell(&json!({ "do": "drop", "kill": null }));
    let token = refreshed(&vault, MAIN, 1).is(200).json();
    assert_eq!(token["generation"], json!(2), "the caller notices nothing");
    let first_name = name_of(&first);
    assert_eq!(provider.log(), [(first_name.clone(), 200, true), (first_name, 200, false)]);
    assert_eq!(shown(&vault, MAIN)["state"], "active");
    refreshed(&vault, MAIN, 2).is(200);

    // It is no provider that takes anything: after the leeway, the spent token ends the family.
    provider.tell(&json!({ "do": "grace", "seconds": 0 }));
    assert!(provider.show(&first).contains("invalid_grant"));
    let ended = refreshed(&vault, MAIN, 3).refused(424, "needs_reauth");
    assert_eq!(ended.reason.as_deref(), Some("invalid_grant"));
    vault.audit_is_intact();
}

#[test]
fn a_daemon_that_died_before_the_answer_has_it_again_by_itself() {
    let Some(provider) = Toolkit::start() else { return };
    let (mut vault, first) = provider.vault();
    provider.tell(&json!({ "do": "drop", "kill": vault.pid() }));
    let line = vault.line();
    let caller = std::thread::spawn(move || {
        let request = crate::kit::Request::post(
            format!("/v1/orgs/acme/connections/{MAIN}/refresh"),
            &json!({ "if_generation": 1 }),
        );
        line.connect().and_then(|mut line| line.send(&request)).is_err()
    });
    assert_eq!(vault.wait().code, None);
    assert!(caller.join().expect("it ends"), "nobody was told anything");
    vault.start();
    // Nobody asks for the token.
    await_generation(&vault, MAIN, 2);
    let first = name_of(&first);
    assert_eq!(provider.log(), [(first.clone(), 200, true), (first, 200, false)]);
    assert_eq!(shown(&vault, MAIN)["state"], "active");
    refreshed(&vault, MAIN, 2).is(200);
    vault.audit_is_intact();
}
