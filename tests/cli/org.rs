//! `org`.

use crate::kit::{Answer, Daemon};
use crate::tokenkeep;

fn org(name: &str) -> String {
    format!(r#"{{"org":"{name}","created_at":"2026-11-21T18:00:00Z","root_key_id":"k1"}}"#)
}

#[test]
fn an_org_is_created_and_shown() {
    let daemon = Daemon::start(|_| Answer::Json(200, org("acme")));
    let text = "org         acme\ncreated     2026-11-21T18:00:00Z\nroot key    k1\n";
    tokenkeep(&daemon, "org create acme").is(text);
    tokenkeep(&daemon, "org show acme").is(text);
    tokenkeep(&daemon, "org show acme --output json").is(&format!("{}\n", org("acme")));
    let lines: Vec<_> = daemon.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines, ["PUT /v1/orgs/acme", "GET /v1/orgs/acme", "GET /v1/orgs/acme"]);
}

#[test]
fn a_list_follows_every_page_unless_told_where_to_stop() {
    let daemon = Daemon::start(|asked| {
        let (name, next) = match asked.line.as_str() {
            "GET /admin/v1/orgs" | "GET /admin/v1/orgs?limit=1" => ("acme", r#""c1""#),
            "GET /admin/v1/orgs?after=c1" | "GET /admin/v1/orgs?after=c1&limit=1" => ("beta-long", "null"),
            other => panic!("{other}"),
        };
        Answer::Json(200, format!(r#"{{"items":[{}],"next":{next}}}"#, org(name)))
    });
    tokenkeep(&daemon, "org list").is("\
ORG        CREATED               ROOT KEY
acme       2026-11-21T18:00:00Z  k1
beta-long  2026-11-21T18:00:00Z  k1
");
    tokenkeep(&daemon, "org list --output json").is(&format!(
        "{{\"items\":[{},{}],\"next\":null}}\n",
        org("acme"),
        org("beta-long")
    ));
    let first = tokenkeep(&daemon, "org list --limit 1");
    assert_eq!((first.exit, first.err.as_str()), (0, "note: there is more, from --after c1\n"));
    assert!(!first.out.contains("beta"));
    tokenkeep(&daemon, "org list --limit 1 --output json")
        .is(&format!("{{\"items\":[{}],\"next\":\"c1\"}}\n", org("acme")));
    tokenkeep(&daemon, "org list --after c1 --limit 1 --output json")
        .is(&format!("{{\"items\":[{}],\"next\":null}}\n", org("beta-long")));
}

#[test]
fn a_list_that_goes_round_in_circles_is_given_up() {
    let daemon = Daemon::start(|_| Answer::Json(200, r#"{"items":[],"next":"c1"}"#.into()));
    let told = tokenkeep(&daemon, "org list");
    assert_eq!(told.exit, 2);
    assert!(told.err.contains("a list that does not move on"), "{}", told.err);
    assert_eq!(daemon.asked().len(), 2);
}
