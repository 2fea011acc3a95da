//! Programs that are run: their deadline, their cap, their environment.

use super::*;
use std::os::unix::fs::{chown, symlink};

/// Far more than any of these programs needs; no test waits for it to pass.
const AMPLE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

fn shell(script: &str, deadline: Duration, most: usize) -> Result<Zeroizing<Vec<u8>>, ExecError> {
    output_of(Path::new("/bin/sh"), &["-c".to_owned(), script.to_owned()], deadline, most)
}

#[test]
fn the_output_is_what_the_program_wrote() {
    let output = shell("printf 'key\\n'; echo noise >&2", AMPLE, 4).unwrap();
    assert_eq!(output.as_slice(), b"key\n");
}

#[test]
fn the_arguments_reach_no_shell() {
    let output = output_of(Path::new("/bin/echo"), &["$HOME;ls".to_owned()], AMPLE, 100).unwrap();
    assert_eq!(output.as_slice(), b"$HOME;ls\n");
}

#[test]
fn the_environment_is_a_path_and_nothing_else() {
    let output = output_of(Path::new("/usr/bin/env"), &[], AMPLE, 1000).unwrap();
    assert_eq!(output.as_slice(), format!("PATH={PATH}\n").as_bytes());
    assert_eq!(shell("pwd; cat", AMPLE, 100).unwrap().as_slice(), b"/\n");
}

#[test]
fn a_program_that_fails_gives_nothing() {
    assert!(
        matches!(shell("echo key; exit 3", AMPLE, 100), Err(ExecError::Failed(status)) if status.code() == Some(3))
    );
}

#[test]
fn output_over_the_cap_is_refused() {
    assert_eq!(shell("printf 12345", AMPLE, 5).unwrap().as_slice(), b"12345");
    assert!(matches!(shell("printf 123456", AMPLE, 5), Err(ExecError::OutputTooLarge(5))));
    assert!(matches!(shell("while :; do echo yes; done", AMPLE, 5), Err(ExecError::OutputTooLarge(5))));
}

/// The child writes its id to a file and would run for a minute.
fn forking(directory: &Path, ending: &str) -> (String, PathBuf) {
    let file = directory.join("child");
    (format!("sleep 60 & echo $! > {}; {ending}", file.display()), file)
}

/// Runs it until it had the time to fork before it was killed: on a busy machine it may not at first.
fn times_out_after_forking(script: &str, child: &Path) {
    for factor in [1, 10, 100] {
        assert!(matches!(shell(script, SHORT * factor, 100), Err(ExecError::TimedOut(_))));
        if std::fs::read_to_string(child).is_ok_and(|pid| pid.ends_with('\n')) {
            return;
        }
    }
    panic!("the shell never came to fork");
}

fn is_gone(file: &Path) -> bool {
    let pid: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    // Killed by then; init or whoever adopted it may not have reaped it yet, which shows as a zombie.
    for _ in 0..1000 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if status.is_empty() || status.contains(") Z ") {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn a_program_that_hangs_is_killed_with_its_children() {
    let directory = tempfile::tempdir().unwrap();
    let (script, child) = forking(directory.path(), "wait");
    times_out_after_forking(&script, &child);
    assert!(is_gone(&child));
}

#[test]
fn a_child_that_keeps_the_output_open_does_not_outlive_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let (script, child) = forking(directory.path(), "exit 0");
    times_out_after_forking(&script, &child);
    assert!(is_gone(&child));
}

#[test]
fn a_child_in_the_background_is_killed_when_the_program_is_done() {
    let directory = tempfile::tempdir().unwrap();
    let (script, child) = forking(directory.path(), "echo key");
    let script = script.replace("sleep 60 &", "sleep 60 >/dev/null &");
    assert_eq!(shell(&script, AMPLE, 100).unwrap().as_slice(), b"key\n");
    assert!(is_gone(&child));
}

#[test]
fn a_program_that_closes_its_output_and_stays_is_killed() {
    assert!(matches!(shell("exec >&-; sleep 60", SHORT, 100), Err(ExecError::TimedOut(_))));
}

#[test]
fn programs_that_others_can_change_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("program");
    std::fs::write(&program, "#!/bin/sh\necho key\n").unwrap();
    // Another test may fork while the program is being written, and hold it open until its exec: ETXTBSY.
    let run = |path: &Path| loop {
        match output_of(path, &[], AMPLE, 100) {
            Err(ExecError::Io(error)) if error.kind() == io::ErrorKind::ExecutableFileBusy => {}
            outcome => return outcome,
        }
    };
    let set_mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(&program, 0o600);
    assert!(matches!(run(&program), Err(ExecError::NotAProgram(_))));
    for mode in [0o775, 0o757] {
        set_mode(&program, mode);
        assert!(matches!(run(&program), Err(ExecError::Loose(path)) if path == program));
    }
    set_mode(&program, 0o700);
    assert_eq!(run(&program).unwrap().as_slice(), b"key\n");
    let link = directory.path().join("link");
    symlink(&program, &link).unwrap();
    assert_eq!(run(&link).unwrap().as_slice(), b"key\n");
    set_mode(directory.path(), 0o777);
    assert!(matches!(run(&link), Err(ExecError::Loose(path)) if path == directory.path()));
    set_mode(directory.path(), 0o700);
    if user::effective() == 0 {
        chown(&program, Some(4711), None).unwrap();
        assert!(matches!(run(&link), Err(ExecError::Loose(path)) if path == program));
    }
    assert!(matches!(run(Path::new("program")), Err(ExecError::NotAbsolute)));
    assert!(matches!(run(&directory.path().join("none")), Err(ExecError::NotAProgram(_))));
}
