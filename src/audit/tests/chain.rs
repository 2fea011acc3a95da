//! The chain: what is written comes back, whole and in order.
//!
//! Never looks inside the log but at its files.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::audit::line::{self, Body};
use crate::audit::{Filter, verify};
use crate::domain::principal::Remote;
use crate::domain::san::San;
use crate::store::Witness;

#[test]
fn a_line_has_the_documented_form() {
    let kit = Kit::new();
    let (log, opened) = kit.open();
    assert_eq!(opened.head.sequence, 1);
    assert_eq!((opened.journal, opened.torn), (Mark::START, None));
    let who = asked_by(r"app-x\x2dy@1.service");
    let journal = Some(Mark { sequence: 9, chain: [0xab; 32] });
    let mark = log.append(&Entry { journal, ..read_of(&who, "r-1") }).unwrap();
    let text = lines(&kit.path("2026-11-21.0001.jsonl"));
    let opening = concat!(
        r#"{"seq":1,"at":"2026-11-21T18:00:00.000000Z","kind":"segment","format":1,"#,
        r#""vault":"07070707070707070707070707070707","segment":1,"mac":""#
    );
    assert!(text[0].starts_with(opening), "{}", text[0]);
    let entry = concat!(
        r#"{"seq":2,"at":"2026-11-21T18:00:00.000000Z","request_id":"r-1","principal":{"name":"billing","#,
        r#""proof":"unix","uid":1000,"gid":1001,"pid":4242,"unit":"app-x\\x2dy@1.service"},"#,
        r#""action":"token:read","org":"acme","target":"github/main","decision":"allow","outcome":"ok","#,
        r#""generation":7,"journal":{"sequence":9,"chain":"abababababababababababababababab"#,
        r#"abababababababababababababababab"},"mac":""#
    );
    assert!(text[1].starts_with(entry), "{}", text[1]);
    let hex: String = mark.chain.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(text[1].ends_with(&format!("{hex}\"}}")));
}

#[test]
fn a_caller_over_tls_is_written_with_what_proved_it() {
    let kit = Kit::new();
    let (log, _) = kit.open();
    let san = San::parse("spiffe://example/web");
    let mut remote = Remote { address: "[::1]:4411".into(), san, serial: Some("40ab".into()) };
    for said in [
        r#""principal":{"name":"web","proof":"mtls","address":"[::1]:4411","san":"spiffe://example/web","serial":"40ab"},"action""#,
        r#""principal":{"name":"web","proof":"mtls","address":"[::1]:4411"},"action""#,
    ] {
        let who = Who::of(&Principal { name: "web".into(), proof: Proof::Mtls(remote.clone()) });
        log.append(&read_of(&who, "r")).unwrap();
        let text = log.last(1).unwrap().entries.remove(0);
        assert!(text.contains(said), "{text}");
        assert_eq!(line::decode(text.as_bytes()).unwrap().encode(), text.as_bytes());
        (remote.san, remote.serial) = (None, None);
    }
    assert_eq!(log.verify().unwrap().entries, 3);
}

