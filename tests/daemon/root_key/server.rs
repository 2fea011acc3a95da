//! A server of the tests in Python: started with a scratch directory, told to end by closing its input.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use crate::kit::skip;

pub(crate) struct Server {
    process: Child,
    told: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    /// What it made.
    pub(crate) made: Value,
    log: PathBuf,
}

/// A Python with these modules. One that was named has them.
pub(crate) fn python_with(modules: &str) -> Option<String> {
    let named = std::env::var("TOKENKEEP_TEST_PYTHON").ok();
    let python = named.clone().unwrap_or_else(|| "python3".to_owned());
    let has = Command::new(&python).arg("-c").arg(format!("import {modules}")).output();
    if has.is_ok_and(|has| has.status.success()) {
        return Some(python);
    }
    assert!(named.is_none(), "{python} lacks {modules}: see requirements in the Makefile");
    skip(&format!("python3 lacks {modules}: make unit installs them"));
    None
}

impl Server {
    /// Starts the script, which prints one line of JSON when it is ready.
    pub(crate) fn start(script: &str, modules: &str, scratch: &Path, arguments: &[&str]) -> Option<Self> {
        let python = python_with(modules)?;
        let log = scratch.join("requests.log");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/daemon/root_key").join(script);
        let mut process = Command::new(python)
            .arg(path)
            .args(arguments)
            .arg(&log)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(scratch.join("server.err")).expect("a file"))
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let mut says = BufReader::new(process.stdout.take().expect("piped"));
        says.read_line(&mut line).expect("readable");
        let told = Mutex::new((process.stdin.take().expect("piped"), says));
        let said = || std::fs::read_to_string(scratch.join("server.err")).unwrap_or_default();
        let made = serde_json::from_str(&line).unwrap_or_else(|_| panic!("it does not start: {}", said()));
        Some(Self { process, told, made, log })
    }

    /// A text of what it made, by its JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.made.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}"))
    }

    /// Has it do something, and gives what came of it.
    pub(crate) fn tell(&self, what: &Value) -> Value {
        let (input, output) = &mut *self.told.lock().expect("nobody panicked");
        writeln!(input, "{what}").expect("it listens");
        let mut line = String::new();
        output.read_line(&mut line).expect("readable");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{what} failed: {line:?}"))
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(&self.log).expect("a log");
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Has the next answers be something else. For servers without TLS.
    pub(crate) fn misbehave(&self, fault: &Value) {
        self.post("_fault", fault);
    }

    /// Ends what never answers.
    pub(crate) fn go_on(&self) {
        self.post("_go_on", &Value::Null);
    }

    fn post(&self, path: &str, body: &Value) {
        let place = self.text("/address").strip_prefix("http://").expect("no TLS");
        let mut stream = TcpStream::connect(place).expect("it listens");
        let body = body.to_string();
        let head = format!(
            "POST /{path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).expect("written");
        std::io::copy(&mut stream, &mut std::io::sink()).expect("answered");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
