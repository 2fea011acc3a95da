//! Who says who calls.
fn main() -> std::process::ExitCode {
    tokenkeep::doorman::run(std::env::args_os()).into()
}
