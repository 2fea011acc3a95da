//! Backups in a bucket: moto, which checks signatures and rights, and answers as badly as a network may.

use serde_json::{Value, json};

use super::keys::{replace_root_key, retire};
use super::kit::BackedUp;
use crate::kit::poll;
use crate::root_key::server::Server;

/// A bucket, and what a test needs to know of it.
struct S3 {
    server: Server,
    _room: tempfile::TempDir,
}

impl S3 {
    fn start() -> Option<Self> {
        let room = tempfile::tempdir().expect("a directory");
        let server = Server::start("../backup/s3.py", "moto.server, moto.s3", room.path(), &[])?;
        Some(Self { server, _room: room })
    }

    fn place(&self) -> (String, Vec<String>) {
        let (address, url) = (self.server.text("/address"), self.url());
        let lines = format!(
            "url = \"{url}\"\nregion = \"eu-central-1\"\nallowed_regions = [\"eu-central-1\"]\n\
             endpoint = \"{address}\"\n"
        );
        let words = ["--from", &url, "--region", "eu-central-1", "--endpoint", address];
        (lines, words.map(str::to_owned).to_vec())
    }

    fn url(&self) -> String {
        format!("s3://{}/vaults/here", self.server.text("/bucket"))
    }

    fn backed_up(&self) -> BackedUp {
        let shelf = tempfile::Builder::new().prefix("tk").tempdir().expect("a directory");
        let (lines, words) = self.place();
        let keys = ["id", "secret"].map(|part| self.server.text(&format!("/users/keeper/{part}")));
        let variables = [
            ("AWS_ACCESS_KEY_ID", keys[0]),
            ("AWS_SECRET_ACCESS_KEY", keys[1]),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("HOME", "/nonexistent"),
            ("http_proxy", "http://127.0.0.1:9"),
        ];
        BackedUp::at(shelf, &lines, words, &variables)
    }

    /// The daemon starts again with keys that may do nothing here. Gives their secret.
    fn becomes_a_stranger(&self, backed_up: &mut BackedUp) -> String {
        backed_up.vault.stop();
        let [id, secret] =
            ["id", "secret"].map(|part| self.server.text(&format!("/users/stranger/{part}")).to_owned());
        for (name, value) in [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret.clone())] {
            backed_up.vault.dowry.variables.retain(|(known, _)| known != name);
            backed_up.vault.dowry.variables.push((name.to_owned(), value.into()));
        }
        backed_up.vault.start();
        secret
    }

    fn of(&self, method: &str) -> Vec<Value> {
        let requests = self.server.requests().into_iter();
        requests
            .filter(|request| {
                request["method"] == method
                    && request["path"].as_str().is_some_and(|path| path.contains("/vaults/"))
            })
            .collect()
    }
}

/// More than a part of an upload, so that the first segment goes in parts.
fn fill(backed_up: &BackedUp) {
    backed_up.vault.create_org("acme");
    let value = "v".repeat(60_000);
    std::thread::scope(|scope| {
        for part in 0..4 {
            let (vault, value) = (&backed_up.vault, &value);
            scope.spawn(move || {
                for number in (part..240).step_by(4) {
                    vault
                        .line()
                        .put(&format!("/v1/orgs/acme/secrets/s{number}"), &json!({ "value": value }))
                        .is(201);
                }
            });
        }
    });
}

#[test]
fn a_vault_comes_back_from_a_bucket_whatever_the_network_does() {
    let Some(s3) = S3::start() else { return };
    let mut backed_up = s3.backed_up();
    fill(&backed_up);
    for fault in [
        json!({ "method": "PUT", "times": 2, "status": 503 }),
        json!({ "method": "PUT", "times": 1, "drop": "before" }),
        json!({ "method": "PUT", "times": 1, "drop": "after" }),
        json!({ "method": "GET", "times": 1, "cut": 100 }),
    ] {
        s3.server.misbehave(&fault);
    }
    backed_up.vault.put_pair("acme", "github/main", "at-1", "rt-1");
    // A new set has the whole first segment at once: in parts.
    assert_eq!(backed_up.task("create")["error"], Value::Null);
    backed_up.wait_for_all();
    let puts = s3.of("PUT");
    assert!(puts.iter().all(|put| put["checksum"] == true), "{puts:?}");
    let is_part = |put: &&Value| put["query"].as_str().is_some_and(|query| query.contains("partNumber=2"));
    assert!(puts.iter().any(|put| is_part(&put)), "nothing went in parts");
    let whole = puts
        .iter()
        .filter(|put| put["query"] == "" || !put["query"].as_str().is_some_and(|q| q.contains("partNumber")));
    assert!(whole.clone().all(|put| put["condition"] == "*"), "{:?}", whole.collect::<Vec<_>>());
    assert_eq!(backed_up.task("drill")["error"], Value::Null);

    backed_up.lose();
    for fault in [
        json!({ "method": "GET", "times": 1, "status": 500 }),
        json!({ "method": "GET", "times": 2, "cut": 1000 }),
        json!({ "method": "GET", "times": 1, "drop": "before" }),
    ] {
        s3.server.misbehave(&fault);
    }
    backed_up.come_back(&[]);
    assert_eq!(backed_up.vault.access_token("acme", "github/main"), "at-1");
    let secret = backed_up.vault.get("/v1/orgs/acme/secrets/s239").is(200).json();
    assert_eq!(secret["value"].as_str().map(str::len), Some(60_000));
}

