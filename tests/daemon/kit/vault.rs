//! A vault of the tests: a directory with a configuration and a root key, and the real daemon over it.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenkeep_client::wire::AuditVerifyOut;

use super::dowry::Dowry;
use super::entry::AuditEntry;

use super::line::{Protocol, Reach};
use super::pki::{Identity, Pki};
use super::tls::TlsCaller;
use super::way::{Door, WAYS, Way};
use super::{Configuration, Line, Request, Response, own_uid, poll, stranger};

/// The name in the certificate of the tests' own client.
pub const OWN_SAN: &str = "spiffe://example/tests";

/// The name in the certificate of somebody whom nobody has configured.
pub const STRANGER_SAN: &str = "spiffe://example/stranger";

pub struct TestVault {
    room: TempDir,
    state: PathBuf,
    pub configuration: Configuration,
    /// What a service manager gives the daemon beside.
    pub dowry: Dowry,
    /// How the tests go in.
    way: Way,
    /// Certificates, where they go in by that door.
    pki: Option<(Pki, Identity)>,
    daemon: Option<Child>,
}

/// How a daemon ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    /// The last line on stderr: the one for whoever started it.
    pub line: String,
}

impl Ended {
    /// With this code, for this reason, and with each of these words in its last line.
    pub fn with(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.line);
        assert!(self.line.starts_with("tokenkeepd: "), "{}", self.line);
        for word in words {
            assert!(self.line.contains(word), "no {word:?} in: {}", self.line);
        }
        self
    }
}

impl TestVault {
    /// A vault whose daemon does not run yet.
    pub fn stopped(configuration: Configuration) -> Self {
        let room = tempfile::Builder::new().prefix("tk").tempdir().expect("a directory");
        let state = room.path().join("state");
        Self::furnished(room, state, configuration)
    }

    /// As [`TestVault::stopped`], with the state elsewhere.
    pub fn stopped_with_state(state: &Path, configuration: Configuration) -> Self {
        let room = tempfile::Builder::new().prefix("tk").tempdir().expect("a directory");
        Self::furnished(room, state.to_owned(), configuration)
    }

    fn furnished(room: TempDir, state: PathBuf, configuration: Configuration) -> Self {
        // Other users pass through to the socket, and see nothing else.
        fs::set_permissions(room.path(), Permissions::from_mode(0o711)).expect("chmod");
        let (way, dowry) = (WAYS[0], Dowry::default());
        let vault = Self { room, state, configuration, dowry, way, pki: None, daemon: None };
        vault.write_root_key(&[&new_key()]);
        vault
    }

    pub fn with(configuration: Configuration) -> Self {
        let mut vault = Self::stopped(configuration);
        vault.start();
        vault
    }

    /// A vault that the tests go into by this way.
    pub fn over(way: Way, configuration: Configuration) -> Self {
        let mut vault = Self::stopped(configuration).by(way);
        vault.start();
        vault
    }

    /// A vault that does not run yet, for tests that go in by this way. Whoever is the tests' own user at the
    /// socket has the tests' own name at the other door.
    pub fn by(mut self, way: Way) -> Self {
        self.way = way;
        if way.door == Door::Mtls {
            let pki = Pki::new();
            pki.furnish(self.room());
            let own = pki.client(OWN_SAN);
            self.pki = Some((pki, own));
        }
        self
    }

    pub fn running() -> Self {
        Self::with(Configuration::default())
    }

    pub fn room(&self) -> &Path {
        self.room.path()
    }

    pub fn state(&self) -> &Path {
        &self.state
    }

    pub fn audit_directory(&self) -> PathBuf {
        self.state.join("audit")
    }

    pub fn socket(&self) -> PathBuf {
        self.room.path().join("app.sock")
    }

    pub fn admin_socket(&self) -> PathBuf {
        self.room.path().join("admin.sock")
    }

    pub fn root_key_file(&self) -> PathBuf {
        self.room.path().join("root.key")
    }

    pub fn configuration_file(&self) -> PathBuf {
        self.room.path().join("tokenkeep.toml")
    }

    /// Where the daemon listens for callers with certificates.
    pub fn mtls_address(&self) -> SocketAddr {
        let said = fs::read_to_string(self.room.path().join("out.log")).expect("the ready line");
        let (_, address) = said.split_once(", mTLS ").expect("a listener");
        address.split([' ', ';', '\n']).next().expect("an address").parse().expect("an address")
    }