#[test]
fn absent_fields_are_left_out() {
    let kit = Kit::new();
    let (log, _) = kit.open();
    let who = Who::of(&Principal { name: "task:refresh".into(), proof: Proof::Internal });
    let entry = Entry { org: None, target: None, generation: None, ..read_of(&who, "r") };
    log.append(&entry).unwrap();
    let line: serde_json::Value = serde_json::from_str(&log.last(1).unwrap().entries[0]).unwrap();
    let fields: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["action", "at", "decision", "mac", "outcome", "principal", "request_id", "seq"]);
    assert_eq!(line["principal"].as_object().unwrap().len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_name_holds_it_comes_back(
        name in any::<String>(), unit in proptest::option::of(any::<String>()), target in any::<String>(),
        request_id in any::<String>(), generation in any::<Option<u64>>(), uid in any::<u32>(),
    ) {
        let kit = Kit::new();
        let (log, _) = kit.open();
        let peer = Peer { uid, gid: 0, pid: u32::MAX, unit: unit.clone() };
        let who = Who::of(&Principal { name: name.clone(), proof: Proof::Admin(peer) });
        let entry = Entry { target: Some(Target::Named(&target)), generation, ..read_of(&who, &request_id) };
        let mark = log.append(&entry).unwrap();
        let text = log.last(1).unwrap().entries.remove(0);
        let line = line::decode(text.as_bytes()).unwrap();
        prop_assert_eq!(line.encode(), text.as_bytes());
        prop_assert_eq!((line.sequence, line.mac), (mark.sequence, mark.chain));
        let Body::Entry(read) = line.body else { panic!("an entry") };
        prop_assert_eq!((read.principal, read.request_id), (name, request_id));
        prop_assert_eq!((read.target, read.generation), (Some(target), generation));
        let peer = read.peer.unwrap();
        prop_assert_eq!((peer.uid, peer.unit), (uid, unit));
        prop_assert_eq!(log.verify().unwrap().entries, 2);
    }

    #[test]
    fn the_parser_takes_only_what_it_would_write(bytes in any::<Vec<u8>>(), flip in any::<(u16, u8)>()) {
        prop_assert!(line::decode(&bytes).is_err());
        let genuine = br#"{"seq":2,"at":"2026-11-21T18:00:00.000000Z","request_id":"r","principal":{"name":"a","proof":"internal"},"action":"token:read","decision":"deny","outcome":"forbidden","mac":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}"#;
        let mut changed = genuine.to_vec();
        let at = usize::from(flip.0) % changed.len();
        changed[at] ^= flip.1;
        if let Ok(line) = line::decode(&changed) {
            prop_assert_eq!(line.encode(), changed);
        }
        prop_assert!(line::decode(genuine).is_ok());
    }
}

#[test]
fn a_second_form_of_the_same_json_is_refused() {
    let kit = Kit::new();
    let (log, _) = kit.open();
    append(&log, 1);
    let text = log.last(1).unwrap().entries.remove(0);
    for (from, to) in [
        ("\"org\":\"acme\"", "\"org\": \"acme\""),
        ("\"acme\"", "\"\\u0061cme\""),
        ("\"generation\":7", "\"generation\":07"),
        ("\"generation\":7", "\"generation\":null"),
        ("\"uid\":1000,", ""),
        ("\"org\":\"acme\",\"target\":\"github/main\"", "\"target\":\"github/main\",\"org\":\"acme\""),
        ("\"outcome\"", "\"extra\":1,\"outcome\""),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        assert_eq!(line::decode(changed.as_bytes()), Err(line::Malformed), "{to}");
    }
}

#[test]
fn eight_threads_keep_one_whole_chain() {
    let kit = Kit { segment_most: 100_000, ..Kit::new() };
    let (log, _) = kit.open();
    let mut marks: Vec<Mark> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| (0..500).map(|_| append(&log, 1)).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    marks.sort_by_key(|mark| mark.sequence);
    marks.dedup_by_key(|mark| mark.sequence);
    assert_eq!(marks.len(), 4000, "each entry has its own place");
    let verified = log.verify().unwrap();
    assert_eq!(verified.head, log.health().head);
    assert!(verified.files > 10);
    for mark in marks.iter().step_by(397) {
        assert!(log.contains(*mark).unwrap());
    }
}

#[test]
fn verify_and_query_run_while_the_log_grows() {
    let kit = Kit { segment_most: 50_000, ..Kit::new() };
    let (log, _) = kit.open();
    append(&log, 10);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| append(&log, 20_000));
        while !writer.is_finished() {
            let before = log.health().head.sequence;
            assert!(log.verify().unwrap().entries >= before);
            assert_eq!(log.last(5).unwrap().entries.len(), 5);
        }
    });
}

#[test]
fn the_durable_head_follows_only_a_sync() {
    let kit = Kit { sync: NEVER, ..Kit::new() };
    let (log, opened) = kit.open();
    assert_eq!(log.durable_head(), opened.head);
    append(&log, 100);
    assert_eq!(log.durable_head(), opened.head, "nobody asked for a sync");
    let who = asked_by("billing.service");
    let mark = wait(log.append_durable(&read_of(&who, "change"))).unwrap();
    assert_eq!(log.durable_head(), mark);
    append(&log, 1);
    assert_eq!(log.durable_head(), mark);
    log.close();
    assert_eq!(log.durable_head().sequence, mark.sequence + 1, "closing syncs");
    assert!(log.append(&read_of(&who, "late")).is_err());
}

