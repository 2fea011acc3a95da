//! The daemon dies at each single step of a refresh: what is found after the restart, what recovery does about it, and what
//! it comes to, by the provider's own account.
//!
//! The hard problem is a step that nobody thought of. The answer: the names of the steps are read from the code
//! (`src/os/fault_points.rs`), and one at which no row of these tables dies is a failure. `make fault-points` builds the
//! daemon that kills itself.
//!
//! Never a loss where the answer had been written to the journal, and never a token lost without an answer that came.

mod tables;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use tables::Death::{self, AskedProvider, ProviderDone, Way};
use tables::{FIRST, Fate, PROBE, RECOVERY, REPEAT, TABLES};

/// Longer than a token that may be spent is kept from its probe (`LEASE`), and than the access tokens here live.
const UNTIL_PROBED: Duration = Duration::from_secs(32);

/// Of the access tokens that a refresh brings: nothing here waits for their end.
const ACCESS_TTL: u32 = 3600;

#[test]
fn each_step_in_the_code_is_in_the_tables() {
    let mut named = BTreeSet::new();
    names_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut named);
    let ends = TABLES.into_iter().flatten().filter_map(|(death, _)| match death {
        Way(way) => way.rsplit(',').next().map(str::to_owned),
        AskedProvider | ProviderDone => None,
    });
    assert_eq!(named, ends.collect(), "left: the steps in the code; right: those at which a row dies");
}

fn names_below(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            names_below(&path, names);
            continue;
        }
        let text = fs::read_to_string(&path).expect("text");
        let calls = text.split("fault_points::reach(\"").skip(1);
        names.extend(calls.filter_map(|call| Some(call.split_once('"')?.0.to_owned())));
    }
}

#[test]
#[ignore = "`make fault-points` builds what it kills"]
fn a_death_at_each_step_of_a_refresh() {
    let Some(server) = OAuthServer::start(ACCESS_TTL) else { return };
    let mut rows: Vec<_> = FIRST.iter().map(|row| Row::new(&server, "rotates", row)).collect();
    for row in &mut rows {
        row.put_and_refresh(30);
        row.await_death();
        row.restart();
        row.is_served_meanwhile();
    }
    judge("a refresh, its token rotates, its access token lives", rows);
}

#[test]
#[ignore = "`make fault-points` builds what it kills"]
fn a_death_at_each_step_of_a_recovery_that_may_send_nothing() {
    let Some(server) = OAuthServer::start(ACCESS_TTL) else { return };
    let mut rows: Vec<_> = RECOVERY.iter().map(|row| Row::new(&server, "rotates", row)).collect();
    for row in &mut rows {
        row.leave_an_intent(30);
        row.die_again();
        row.restart();
        row.is_served_meanwhile();
    }
    judge("recovery, its token rotates, its access token lives", rows);
}

#[test]
#[ignore = "`make fault-points` builds what it kills"]
fn a_death_at_each_step_of_a_recovery_that_sends_again() {
    let Some(server) = OAuthServer::start(ACCESS_TTL) else { return };
    let mut rows: Vec<_> = REPEAT.iter().map(|row| Row::new(&server, "stays", row)).collect();
    for row in &mut rows {
        row.leave_an_intent(30);
        row.die_again();
        row.restart();
    }
    judge("recovery, its token stays", rows);
}

#[test]
#[ignore = "`make fault-points` builds what it kills"]
fn a_death_at_each_step_of_a_probe() {
    let Some(server) = OAuthServer::start(ACCESS_TTL) else { return };
    let mut rows: Vec<_> = PROBE.iter().map(|row| Row::new(&server, "rotates", row)).collect();
    rows.iter_mut().for_each(|row| row.leave_an_intent(1));
    std::thread::sleep(UNTIL_PROBED);
    for row in &mut rows {
        row.die_again();
        row.restart();
    }
    judge("a probe, its token rotates, its access token has ended", rows);
}

/// One vault, one connection, one death.
struct Row<'a> {
    server: &'a OAuthServer,
    client: &'static str,
    death: Death,
    expected: Fate,
    vault: TestVault,
    /// Where it was told to be refreshed.
    _caller: Option<UnixStream>,
    /// The refresh token that was put, as the provider names it.
    first: String,
    began: Instant,
}

impl<'a> Row<'a> {
    fn new(server: &'a OAuthServer, client: &'static str, (death, expected): &(Death, Fate)) -> Self {
        let mut vault = TestVault::stopped(Configuration::default());
        vault.dowry.program = Some(program().into_os_string());
        let lines = format!("client_id = \"{client}\"\nrotation = \"{client}\"\nrefresh_early = \"allowed\"");
        server.configure_as(&mut vault, &lines);
        let (death, expected) = (*death, *expected);
        Self {
            server,
            client,
            death,
            expected,
            vault,
            _caller: None,
            first: String::new(),
            began: Instant::now(),
        }
    }

    fn start_towards(&mut self, way: &str) {
        self.vault.dowry.variables = vec![("TOKENKEEP_FAULT_POINTS".to_owned(), way.into())];
    }

    /// A connection whose access token lives so many seconds, and somebody who wants another one.
    fn put_and_refresh(&mut self, seconds: u32) {
        if let Way(way) = self.death {
            self.start_towards(way);
        }
        self.vault.start();
        if !matches!(self.death, Way(_)) {
            let drop = if self.death == AskedProvider { "before" } else { "after" };
            self.server.fault(&json!({ "drop": drop, "kill": self.vault.pid() }));
        }
        self.ask(seconds);
    }

