//! `alert`.

use crate::kit::{Answer, Daemon};
use crate::tokenkeep;

const WAITING: &str = r#"{"webhook":"https://alerts.example","waiting":201,"items":[{"id":"evt_00","sequence":812,"type":"connection.needs_reauth","timestamp":"2026-11-22T04:33:46Z","org":"acme","provider":"github","name":"main","failures":2,"last_failure":"status 503","next_in":16},{"id":"evt_01","sequence":813,"type":"vault.quarantined","timestamp":"2026-11-22T04:33:47Z","org":null,"provider":null,"name":null,"failures":0,"last_failure":null,"next_in":0}]}"#;

#[test]
fn what_waits_is_listed_and_that_nobody_is_told_is_said() {
    let daemon = Daemon::start(|asked| match asked.line.as_str() {
        "GET /admin/v1/alerts" => Answer::Json(200, WAITING.into()),
        other => panic!("{other}"),
    });
    let told = tokenkeep(&daemon, "alert list");
    assert_eq!((told.exit, told.err.as_str()), (0, "note: 201 wait in all\n"));
    assert_eq!(
        told.out,
        "\
SEQUENCE  WHEN                  TYPE                     OF                FAILURES  NEXT  LAST FAILURE
812       2026-11-22T04:33:46Z  connection.needs_reauth  acme/github/main  2         16s   status 503
813       2026-11-22T04:33:47Z  vault.quarantined        -                 0         0s    -
"
    );
    tokenkeep(&daemon, "alert list --output json").is(&format!("{WAITING}\n"));
    let nobody = Daemon::start(|_| Answer::Json(200, r#"{"webhook":null,"waiting":0,"items":[]}"#.into()));
    let told = tokenkeep(&nobody, "alert list");
    assert!(told.err.contains("no webhook is configured"), "{}", told.err);
}

#[test]
fn a_test_says_what_came_back_and_exits_with_1_where_it_was_not_taken() {
    for (delivered, exit, out) in
        [(true, 0, "delivered: status 204 (evt_00)\n"), (false, 1, "not delivered: status 204 (evt_00)\n")]
    {
        let daemon = Daemon::start(move |asked| {
            assert_eq!(asked.line, "POST /admin/v1/alerts/test");
            let detail = r#""status":204,"detail":"status 204""#;
            Answer::Json(200, format!(r#"{{"id":"evt_00","delivered":{delivered},{detail}}}"#))
        });
        let told = tokenkeep(&daemon, "alert test");
        assert_eq!((told.exit, told.out.as_str(), told.err.as_str()), (exit, out, ""));
    }
}
