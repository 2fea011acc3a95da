//! Requests by a process of another user: this test program, started again with less rights.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use serde_json::{Value, json};

use super::configuration::other_uid;
use super::http::Wire;
use super::{Request, Response, TestVault, is_root};

const SOCKET: &str = "TOKENKEEP_TEST_SOCKET";
const MARK: &str = "the answer: ";

/// Sends a request to the application socket as the other user.
///
/// # Errors
/// Why it cannot be done here.
pub fn send(vault: &TestVault, request: &Request) -> Result<Response, String> {
    if !is_root() {
        return Err("acting as another user needs root".to_owned());
    }
    let id = other_uid().to_string();
    let mut child = Command::new("setpriv")
        .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
        .arg(program(vault.room()))
        .args(["--exact", "kit::stranger::speaks_for_another_user", "--nocapture"])
        .env(SOCKET, vault.socket())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("setpriv: {error}"))?;
    child.stdin.take().expect("a pipe").write_all(&request.bytes()).expect("write");
    let output = child.wait_with_output().expect("wait");
    let said = String::from_utf8_lossy(&output.stdout);
    let answer = said.lines().find_map(|line| line.split_once(MARK)).map(|(_, answer)| answer);
    let answer =
        answer.unwrap_or_else(|| panic!("no answer: {said} {}", String::from_utf8_lossy(&output.stderr)));
    let answer: Value = serde_json::from_str(answer).expect("JSON");
    let headers = serde_json::from_value(answer["headers"].clone()).expect("header fields");
    let status = answer["status"].as_u64().and_then(|status| status.try_into().ok()).expect("a status");
    let body = answer["body"].as_str().expect("a body").as_bytes().to_vec();
    Ok(Response { status, headers, body }.well_kept())
}

/// A copy of this program that others may run: where it was built they may not even look.
fn program(room: &Path) -> PathBuf {
    let copy = room.join("tests");
    if !copy.exists() {
        fs::copy(env::current_exe().expect("this program"), &copy).expect("copy");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    copy
}

/// The other side of [`send`]; in an ordinary run it has nothing to do.
#[test]
fn speaks_for_another_user() {
    let Some(socket) = env::var_os(SOCKET) else { return };
    let mut request = Vec::new();
    std::io::stdin().read_to_end(&mut request).expect("a request");
    let mut wire = Wire::connect(Path::new(&socket)).expect("the daemon listens");
    wire.write(&request).expect("written");
    let Response { status, headers, body } = wire.read_response().expect("read").expect("an answer");
    let body = String::from_utf8(body).expect("UTF-8");
    // libtest has begun a line of its own.
    println!("\n{MARK}{}", json!({"status": status, "headers": headers, "body": body}));
}
