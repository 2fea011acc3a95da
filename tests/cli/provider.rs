//! `provider`.

use crate::kit::{Answer, Daemon};
use crate::tokenkeep;

const SHOWN: &str = r#"{"provider":"gh","preset":"github","refreshes":true,"allowed_scopes":["read:org"],"requires_consent":false,"settings":[{"name":"client_auth","value":"post","from":"preset","source":"Refreshing user access tokens (2026-11-22)"},{"name":"token_endpoint","value":"https://github.com/t","from":"configuration","source":null},{"name":"idle_limit","value":null,"from":"default","source":null}]}"#;
const HELD: &str = r#"{"provider":"slack","preset":null,"refreshes":false,"allowed_scopes":[],"requires_consent":false,"settings":[]}"#;

#[test]
fn a_provider_is_shown_with_where_each_setting_comes_from() {
    let daemon = Daemon::start(|asked| match asked.line.as_str() {
        "GET /admin/v1/providers/gh" => Answer::Json(200, SHOWN.into()),
        "GET /admin/v1/providers/slack" => Answer::Json(200, HELD.into()),
        "GET /admin/v1/providers" => {
            Answer::Json(200, format!(r#"{{"items":[{SHOWN},{HELD}],"next":null}}"#))
        }
        other => panic!("{other}"),
    });
    tokenkeep(&daemon, "provider show gh").is("\
provider                gh
preset                  github
allowed_scopes          read:org
requires_consent        false
client_auth             post  (preset: Refreshing user access tokens (2026-11-22))
token_endpoint          https://github.com/t  (configuration)
idle_limit              none  (default)
");
    tokenkeep(&daemon, "provider show slack").is("\
provider                slack
preset                  none
allowed_scopes          any
requires_consent        false
client_id               none: it holds tokens and refreshes none
");
    tokenkeep(&daemon, "provider list").is("\
PROVIDER  PRESET  CLIENT AUTH  TOKEN ENDPOINT
gh        github  post         https://github.com/t
slack     -       -            -
");
    tokenkeep(&daemon, "provider show gh --output json").is(&format!("{SHOWN}\n"));
}

#[test]
fn a_check_that_fails_says_the_mend_and_exits_with_1() {
    let daemon = Daemon::start(|asked| {
        let findings = match asked.line.as_str() {
            "POST /admin/v1/providers/good/check" => {
                r#"{"check":"client_auth","level":"ok","detail":"accepted","mend":null}"#
            }
            "POST /admin/v1/providers/bad/check" => {
                r#"{"check":"client_auth","level":"fail","detail":"refused","mend":"see client_id"}"#
            }
            "POST /admin/v1/providers/held/check" => "",
            other => panic!("{other}"),
        };
        Answer::Json(200, format!(r#"{{"provider":"p","findings":[{findings}]}}"#))
    });
    tokenkeep(&daemon, "provider check good").is("ok    client_auth: accepted\n");
    tokenkeep(&daemon, "provider check held")
        .is("it has no client_id, so it holds tokens and is never asked\n");
    let told = tokenkeep(&daemon, "provider check bad");
    assert_eq!((told.exit, told.err.as_str()), (1, ""));
    assert_eq!(told.out, "fail  client_auth: refused\n      mend: see client_id\n");
}