#[test]
fn lines_that_nobody_waits_for_are_synced_by_themselves() {
    let kit = Kit::new();
    let (log, _) = kit.open();
    let mark = append(&log, 3);
    for _ in 0..6_000 {
        if log.durable_head() == mark {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never synced");
}

#[test]
fn many_who_wait_are_all_answered_also_when_one_leaves() {
    let kit = Kit { sync: NEVER, ..Kit::new() };
    let (log, _) = kit.open();
    let log = Arc::new(log);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let marks = runtime.block_on(async {
        let mut tasks = Vec::new();
        for number in 0..200 {
            let who = asked_by("billing.service");
            let durable = log.append_durable(&read_of(&who, "change"));
            if number % 10 != 0 {
                tasks.push(tokio::spawn(durable));
            }
        }
        let mut marks = Vec::new();
        for task in tasks {
            marks.push(task.await.unwrap().unwrap());
        }
        marks
    });
    assert_eq!(marks.len(), 180);
    assert_eq!(log.health().head.sequence, 201, "those whose caller left are in the log too");
    assert!(marks.iter().all(|mark| mark.sequence <= log.durable_head().sequence));
}

#[test]
fn a_reopened_log_goes_on_where_it_ended() {
    let kit = Kit::new();
    let (log, _) = kit.open();
    let who = asked_by("billing.service");
    let newest = Mark { sequence: 12, chain: [2; 32] };
    for mark in [Mark { sequence: 11, chain: [1; 32] }, newest, Mark { sequence: 10, chain: [3; 32] }] {
        log.append(&Entry { journal: Some(mark), ..read_of(&who, "change") }).unwrap();
    }
    let last = append(&log, 5);
    drop(log);
    let (log, opened) = kit.open();
    assert_eq!(opened, Opened { head: last, journal: newest, overtaken: (1..10).collect(), torn: None });
    assert_eq!(append(&log, 1).sequence, last.sequence + 1);
    assert_eq!(log.verify().unwrap().entries, 10);
    assert_eq!(kit.files().len(), 1);
}

#[test]
fn a_query_finds_by_each_field_and_pages() {
    let kit = Kit { segment_most: 3_000, ..Kit::new() };
    let (log, _) = kit.open();
    let (billing, admin) =
        (asked_by("b"), Who::of(&Principal { name: "admin".into(), proof: Proof::Internal }));
    for number in 0..40 {
        let who = if number % 4 == 0 { &admin } else { &billing };
        let outcome = if number % 5 == 0 { "not_found" } else { "ok" };
        let org = Some(if number % 2 == 0 { "acme" } else { "other" });
        let action = if number == 7 { Action::OrgCreate } else { Action::TokenRead };
        log.append(&Entry { outcome, org, action, ..read_of(who, "r") }).unwrap();
        kit.clock.advance(Duration::from_secs(60));
    }
    let count = |filter: Filter| log.query(&filter, 0, 1000).unwrap().entries.len();
    let at = |minutes: u64| Some(evening() + Duration::from_secs(minutes * 60));
    assert_eq!(count(Filter { principal: Some("admin".into()), ..Filter::default() }), 10);
    assert_eq!(count(Filter { outcome: Some("not_found".into()), ..Filter::default() }), 8);
    assert_eq!(count(Filter { org: Some("acme".into()), ..Filter::default() }), 20);
    assert_eq!(count(Filter { action: Some(Action::OrgCreate), ..Filter::default() }), 1);
    let org = Some("acme".into());
    assert_eq!(count(Filter { org, since: at(10), until: at(20), ..Filter::default() }), 5);
    let filter = Filter { org: Some("other".into()), ..Filter::default() };
    let (mut after, mut found) = (0, Vec::new());
    loop {
        let page = log.query(&filter, after, 3).unwrap();
        found.extend(page.entries);
        let Some(next) = page.next else { break };
        after = next;
    }
    assert_eq!(found, log.query(&filter, 0, 1000).unwrap().entries);
    assert_eq!(found.len(), 20);
    let all: Vec<_> = kit.files().iter().flat_map(|file| lines(&kit.path(file))).collect();
    assert_eq!(log.query(&Filter::default(), 0, 1000).unwrap().entries, all);
    assert_eq!(log.last(3).unwrap().entries, all[all.len() - 3..]);
    assert_eq!(verify(&kit.directory(), &key(), VAULT, None).unwrap().entries, all.len() as u64);
}
