//! The command line for admins; all of it is in the library.

#[global_allocator]
static ALLOCATOR: tokenkeep::os::wiping_allocator::WipingAllocator =
    tokenkeep::os::wiping_allocator::WipingAllocator::new();

fn main() -> std::process::ExitCode {
    tokenkeep::cli::run(std::env::args_os())
}
