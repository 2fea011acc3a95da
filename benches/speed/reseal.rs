//! Sealing anew: on one core by itself, and through the whole daemon, with what the disk adds beside it.
//!
//! The yardstick is what the bare crate `fernet` takes to open and seal the same values.
//!
//! Never counts a record before it is durable.

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use fernet::Fernet;
use tokenkeep::crypto::key::{KeyText, SealingKey};
use tokenkeep::crypto::seal::{Place, Turned, reseal, seal};

use super::Extent;
use super::daemon::Daemon;
use super::process;
use super::report::{Table, against, median};

/// Records a second on one core, opened and sealed.
const GOAL: f64 = 50_000.0;

/// The sections of a connection: access token, metadata, refresh token.
const SECTIONS: [usize; 3] = [180, 260, 40];

/// Measures and prints.
pub(crate) fn measure(extent: Extent) {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..extent.rounds {
        ours.push(sealed_anew(extent.turn));
        bare.push(by_the_bare_crate(extent.turn));
    }
    let (ours, bare) = (median(ours), median(bare));
    let mut table = Table::new(
        "sealing records of three sections anew, on one core; the yardstick is the bare crate fernet",
        &["what", "against the goal", "verdict", "records a second", "against bare"],
    );
    let [ratio, verdict] = against(ours / GOAL, Some(1.0));
    table.row(vec![
        "opened and sealed".into(),
        ratio,
        verdict,
        format!("{ours:.0}"),
        format!("{:.2}", ours / bare),
    ]);
    table.row(vec!["fernet".into(), String::new(), String::new(), format!("{bare:.0}"), "1.00".into()]);
    table.print();
    through_the_daemon(extent);
}

fn keys() -> (SealingKey, SealingKey, Fernet, Fernet) {
    let (old, new) = (KeyText::generate(), KeyText::generate());
    let key = |text: &KeyText| SealingKey::parse(text.expose().as_bytes()).expect("a key");
    let bare = |text: &KeyText| Fernet::new(text.expose()).expect("a key");
    (key(&old), key(&new), bare(&old), bare(&new))
}

fn sealed_anew(turn: Duration) -> f64 {
    let (old, new, ..) = keys();
    let place = Place { vault: [1; 16], table: 2, record: [3; 32], field: 4 };
    let tokens = SECTIONS.map(|size| seal(&old, &place, 1, &vec![7; size]));
    let values = || {
        let value = |token| Turned { from: &old, place, generation: 1, becomes: 1, token };
        let values: Vec<_> = tokens.iter().map(|token| value(black_box(token.as_bytes()))).collect();
        values
    };
    per_second(turn, || reseal(&values(), &new).expect("they open").len())
}

fn by_the_bare_crate(turn: Duration) -> f64 {
    let (.., old, new) = keys();
    let tokens = SECTIONS.map(|size| old.encrypt(&vec![7; 59 + size]));
    per_second(turn, || {
        let again = |token: &String| new.encrypt(&old.decrypt(black_box(token)).expect("it opens")).len();
        tokens.iter().map(again).sum()
    })
}

fn per_second(turn: Duration, call: impl Fn() -> usize) -> f64 {
    let (begun, mut count) = (Instant::now(), 0_u32);
    while begun.elapsed() < turn {
        black_box(call());
        count += 1;
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}

/// All that it costs: reading, sealing, journal, index, audit log. What the processor did is one figure, what was waited for
/// the disk the other.
fn through_the_daemon(extent: Extent) {
    let daemon = Daemon::start();
    daemon.fill(extent.keys);
    let (before, threads) = (process::cpu(daemon.id()), by_what(&daemon));
    let begun = Instant::now();
    ask(&daemon, "POST", "/admin/v1/keys/orgs/rotate", r#"{"all":true,"records_per_second":1000000}"#);
    while ask(&daemon, "GET", "/admin/v1/keys", "").contains(r#""org_rotation":{"running":true"#) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let (took, worked) = (begun.elapsed(), process::cpu(daemon.id()).saturating_sub(before));
    let of_threads: Vec<_> = by_what(&daemon).into_iter().zip(threads).collect();
    let left = ask(&daemon, "GET", "/admin/v1/keys/orgs", "");
    assert!(left.contains(r#""earlier_records":0"#), "{left}");
    let mut table = Table::new(
        "all org keys replaced through the daemon",
        &[
            "records",
            "records a second",
            "records a second and core",
            "seconds",
            "of them on a core",
            "waited for the disk",
        ],
    );
    let records = f64::from(extent.keys);
    let (took, worked) = (took.as_secs_f64(), worked.as_secs_f64());
    table.row(vec![
        extent.keys.to_string(),
        format!("{:.0}", records / took),
        format!("{:.0}", records / worked),
        format!("{took:.2}"),
        format!("{worked:.2}"),
        format!("{:.2}", (took - worked).max(0.0)),
    ]);
    table.print();
    print_by_what(records, &of_threads);
    daemon.stop();
}

/// What the threads of the daemon are there for. The first is the rotation itself: each record read, its org's keys at hand, its
/// three sections opened, compared with their place, sealed, and put together again; then handed over, and each part recorded.
const WHAT: [(&str, &[&str]); 4] = [
    ("opened and sealed, in the daemon", &["tokenkeepd"]),
    ("made durable: journal, its MAC, audit log", &["store-committer", "journal-next", "audit-sync"]),
    ("brought into the index", &["store-applier", "sled-io", "index-"]),
    ("snapshots, and the journal before them", &["store-upkeep"]),
];

fn by_what(daemon: &Daemon) -> [f64; WHAT.len()] {
    let threads = process::cpu_of_threads(daemon.id());
    WHAT.map(|(_, names)| {
        let of_these = threads.iter().filter(|(name, _)| names.iter().any(|one| name.starts_with(one)));
        of_these.map(|(_, used)| used.as_secs_f64()).sum()
    })
}

fn print_by_what(records: f64, of_threads: &[(f64, f64)]) {
    let mut table = Table::new(
        "where the time on a core went, by threads",
        &["what", "against the goal", "verdict", "records a second and core", "us a record"],
    );
    for (number, ((what, _), (after, before))) in WHAT.iter().zip(of_threads).enumerate() {
        let used = (after - before).max(0.01);
        let goal = (number == 0).then_some(1.0);
        let [ratio, verdict] = against(records / used / GOAL, goal);
        let [ratio, verdict] = if number == 0 { [ratio, verdict] } else { [String::new(), String::new()] };
        let per_second = format!("{:.0}", records / used);
        table.row(vec![(*what).into(), ratio, verdict, per_second, format!("{:.1}", used / records * 1e6)]);
    }
    table.print();
}

fn ask(daemon: &Daemon, method: &str, path: &str, body: &str) -> String {
    let mut line = UnixStream::connect(daemon.sockets().join("admin.sock")).expect("the daemon listens");
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    line.write_all(text.as_bytes()).expect("it takes the request");
    let mut answer = String::new();
    line.read_to_string(&mut answer).expect("it answers");
    answer
}
