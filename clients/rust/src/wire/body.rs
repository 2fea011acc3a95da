//! Bodies that may hold secrets: written once, into a buffer that never grows.
//!
//! Never leaves a copy of what it wrote.

use serde::Serialize;
use zeroize::Zeroizing;

/// The JSON of a shape, in one buffer of the right size that is wiped when it goes.
#[must_use]
pub fn to_body<T: Serialize>(shape: &T) -> Zeroizing<Vec<u8>> {
    // The length first, so that the buffer never grows and leaves a copy behind.
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    let counted = serde_json::to_writer(&mut count, shape);
    let mut body = Zeroizing::new(Vec::with_capacity(count.0));
    let written = serde_json::to_writer(&mut *body, shape);
    debug_assert!(counted.is_ok() && written.is_ok(), "plain shapes always serialise");
    body
}
