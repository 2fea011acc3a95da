//! While 64 connections write and read tokens as fast as they can, a look through the memory finds at most the tokens of the
//! requests under way: one a connection, over HTTP/1.1 and over HTTP/2.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;
use tokenkeep_scanner::{Kind, Needles, Process, Report, Scanner, Through};

use crate::canaries::Canaries;
use crate::kit::line::Connection;
use crate::kit::{Line, Request, WAYS};
use crate::load;
use crate::survey::may_look;

const CONNECTIONS: usize = 64;
/// Tokens that each connection reads in turn.
const TOKENS: usize = 16;
/// Looks of each kind.
const LOOKS: usize = 5;

struct Reader {
    connection: Connection,
    targets: Vec<(String, String)>,
}

impl Reader {
    fn new(line: &Line, canaries: &Canaries, at: usize) -> Self {
        let mut connection = line.connect().expect("the daemon listens");
        let org = format!("o{at}");
        let mut done = |request: Request| {
            let answer = connection.send(&request).expect("an answer");
            assert!(answer.status < 300, "{}", answer.shown());
        };
        done(Request::new("PUT", format!("/v1/orgs/{org}")));
        let targets = (0..TOKENS).map(|token| {
            let (path, text) =
                (format!("/v1/orgs/{org}/connections/github/{token}"), canaries.plant(&format!("{line:?}")));
            done(Request::put(path.clone(), &json!({"access_token": text, "expires_in": 3600})));
            (format!("{path}/token"), text)
        });
        let targets = targets.collect();
        Self { connection, targets }
    }

    /// Until it is told to stop; counts what was answered.
    fn read(&mut self, stop: &AtomicBool, served: &AtomicUsize) {
        for (target, text) in self.targets.clone().iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let path = target.strip_suffix("/token").expect("the path of a token");
            let put = Request::put(path, &json!({"access_token": text, "expires_in": 3600}));
            assert!(self.connection.send(&put).expect("an answer").status < 300);
            let answer = self.connection.send(&Request::get(target.clone())).expect("an answer");
            assert!(answer.text().contains(text.as_str()));
            served.fetch_add(2, Ordering::Relaxed);
        }
    }
}

/// A look: what was found, and of how many requests it can have been.
struct Look {
    how: &'static str,
    protocol: &'static str,
    found: usize,
    bound: usize,
}

impl Look {
    /// One for each protocol, which half of [`CONNECTIONS`] speak, with one request under way on each of them.
    fn all(how: &'static str, report: &Report, meanwhile: usize) -> [Self; 2] {
        assert_eq!(report.count(Kind::Key), 0, "{report}");
        let bound = CONNECTIONS / 2 + meanwhile;
        ["Http1", "Http2"].map(|protocol| {
            let canaries = report.distinct(Kind::Canary);
            let found = canaries.iter().filter(|name| name.starts_with(protocol)).count();
            Self { how, protocol, found, bound }
        })
    }
}

#[test]
fn under_load_there_is_no_more_plaintext_than_requests_under_way() {
    let (mut vault, keys) = load::vault();
    vault.start();
    if !may_look(&vault) {
        return;
    }
    let canaries = Canaries::default();
    let lines = WAYS.map(|way| vault.line_by(way));
    let mut readers: Vec<_> =
        (0..CONNECTIONS).map(|at| Reader::new(&lines[at % lines.len()], &canaries, at)).collect();
    let mut needles = Needles::default();
    canaries.add_to(&mut needles);
    crate::keys::add_to(&mut needles, &vault, &keys.roots[..1]);
    let scanner = Scanner::new(needles);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let looks = std::thread::scope(|scope| {
        for reader in &mut readers {
            scope.spawn(|| reader.read(&stop, &served));
        }
        let looks = look(Process::new(vault.pid()), &scanner, &served);
        stop.store(true, Ordering::Relaxed);
        looks
    });
    for Look { how, protocol, found, bound } in &looks {
        println!(
            "{CONNECTIONS} connections, {how}, {protocol}: {found} tokens found, at most {bound} may be"
        );
    }
    let seen: usize = looks.iter().map(|look| look.found).sum();
    assert!(seen > 0, "requests are under way, and their plaintext is seen");
    for Look { how, protocol, found, bound } in looks {
        assert!(found <= bound, "{how}, {protocol}: {found} > {bound}");
    }
}

fn look(process: Process, scanner: &Scanner, served: &AtomicUsize) -> Vec<Look> {
    let mut looks = Vec::new();
    for _ in 0..LOOKS {
        crate::kit::poll("the readers to read", {
            let before = served.load(Ordering::Relaxed);
            move || (served.load(Ordering::Relaxed) > before + 4 * CONNECTIONS).then_some(())
        });
        let before = served.load(Ordering::Relaxed);
        let report = process.scan(scanner, Through::Mem).expect("its memory");
        // It goes on while it is looked through: what began meanwhile may be seen too.
        let meanwhile = served.load(Ordering::Relaxed) - before;
        looks.extend(Look::all("running", &report, meanwhile));
        let still = process.stop().expect("it is ours");
        let report = process.scan(scanner, Through::Mem).expect("its memory");
        looks.extend(Look::all("stopped", &report, 0));
        drop(still);
    }
    looks
}
