//! Builds that lack one part each: the same look through the memory finds what is missing, so each part is for something,
//! and the look sees it.
//!
//! `make memory` builds them into `TOKENKEEP_TEST_WITHOUT`, a folder a part.

use std::fs;
use std::path::Path;

use serde_json::json;
use tokenkeep_scanner::{Kind, Report};

use crate::kit::{Configuration, TestVault};
use crate::served::scans_of;

/// Not about what is in memory: `tests/sandbox` shows what it is for.
const NOT_SEEN: [&str; 1] = ["sandbox"];

#[test]
#[ignore = "`make memory` builds what it looks at"]
fn a_build_that_lacks_a_part_is_found_out() {
    let built = std::env::var_os("TOKENKEEP_TEST_WITHOUT").expect("`make memory` sets it");
    let mut parts: Vec<_> = fs::read_dir(built).expect("builds").map(|part| part.unwrap().path()).collect();
    parts.sort();
    assert!(!parts.is_empty());
    let mut lines = Vec::new();
    for folder in parts {
        let (part, program) = (folder.file_name().unwrap().to_str().unwrap(), folder.join("tokenkeepd"));
        says_so(part, &program);
        let found = scans_of(Some(&program), 100).expect("this needs root");
        let worst = found.iter().map(|(_, report)| report).max_by_key(|report| report.hits.len()).unwrap();
        let registers = in_registers(&found);
        let line =
            format!("without {part}: {}, {}{registers}", worst.line(Kind::Key), worst.line(Kind::Canary));
        println!("{line}");
        lines.push(line);
        assert!(!worst.hits.is_empty() || NOT_SEEN.contains(&part), "{part} is not missed");
    }
    println!("{}", lines.join("\n"));
}

fn in_registers(found: &[(&str, Report)]) -> String {
    let cores = found.iter().map(|(_, report)| report);
    let hits = cores.flat_map(|report| &report.hits);
    let count = hits.filter(|hit| hit.place == tokenkeep_scanner::Place::Registers).count();
    if count == 0 { String::new() } else { format!("; {count} in registers") }
}

/// It refuses to serve anybody but a developer, and says what it lacks wherever it says anything.
fn says_so(part: &str, program: &Path) {
    let mut vault =
        TestVault::stopped(Configuration { environment: "production", ..Configuration::default() });
    vault.dowry.program = Some(program.into());
    vault.start_in_vain().with(77, &["for tests", part]);
    let mut vault = TestVault::stopped(Configuration::default());
    vault.dowry.program = Some(program.into());
    vault.start();
    let said = vault.said();
    let ready = said.lines().find(|line| line.contains("is ready")).expect("a ready line");
    assert!(ready.contains("FOR TESTS ONLY") && ready.contains(part), "{ready}");
    assert!(said.contains("this build is for tests only"), "{said}");
    assert_eq!(vault.get("/v1/status").json()["lacks"], json!([part]));
}