    fn ask(&mut self, seconds: u32) {
        self.vault.create_org("acme");
        let refresh = self.server.issue(self.client);
        let set = json!({ "access_token": "first", "refresh_token": refresh, "expires_in": seconds });
        self.vault.put("acme", MAIN, &set);
        self.first = provider::name_of(&refresh);
        self.began = Instant::now();
        let target = format!("/v1/orgs/acme/connections/{MAIN}/refresh");
        let mut stream = UnixStream::connect(self.vault.socket()).expect("the socket");
        stream.write_all(&Request::post(target, &json!({ "if_generation": 1 })).bytes()).expect("sent");
        self._caller = Some(stream);
    }

    fn await_death(&mut self) {
        let ended = self.vault.wait();
        assert_eq!(ended.code, None, "{:?}: it ended by itself: {}", self.death, ended.line);
    }

    /// A daemon that dies between its intent and its request.
    fn leave_an_intent(&mut self, seconds: u32) {
        self.start_towards("intent/confirmed");
        self.vault.start();
        self.ask(seconds);
        self.await_death();
    }

    /// Recovery begins by itself, and dies where the row says.
    fn die_again(&mut self) {
        let Way(way) = self.death else { panic!("the provider does not know who asks at a start") };
        self.start_towards(way);
        self.vault.spawn();
        self.await_death();
    }

    fn restart(&mut self) {
        self.vault.dowry.variables.clear();
        self.vault.start();
        poll("recovery", || self.vault.said().contains("have been looked for").then_some(()));
    }

    /// Whatever became of it: who asks is given an access token while one lives.
    fn is_served_meanwhile(&self) {
        self.vault.token("acme", MAIN).is(200);
    }

    /// What recovery said that it found, and made of it.
    fn recovery(&self) -> (String, String) {
        let said = self.vault.said();
        let Some(line) = said.lines().find(|line| line.contains("was looked into")) else {
            return ("active".to_owned(), "-".to_owned());
        };
        let word = |name: &str| {
            let rest = line.split_once(&format!("{name}=\"")).expect("the word").1;
            rest.split_once('"').expect("its end").0.to_owned()
        };
        (word("found"), word("became"))
    }

    /// What it comes to once the first access token has ended.
    fn ended(&self) -> String {
        // Where nothing has happened yet, and the access token lives, it happens now.
        drop(refreshed(&self.vault, MAIN, 1));
        poll("the end", || {
            let answer = self.vault.token("acme", MAIN);
            if answer.status == 200 {
                return (answer.json()["generation"] != json!(1)).then(|| "refreshed".to_owned());
            }
            let problem = answer.problem();
            let reason = problem.reason.unwrap_or_default();
            (problem.code == "needs_reauth" || reason == "probe_lost").then_some(reason)
        })
    }

    /// Each request with the tokens of this connection.
    fn calls(&self, log: &[provider::Call]) -> String {
        let mut family = BTreeSet::from([self.first.clone()]);
        let mut results = Vec::new();
        for call in log.iter().filter(|call| self.client == "rotates" || call.token.is_some()) {
            if call.token.as_ref().is_some_and(|token| family.contains(token)) {
                results.push(call.result.clone());
                family.extend(call.next.clone());
            }
        }
        results.join(" ")
    }
}

fn judge(title: &str, rows: Vec<Row<'_>>) {
    let mut table = format!("\n{title}\n");
    let mut line = |cells: [&str; 6]| {
        let [death, found, recovered, ended, provider, lost] = cells;
        table += &format!("{death:50} {found:16} {recovered:16} {ended:12} {provider:22} {lost}\n");
    };
    line(["killed at", "found", "recovery", "in the end", "provider", ""]);
    let mut wrong = Vec::new();
    for row in rows {
        let (found, recovered) = row.recovery();
        if row.expected.ended != "refreshed" || found != "active" {
            std::thread::sleep(UNTIL_PROBED.saturating_sub(row.began.elapsed()));
        }
        let ended = row.ended();
        let provider = row.calls(&row.server.log());
        let lost = if provider.contains("invalid_grant") { "LOST" } else { "" };
        let death = match row.death {
            AskedProvider => "(the provider has the request)",
            ProviderDone => "(the provider has rotated)",
            Way(way) => way,
        };
        line([death, &found, &recovered, &ended, &provider, lost]);
        let Fate { found: a, recovered: b, ended: c, provider: d } = row.expected;
        if [a, b, c, d] != [&found, &recovered, &ended, &provider] {
            wrong.push(format!("{death}: expected {:?}", row.expected));
        }
        row.vault.audit_is_intact();
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn program() -> PathBuf {
    let built = std::env::var_os("TOKENKEEP_TEST_FAULT_DAEMON");
    built.expect("`make fault-points` builds the daemon and names it here").into()
}

/// Nobody is served by a build that may kill itself, and whoever starts it is told so.
#[test]
#[ignore = "`make fault-points` builds what it kills"]
fn a_build_that_may_kill_itself_serves_developers_alone() {
    let part = "immunity-to-fault-points";
    let mut vault =
        TestVault::stopped(Configuration { environment: "production", ..Configuration::default() });
    vault.dowry.program = Some(program().into());
    vault.start_in_vain().with(77, &["for tests", part]);
    let mut vault = TestVault::stopped(Configuration::default());
    vault.dowry.program = Some(program().into());
    vault.start();
    assert!(vault.said().contains(part), "{}", vault.said());
    assert_eq!(vault.get("/v1/status").json()["lacks"], json!([part]));
}
