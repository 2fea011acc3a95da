//! All org keys replaced under readers, writers and refreshes, and the daemon killed again and again in the middle of it.
//!
//! Each client writes connections of its own, so it knows what a read must give; and the provider ends a grant whose token is
//! shown twice, so a newer token that was written over would be seen. Before a kill the clients that refresh rest: what is lost
//! with an answer on its way is another test's.
//!
//! `make rotate` is the full form, against a release build: 100,000 records, 16 clients, five kills. Never a timed assertion.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::kit::Line;
use crate::kit::line::Connection;

struct Size {
    records: usize,
    clients: usize,
    kills: usize,
    orgs: usize,
    per_second: u64,
}

fn size() -> Size {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    match number("TOKENKEEP_REKEY_RECORDS") {
        Some(records) => Size {
            records,
            clients: number("TOKENKEEP_REKEY_CLIENTS").unwrap_or(16),
            kills: number("TOKENKEEP_REKEY_KILLS").unwrap_or(5),
            orgs: 200,
            per_second: 1_000_000,
        },
        None => Size { records: 2000, clients: 6, kills: 2, orgs: 10, per_second: 1000 },
    }
}

/// What the clients share.
struct Storm {
    line: Line,
    size: Size,
    reads: AtomicUsize,
    writes: AtomicUsize,
    refreshed: AtomicUsize,
    /// Those that refresh wait.
    rests: AtomicBool,
    refreshing: AtomicUsize,
    over: AtomicBool,
    /// The version of each connection that was acknowledged last. Each is written by one client alone.
    versions: Vec<AtomicU64>,
}

impl Storm {
    fn target(&self, record: usize, rest: &str) -> String {
        format!("/v1/orgs/r{}/connections/github/c{record}{rest}", record % self.size.orgs)
    }

    /// None: the daemon was killed meanwhile.
    fn ask(&self, line: &mut Option<Connection>, request: &Request) -> Option<Response> {
        let mut open = line.take().or_else(|| self.line.connect().ok())?;
        let answer = open.send(request).ok()?;
        *line = Some(open);
        Some(answer)
    }