/// On one processor, where the daemon has one thread for all who ask: whatever waits there keeps everybody waiting.
#[test]
fn a_bucket_that_does_not_answer_keeps_nobody_waiting() {
    let Some(s3) = S3::start() else { return };
    let backed_up = on_one_processor(|| s3.backed_up());
    backed_up.vault.create_org("acme");
    backed_up.wait_for_all();
    s3.server.misbehave(&json!({ "method": "PUT", "times": 1, "drop": "never" }));
    backed_up.vault.put_pair("acme", "github/main", "at-1", "rt-1");
    let puts = s3.of("PUT").len();
    poll("the bucket to be asked", || (s3.of("PUT").len() > puts).then_some(()));
    // Long enough for whatever is looked at once a second.
    let began = std::time::Instant::now();
    let mut longest = std::time::Duration::ZERO;
    while began.elapsed() < std::time::Duration::from_secs(4) {
        let asked = std::time::Instant::now();
        assert_eq!(backed_up.vault.access_token("acme", "github/main"), "at-1");
        longest = longest.max(asked.elapsed());
    }
    assert_eq!(
        s3.of("PUT").len(),
        puts + 1,
        "the bucket still keeps its answer back; a read waited {longest:?}"
    );
    s3.server.go_on();
    backed_up.wait_for_all();
}

/// What it starts has one processor.
fn on_one_processor<T>(start: impl FnOnce() -> T) -> T {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;
    let own = Pid::from_raw(0);
    let all = sched_getaffinity(own).expect("affinity");
    let first = (0..CpuSet::count()).find(|cpu| all.is_set(*cpu) == Ok(true)).expect("a processor");
    let mut one = CpuSet::new();
    one.set(first).expect("a processor");
    sched_setaffinity(own, &one).expect("affinity");
    let started = start();
    sched_setaffinity(own, &all).expect("affinity");
    started
}

#[test]
fn who_may_not_is_told_what_is_missing() {
    let Some(s3) = S3::start() else { return };
    let mut backed_up = s3.backed_up();
    let secret = s3.becomes_a_stranger(&mut backed_up);
    let found = poll("doctor to say it", || {
        let findings = backed_up.vault.admin().get("/admin/v1/doctor").is(200).json();
        let findings = findings["findings"].as_array()?.clone();
        findings.into_iter().find(|found| found["check"] == "backup" && found["level"] != "ok")
    });
    assert!(
        found["detail"].as_str().is_some_and(|detail| detail.contains("the role needs s3:ListBucket")),
        "{found}"
    );
    assert!(!backed_up.vault.said().contains(&secret));
}

#[test]
fn a_root_key_that_a_set_in_a_bucket_needs_stays_and_so_it_does_where_that_cannot_be_read() {
    let Some(s3) = S3::start() else { return };
    let mut backed_up = s3.backed_up();
    backed_up.vault.create_org("acme");
    let set = backed_up.wait_for_all()["set"].as_str().expect("a name").to_owned();
    let (old, _) = replace_root_key(&backed_up.vault);
    s3.server.misbehave(&json!({ "method": "GET", "times": 1, "status": 503 }));
    let refused = retire(&backed_up.vault, &old, false).refused(409, "conflict");
    assert_eq!(refused.reason.as_deref(), Some("key_in_backups"), "{}", refused.detail);
    assert!(refused.detail.contains(&set), "{}", refused.detail);
    s3.becomes_a_stranger(&mut backed_up);
    let refused = retire(&backed_up.vault, &old, false).refused(409, "conflict");
    assert_eq!(refused.reason.as_deref(), Some("backups_unread"), "{}", refused.detail);
    assert!(refused.detail.contains("the role needs s3:ListBucket"), "{}", refused.detail);
}
