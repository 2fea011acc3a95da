//! A whole table moves in. The importer is killed once on the way, the daemon once, and nothing is lost or doubled.

use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::daemon::{Daemon, Line, Place};
use crate::postgres::{Postgres, said};
use crate::python;

/// The query of the pipe.
const ROWS: &str = "COPY (SELECT tenant AS org, provider, account AS name, access_token, refresh_token, expires_at, \
                    array_to_string(scopes, ' ') AS scopes FROM oauth_tokens ORDER BY id) TO STDOUT (FORMAT csv, HEADER)";

/// What is wrong, in the order of seal.py, and what is said of it.
const WRONG: [&str; 10] = [
    "no_key_opens",
    "no_key_opens",
    "not_fernet",
    "org",
    "missing_field",
    "invalid_request",
    "duplicate",
    "python_buffer",
    "missing_field",
    "plaintext",
];

/// An importer whose input the test holds: it cannot end before the test lets it.
struct Importer {
    child: Child,
    input: Option<ChildStdin>,
}

struct Table {
    postgres: Postgres,
    scratch: tempfile::TempDir,
    rows: usize,
}

#[test]
fn a_table_moves_in_through_kills_and_nothing_is_lost_or_doubled() {
    let table = Table::fill();
    let place = Place::new(table.scratch.path());
    let daemon = place.start().unwrap();

    let before = state(&daemon);
    let dry = table.pipe(&place, "--dry-run --create-orgs");
    assert_eq!(state(&daemon), before, "a dry run writes nothing");
    table.assert_summary(&dry, "created");

    // Each import is cut short while it waits for the rest of its input, so it cannot have ended before.
    let written = table.dump();
    let share = |percent: usize| written.len() * percent / 100;
    let reached = |percent: u64| before.0 + table.records() * percent / 100;
    let mut importer = Importer::start(&table, &place);
    importer.feed(&written[..share(40)]);
    wait_until(&daemon, |records| records > reached(30));
    importer.kill();
    assert!(state(&daemon).0 < reached(55));

    let mut importer = Importer::start(&table, &place);
    let daemon = std::thread::scope(|scope| {
        let feeding = scope.spawn(|| importer.feed(&written[..share(90)]));
        wait_until(&daemon, |records| records > reached(55));
        daemon.kill();
        let daemon = place.start().unwrap();
        feeding.join().unwrap();
        daemon
    });
    assert!(state(&daemon).0 < reached(100));
    importer.feed(&written[share(90)..]);
    let survived = importer.end();
    table.assert_summary(&survived, "wrong");

    let resumed = table.pipe(&place, "--create-orgs");
    table.assert_summary(&resumed, "unchanged");
    assert_eq!(state(&daemon).0, before.0 + table.records());
    table.assert_reads_back(&daemon);
    // The log of it all is long: the command line waits for as long as it takes.
    let verify = Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
        .args(["audit", "verify", "--socket"])
        .arg(place.admin_socket())
        .output();
    assert!(said(verify.unwrap()).starts_with("intact: "));
    drop(daemon);
    assert_rate(&table);
}

/// Without kills, into a vault of its own: how fast.
fn assert_rate(table: &Table) {
    let scratch = tempfile::tempdir().unwrap();
    let place = Place::new(scratch.path());
    let daemon = place.start().unwrap();
    let moved = table.timed("imported", || table.pipe(&place, "--create-orgs"));
    table.assert_summary(&moved, "created");
    let skipped = table.timed("there already", || table.pipe(&place, ""));
    table.assert_summary(&skipped, "unchanged");
    drop(daemon);
}

impl Table {
    fn fill() -> Self {
        let rows = std::env::var("TOKENKEEP_IMPORT_ROWS").map_or(3000, |rows| rows.parse().unwrap());
        let postgres = Postgres::start();
        let scratch = tempfile::tempdir().unwrap();
        let create = "CREATE TABLE oauth_tokens (id bigint PRIMARY KEY, tenant text, provider text, account text, \
                      access_token text, refresh_token text, expires_at timestamptz, scopes text[])";
        said(postgres.psql(create).output().unwrap());
        let table = Self { postgres, scratch, rows };
        let seal = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/import/seal.py");
        let mut sealing = Command::new(python())
            .args([seal, &rows.to_string()])
            .arg(table.key_file())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let sealed = sealing.stdout.take().unwrap();
        let copy = "COPY oauth_tokens FROM STDIN (FORMAT csv)";
        said(table.postgres.psql(copy).stdin(sealed).output().unwrap());
        assert!(sealing.wait().unwrap().success());
        table
    }

    fn key_file(&self) -> PathBuf {
        self.scratch.path().join("fernet.keys")
    }

    fn good(&self) -> usize {
        self.rows - WRONG.len()
    }

    /// The rows that nothing is wrong with.
    fn good_rows(&self) -> impl Iterator<Item = usize> + use<> {
        let step = self.rows / WRONG.len();
        (0..self.rows).filter(move |row| row % step != step - 1)
    }

    /// Records of the store once all of it has moved in: a connection a row, where its refresh token is found, and an org for
    /// each twentieth.
    fn records(&self) -> u64 {
        let refreshed = self.good_rows().filter(|row| refresh(*row).is_some()).count();
        (self.good() + refreshed + self.rows / 20) as u64
    }

