//! Limits of the process, and of the machine, that pass.
//!
//! Never takes a fault of a disk for one.

use std::io;

use nix::errno::Errno;

/// Whether the kernel refused a descriptor because there are as many as there may be (open(2), `EMFILE` and `ENFILE`): when
/// others are closed, the same call succeeds.
#[must_use]
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .map(Errno::from_raw)
        .is_some_and(|errno| matches!(errno, Errno::EMFILE | Errno::ENFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_disk_is_none() {
        let is_limit = |errno| is_out_of_descriptors(&io::Error::from(errno));
        assert!(is_limit(Errno::EMFILE) && is_limit(Errno::ENFILE));
        assert!(!is_limit(Errno::EIO) && !is_limit(Errno::ENOENT) && !is_limit(Errno::ENOSPC));
        assert!(!is_out_of_descriptors(&io::Error::other("no call at all")));
    }
}
