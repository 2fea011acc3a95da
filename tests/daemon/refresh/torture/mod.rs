//! Everything at once, for as long as one likes: short-lived tokens, many readers, a provider that is late, busy, broken and
//! cut off, and a daemon that is killed every few seconds. Judged by the provider's own account ([`ledger`]).
//!
//! The hard problem is to know whether an answer had arrived when the daemon died. The answer: before every other kill the
//! provider keeps its answers back, until the daemon waits for nothing but those: what was written before has arrived, to the
//! last, and what is kept back has not. The other kills strike anywhere; an answer that was written less than [`ARRIVAL`]
//! before one of them, and of which nothing was seen again, counts as cut off.
//!
//! `make refresh-torture` is five minutes of it, against a release build; `cargo test` is a short one.

mod ledger;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::*;
use crate::kit::Line;
use ledger::{Death, Kill, Story};

/// Of each access token.
const ACCESS_TTL: u32 = 5;

/// What the provider wrote so long before a kill has arrived: far beyond what keeping an answer takes, on a busy machine too.
const ARRIVAL: Duration = Duration::from_secs(2);

/// So long a daemon may take to have nothing in hand.
const QUIET: Duration = Duration::from_secs(10);

/// Between two reads of one reader.
const BREATH: Duration = Duration::from_millis(40);

/// Chances of each request: more than one in ten has something happen to it.
const WEATHER: &str = r#"{ "after": 0.01, "before": 0.01, "broken": 0.01, "busy": 0.04, "late": 0.05 }"#;

struct Size {
    connections: usize,
    readers: usize,
    lasts: Duration,
}

fn size() -> Size {
    let seconds = std::env::var("TOKENKEEP_TORTURE_SECONDS").ok().and_then(|text| text.parse().ok());
    match seconds {
        Some(seconds) => Size { connections: 200, readers: 64, lasts: Duration::from_secs(seconds) },
        None => Size { connections: 24, readers: 8, lasts: Duration::from_secs(15) },
    }
}

#[test]
fn no_answer_that_arrived_is_lost_whatever_happens() {
    let Some((server, mut vault)) = strict(ACCESS_TTL) else { return };
    let size = size();
    let storm = Storm::new(&server, &vault, size.connections);
    for connection in 0..size.connections {
        storm.consent(connection);
    }
    server.weather(&serde_json::from_str(WEATHER).expect("JSON"));
    let kills = std::thread::scope(|scope| {
        for reader in 0..size.readers {
            let storm = &storm;
            scope.spawn(move || storm.read(reader));
        }
        let kills = kill_again_and_again(&server, &mut vault, size.lasts);
        server.weather(&json!({}));
        storm.settle();
        storm.over.store(true, Ordering::Relaxed);
        kills
    });
    let story = storm.story(kills);
    println!("{} connections, {} readers, {:?}", size.connections, size.readers, size.lasts);
    println!("{} reads were given a token", storm.served.load(Ordering::Relaxed));
    let findings = story.judge(&server.log());
    println!("{findings}");
    findings.hold();
    vault.audit_is_intact();
}

/// Gives when each kill was.
fn kill_again_and_again(server: &OAuthServer, vault: &mut TestVault, lasts: Duration) -> Vec<Kill> {
    let (began, mut kills) = (Instant::now(), Vec::new());
    while began.elapsed() < lasts {
        // From 2 to 5 seconds, in steps that fall on no rhythm of the daemon's.
        std::thread::sleep(Duration::from_millis(2000 + 739 * (kills.len() as u64 % 5)));
        let keeps_back = kills.len() % 2 == 1;
        let has_nothing_in_hand = keeps_back && {
            server.hold();
            waits_for_nothing_else(server, vault)
        };
        let at = now();
        vault.kill9();
        // Twice there and back: by then the provider has come upon whatever the dead one had sent.
        server.release();
        server.release();
        kills.push(Kill { at, gone_until: now(), has_nothing_in_hand });
        vault.start();
    }
    kills
}

