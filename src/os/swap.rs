//! The swap that this process may be sent to, and where what is in it ends up.
//!
//! The hard problem: a name says little. What is called after a volume may lie on an encrypted disk, and what is called
//! compressed memory may be written to a plain one. The answer: the kernel's own picture of its block devices, followed
//! down to the last (sysfs(5)).
//!
//! Never takes for encrypted what it cannot follow.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A swap area (proc_swaps(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// The device or file.
    pub name: String,
    /// Its size in KiB.
    pub kibibytes: u64,
    /// Where what is swapped there ends up.
    pub medium: Medium,
}

/// Where what is swapped ends up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// On a disk, encrypted (dm-crypt).
    Encrypted,
    /// In memory, compressed (zram).
    Memory,
    /// On a disk, or who knows where.
    Plain,
}

/// The areas that this process may be sent to; none where its cgroup has no swap at all (`MemorySwapMax=0`). `None`
/// where that is not to be known.
#[must_use]
pub fn in_use() -> Option<Vec<Swap>> {
    let text = fs::read_to_string("/proc/swaps").ok()?;
    let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if is_forbidden(&cgroup, Path::new("/sys/fs/cgroup")) {
        return Some(Vec::new());
    }
    let device_of = |path: &Path| fs::metadata(path).ok().map(|status| status.dev());
    Some(parse(&text, &Devices { sys: PathBuf::from("/sys"), device_of: &device_of }))
}

/// Whether the cgroup, or one above it, has a limit of no swap (cgroup v2, `memory.swap.max`).
fn is_forbidden(cgroup: &str, root: &Path) -> bool {
    let Some(own) = cgroup.lines().find_map(|line| line.strip_prefix("0::/")) else { return false };
    let own = Path::new(own);
    let limit =
        |group: &Path| fs::read_to_string(root.join(group).join("memory.swap.max")).unwrap_or_default();
    own.ancestors().any(|group| limit(group).trim() == "0")
}

/// Lines of name, type, size, used, priority below a heading. Blanks in a name are written `\040`.
fn parse(text: &str, devices: &Devices<'_>) -> Vec<Swap> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (name, kind) = (fields.next()?.to_owned(), fields.next()?);
            let kibibytes = fields.next()?.parse().ok()?;
            let medium = devices.medium(Path::new(&name.replace("\\040", " ")), kind);
            Some(Swap { name, kibibytes, medium })
        })
        .collect()
}

/// The kernel's block devices.
struct Devices<'a> {
    sys: PathBuf,
    /// The device that a file lies on (stat(2)).
    device_of: &'a dyn Fn(&Path) -> Option<u64>,
}

impl Devices<'_> {
    fn medium(&self, area: &Path, kind: &str) -> Medium {
        let device = match kind {
            "file" => (self.device_of)(area).map(|device| {
                let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
                self.sys.join(format!("dev/block/{major}:{minor}"))
            }),
            // A node below /dev/mapper is a link to one that is named as here.
            _ => area
                .canonicalize()
                .unwrap_or_else(|_| area.to_owned())
                .file_name()
                .map(|name| self.sys.join("class/block").join(name)),
        };
        match device {
            Some(device) if kind != "file" && self.is_memory(&device) => Medium::Memory,
            Some(device) if is_encrypted(&device, DEEPEST) => Medium::Encrypted,
            _ => Medium::Plain,
        }
    }

    /// Compressed memory that nothing is written out of (zram: `backing_dev`).
    fn is_memory(&self, device: &Path) -> bool {
        let is_zram =
            device.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("zram"));
        let backing = fs::read_to_string(device.join("backing_dev"));
        is_zram && backing.map_or(true, |backing| backing.trim() == "none")
    }
}

/// Devices upon devices: more than anybody stacks.
const DEEPEST: u8 = 8;

