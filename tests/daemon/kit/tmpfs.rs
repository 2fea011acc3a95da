//! A small file system that can be filled to the brim.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::is_root;

/// A mounted tmpfs; unmounted when it goes.
pub struct Tmpfs(TempDir);

impl Tmpfs {
    /// Mounts one of this size.
    ///
    /// # Errors
    /// Why it cannot be done here.
    pub fn mount(mebibytes: u32) -> Result<Self, String> {
        if !is_root() {
            return Err("mounting a small file system needs root".to_owned());
        }
        let directory = tempfile::Builder::new().prefix("tkfs").tempdir().expect("a directory");
        let options = format!("size={mebibytes}m,mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tokenkeep-test"])
            .arg(directory.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Self(directory)),
            Ok(output) => Err(format!("mount: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => Err(format!("mount: {error}")),
        }
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Writes until there is no room for one more page.
    pub fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).expect("ballast");
        for length in [1 << 20, 4096] {
            let piece = vec![0xff; length];
            while file.write_all(&piece).is_ok() {}
        }
    }

    /// Makes room again.
    pub fn clear(&self) {
        fs::remove_file(self.ballast()).expect("remove the ballast");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a daemon may still be on its way out.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
