//! `status`, `doctor`.

use crate::kit::{Answer, Daemon};
use crate::tokenkeep;

const STATUS: &str = r#"{"version":"0.1.0","vault_id":"v-1","environment":"production","principal":{"name":"admin","proof":"admin","uid":0,"gid":0,"pid":7,"unit":null},"ready":true,"store":{"state":"ok","reason":null,"records":12,"sequence":34,"index":"sled"},"audit":{"state":"ok","reason":null,"sequence":99},"key_pages":"secret","locked_memory":true}"#;

#[test]
fn status_says_what_runs() {
    let daemon = Daemon::start(|_| Answer::Json(200, STATUS.into()));
    tokenkeep(&daemon, "status").is("\
tokenkeepd   0.1.0, ready
vault        v-1
environment  production
you          admin (admin), uid 0, pid 7
store        ok, 12 records, sequence 34, index sled
audit        ok, sequence 99
keys         in secret memory
memory       locked
");
    tokenkeep(&daemon, "status --output json").is(&format!("{STATUS}\n"));
    assert_eq!(daemon.asked()[0].line, "GET /v1/status");
}

#[test]
fn status_of_a_vault_that_is_not_ready_exits_with_2_and_says_why() {
    let failed = STATUS.replace(r#""ready":true"#, r#""ready":false"#).replace(
        r#""audit":{"state":"ok","reason":null"#,
        r#""audit":{"state":"failed","reason":"disk \u001b[1m""#,
    );
    let daemon = Daemon::start(move |_| Answer::Json(200, failed.clone()));
    let told = tokenkeep(&daemon, "status");
    assert_eq!(told.exit, 2);
    assert!(told.out.contains("tokenkeepd   0.1.0, not ready\n"), "{}", told.out);
    assert!(told.out.contains("audit        failed (disk \\u{1b}[1m), sequence 99\n"), "{}", told.out);
    assert_eq!(tokenkeep(&daemon, "status --output json").exit, 2);
}

#[test]
fn metrics_passes_the_page_on() {
    let page = "# TYPE tokenkeep_ready gauge\ntokenkeep_ready 1\n# EOF\n";
    let daemon = Daemon::start(move |_| Answer::Json(200, page.into()));
    tokenkeep(&daemon, "metrics").is(page);
    assert_eq!(daemon.asked()[0].line, "GET /metrics");
}

#[test]
fn doctor_exits_with_1_where_a_check_fails() {
    let fine = r#"{"findings":[{"check":"clock","level":"ok","detail":"in step","mend":null}]}"#;
    let ill = r#"{"findings":[{"check":"clock","level":"warn","detail":"no NTP","mend":"start chronyd"},{"check":"swap","level":"fail","detail":"is on","mend":"swapoff -a"}]}"#;
    let daemon =
        Daemon::start(move |asked| Answer::Json(200, if asked.nth == 1 { fine } else { ill }.into()));
    tokenkeep(&daemon, "doctor").is("ok    clock: in step\n");
    let told = tokenkeep(&daemon, "doctor");
    assert_eq!((told.exit, told.err.as_str()), (1, ""));
    assert_eq!(
        told.out,
        "warn  clock: no NTP\n      mend: start chronyd\nfail  swap: is on\n      mend: swapoff -a\n"
    );
    let told = tokenkeep(&daemon, "--output=json doctor");
    assert_eq!((told.exit, told.out), (1, format!("{ill}\n")));
    assert_eq!(daemon.asked()[0].line, "GET /admin/v1/doctor");
}
