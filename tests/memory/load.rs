//! Callers by every way in, each over a connection that stays, and what they ask for, one after the other.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::canaries::Canaries;
use crate::kit::line::Connection;
use crate::kit::vault::new_key;
use crate::kit::way::{Door, Way};
use crate::kit::{Configuration, Line, Request, Response, TestVault, WAYS, poll};
use crate::mixture;

/// Callers a way.
const CALLERS: usize = 4;

/// The other keys of the tests.
pub(crate) struct KeyRing {
    /// The root key of the start, and the one that follows it.
    pub(crate) roots: [String; 2],
    /// Of an application.
    pub(crate) retired: String,
}

/// A vault with both doors, each protocol, and a retired key of an application. It is not started yet.
pub(crate) fn vault() -> (TestVault, KeyRing) {
    let mtls = Way { door: Door::Mtls, ..WAYS[0] };
    let mut vault = TestVault::stopped(Configuration::default()).by(mtls);
    let keys = KeyRing { roots: [vault.root_key(), new_key()], retired: new_key() };
    let file = vault.room().join("retired.keys");
    crate::kit::vault::write_private(&file, keys.retired.as_bytes());
    let more =
        format!("[[application_key]]\nname = \"retired\"\npath = \"{}\"\norgs = [\"*\"]\n", file.display());
    vault.configuration.more = more.leak();
    (vault, keys)
}

/// One caller: a connection that stays, and those on which something went wrong, which stay as long as the daemon lets
/// them.
pub(crate) struct Caller<'a> {
    pub(crate) vault: &'a TestVault,
    pub(crate) canaries: &'a Canaries,
    pub(crate) keys: &'a KeyRing,
    pub(crate) line: Line,
    pub(crate) org: String,
    /// What it has stored: names, and what they hold.
    pub(crate) stored: Vec<String>,
    pub(crate) ciphertexts: Vec<Value>,
    connection: Connection,
    pub(crate) aside: Vec<Connection>,
    pub(crate) sent: usize,
}

impl<'a> Caller<'a> {
    fn new(vault: &'a TestVault, canaries: &'a Canaries, keys: &'a KeyRing, line: Line, org: String) -> Self {
        let connection = line.connect().expect("the daemon listens");
        let (stored, ciphertexts, aside) = (Vec::new(), Vec::new(), Vec::new());
        Self { vault, canaries, keys, line, org, stored, ciphertexts, connection, aside, sent: 0 }
    }

    /// Over the connection that stays; it is answered as it should be.
    pub(crate) fn done(&mut self, request: &Request) -> Response {
        self.sent += 1;
        let answer = self.connection.send(request).expect("the daemon answers");
        assert!(answer.status < 300, "{request:?}: {}", answer.shown());
        answer
    }

    /// Over a connection of its own, which is kept; it is refused.
    pub(crate) fn refused(&mut self, request: &Request) {
        self.sent += 1;
        let mut connection = self.line.connect().expect("the daemon listens");
        let answer = connection.send(request).expect("the daemon answers");
        assert!(answer.status >= 400, "{request:?}: {}", answer.shown());
        self.aside.push(connection);
    }

    /// Over the connection that stays; it is refused, and the connection lives on.
    pub(crate) fn refused_in_passing(&mut self, request: &Request) {
        self.sent += 1;
        let answer = self.connection.send(request).expect("the daemon answers");
        assert!(answer.status >= 400, "{request:?}: {}", answer.shown());
    }

    pub(crate) fn plant(&self, what: &str) -> String {
        self.canaries.plant(&format!("{what} by {:?}", self.line))
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/orgs/{}{rest}", self.org)
    }
}

/// Everybody's connections, which are open for as long as this lives.
pub(crate) struct Connected(#[expect(dead_code, reason = "held open")] Vec<Connection>);

/// Sends so many requests by each way, while the root key is rotated. Gives how many it were by each, and the
/// connections.
pub(crate) fn serve(
    vault: &TestVault,
    keys: &KeyRing,
    canaries: &Canaries,
    each: usize,
) -> (BTreeMap<String, usize>, Connected) {
    let (mut sent, mut connections) = (BTreeMap::new(), Vec::new());
    std::thread::scope(|scope| {
        let by = WAYS.map(|way| (way, scope.spawn(move || serve_by(vault, keys, canaries, way, each))));
        rotate(vault, keys);
        for (way, served) in by {
            let (count, kept) = served.join().expect("a caller");
            sent.insert(format!("{:?}", vault.line_by(way)), count);
            connections.extend(kept);
        }
    });
    // What was wrapped anew meanwhile needs the old key no more.
    vault.write_root_key(&[&keys.roots[1]]);
    let forgotten = || (reload(vault).status == 200).then_some(());
    poll("the old root key to be out of use", || {
        let done = rotated(vault).then(forgotten).flatten();
        if done.is_none() {
            vault.admin().send(&Request::new("POST", "/admin/v1/keys/rotate")).is(202);
        }
        done
    });
    (sent, Connected(connections))
}

fn serve_by(
    vault: &TestVault,
    keys: &KeyRing,
    canaries: &Canaries,
    way: Way,
    each: usize,
) -> (usize, Vec<Connection>) {
    let line = vault.line_by(way);
    let name = format!("{:?}-{:?}", way.door, way.protocol);
    let caller = |at| Caller::new(vault, canaries, keys, line.clone(), format!("{name}-{at}"));
    let mut callers: Vec<_> = (0..CALLERS).map(caller).collect();
    for caller in &mut callers {
        let create = Request::new("PUT", caller.path(""));
        caller.done(&create);
    }
    let sent = |callers: &[Caller<'_>]| callers.iter().map(|caller| caller.sent).sum::<usize>();
    for step in 0.. {
        if sent(&callers) >= each {
            break;
        }
        mixture::step(&mut callers[step % CALLERS], step / CALLERS);
    }
    let count = sent(&callers);
    let kept = callers.into_iter().flat_map(|caller| std::iter::once(caller.connection).chain(caller.aside));
    (count, kept.collect())
}

fn rotate(vault: &TestVault, keys: &KeyRing) {
    let [old, new] = &keys.roots;
    vault.write_root_key(&[new, old]);
    reload(vault).is(200);
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/rotate")).is(202);
    poll("the rotation to end", || rotated(vault).then_some(()));
}

fn reload(vault: &TestVault) -> Response {
    vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload"))
}

fn rotated(vault: &TestVault) -> bool {
    let keys = vault.admin().get("/admin/v1/keys").is(200).json();
    keys["rotating"] == json!(false)
}
