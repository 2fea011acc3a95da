//! The command line for admins; all of it is in the library.

fn main() -> std::process::ExitCode {
    tokenkeep::cli::run(std::env::args_os())
}
