//! `completion` and `man`: tried in a real shell, and held against the command line.

use std::process::Command;

use crate::{finish, program};

/// What bash offers after these words, by the function that it was given.
fn completed(words: &str) -> Vec<String> {
    const ASK: &str = r#"
        set -u
        source /dev/stdin <<<"$SCRIPT"
        rule=$(complete -p tokenkeep)
        [[ $rule =~ -F\ ([^ ]+) ]]
        read -ra COMP_WORDS <<<"$WORDS"
        [[ $WORDS != *' ' ]] || COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
        "${BASH_REMATCH[1]}" tokenkeep "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let script = finish(&mut program("completion bash"), b"");
    assert_eq!((script.exit, script.err.as_str()), (0, ""));
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", ASK]).env("SCRIPT", script.out).env("WORDS", words);
    let told = finish(&mut bash, b"");
    assert_eq!((told.exit, told.err.as_str()), (0, ""), "{words}");
    told.out.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    assert_eq!(completed("tokenkeep sta"), ["status"]);
    assert_eq!(completed("tokenkeep key ro"), ["rotate"]);
    assert_eq!(completed("tokenkeep connection list --st"), ["--state"]);
    let states = ["active", "needs_reauth", "outcome_unknown", "quarantined", "refreshing"];
    assert_eq!(completed("tokenkeep connection list --state "), states);
    assert_eq!(completed("tokenkeep --output j"), ["json"]);
}

#[test]
fn every_shell_gets_a_script_and_another_one_is_refused() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = finish(&mut program(&format!("completion {shell}")), b"");
        assert!(script.exit == 0 && script.out.contains("tokenkeep"), "{shell}");
    }
    let told = finish(&mut program("completion tcsh"), b"");
    assert_eq!((told.exit, told.out.as_str()), (64, ""));
    assert!(told.err.contains("bash, elvish, fish, powershell, zsh"), "{}", told.err);
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let page = finish(&mut program("man"), b"");
    assert_eq!((page.exit, page.err.as_str()), (0, ""));
    assert!(
        page.out.contains(".TH tokenkeep 1") && page.out.contains("tokenkeep\\-audit(1)"),
        "{}",
        page.out
    );
    let room = tempfile::tempdir().unwrap();
    let pages = finish(program("man --directory").arg(room.path()), b"");
    assert_eq!((pages.exit, pages.out.as_str(), pages.err.as_str()), (0, "", ""));
    for name in ["tokenkeep.1", "tokenkeep-key.1", "tokenkeep-key-rotate.1"] {
        let text = std::fs::read_to_string(room.path().join(name)).unwrap_or_default();
        assert!(text.contains(".SH NAME"), "{name}");
    }
    let nowhere = finish(program("man --directory").arg(room.path().join("none")), b"");
    assert_eq!((nowhere.exit, nowhere.out.as_str()), (1, ""));
    for (program, name, words) in [
        (env!("CARGO_BIN_EXE_tokenkeepd"), "tokenkeepd", "doorman"),
        (env!("CARGO_BIN_EXE_tokenkeep-egress"), "tokenkeep-egress", "config"),
        (env!("CARGO_BIN_EXE_tokenkeep-doorman"), "tokenkeep-doorman", "socket"),
    ] {
        let page = Command::new(program).arg("--man").output().unwrap();
        let text = String::from_utf8(page.stdout).unwrap();
        assert!(page.status.success() && text.contains(&format!(".TH {name} 8")), "{text}");
        assert!(text.contains(words), "{text}");
    }
}
