//! A real daemon in a scratch directory, started, asked over its sockets, and killed.
//!
//! The HTTP is by hand, one request at a time on a connection: what is sent once is sent once, so that a lost
//! answer stays lost and no client retries behind the back of a test.
//!
//! Never stops a daemon politely, and leaves none behind.

#![allow(dead_code, reason = "each test binary uses its share")]
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Beyond this a daemon hangs; what a start may take at most is for the caller to judge.
const START_DEADLINE: Duration = Duration::from_secs(180);
/// Beyond this an answer does not come any more.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(20);

/// The daemon of this build, or that of `TOKENKEEP_TEST_DAEMON`.
fn program() -> OsString {
    std::env::var_os("TOKENKEEP_TEST_DAEMON").unwrap_or_else(|| env!("CARGO_BIN_EXE_tokenkeepd").into())
}

/// The directory of a vault for development; its daemon runs or does not.
#[derive(Clone)]
pub struct Place {
    root: PathBuf,
    /// Options of prlimit(1), where the daemon is to run within limits.
    limits: Vec<String>,
    /// Variables of the daemon's environment.
    variables: Vec<(&'static str, OsString)>,
}

/// A daemon that runs.
pub struct Daemon {
    child: Child,
    place: Place,
    /// From its start to its first answer.
    pub started_in: Duration,
}

impl Place {
    /// Below `scratch`; the daemon makes the directory itself, with the mode that it demands.
    pub fn new(scratch: &Path) -> Self {
        Self { root: scratch.join("vault"), limits: Vec::new(), variables: Vec::new() }
    }

    /// With this limit, as prlimit(1) has it; an empty one takes the limits away.
    pub fn within(mut self, limit: &str) -> Self {
        self.limits = if limit.is_empty() { Vec::new() } else { vec![limit.to_owned()] };
        self
    }

    /// With this in the daemon's environment.
    pub fn with(mut self, variable: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((variable, value.into()));
        self
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    pub fn root_key(&self) -> PathBuf {
        self.root.join("root.key")
    }

    pub fn socket(&self) -> PathBuf {
        self.root.join("tokenkeep.sock")
    }

    pub fn admin_socket(&self) -> PathBuf {
        self.root.join("admin.sock")
    }

    fn log(&self) -> PathBuf {
        self.root.with_extension("log")
    }

    /// What all daemons of this place said.
    pub fn words(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log()).unwrap_or_default()).into_owned()
    }

    /// The end of it.
    pub fn last_words(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(4096)..]).into_owned()
    }

    fn spawn(&self) -> Child {
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = match self.limits.as_slice() {
            [] => Command::new(program()),
            limits => {
                let mut limited = Command::new("prlimit");
                limited.args(limits).arg(program());
                limited
            }
        };
        command
            .arg("--dev")
            .arg(&self.root)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Starts the daemon and kills it after this long, wherever it is then.
    pub fn start_and_kill(&self, after: Duration) {
        let mut child = self.spawn();
        thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts the daemon and waits until it serves.
    pub fn start(&self) -> Result<Daemon, String> {
        let began = Instant::now();
        let mut daemon = Daemon { child: self.spawn(), place: self.clone(), started_in: Duration::ZERO };
        while !daemon.serves() {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                return Err(format!("the daemon does not start: {status}\n{}", self.last_words()));
            }
            if began.elapsed() > START_DEADLINE {
                return Err(format!("the daemon does not serve within {START_DEADLINE:?}"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        daemon.started_in = began.elapsed();
        self.keep_files_short();
        Ok(daemon)
    }

    /// From the next start on: so that snapshots are made, and segments removed, within what a test writes.
    fn keep_files_short(&self) {
        let file = self.root.join("tokenkeep.toml");
        let written = fs::read_to_string(&file).unwrap();
        if !written.contains("[store]") {
            fs::write(&file, format!("{written}\n[store]\nsegment_mib = 1\nsnapshot_after_mib = 1\n"))
                .unwrap();
        }
    }
}

impl Daemon {
    fn serves(&self) -> bool {
        let ready = Line::to(&self.place.socket()).and_then(|mut line| line.ask("GET", "/readyz", &[], ""));
        ready.is_ok_and(|answer| answer.status == 200)
    }

    /// Files and sockets that it has open.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// A connection as an application.
    pub fn application(&self) -> Line {
        Line::to(&self.place.socket()).unwrap()
    }

    /// A connection as an admin.
    pub fn admin(&self) -> Line {
        Line::to(&self.place.admin_socket()).unwrap()
    }

    /// How it ended, if it does so by itself within the time that is given to answers.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < ANSWER_DEADLINE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(1));
        }
        None
    }

    /// How it ended, if it has.
    pub fn ended_by_now(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// SIGKILL, and leaves the rest to others.
    pub fn kill_now(&mut self) {
        self.child.kill().unwrap();
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// For the words of a failure; bodies of refusals carry no secret.
    pub fn refusal(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// One connection, one request at a time.
pub struct Line {
    reader: BufReader<UnixStream>,
}

impl Line {
    pub fn to(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// For what takes longer than other answers.
    pub fn waiting(self, patience: Duration) -> Self {
        self.reader.get_ref().set_read_timeout(Some(patience)).unwrap();
        self
    }

    /// An error is a lost answer: what became of the request is unknown.
    pub fn ask(&mut self, method: &str, path: &str, headers: &[&str], body: &str) -> io::Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if !body.is_empty() {
            request
                .push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        self.reader.get_mut().write_all(request.as_bytes())?;
        self.answer()
    }

    pub fn read(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("GET", path, &[], "")
    }

    /// A change that must succeed.
    pub fn done(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.ask(method, path, &[], &body).unwrap();
        assert!(answer.status < 300, "{method} {path}: {}", answer.refusal());
        answer.json()
    }

    /// All items of a list, page by page.
    pub fn list(&mut self, path: &str) -> io::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let answer = self.read(&format!("{path}?limit=200{after}"))?;
            assert_eq!(answer.status, 200, "{path}: {}", answer.refusal());
            let page = answer.json();
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return Ok(items),
            }
        }
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let status = self.head_line()?;
        let status = status.split(' ').nth(1).and_then(|digits| digits.parse().ok());
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        let mut length = 0;
        loop {
            let line = self.head_line()?;
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok(Answer { status, body })
    }

    fn head_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}
