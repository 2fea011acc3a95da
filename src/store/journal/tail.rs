//! Making the end of a journal sound again after a crash.
//!
//! The hard problems: bytes that a dead process wrote may be in the kernel's cache and not on the disk, even
//! after a sync that failed under it (fsync(2), "Can Applications Recover from fsync Failures?"); and whole,
//! stale records behind a torn one would come to life once new records have grown up to them. The answer: what
//! the audit log does not vouch for is written once more, what follows the last whole record is zeroed, and both
//! are synced before anything is believed.
//!
//! Never touches a record that the audit log vouches for.

use std::fs::OpenOptions;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::store::device::Device;

/// Bytes written at once.
const CHUNK: usize = 1 << 20;

/// Writes `unsure` of the segment anew, zeroes what follows where that is not zeros, and syncs.
pub(crate) fn mend(device: &dyn Device, path: &Path, unsure: Range<usize>, untidy: bool) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = vec![0; unsure.len()];
    file.read_exact_at(&mut bytes, unsure.start as u64)?;
    device.write_at(&file, &bytes, unsure.start as u64)?;
    if untidy {
        let (mut at, end) = (unsure.end as u64, file.metadata()?.len());
        let zeros = vec![0; CHUNK];
        while at < end {
            let part = usize::try_from(end - at).map_or(CHUNK, |left| left.min(CHUNK));
            device.write_at(&file, &zeros[..part], at)?;
            at += part as u64;
        }
    }
    device.sync(&file)
}
