//! The daemon.

#[global_allocator]
static ALLOCATOR: tokenkeep::os::wiping_allocator::WipingAllocator =
    tokenkeep::os::wiping_allocator::WipingAllocator::new();

fn main() -> std::process::ExitCode {
    tokenkeep::daemon::run::run(std::env::args_os()).into()
}
