//! The daemon.
fn main() -> std::process::ExitCode {
    tokenkeep::daemon::run::run(std::env::args_os()).into()
}
