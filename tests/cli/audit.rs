//! `audit`.

use crate::kit::{Answer, Daemon};
use crate::{program, tokenkeep};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

fn entry(seq: u64, action: &str, pid: u32) -> String {
    format!(
        r#"{{"action":"{action}","at":"2026-11-21T18:00:00.000000Z","decision":"allow","generation":7,"mac":"00","org":"acme","outcome":"ok","principal":{{"gid":1,"name":"web","pid":{pid},"proof":"unix","uid":1}},"request_id":"r-1","seq":{seq},"target":"github/main"}}"#
    )
}

fn text(seq: u64) -> String {
    format!(
        "{seq} 2026-11-21T18:00:00.000000Z web (unix) token:read acme github/main allow ok generation 7\n"
    )
}

fn page(entries: &[String], next: &str) -> Answer {
    Answer::Json(200, format!(r#"{{"items":[{}],"next":{next}}}"#, entries.join(",")))
}

#[test]
fn the_last_entries_are_shown_whole() {
    let daemon = Daemon::start(|_| page(&[entry(8, "token:read", 1), entry(9, "token:read", 1)], "null"));
    tokenkeep(&daemon, "audit tail -n 2").is(&format!("{}{}", text(8), text(9)));
    let (eight, nine) = (entry(8, "token:read", 1), entry(9, "token:read", 1));
    tokenkeep(&daemon, "audit tail --output json")
        .is(&format!("{{\"items\":[{eight},{nine}],\"next\":null}}\n"));
    let lines: Vec<_> = daemon.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines, ["GET /admin/v1/audit?last=2", "GET /admin/v1/audit?last=20"]);
}

#[test]
fn following_shows_what_comes_but_not_its_own_reading() {
    let own = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let pid = std::sync::Arc::clone(&own);
    let daemon = Daemon::start(move |asked| {
        let own = entry(10, "audit:read", pid.load(std::sync::atomic::Ordering::SeqCst));
        match asked.line.as_str() {
            "GET /admin/v1/audit?last=1" => page(&[entry(8, "token:read", 1)], "null"),
            "GET /admin/v1/audit?after=8" => page(&[entry(9, "token:read", 1), own], "null"),
            "GET /admin/v1/audit?after=10" => page(&[entry(11, "token:read", 1)], "null"),
            _ => page(&[], "null"),
        }
    });
    let mut command = program("audit tail -n 1 --follow");
    let mut child = command
        .arg("--socket")
        .arg(daemon.socket())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    own.store(child.id(), std::sync::atomic::Ordering::SeqCst);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let heard: Vec<_> = lines.take(3).map(|line| line.unwrap() + "\n").collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(heard, [text(8), text(9), text(11)]);
}

#[test]
fn a_query_is_sent_as_asked_and_stops_where_told() {
    let daemon = Daemon::start(|asked| {
        let rest = if asked.line.contains("after=") { "null" } else { r#""9""# };
        page(&[entry(9, "token:read", 1)], rest)
    });
    let line = "audit query --org acme --action token:read --principal web --outcome ok --since 2026-11-21T18:00:00Z \
                --until 2026-11-22T18:00:00Z --limit 1";
    let told = tokenkeep(&daemon, line);
    assert_eq!((told.exit, told.out), (0, text(9)));
    assert_eq!(told.err, "note: there is more, from --after 9\n");
    assert_eq!(
        daemon.asked()[0].line,
        "GET /admin/v1/audit?org=acme&action=token%3Aread&principal=web&outcome=ok\
         &since=2026-11-21T18%3A00%3A00Z&until=2026-11-22T18%3A00%3A00Z&limit=1"
    );
    tokenkeep(&daemon, "audit query").is(&format!("{}{}", text(9), text(9)));
    assert_eq!(daemon.asked()[2].line, "GET /admin/v1/audit?after=9&limit=999");
    assert_eq!(tokenkeep(&daemon, "audit query --since 2h").exit, 0);
    assert!(daemon.asked()[3].line.starts_with("GET /admin/v1/audit?since=20"));
}

#[test]
fn a_broken_chain_exits_with_1_and_says_where() {
    let intact = r#"{"intact":true,"entries":12,"files":2,"break":null}"#;
    let broken = r#"{"intact":false,"entries":7,"files":1,"break":{"file":"2026-11-21.jsonl","line":8,"kind":"changed","detail":"the MAC does not fit"}}"#;
    let daemon =
        Daemon::start(move |asked| Answer::Json(200, if asked.nth == 1 { intact } else { broken }.into()));
    tokenkeep(&daemon, "audit verify").is("intact: 12 entries in 2 files\n");
    let told = tokenkeep(&daemon, "audit verify");
    assert_eq!((told.exit, told.err.as_str()), (1, ""));
    assert_eq!(
        told.out,
        "not intact: 2026-11-21.jsonl, line 8: changed: the MAC does not fit\n\
         7 entries before it are intact, of 1 files read\n\
         mend: keep the audit directory as evidence, and compare it with its copy elsewhere\n"
    );
    let told = tokenkeep(&daemon, "audit verify --output json");
    assert_eq!((told.exit, told.out), (1, format!("{broken}\n")));
    assert_eq!(daemon.asked()[0].line, "POST /admin/v1/audit/verify");
}