/// Whether as many connections are being refreshed as answers are kept back, before the daemon's patience is over.
fn waits_for_nothing_else(server: &OAuthServer, vault: &TestVault) -> bool {
    // So that some are kept back.
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    let mut seen = Vec::new();
    while began.elapsed() < QUIET {
        let held = server.held();
        let page = vault.get("/v1/orgs/acme/connections?state=refreshing&limit=1000").is(200).json();
        let refreshing = page["items"].as_array().expect("items").len();
        if refreshing == held && server.held() == held {
            return true;
        }
        seen.push((held, refreshing));
    }
    println!("not quiet, {:?} kept back and refreshing", seen.last());
    false
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("for a long time")
}

/// What the readers share.
struct Storm<'a> {
    server: &'a OAuthServer,
    line: Line,
    /// Of each connection, the refresh token of the last consent, as the provider names it.
    consents: Vec<Mutex<Option<String>>>,
    deaths: Mutex<Vec<Death>>,
    served: AtomicUsize,
    over: AtomicBool,
}

impl<'a> Storm<'a> {
    fn new(server: &'a OAuthServer, vault: &TestVault, connections: usize) -> Self {
        Self {
            server,
            line: vault.line(),
            consents: (0..connections).map(|_| Mutex::new(None)).collect(),
            deaths: Mutex::default(),
            served: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// The owner connects, for the first time or anew. Tried until the daemon says that it is kept.
    fn consent(&self, connection: usize) {
        let mut consent = self.consents[connection].lock().expect("no reader has panicked");
        self.connect(connection, &mut consent);
    }

    fn connect(&self, connection: usize, consent: &mut Option<String>) {
        poll("a consent to be kept", || {
            let refresh = self.server.issue("rotates");
            let set = json!({
                "access_token": "first", "refresh_token": refresh, "expires_at": "2026-01-01T00:00:00Z",
            });
            let put = Request::put(path(connection, ""), &set);
            let answer = self.line.connect().and_then(|mut line| line.send(&put)).ok()?;
            (answer.status < 300).then(|| *consent = Some(provider::name_of(&refresh)))
        });
    }

    /// Reads one connection after the other until the storm is over; a dead one is made anew.
    fn read(&self, reader: usize) {
        let mut line = None;
        for turn in reader * 7.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(BREATH);
            let connection = turn % self.consents.len();
            let Some(mut open) = line.take().or_else(|| self.line.connect().ok()) else { continue };
            let Ok(answer) = open.send(&Request::get(path(connection, "/token"))) else { continue };
            line = Some(open);
            if answer.status == 200 {
                self.served.fetch_add(1, Ordering::Relaxed);
            } else if end_of(&answer).is_some() {
                self.bury(connection);
            }
        }
    }

    /// Notes a death, if nobody has done so yet, and makes the connection anew.
    fn bury(&self, connection: usize) {
        let mut consent = self.consents[connection].lock().expect("no reader has panicked");
        let Some(reason) = self.ask(connection).as_ref().and_then(end_of) else { return };
        let family = consent.take().expect("it was connected");
        self.deaths.lock().expect("no reader has panicked").push(Death { family, reason });
        self.connect(connection, &mut consent);
    }

    fn ask(&self, connection: usize) -> Option<Response> {
        self.line.connect().and_then(|mut line| line.send(&Request::get(path(connection, "/token")))).ok()
    }

    /// The weather is fair: every connection works in the end, or was made anew because it had died.
    fn settle(&self) {
        for connection in 0..self.consents.len() {
            poll("a connection to work", || {
                let answer = self.ask(connection)?;
                if end_of(&answer).is_some() {
                    self.bury(connection);
                }
                (answer.status == 200).then_some(())
            });
        }
    }

    fn story(&self, kills: Vec<Kill>) -> Story {
        Story { kills, deaths: std::mem::take(&mut self.deaths.lock().expect("no reader has panicked")) }
    }
}

/// Why a connection is given up, where it is.
fn end_of(answer: &Response) -> Option<String> {
    if answer.status != 424 {
        return None;
    }
    let problem = answer.problem();
    let reason = problem.reason.unwrap_or_default();
    (problem.code == "needs_reauth" || reason == "probe_lost").then_some(reason)
}

fn path(connection: usize, rest: &str) -> String {
    format!("/v1/orgs/acme/connections/oidc/c{connection}{rest}")
}
