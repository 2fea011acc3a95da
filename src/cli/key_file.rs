//! A key list on disk gets a new first line.
//!
//! Losing a line of this file may lose everything sealed under it. So: the new list is written beside the
//! old one, synced, and renamed over it; the file beside is made exclusively, before the old list is read,
//! so that of two runs at once one is refused; a file that is not a key list is left alone.
//!
//! Never writes into the file itself.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::failure::Failure;
use crate::crypto::key::KeyText;
use crate::os::durable;

/// More keys than anybody rotates through; 45 bytes a line.
const LIST_MOST: usize = 64 << 10;

/// For the owner alone.
const PRIVATE: u32 = 0o600;

/// Puts `key` in front of the list in `path`; says how many keys were there before.
pub(super) fn put_first(path: &Path, key: &KeyText) -> Result<usize, Failure> {
    // A link stays a link: what it points at is replaced.
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(failure(path, &error)),
    };
    let beside = beside(&target)?;
    let file =
        OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&beside).map_err(|error| {
            match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    Failure::here("busy", format!("{} is there already", beside.display())).mend(
                        "wait for the other run; if there is none, remove that file: it was never in use",
                    )
                }
                _ => failure(&beside, &error),
            }
        })?;
    let put = write(&target, &beside, file, key);
    if put.is_err() {
        // It was never in use; the error that matters is the first one.
        drop(fs::remove_file(&beside));
    }
    put
}

fn write(target: &Path, beside: &Path, mut file: File, key: &KeyText) -> Result<usize, Failure> {
    let (old, kept) = match File::open(target) {
        Ok(mut old) => (read(target, &mut old)?, Some(old)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Zeroizing::default(), None),
        Err(error) => return Err(failure(target, &error)),
    };
    let written = (|| {
        if let Some(old) = kept {
            let (old, new) = (old.metadata()?, file.metadata()?);
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                fchown(&file, Some(old.uid()), Some(old.gid()))?;
            }
            file.set_permissions(Permissions::from_mode(old.mode() & 0o777))?;
        }
        file.write_all(key.expose().as_bytes())?;
        file.write_all(b"\n")?;
        file.write_all(&old)?;
        file.sync_all()?;
        fs::rename(beside, target)?;
        durable::sync_name(&file, target)
    })();
    written.map_err(|error| failure(target, &error))?;
    Ok(keys(&old).count())
}

fn read(path: &Path, file: &mut File) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mode = file.metadata().map_err(|error| failure(path, &error))?.mode();
    if mode & 0o007 != 0 {
        return Err(Failure::here("loose_mode", format!("{} is open to everybody", path.display()))
            .mend(format!("chmod 600 {}; then consider its keys known to others", path.display())));
    }
    let mut list = Zeroizing::new(Vec::with_capacity(LIST_MOST + 64));
    file.take(LIST_MOST as u64 + 1).read_to_end(&mut list).map_err(|error| failure(path, &error))?;
    if list.len() > LIST_MOST || !keys(&list).all(is_key) {
        return Err(Failure::here("not_a_key_list", format!("{} is not a key list", path.display()))
            .mend("a key list has one Fernet key a line; name another file"));
    }
    Ok(list)
}

fn keys(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

/// 32 bytes as URL-safe base64 with its padding.
fn is_key(line: &[u8]) -> bool {
    let Some(digits) = line.strip_suffix(b"=") else { return false };
    digits.len() == 43 && digits.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn beside(target: &Path) -> Result<PathBuf, Failure> {
    let name = target.file_name().ok_or_else(|| Failure::usage("--file does not name a file"))?;
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".new");
    Ok(directory(target).join(beside))
}

fn directory(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::here("key_file", format!("{}: {}", path.display(), error.kind()))
        .mend("see that you may read and write the file and its directory, and that there is room")
}
