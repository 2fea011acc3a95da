//! The due queue of refreshing with a million connections: what it takes of memory and time, and what filling it costs a
//! start.
//!
//! The hard problem: a queue that is quick at a thousand says nothing of a million. The answer: both, each beside what
//! the standard library would give for the same (a map from name to moment, and a set ordered by moment), and the scan
//! that fills it over a vault that a daemon has written.
//!
//! Never counts what a connection has in the store: that is there without a queue.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokenkeep::audit;
use tokenkeep::clock::SystemClock;
use tokenkeep::crypto::key_list::RootKeys;
use tokenkeep::domain::policy::Policy;
use tokenkeep::domain::provider::Providers;
use tokenkeep::domain::rate::Rate;
use tokenkeep::service::refresh::queue::{Blind, Pace, Queue};
use tokenkeep::store::Store;
use tokenkeep::vault::Vault;
use tokenkeep::vault::application_keys::ApplicationKeys;
use tokenkeep::vault::open::Options;
use tokenkeep::vault::open_orgs::Bounds;
use tokenkeep_client::ids::ProviderId;

use super::Extent;
use super::daemon::Daemon;
use super::process::resident_mib;
use super::report::Table;

/// In the short form too: it takes seconds.
const MILLION: u64 = 1_000_000;
/// Of the memory that the standard library would take.
const CEILING: f64 = 0.8;

/// Measures and prints.
pub(crate) fn measure(extent: Extent) {
    let columns = ["connections", "what", "memory against std", "goal", "bytes each", "put ns", "pick ns"];
    let mut table = Table::new("the due queue, against a map and an ordered set of the same", &columns);
    for count in [1_000, MILLION] {
        let [own, standard] = [of_own(count), of_standard(count)];
        let ratio = own.bytes / standard.bytes;
        let verdict = match ratio <= CEILING {
            _ if count < MILLION => "not judged",
            true => "kept",
            false => "NOT kept",
        };
        table.row(row(count, "queue", [format!("{ratio:.2}"), format!("{CEILING} {verdict}")], &own));
        table.row(row(count, "std", ["1.00".into(), String::new()], &standard));
    }
    table.print();
    fill(extent.keys);
}

struct Cost {
    bytes: f64,
    put: Duration,
    pick: Duration,
}

fn row(count: u64, what: &str, [ratio, goal]: [String; 2], cost: &Cost) -> Vec<String> {
    let each = |span: Duration| format!("{:.0}", span.as_nanos() as f64 / count as f64);
    vec![
        count.to_string(),
        what.into(),
        ratio,
        goal,
        format!("{:.0}", cost.bytes / count as f64),
        each(cost.put),
        each(cost.pick),
    ]
}

/// Bits as good as random, as a MAC's are.
fn blind(number: u64) -> Blind {
    let mut blind = [0; 32];
    for (at, word) in blind.chunks_exact_mut(8).enumerate() {
        let mut mixed = number.wrapping_mul(4).wrapping_add(at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        word.copy_from_slice(&(mixed ^ mixed >> 32).to_ne_bytes());
    }
    blind
}

/// Within an hour.
fn due(number: u64) -> u32 {
    1_800_000_000 + (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32 % 3600
}

fn of_own(count: u64) -> Cost {
    let before = resident_mib(std::process::id());
    let mut queue = Queue::new(Pace { places: usize::MAX, rate: Rate::HIGHEST });
    let provider = ProviderId::parse("idp").expect("valid");
    let begun = Instant::now();
    (0..count).for_each(|number| queue.put(&provider, &blind(number), u64::from(due(number))));
    let put = begun.elapsed();
    let bytes = (resident_mib(std::process::id()) - before) * 1_048_576.0;
    let (begun, now) = (Instant::now(), Duration::from_secs(1_800_010_000));
    let mut picked = 0;
    while queue.take(now + Duration::from_secs(picked)).is_some() {
        picked += 1;
    }
    assert_eq!(picked, count);
    Cost { bytes, put, pick: begun.elapsed() }
}

fn of_standard(count: u64) -> Cost {
    let before = resident_mib(std::process::id());
    let (mut by_name, mut by_due) = (HashMap::new(), BTreeSet::new());
    let begun = Instant::now();
    for number in 0..count {
        by_name.insert(blind(number), due(number));
        by_due.insert((due(number), blind(number)));
    }
    let put = begun.elapsed();
    let bytes = (resident_mib(std::process::id()) - before) * 1_048_576.0;
    let begun = Instant::now();
    while let Some((_, name)) = by_due.pop_first() {
        by_name.remove(&name);
    }
    Cost { bytes, put, pick: begun.elapsed() }
}

/// The scan of a start, over so many connections.
fn fill(keys: u32) {
    let daemon = Daemon::start();
    daemon.fill(keys);
    let state = daemon.stop_and_leave();
    let root = std::fs::read(state.path().join("root.key")).expect("a key");
    let options = Options {
        state_directory: state.path().join("state"),
        audit_directory: state.path().join("state/audit"),
        audit_sync: audit::Sync::DEFAULT,
        environment: "development".to_owned(),
        root_keys: RootKeys::parse(&root).expect("a key list"),
        application_keys: ApplicationKeys::default(),
        policy: Policy::new(Vec::new()).expect("a policy"),
        providers: Providers::Any(Vec::new()),
        org_keys: Bounds::default(),
        machine: "test".to_owned(),
        own_uid: 0,
        clock: Arc::new(SystemClock),
        store: tokenkeep::store::embedded::Sizes::default(),
        retention: tokenkeep::store::embedded::Retention::Covered,
        progress: Box::new(|_| {}),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let begun = Instant::now();
    let (vault, store) = runtime.block_on(Vault::open(options)).expect("a vault");
    let opened = begun.elapsed();
    let (begun, mut found, mut after) = (Instant::now(), 0, None);
    let mut longest = Duration::ZERO;
    loop {
        let page_begun = Instant::now();
        let (page, last) = vault.survey(after.as_ref(), 64).expect("readable");
        longest = longest.max(page_begun.elapsed());
        found += page.len();
        let Some(last) = last else { break };
        after = Some(last);
    }
    let (took, each) = (begun.elapsed(), begun.elapsed().as_secs_f64() / f64::from(keys));
    let mut table = Table::new(
        "filling the queue at a start, behind it: a start does not wait for it",
        &[
            "connections",
            "work s",
            "work against opening the vault",
            "us each",
            "longest step ms",
            "a million, with its pauses, s",
        ],
    );
    table.row(vec![
        found.to_string(),
        format!("{:.2}", took.as_secs_f64()),
        format!("{:.1}", took.as_secs_f64() / opened.as_secs_f64()),
        format!("{:.1}", each * 1e6),
        format!("{:.2}", longest.as_secs_f64() * 1e3),
        format!("{:.0}", each * 2e6),
    ]);
    table.print();
    store.close();
    vault.audit().close();
}
