//! The variables of the process, forgotten.
//!
//! The C library reads some of them while it resolves names (`RES_OPTIONS`, `LOCALDOMAIN`, `HOSTALIASES`; resolver(3)),
//! and others while it looks for its files. A program that heeds nothing of its environment must not have one.
//!
//! Never after the first thread.

/// Takes every variable out of the environment. Before the first thread: the environment belongs to the whole process.
#[expect(unsafe_code, reason = "the environment is shared by all threads")]
pub fn forget() {
    let names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    for name in names {
        // SAFETY: this is called before there is a second thread (see above), so nobody reads it meanwhile.
        unsafe { std::env::remove_var(name) };
    }
}