    fn read_and_write(&self, client: usize) {
        let (mut line, mut chance) = (None, 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(client as u64 + 1));
        while !self.over.load(Ordering::Relaxed) {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            let slots = self.size.records / self.size.clients;
            let record = usize::try_from(chance >> 8).expect("64 bits") % slots * self.size.clients + client;
            let known = self.versions[record].load(Ordering::Relaxed);
            if chance % 8 == 0 {
                let set = json!({ "access_token": format!("at-{record}-{}", known + 1), "refresh_token": format!("rt-{record}-{}", known + 1) });
                let Some(answer) = self.ask(&mut line, &Request::put(self.target(record, ""), &set)) else {
                    self.find_out(record);
                    continue;
                };
                assert!(answer.status < 300, "{}", answer.shown());
                self.versions[record].store(known + 1, Ordering::Relaxed);
                self.writes.fetch_add(1, Ordering::Relaxed);
            } else if let Some(answer) = self.ask(&mut line, &Request::get(self.target(record, "/token"))) {
                assert_eq!(answer.status, 200, "a read failed: {}", answer.shown());
                assert_eq!(answer.json()["access_token"], format!("at-{record}-{known}"));
                self.reads.fetch_add(1, Ordering::Relaxed);
            } else {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Whether a write that was cut off came about.
    fn find_out(&self, record: usize) {
        let known = self.versions[record].load(Ordering::Relaxed);
        let found = poll("the daemon to be back", || {
            self.ask(&mut None, &Request::get(self.target(record, "/token")))
        });
        let token = found.is(200).json()["access_token"].as_str().expect("a token").to_owned();
        if token == format!("at-{record}-{}", known + 1) {
            self.versions[record].store(known + 1, Ordering::Relaxed);
        } else {
            assert_eq!(token, format!("at-{record}-{known}"));
        }
    }

    /// Asks for tokens that last for seconds: each is refreshed again and again.
    fn refresh(&self, client: usize) {
        let mut line = None;
        while !self.over.load(Ordering::Relaxed) {
            self.refreshing.fetch_add(1, Ordering::SeqCst);
            if !self.rests.load(Ordering::SeqCst) {
                let target = format!("/v1/orgs/acme/connections/oidc/f{client}/token?min_ttl=3600");
                if let Some(answer) = self.ask(&mut line, &Request::get(target)) {
                    assert_eq!(answer.status, 200, "a refresh was lost: {}", answer.shown());
                    self.refreshed.fetch_add(1, Ordering::Relaxed);
                }
            }
            self.refreshing.fetch_sub(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn rest(&self) {
        self.rests.store(true, Ordering::SeqCst);
        poll("no refresh to be under way", || (self.refreshing.load(Ordering::SeqCst) == 0).then_some(()));
    }
}

fn fill(vault: &TestVault, size: &Size) {
    for org in 0..size.orgs {
        vault.create_org(&format!("r{org}"));
    }
    let terms = json!({ "mode": "write", "different": "refuse", "missing_org": "refuse" });
    let item = |record: usize| {
        let tokens =
            json!({ "access_token": format!("at-{record}-0"), "refresh_token": format!("rt-{record}-0") });
        json!({ "org": format!("r{}", record % size.orgs), "provider": "github", "name": format!("c{record}"), "tokens": tokens })
    };
    for first in (0..size.records).step_by(1000) {
        let items: Vec<Value> = (first..size.records.min(first + 1000)).map(item).collect();
        vault.admin().post("/admin/v1/import", &json!({ "terms": terms, "items": items })).is(200);
    }
}

fn keys(vault: &TestVault) -> Value {
    vault.admin().get("/admin/v1/keys").is(200).json()["org_rotation"].clone()
}

/// A key of `acme`: before its rotation it is needed, after it no longer.
fn retire(vault: &TestVault, id: &Value) -> Response {
    vault.admin().post("/admin/v1/keys/retire", &json!({ "id": id }))
}

#[test]
fn keys_are_replaced_under_readers_writers_and_refreshes_whatever_is_killed() {
    let Some((server, mut vault)) = strict(5) else { return };
    let size = size();
    fill(&vault, &size);
    let refreshers = size.clients.div_ceil(4);
    for client in 0..refreshers {
        put_ended(&vault, &server, &format!("oidc/f{client}"));
    }
    let of = |vault: &TestVault, org: &str| {
        vault.admin().get(&format!("/admin/v1/keys/orgs?org={org}")).is(200).json()
    };
    let old = of(&vault, "r0")["keys"][0]["id"].clone();
    let (kills, per_second, records) = (size.kills, size.per_second, size.records);
    let storm = Storm {
        line: vault.line(),
        versions: (0..size.records).map(|_| AtomicU64::new(0)).collect(),
        size,
        reads: AtomicUsize::new(0),
        writes: AtomicUsize::new(0),
        refreshed: AtomicUsize::new(0),
        rests: AtomicBool::new(false),
        refreshing: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        // A story that ends early ends the storm.
        let _over = Over(&storm.over);
        (0..storm.size.clients).for_each(|client| {
            drop(scope.spawn({
                let storm = &storm;
                move || storm.read_and_write(client)
            }))
        });
        (0..refreshers).for_each(|client| {
            drop(scope.spawn({
                let storm = &storm;
                move || storm.refresh(client)
            }))
        });
        retire(&vault, &old).refused(409, "conflict");
        let (begun, mut struck) = (Instant::now(), 0);
        let wanted = json!({ "all": true, "records_per_second": per_second });
        vault.admin().post("/admin/v1/keys/orgs/rotate", &wanted).is(202);
        while struck < kills {
            // Somewhere in what is left: a share of it that falls on no rhythm.
            let before = keys(&vault);
            let left = before["found"].as_u64().expect("a count") - before["done"].as_u64().expect("a count");
            let share = left * (struck as u64 * 7 % 5 + 1) / 8 / (kills - struck) as u64;
            let done = before["done"].as_u64().expect("a count") + share;
            poll("a part of the rotation", || {
                let now = keys(&vault);
                assert_eq!(now["error"], Value::Null);
                (now["found"].as_u64()? > 0 && now["done"].as_u64()? >= done || now["running"] == false)
                    .then_some(())
            });
            assert_eq!(keys(&vault)["running"], true, "killed in the middle");
            storm.rest();
            vault.kill9();
            struck += 1;
            vault.start();
            storm.rests.store(false, Ordering::SeqCst);
            if of(&vault, "r0")["earlier_records"] != 0 {
                retire(&vault, &old).refused(409, "conflict");
            }
        }
        poll_long("the end of the rotation", || {
            let now = keys(&vault);
            assert_eq!(now["error"], Value::Null);
            (now["running"] == false).then_some(())
        });
        println!(
            "{records} records, {} clients, {kills} kills: {:.1} s with starts, {} reads, {} writes, {} tokens that were refreshed",
            storm.size.clients,
            begun.elapsed().as_secs_f64(),
            storm.reads.load(Ordering::Relaxed),
            storm.writes.load(Ordering::Relaxed),
            storm.refreshed.load(Ordering::Relaxed),
        );
    });
    let all = vault.admin().get("/admin/v1/keys/orgs").is(200).json();
    assert_eq!(all["earlier_records"], 0, "{}", all["rotation"]);
    assert_eq!(retire(&vault, &old).is(200).json()["state"], "retired");
    for record in 0..records {
        let known = storm.versions[record].load(Ordering::Relaxed);
        if record % 50 == 0 || known > 0 {
            let token = vault.get(&storm.target(record, "/token")).is(200).json();
            assert_eq!(token["access_token"], format!("at-{record}-{known}"));
        }
    }
    assert!(server.log().iter().all(|call| call.result == "granted"), "no token was shown twice");
    vault.audit_is_intact();
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// As `poll`, for what takes minutes.
fn poll_long<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(1800), "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}
