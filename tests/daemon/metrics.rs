//! The page of metrics, from outside: what happened is what it says, and it says what its document says.

use serde_json::json;

use crate::kit::{Request, TestVault};

const DOCUMENT: &str = include_str!("../../docs/metrics.md");

fn page(vault: &TestVault) -> String {
    let answer = vault.admin().get("/metrics").is(200);
    let kind = answer.header("content-type").unwrap_or_default().to_owned();
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    answer.text().to_owned()
}

/// The value of the sample with exactly this name and these labels.
fn sample(page: &str, name: &str) -> Option<u64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn what_happened_is_counted_by_action_and_outcome() {
    let vault = TestVault::running();
    let line = vault.line();
    line.send(&Request::new("PUT", "/v1/orgs/acme")).is(201);
    line.put("/v1/orgs/acme/connections/github/main", &json!({"access_token": "t"})).is(201);
    for _ in 0..3 {
        line.get("/v1/orgs/acme/connections/github/main/token").is(200);
    }
    line.get("/v1/orgs/acme/connections/github/none/token").is(404);
    line.get("/v1/nonsense").is(404);
    let page = page(&vault);
    let requests = |action: &str, outcome: &str| {
        sample(&page, &format!("tokenkeep_requests_total{{action=\"{action}\",outcome=\"{outcome}\"}}"))
    };
    assert_eq!(requests("token:read", "ok"), Some(3));
    assert_eq!(requests("token:read", "not_found"), Some(1));
    assert_eq!(requests("connection:write", "ok"), Some(1));
    assert_eq!(requests("unparsed", "not_found"), Some(1));
    assert_eq!(requests("secret:read", "ok"), Some(0));
    let timed = "tokenkeep_request_duration_seconds_count{action=\"token:read\"}";
    assert_eq!(sample(&page, timed), Some(4), "three that were found and one that was not");
    assert_eq!(sample(&page, "tokenkeep_store_records"), Some(2));
    assert_eq!((sample(&page, "tokenkeep_orgs"), sample(&page, "tokenkeep_ready")), (Some(1), Some(1)));
    assert_eq!(sample(&page, "tokenkeep_open_connections{door=\"admin\"}"), Some(1));
    assert!(!page.contains("acme") && !page.contains("main\""), "it names what is kept");
}

#[test]
fn the_page_and_its_document_name_the_same_metrics() {
    let vault = TestVault::running();
    vault.line().get("/v1/status").is(200);
    let page = page(&vault);
    let mut published: Vec<(String, String, String)> = Vec::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a name and a kind");
        let help = page.lines().find_map(|line| line.strip_prefix(&format!("# HELP {name} ")));
        let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
        let help = help.expect("help").trim_end_matches('.').to_owned();
        published.push((name, kind.to_owned(), help));
    }
    let documented: Vec<(String, String, String)> = DOCUMENT
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `tokenkeep_")?.trim_end_matches(" |").split(" | ");
            let (name, kind, _labels) = (cells.next()?, cells.next()?, cells.next()?);
            let name = format!("tokenkeep_{}", name.split('`').next()?);
            // `{…}` is an expression, not a row of the table.
            (!name.contains('{'))
                .then(|| (name, kind.to_owned(), cells.next().unwrap_or_default().to_owned()))
        })
        .collect();
    assert_eq!(published, documented);
}

#[test]
fn only_the_admin_socket_has_the_page_and_reading_it_is_recorded() {
    let vault = TestVault::running();
    vault.line().get("/metrics").is(404);
    let answer = vault.admin().get("/metrics").is(200);
    let entry = vault.audited(&answer);
    assert_eq!((entry.action.as_str(), entry.outcome.as_str()), ("metrics:read", "ok"));
}
