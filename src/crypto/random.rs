//! Random bytes from the kernel, for ids, MAC keys and jitter. Keys of Fernet come from `fernet` itself.

/// An array of random bytes (getrandom(2)).
///
/// # Panics
/// Where the kernel has no randomness to give: nothing safe can be done then.
#[must_use]
#[expect(clippy::panic, reason = "without randomness nothing may be sealed or named")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if getrandom::getrandom(&mut bytes).is_err() {
        panic!("the kernel gives no random bytes");
    }
    bytes
}
