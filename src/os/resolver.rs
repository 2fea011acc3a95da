//! How names of hosts are looked up: `/etc/hosts` and DNS, which the C library has built in.
//!
//! The hard problem: nsswitch.conf(5) may name other ways (mDNS, systemd-resolved by its bus), and each is a library that
//! is loaded when it is first needed: code of others in the process, which inside the sandbox could not be loaded
//! anyway. The answer: the two that need nothing, from the start, so that a name that resolves at boot does so later.
//!
//! Never looks anything up.
#![cfg_attr(
    target_env = "gnu",
    expect(unsafe_code, reason = "a call of the C library that `libc` does not declare")
)]

/// From here on. Before the first look-up, and while there is one thread.
#[cfg(target_env = "gnu")]
pub fn keep_to_files_and_dns() {
    use std::ffi::{c_char, c_int};

    unsafe extern "C" {
        /// nss.h
        fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
    }
    // SAFETY: two NUL-terminated texts that live for ever; the C library reads them. That it fails is no harm: the host's
    // own order then holds.
    unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) };
}

/// Other C libraries know nothing else.
#[cfg(not(target_env = "gnu"))]
pub fn keep_to_files_and_dns() {}
