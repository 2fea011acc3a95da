//! A small file system of one's own: in memory, or ext4 on a loop device.
//!
//! Never left mounted.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum System {
    Ext4,
    Tmpfs,
}

pub(crate) struct Mounted {
    system: System,
    mebibytes: u64,
    /// Holds the vault, whose state directory is the mount point, and the image.
    room: TempDir,
}

impl Mounted {
    /// The error says why it cannot be had here: it takes root.
    pub(crate) fn new(system: System, mebibytes: u64) -> Result<Self, String> {
        let room = crate::power_cut::roomy();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(room.path().join("vault/state"));
        made.unwrap();
        let mounted = Self { system, mebibytes, room };
        if system == System::Ext4 {
            File::create(mounted.image()).unwrap().set_len(mebibytes << 20).unwrap();
            run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(mounted.image()))?;
        }
        mounted.mount()?;
        Ok(mounted)
    }

    fn image(&self) -> PathBuf {
        self.room.path().join("image")
    }

    /// Where a vault is to be, so that its state directory is this file system.
    pub(crate) fn room(&self) -> &Path {
        self.room.path()
    }

    fn path(&self) -> PathBuf {
        self.room.path().join("vault/state")
    }

    pub(crate) fn mount(&self) -> Result<(), String> {
        let (mut command, size) = (Command::new("mount"), format!("size={}m", self.mebibytes));
        match self.system {
            System::Ext4 => command.args(["-o", "loop,errors=remount-ro"]).arg(self.image()),
            System::Tmpfs => command.args(["-t", "tmpfs", "-o", &size, "none"]),
        };
        run(command.arg(self.path()))?;
        fs::set_permissions(self.path(), Permissions::from_mode(0o700)).map_err(|error| error.to_string())
    }

    /// As an administrator does it.
    pub(crate) fn remount_read_only(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()))
    }

    /// As the kernel does it when the disk fails (ext4(5), `abort`): who writes is not asked.
    pub(crate) fn abort(&self) {
        run(Command::new("mount").args(["-o", "remount,abort"]).arg(self.path())).unwrap();
    }

    /// Unmounts, mends and mounts it.
    pub(crate) fn mend(&self) {
        run(Command::new("umount").arg(self.path())).unwrap();
        // 1: errors were corrected.
        let mended = Command::new("e2fsck").args(["-f", "-p"]).arg(self.image()).output().unwrap();
        assert!(mended.status.code().is_some_and(|code| code <= 1), "{mended:?}");
        self.mount().unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Takes all room there is by now.
    pub(crate) fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).unwrap();
        for length in [1 << 20, 4096, 1] {
            let piece = vec![0xff; length];
            while file.write_all(&piece).is_ok() {}
        }
    }

    /// Gives it back.
    pub(crate) fn clear(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}