    /// All of the table, as the pipe carries it.
    fn dump(&self) -> Vec<u8> {
        let output = self.postgres.psql(ROWS).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success());
        output.stdout
    }

    /// The pipe of the documentation, with JSON at its end.
    fn pipe(&self, place: &Place, options: &str) -> Value {
        let line = format!(
            "psql -X -q -v ON_ERROR_STOP=1 -c \"{ROWS}\" | {} --output json import - --format csv --key-file {} {options}",
            env!("CARGO_BIN_EXE_tokenkeep"),
            self.key_file().display()
        );
        let output = self
            .postgres
            .command("bash")
            .args(["-o", "pipefail", "-c", &line])
            .env("TOKENKEEP_ADMIN", format!("unix://{}", place.admin_socket().display()))
            .output()
            .unwrap();
        document(&output)
    }

    fn timed(&self, what: &str, run: impl FnOnce() -> Value) -> Value {
        let begun = Instant::now();
        let document = run();
        let seconds = begun.elapsed().as_secs_f64();
        eprintln!("{what}: {} rows in {seconds:.1} s, {:.0} a second", self.rows, self.rows as f64 / seconds);
        document
    }

    /// Every row is accounted for: the good ones as `outcome`, unless that is mixed, the wrong ones by line.
    fn assert_summary(&self, document: &Value, outcome: &str) {
        let count = |name: &str| usize::try_from(document[name].as_u64().unwrap()).unwrap();
        assert_eq!((count("rows"), count("wrong")), (self.rows, WRONG.len()), "{document}");
        assert_eq!(count("created") + count("unchanged"), self.good());
        if outcome != "wrong" {
            assert_eq!(count(outcome), self.good(), "{outcome}");
        }
        let step = self.rows / WRONG.len();
        // The header is line 1.
        let expected = WRONG.iter().enumerate().map(|(at, code)| (((at + 1) * step + 1) as u64, *code));
        let wrong = document["wrong_rows"].as_array().unwrap();
        let told = wrong.iter().map(|row| (row["line"].as_u64().unwrap(), row["code"].as_str().unwrap()));
        assert_eq!(told.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        for secret in ["gho_", "ghr_", "gAAA", "../", "@example", "0x7f"] {
            assert!(!document["wrong_rows"].to_string().contains(secret), "{secret} is told");
        }
        let opened = document["keys"].as_array().unwrap().iter().map(|key| key["opened"].as_u64().unwrap());
        let opened: Vec<u64> = opened.collect();
        let least = (self.rows * 19 / 10 / 3 * 9 / 10) as u64;
        assert!(opened.len() == 3 && opened.iter().all(|opened| *opened > least), "{opened:?}");
    }

    /// Each token is what Python sealed, and was written once.
    fn assert_reads_back(&self, daemon: &Daemon) {
        let orgs = self.rows / 20;
        let mut by_org: HashMap<usize, Vec<usize>> = HashMap::new();
        for row in self.good_rows() {
            by_org.entry(row % orgs).or_default().push(row);
        }
        let mut line = daemon.application();
        let mut read = 0;
        for (org, rows) in by_org {
            let name =
                |row: &usize| json!({ "provider": "github", "name": format!("user:{row}@example.com") });
            let asked = json!({ "connections": rows.iter().map(name).collect::<Vec<_>>() });
            let answer = line.done("POST", &format!("/v1/orgs/org-{org}/tokens"), &asked);
            for (row, result) in rows.iter().zip(answer["results"].as_array().unwrap()) {
                let token = &result["token"];
                assert_eq!(token["access_token"], json!(access(*row)), "row {row}: {result}");
                assert_eq!(token["expires_at"], "2031-01-02T03:04:05Z");
                assert_eq!(
                    (&token["scopes"], &token["generation"]),
                    (&json!(["read:org", "repo"]), &json!(1))
                );
                assert_eq!(refresh_token(&mut line, org, *row), refresh(*row));
                read += 1;
            }
        }
        assert_eq!(read, self.good());
    }
}

impl Importer {
    fn start(table: &Table, place: &Place) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
            .args(["--output", "json", "import", "-", "--format", "csv", "--create-orgs", "--key-file"])
            .arg(table.key_file())
            .arg("--socket")
            .arg(place.admin_socket())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        Self { child, input }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        assert!(!self.child.wait().unwrap().success());
    }

    fn end(mut self) -> Value {
        drop(self.input.take());
        let mut out = String::new();
        BufReader::new(self.child.stdout.take().unwrap()).read_to_string(&mut out).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(1));
        serde_json::from_str(&out).unwrap()
    }
}

fn document(output: &Output) -> Value {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "some rows are wrong: {err}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no document: {err}"))
}

/// Records in the store, and the last place in its journal.
fn state(daemon: &Daemon) -> (u64, u64) {
    let status = daemon.admin().read("/v1/status").unwrap().json();
    (status["store"]["records"].as_u64().unwrap(), status["store"]["sequence"].as_u64().unwrap())
}

fn wait_until(daemon: &Daemon, holds: impl Fn(u64) -> bool) {
    let mut moved_on = (0, Instant::now());
    loop {
        let records = state(daemon).0;
        if holds(records) {
            return;
        }
        if records != moved_on.0 {
            moved_on = (records, Instant::now());
        }
        assert!(moved_on.1.elapsed() < Duration::from_secs(60), "the import does not move on");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn refresh_token(line: &mut Line, org: usize, row: usize) -> Option<String> {
    let path = format!("/v1/orgs/org-{org}/connections/github/user:{row}@example.com/refresh-token");
    line.read(&path).unwrap().json()["refresh_token"].as_str().map(str::to_owned)
}

fn access(row: usize) -> String {
    if row.is_multiple_of(7) {
        format!("eyJhbGciOiJSUzI1NiJ9.{row:0800}.{row:0342}")
    } else {
        format!("gho_{row:036}")
    }
}

fn refresh(row: usize) -> Option<String> {
    (!row.is_multiple_of(10)).then(|| format!("ghr_{row:076}"))
}