/// Whether it is encrypted, or all that it is made of (the UUID that cryptsetup(8) gives: `CRYPT-…`).
fn is_encrypted(device: &Path, deepest: u8) -> bool {
    if fs::read_to_string(device.join("dm/uuid")).is_ok_and(|uuid| uuid.starts_with("CRYPT-")) {
        return true;
    }
    // A partition has its disk above it, and the disk knows what it is made of.
    let whole = if device.join("partition").exists() { device.join("..") } else { device.to_owned() };
    let below =
        fs::read_dir(whole.join("slaves")).map_or_else(|_| Vec::new(), |found| found.flatten().collect());
    deepest > 0 && !below.is_empty() && below.iter().all(|slave| is_encrypted(&slave.path(), deepest - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A kernel with these devices: name, UUID of the device mapper, what it is made of.
    fn kernel(devices: &[(&str, &str, &[&str])]) -> tempfile::TempDir {
        let sys = tempfile::tempdir().unwrap();
        for (name, uuid, below) in devices {
            let device = sys.path().join("devices/virtual/block").join(name);
            fs::create_dir_all(device.join("slaves")).unwrap();
            if !uuid.is_empty() {
                fs::create_dir_all(device.join("dm")).unwrap();
                fs::write(device.join("dm/uuid"), format!("{uuid}\n")).unwrap();
            }
            for slave in *below {
                symlink(format!("../../{slave}"), device.join("slaves").join(slave)).unwrap();
            }
            let link = |at: String| {
                let at = sys.path().join(at);
                fs::create_dir_all(at.parent().unwrap()).unwrap();
                symlink(&device, at).unwrap();
            };
            link(format!("class/block/{name}"));
            if let Some(minor) = name.strip_prefix("dm-") {
                link(format!("dev/block/253:{minor}"));
            }
        }
        sys
    }

    #[test]
    fn an_area_is_followed_down_to_what_it_lies_on() {
        let sys = kernel(&[
            ("dm-0", "CRYPT-LUKS2-0123-root", &["sda3"]),
            ("dm-1", "LVM-abc", &["dm-0"]),
            ("dm-2", "LVM-def", &["sda3"]),
            ("dm-3", "LVM-ghi", &["dm-0", "sda3"]),
            ("sda3", "", &[]),
            ("zram0", "", &[]),
            ("zram1", "", &[]),
        ]);
        fs::write(sys.path().join("class/block/zram1/backing_dev"), "/dev/sda3\n").unwrap();
        let device_of =
            |path: &Path| Some(nix::sys::stat::makedev(253, if path.ends_with("swap file") { 1 } else { 2 }));
        let devices = Devices { sys: sys.path().to_owned(), device_of: &device_of };
        let text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
                    /dev/dm-0 partition 2097148 0 -2\n\
                    /dev/dm-1 partition 8 0 -2\n\
                    /dev/dm-2 partition 8 0 -2\n\
                    /dev/dm-3 partition 8 0 -2\n\
                    /dev/sda3 partition 8 0 -2\n\
                    /dev/gone partition 8 0 -2\n\
                    /dev/zram0 partition 8 0 100\n\
                    /dev/zram1 partition 8 0 100\n\
                    /swap\\040file file 8 0 -2\n\
                    /plain file 8 0 -2\n";
        use Medium::{Encrypted, Memory, Plain};
        let media: Vec<Medium> = parse(text, &devices).iter().map(|swap| swap.medium).collect();
        assert_eq!(
            media,
            [Encrypted, Encrypted, Plain, Plain, Plain, Plain, Memory, Plain, Encrypted, Plain]
        );
        let first = &parse(text, &devices)[0];
        assert_eq!((first.name.as_str(), first.kibibytes), ("/dev/dm-0", 2_097_148));
        assert_eq!(parse("Filename Type Size Used Priority\n", &devices), []);
        assert_eq!(parse("", &devices), []);
    }

    #[test]
    fn a_cgroup_without_swap_is_believed_with_all_above_it() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("system.slice/tokenkeepd.service");
        fs::create_dir_all(&group).unwrap();
        let is_forbidden =
            || super::is_forbidden("1:cpu:/x\n0::/system.slice/tokenkeepd.service\n", root.path());
        assert!(!is_forbidden());
        fs::write(group.join("memory.swap.max"), "max\n").unwrap();
        assert!(!is_forbidden());
        fs::write(root.path().join("system.slice/memory.swap.max"), "0\n").unwrap();
        assert!(is_forbidden());
        assert!(!super::is_forbidden("", root.path()));
    }
}
