//! Which file this is, and which machine: what a copy does not have.
//!
//! The hard problem: a copy has the same bytes, and tools copy owner, mode and times as well. The answer: the number of
//! an inode and the moment of its birth (statx(2), `STATX_BTIME`) are given by the file system and set by no tool; a
//! rename keeps both, so a file that was moved is still itself.
//!
//! Never says that two files are one because it could not look.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use nix::sys::statfs::{BTRFS_SUPER_MAGIC, FsType, statfs};
use nix::sys::statvfs::statvfs;

/// ZFS on Linux (`include/sys/zfs_vfsops_os.h` in OpenZFS).
const ZFS_SUPER_MAGIC: i64 = 0x2fc1_2fc1;

/// A file or directory, told from its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its number in its file system.
    pub inode: u64,
    /// When it was made there, in nanoseconds since 1970; `None` where the file system does not keep it.
    pub born_at: Option<u64>,
}

impl Identity {
    /// Of what is there. A symlink is followed: systemd makes one to the state directory of a dynamic user anew
    /// (systemd.exec(5), `StateDirectory=`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn at(path: &Path) -> std::io::Result<Self> {
        fs::metadata(path).map(|status| Self::of(&status))
    }

    /// Of what this describes.
    #[must_use]
    pub fn of(status: &Metadata) -> Self {
        let born_at = status.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Self { inode: status.ino(), born_at: born_at.and_then(|since| u64::try_from(since.as_nanos()).ok()) }
    }
}

/// The machine, in words that another machine does not have; empty where nothing says it.
///
/// machine-id(5) is made at the first boot, and an image of a machine that has run has it too. What the cloud writes
/// into the tag of the board is new for each instance ("Detect whether a host is an EC2 instance", AWS).
#[must_use]
pub fn machine() -> String {
    ["/etc/machine-id", "/sys/class/dmi/id/board_asset_tag"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The id of the file system, where it is another one for a snapshot and the same after a reboot: ext4 gives a copy of
/// the device the same, XFS the number of the device, which may change.
#[must_use]
pub fn file_system(path: &Path) -> Option<u64> {
    let kind = statfs(path).ok()?.filesystem_type();
    let names_snapshots = kind == BTRFS_SUPER_MAGIC || kind == FsType(ZFS_SUPER_MAGIC);
    let id = statvfs(path).ok()?.filesystem_id();
    names_snapshots.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_another_file_and_a_renamed_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two, three) =
            (directory.path().join("one"), directory.path().join("two"), directory.path().join("three"));
        fs::write(&one, b"x").unwrap();
        let first = Identity::at(&one).unwrap();
        fs::copy(&one, &two).unwrap();
        assert_ne!(Identity::at(&two).unwrap(), first);
        fs::rename(&one, &three).unwrap();
        assert_eq!(Identity::at(&three).unwrap(), first);
        fs::write(&three, b"y").unwrap();
        assert_eq!(Identity::at(&three).unwrap(), first, "it was written to, and is the same file");
    }

    #[test]
    fn the_machine_and_its_file_system_can_be_asked_for() {
        assert_eq!(machine(), machine());
        assert_eq!(file_system(Path::new("/nowhere")), None);
    }
}