    /// Everything the daemon has said so far.
    pub fn said(&self) -> String {
        let read = |name| fs::read(self.room.path().join(name)).unwrap_or_default();
        let mut both = read("out.log");
        both.extend(read("err.log"));
        String::from_utf8_lossy(&both).into_owned()
    }

    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("a daemon").id()
    }

    pub fn write_root_key(&self, keys: &[&str]) {
        write_private(&self.root_key_file(), (keys.join("\n") + "\n").as_bytes());
    }

    pub fn root_key(&self) -> String {
        fs::read_to_string(self.root_key_file()).expect("the root key").trim().to_owned()
    }

    pub fn write_configuration(&self) {
        let mut configuration = self.configuration.clone();
        // Here, for a test may have replaced the configuration meanwhile.
        if self.pki.is_some() {
            configuration.mtls.get_or_insert("");
            let own = configuration.clients.iter_mut().find(|client| client.uid == own_uid());
            own.map(|own| own.san.get_or_insert(OWN_SAN));
        }
        let text = configuration.text(self.room.path(), &self.state);
        write_private(&self.configuration_file(), text.as_bytes());
    }

    /// Starts the daemon and waits until it is ready.
    pub fn start(&mut self) {
        self.write_configuration();
        self.start_as_configured();
    }

    /// As [`TestVault::start`], with the configuration file as it is.
    pub fn start_as_configured(&mut self) {
        self.spawn();
        let ended = poll("the daemon to be ready", || {
            let said = fs::read_to_string(self.room.path().join("out.log")).unwrap_or_default();
            if said.contains("is ready") {
                return Some(None);
            }
            self.daemon.as_mut()?.try_wait().expect("wait").map(Some)
        });
        assert!(ended.is_none(), "the daemon ended, {ended:?}: {}", self.said());
    }

    /// Starts the daemon, and waits for nothing.
    pub fn spawn(&mut self) {
        assert!(self.daemon.is_none(), "it runs already");
        // What the one before said is not what this one says.
        for log in ["out.log", "err.log"] {
            fs::write(self.room.path().join(log), "").expect("a log file");
        }
        let daemon = self.dowry.command(self.room.path(), &self.configuration_file()).spawn();
        self.daemon = Some(daemon.expect("the daemon starts"));
    }

    /// Starts the daemon, which ends by itself.
    pub fn start_in_vain(&mut self) -> Ended {
        self.write_configuration();
        self.start_in_vain_as_configured()
    }

    /// As [`TestVault::start_in_vain`], with the configuration file as it is.
    pub fn start_in_vain_as_configured(&mut self) -> Ended {
        self.spawn();
        let ended = self.wait();
        assert!(!self.said().contains("is ready"), "it got ready: {}", self.said());
        ended
    }

    /// Waits until the daemon has ended.
    pub fn wait(&mut self) -> Ended {
        let mut daemon = self.daemon.take().expect("a daemon");
        let began = std::time::Instant::now();
        let status = loop {
            match daemon.try_wait().expect("wait") {
                Some(status) => break status,
                None if began.elapsed() > super::PATIENCE => {
                    let _ = daemon.kill();
                    panic!("the daemon does not end: {}", self.said());
                }
                None => std::thread::sleep(std::time::Duration::from_millis(5)),
            }
        };
        let errors = fs::read_to_string(self.room.path().join("err.log")).unwrap_or_default();
        Ended { code: status.code(), line: errors.lines().last().unwrap_or_default().to_owned() }
    }

    /// Sends a signal until the daemon ends by it: the first that stands for a fault goes to the handler of Rust's
    /// library, which looks for a stack that is full, finds none, and leaves it to the next.
    #[allow(dead_code, reason = "for the tests of its memory")]
    pub fn crash(&mut self, signal: Signal) -> std::process::ExitStatus {
        let ended = poll("the daemon to crash", || {
            self.signal(signal);
            self.daemon.as_mut()?.try_wait().expect("wait")
        });
        self.daemon = None;
        ended
    }

    /// Tells the daemon to read its files again.
    pub fn hang_up(&self) {
        self.signal(Signal::SIGHUP);
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().try_into().expect("a pid"));
        kill(pid, signal).expect("a signal");
    }

    /// Asks the daemon to stop, and sees that it does so as asked.
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.wait().code, Some(0), "{}", self.said());
    }

    /// Kills the daemon where it stands.
    pub fn kill9(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon");
        daemon.kill().expect("a signal");
        daemon.wait().expect("wait");
    }

    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// The tests' own way in.
    pub fn line(&self) -> Line {
        self.line_by(self.way)
    }

    /// A way in that may be another: a vault that has certificates has the socket too.
    pub fn line_by(&self, way: Way) -> Line {
        let reach = match (way.door, &self.pki) {
            (Door::Unix, _) => Reach::Socket(self.socket()),
            (Door::Mtls, Some((_, own))) => Reach::Tls(self.tls_caller(own)),
            (Door::Mtls, None) => panic!("this vault has no second door"),
        };
        Line { protocol: way.protocol, reach }
    }

    /// Somebody with this certificate.
    pub fn tls_caller(&self, identity: &Identity) -> TlsCaller {
        let (pki, _) = self.pki.as_ref().expect("a second door");
        TlsCaller::new(self.mtls_address(), &pki.servers, Some(identity))
    }

    /// What the tests' own client has for that door: the daemon's CA, certificate and key.
    pub fn pem(&self) -> Option<[&str; 3]> {
        let (pki, own) = self.pki.as_ref()?;
        Some([&pki.servers.certificate, &own.chain, &own.key])
    }

    /// The certificates that there are.
    pub fn pki(&self) -> &Pki {
        &self.pki.as_ref().expect("a second door").0
    }

    /// Sends a request by the same door as somebody whom nobody has configured: another user of this host, or the
    /// bearer of a certificate for another name.
    ///
    /// # Errors
    /// Why it cannot be done here.
    pub fn send_as_stranger(&self, request: &Request) -> Result<Response, String> {
        match &self.pki {
            None => stranger::send(self, request),
            Some((pki, _)) => {
                let reach = Reach::Tls(self.tls_caller(&pki.client(STRANGER_SAN)));
                Ok(Line { protocol: self.way.protocol, reach }.send(request))
            }
        }
    }

    /// HTTP/1.1 to the admin socket.
    pub fn admin(&self) -> Line {
        Line { protocol: Protocol::Http1, reach: Reach::Socket(self.admin_socket()) }
    }

    pub fn send(&self, request: &Request) -> Response {
        self.line().send(request)
    }

    pub fn get(&self, target: &str) -> Response {
        self.line().get(target)
    }

    pub fn create_org(&self, org: &str) {
        let answer = self.send(&Request::new("PUT", format!("/v1/orgs/{org}")));
        assert!(answer.status < 300, "{}", answer.shown());
    }

    pub fn try_put(&self, org: &str, connection: &str, set: &Value) -> Response {
        self.line().put(&format!("/v1/orgs/{org}/connections/{connection}"), set)
    }

    /// Stores a token set; the org must be there.
    pub fn put(&self, org: &str, connection: &str, set: &Value) -> Value {
        self.try_put(org, connection, set).json()
    }

    /// Stores an access token that lives for an hour, and a refresh token.
    pub fn put_pair(&self, org: &str, connection: &str, access: &str, refresh: &str) {
        let set = json!({"access_token": access, "refresh_token": refresh, "expires_in": 3600});
        self.put(org, connection, &set);
    }

    pub fn token(&self, org: &str, connection: &str) -> Response {
        self.get(&format!("/v1/orgs/{org}/connections/{connection}/token"))
    }

    pub fn access_token(&self, org: &str, connection: &str) -> String {
        self.token(org, connection).json()["access_token"].as_str().expect("text").to_owned()
    }

    /// The last entries of the audit log, oldest first, asked for over the admin socket. The lines that open a
    /// segment are not entries.
    pub fn audit(&self) -> Vec<AuditEntry> {
        let page = self.admin().get("/admin/v1/audit?last=1000").is(200).json();
        let lines = page["items"].as_array().expect("items").iter();
        let entries = lines.filter(|line| line["kind"] != "segment");
        entries.map(|line| serde_json::from_value(line.clone()).expect("an entry")).collect()
    }

    /// Every entry there is, oldest first.
    pub fn audit_from_the_start(&self) -> Vec<AuditEntry> {
        let (mut entries, mut after) = (Vec::new(), 0);
        loop {
            let page = self.admin().get(&format!("/admin/v1/audit?after={after}&limit=1000")).is(200).json();
            let lines = page["items"].as_array().expect("items").iter();
            let lines = lines.filter(|line| line["kind"] != "segment");
            entries.extend(
                lines.map(|line| serde_json::from_value::<AuditEntry>(line.clone()).expect("an entry")),
            );
            match page["next"].as_str() {
                Some(next) => after = next.parse().expect("a sequence"),
                None => return entries,
            }
        }
    }

    /// The entry of this request.
    pub fn audited(&self, answer: &Response) -> AuditEntry {
        let id = answer.header("x-request-id").expect("a request id");
        let mut entries = self.audit().into_iter().filter(|entry| entry.request_id == id);
        entries.next_back().unwrap_or_else(|| panic!("request {id} is not in the audit log"))
    }

    /// The audit log is whole.
    pub fn audit_is_intact(&self) {
        let answer = self.admin().send(&Request::new("POST", "/admin/v1/audit/verify")).is(200);
        let out: AuditVerifyOut = serde_json::from_slice(&answer.body).expect("the answer of verify");
        assert!(out.intact && out.first_break.is_none(), "{out:?}");
    }

    /// The files of the audit log, oldest first.
    pub fn audit_files(&self) -> Vec<PathBuf> {
        files_in(&self.audit_directory())
    }

    /// The segments of the journal, oldest first.
    pub fn journal_files(&self) -> Vec<PathBuf> {
        let mut files = files_in(&self.state.join("journal"));
        files.retain(|file| file.extension().is_some_and(|extension| extension == "journal"));
        files
    }
}

impl Drop for TestVault {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            // It may have ended already.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// A new Fernet key.
pub fn new_key() -> String {
    fernet::Fernet::generate_key()
}

/// Writes a file that is its owner's alone.
pub fn write_private(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    fs::write(path, bytes).expect("write");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("chmod");
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}
