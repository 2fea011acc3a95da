//! The commands of README.md, run as they stand: what a newcomer types must work.
#![allow(clippy::expect_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("a README");
    let commands = blocks(&readme, "sh");
    assert!(commands.len() >= 6, "found {} blocks", commands.len());
    let script =
        format!("set -euo pipefail\ntrap 'kill %1 2>/dev/null || true' ERR\n{}", commands.join("\n"));
    let place = tempfile::tempdir().expect("a directory");
    // Where the README says target/release, the programs of this test run stand.
    let programs = Path::new(env!("CARGO_BIN_EXE_tokenkeepd")).parent().expect("a directory");
    std::fs::create_dir(place.path().join("target")).expect("made");
    std::os::unix::fs::symlink(programs, place.path().join("target/release")).expect("linked");
    let output =
        Command::new("bash").arg("-c").arg(&script).current_dir(place.path()).output().expect("bash");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n--- stdout\n{out}\n--- stderr\n{err}");
    for expected in ["\"access_token\":\"at-1\"", "at-1", "whsec_123", "token:read", "acme"] {
        assert!(out.contains(expected), "`{expected}` is missing:\n{out}\n{err}");
    }
}

#[test]
fn every_file_the_readme_points_to_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in ["README.md", "SECURITY.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(root.join(page)).expect("the page");
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let link = link.split('#').next().unwrap_or_default();
            assert!(root.join(link).exists(), "{page} points to {link}, which is not there");
        }
    }
}

fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let starts = text.split(&fence).skip(1);
    starts.filter_map(|rest| rest.split("\n```").next()).map(str::to_owned).collect()
}
