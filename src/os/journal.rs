//! Whether a stream leads to systemd's journal (systemd.exec(5), `$JOURNAL_STREAM`).
//!
//! Never believes the variable alone: it is inherited, also by who writes elsewhere.

use std::os::fd::AsFd;

use nix::sys::stat::fstat;

/// Whether this stream is the one that the service manager connected to the journal.
#[must_use]
pub fn is_at(stream: impl AsFd) -> bool {
    let Ok(status) = fstat(stream) else { return false };
    names(&std::env::var("JOURNAL_STREAM").unwrap_or_default(), status.st_dev, status.st_ino)
}

/// `DEVICE:INODE`, in decimal.
fn names(variable: &str, device: u64, inode: u64) -> bool {
    let parsed =
        variable.split_once(':').and_then(|(d, i)| Some((d.parse::<u64>().ok()?, i.parse::<u64>().ok()?)));
    parsed == Some((device, inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_that_is_named_leads_there() {
        assert!(names("8:42", 8, 42));
        for other in ["8:43", "9:42", "", ":", "8", "8:42:1", "8:-42"] {
            assert!(!names(other, 8, 42), "{other}");
        }
        assert!(!is_at(std::io::stderr()));
    }
}
