//! The program in docs/audit-format.md checks what this code writes: the document is enough.
//!
//! Never shares a line with the code it checks.

use std::process::{Command, Output};

use super::*;

fn check(kit: &Kit, head: u64) -> Output {
    let document = include_str!("../../../docs/audit-format.md");
    let program = document.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let key = "03".repeat(32);
    let mut python = Command::new("python3");
    python.arg("-c").arg(program).arg(key).arg(kit.directory()).arg(head.to_string());
    python.output().expect("this test needs python3")
}

#[test]
fn the_documented_program_agrees() {
    let kit = Kit { segment_most: 3_000, ..Kit::new() };
    let (log, _) = kit.open();
    append(&log, 10);
    kit.clock.advance(Duration::from_secs(86_400));
    let who = asked_by("a\\x2d\"\r\n\u{0}\u{2028}ä.service");
    let journal = Some(Mark { sequence: 3, chain: [9; 32] });
    log.append(&Entry { journal, ..read_of(&who, "change") }).unwrap();
    let head = append(&log, 10);
    drop(log);
    assert!(kit.files().len() > 3);

    let said = check(&kit, head.sequence);
    let hex: String = head.chain.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = format!("{} entries, whole, up to {hex}\n", head.sequence);
    assert_eq!(String::from_utf8_lossy(&said.stdout), expected, "{}", String::from_utf8_lossy(&said.stderr));

    assert!(!check(&kit, head.sequence + 1).status.success(), "an end that is missing");
    let path = kit.path(&kit.files()[1]);
    let changed = fs::read_to_string(&path).unwrap().replacen("acme", "evil", 1);
    fs::write(&path, changed).unwrap();
    let said = check(&kit, head.sequence);
    assert_eq!(
        String::from_utf8_lossy(&said.stderr),
        "2026-11-21.0002.jsonl line 2: the chain breaks here\n"
    );
}
