//! The way out of the daemon to other hosts.
fn main() -> std::process::ExitCode {
    tokenkeep::egress::run(std::env::args_os()).into()
}
