//! What code inside the sandbox can still do: each forbidden thing is tried, from within the daemon's own rules.
//!
//! The hard problem: a call that is forbidden may end the process that tries it, and what is put up is never taken
//! down. The answer: this program starts itself anew for each attempt, and looks at how that one ended.
//!
//! Not run by libtest, whose threads would be there before the sandbox.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the harness")]

mod attempts;
mod crash;
mod inside;
mod room;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Output};

use attempts::{ATTEMPTS, Attempt, Expected};
use inside::{PLACES, Place};
use room::Room;

/// The first argument of a process that is to try something.
const TRY: &str = "--try";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((TRY, rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return inside::attempt(rest);
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let mut tests: Vec<(String, Box<dyn Fn()>)> = vec![
        ("a_thread_that_was_there_before_is_not_left_outside".into(), Box::new(inside::refuses_company)),
        ("what_is_forbidden_is_named_in_log_mode".into(), Box::new(told_by_name)),
        ("a_panic_shows_its_place_and_nothing_else".into(), Box::new(crash::panic_is_quiet)),
        ("a_fatal_signal_shows_nothing_and_leaves_no_core".into(), Box::new(crash::signals_are_quiet)),
    ];
    for attempt in ATTEMPTS {
        tests.push((format!("inside::{}", attempt.name), Box::new(|| tried(attempt))));
    }
    let chosen = tests.iter().filter(|(name, _)| filter.is_none_or(|filter| name.contains(filter)));
    let mut failed = 0;
    for (name, test) in chosen {
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test)).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += u32::from(!passed);
    }
    println!("\ntest result: {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}

/// From each place of a process.
fn tried(attempt: &Attempt) {
    let room = Room::new();
    for place in PLACES {
        let output = start(&room, attempt.name, *place, "end");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let how = match output.status.signal() {
            Some(libc::SIGSYS) => "killed".to_owned(),
            Some(signal) => format!("signal {signal}"),
            None => said.trim().to_owned(),
        };
        if how == "the kernel has no Landlock" {
            eprintln!("NOT RUN: {}: {how}", attempt.name);
            return;
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        let is_expected = match attempt.expected {
            Expected::Done => how == "done",
            Expected::Killed => how == "killed",
            Expected::Refused(errno) => how == format!("refused {errno}"),
        };
        assert!(
            is_expected,
            "{} on {place:?}: {how}, expected {:?}\n{errors}",
            attempt.name, attempt.expected
        );
    }
}

fn told_by_name() {
    let room = Room::new();
    for (name, line) in [
        ("io_uring", "the system call io_uring_setup, number 425"),
        ("a_program_is_run", "the system call execve"),
        ("memory_is_made_executable", "the system call mprotect"),
    ] {
        let output = start(&room, name, Place::Boot, "tell");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(line), "{name}: {errors}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            format!("refused {}", libc::EPERM),
            "{name}"
        );
    }
}

fn start(room: &Room, attempt: &str, place: Place, mode: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([TRY, attempt, place.name(), mode]).args(room.arguments());
    command.output().expect("it starts")
}
