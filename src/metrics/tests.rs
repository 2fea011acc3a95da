//! The page says what was counted, in the words of the table, and nothing else.
#![allow(clippy::expect_used, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::Arc;

use super::table::ALL;
use super::*;

fn readings() -> Readings {
    Readings {
        version: "1.2.3",
        unix_seconds: 1_000,
        ready: true,
        uptime_seconds: 7,
        store_states: [("ok", true), ("full", false), ("failed", false)],
        store_records: 3,
        store_sequence: 9,
        store_files: StoreFiles::default(),
        scrubbed: (0, 0),
        audit_states: [("ok", false), ("low", true), ("failed", false)],
        audit_sequence: 11,
        braked: vec![("github".into(), true)],
        unwell: vec![("needs_reauth", 3)],
        events_waiting: 5,
        revocations: 0,
        orgs: 2,
        root_keys: vec![("aa".into(), true, 2), ("bb".into(), false, 1)],
        keys_left: 1,
    }
}

fn page(meters: &Arc<Meters>) -> String {
    render(meters, readings()).expect("a page")
}

#[test]
fn the_page_has_every_metric_of_the_table_and_no_other() {
    let meters = Arc::new(Meters::default());
    meters.took(Action::TokenRead, Duration::from_micros(1));
    meters.refreshed("github", Refreshed::Success);
    let page = page(&meters);
    let published: BTreeSet<(&str, &str)> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE tokenkeep_")?.split_once(' ')).collect();
    let declared: BTreeSet<(&str, &str)> =
        ALL.iter().map(|metric| (metric.name, metric.kind.as_str())).collect();
    assert_eq!(published, declared);
    for metric in ALL {
        let samples = page.lines().filter(|line| line.starts_with(&format!("tokenkeep_{}", metric.name)));
        for label in metric.labels {
            assert!(
                samples.clone().any(|line| line.contains(&format!("{label}=\""))),
                "{label} of {}",
                metric.name
            );
        }
        assert!(samples.count() > 0, "{} has no sample", metric.name);
    }
}

#[test]
fn what_is_counted_is_published() {
    let meters = Arc::new(Meters::default());
    meters.count(Action::TokenRead, "ok");
    meters.count(Action::TokenRead, "ok");
    meters.count(Action::TokenRead, "cross_org");
    meters.turned_away(Door::Unix);
    let open = meters.opened(Door::Admin);
    let has = |line: &str| {
        let page = page(&meters);
        assert!(page.lines().any(|found| found == line), "no {line} in\n{page}");
    };
    has(r#"tokenkeep_requests_total{action="token:read",outcome="ok"} 2"#);
    has(r#"tokenkeep_requests_total{action="token:read",outcome="cross_org"} 1"#);
    has(r#"tokenkeep_requests_total{action="secret:read",outcome="ok"} 0"#);
    has(r#"tokenkeep_connections_turned_away_total{door="unix"} 1"#);
    has(r#"tokenkeep_open_connections{door="admin"} 1"#);
    has(r#"tokenkeep_audit_state{state="low"} 1"#);
    has(r#"tokenkeep_root_key_wraps{key_id="bb",primary="false"} 1"#);
    drop(open);
    has(r#"tokenkeep_open_connections{door="admin"} 0"#);
}

#[test]
fn a_span_counts_in_every_bucket_that_holds_it() {
    let meters = Arc::new(Meters::default());
    for nanoseconds in [25_000, 25_001, 20_000_000_000] {
        meters.took(Action::TokenRead, Duration::from_nanos(nanoseconds));
    }
    let page = page(&meters);
    let bucket = |bound: &str| {
        let start =
            format!(r#"tokenkeep_request_duration_seconds_bucket{{le="{bound}",action="token:read"}} "#);
        let line = page.lines().find(|line| line.starts_with(&start));
        line.and_then(|line| line.strip_prefix(&start)?.parse::<u64>().ok()).expect(bound)
    };
    assert_eq!((bucket("0.000025"), bucket("0.00005"), bucket("10.0"), bucket("+Inf")), (1, 2, 2, 3));
}

/// Every word that the door can give as an outcome has a counter.
#[test]
fn every_code_has_a_counter() {
    let meters = Meters::default();
    for code in Code::ALL {
        meters.count(Action::TokenRead, code.as_str());
    }
    let counted: u64 = meters.requests.iter().map(|counter| counter.load(Ordering::Relaxed)).sum();
    assert_eq!(counted, Code::ALL.len() as u64);
}
