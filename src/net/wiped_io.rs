//! The one place where a connection gets its wiping: below TLS, whose buffer is one, and below HTTP, whose buffer is
//! another.
//!
//! Never wraps a connection otherwise than the build says.

pub use tokenkeep_client::wiped_io::WipedIo;

/// The stream, with its reader's buffer wiped before each read.
pub fn wiped<T>(io: T) -> WipedIo<T> {
    if cfg!(feature = "dangerous-without-wiped-io") {
        WipedIo::dangerous_unwiped(io)
    } else {
        WipedIo::new(io)
    }
}
