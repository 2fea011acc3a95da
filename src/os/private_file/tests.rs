//! Private files: whose they are, who may read them, how they are replaced.

use super::*;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, b"secret").unwrap();
        set_mode(&path, mode);
        path
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn mode_of(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_file_of_ours_alone_is_read_whole() {
    let scratch = Scratch::new();
    for mode in [0o600, 0o400] {
        assert_eq!(read(&scratch.file("key", mode), 6).unwrap().as_slice(), b"secret");
    }
    assert_eq!(read_configuration(&scratch.file("conf", 0o644), 6).unwrap().as_slice(), b"secret");
}

#[test]
fn loose_modes_are_refused_with_the_mend() {
    let scratch = Scratch::new();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601] {
        let error = read(&scratch.file("key", mode), 6).unwrap_err();
        assert!(matches!(error, PrivateFileError::Loose(_, found) if found == mode), "{error}");
        assert!(error.to_string().contains("chmod go-rwx"));
    }
    for mode in [0o664, 0o646] {
        assert!(matches!(
            read_configuration(&scratch.file("conf", mode), 6),
            Err(PrivateFileError::Loose(..))
        ));
    }
}

#[test]
fn systemd_may_show_the_mask_of_an_access_control_list() {
    let scratch = Scratch::new();
    let path = scratch.file("credential", 0o440);
    let status = std::fs::metadata(&path).unwrap();
    let of_root = status.uid() == 0 && status.gid() == 0;
    assert_eq!(read_credential(&path, 6).is_ok(), of_root);
    if of_root {
        chown(&path, None, Some(4711)).unwrap(); // a group of people, not the mask of a list
        assert!(matches!(read_credential(&path, 6), Err(PrivateFileError::Loose(..))));
        chown(&path, None, Some(0)).unwrap();
    }
    for mode in [0o444, 0o460, 0o450, 0o404] {
        set_mode(&path, mode);
        assert!(matches!(read_credential(&path, 6), Err(PrivateFileError::Loose(..))), "{mode:o}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let scratch = Scratch::new();
    let link = scratch.path("link");
    symlink(scratch.file("key", 0o600), &link).unwrap();
    assert!(matches!(read(&link, 6), Err(PrivateFileError::NotRegular(_))));
    let fifo = scratch.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(matches!(read(&fifo, 6), Err(PrivateFileError::NotRegular(_))));
    assert!(matches!(read(scratch.0.path(), 6), Err(PrivateFileError::NotRegular(_))));
    assert!(matches!(read(&scratch.path("none"), 6), Err(PrivateFileError::Absent(_))));
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.file("key", 0o600);
    if user::effective() != 0 {
        return; // only root can give a file away
    }
    chown(&path, Some(4711), None).unwrap();
    assert!(matches!(read(&path, 6), Err(PrivateFileError::Owner(_, 4711))));
    assert!(matches!(read_configuration(&path, 6), Err(PrivateFileError::Owner(_, 4711))));
    let directory = scratch.path("state");
    create_directory(&directory).unwrap();
    chown(&directory, Some(4711), None).unwrap();
    assert!(matches!(create_directory(&directory), Err(PrivateFileError::Owner(_, 4711))));
}

#[test]
fn a_file_over_the_cap_is_refused() {
    let scratch = Scratch::new();
    assert!(matches!(read(&scratch.file("key", 0o600), 5), Err(PrivateFileError::TooLarge(_, 5))));
}

#[test]
fn a_replaced_file_has_its_mode_and_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let path = scratch.file("key", 0o666);
    replace(&path, b"new", 0o600).unwrap();
    assert_eq!(read(&path, 100).unwrap().as_slice(), b"new");
    assert_eq!(mode_of(&path), 0o600);
    assert_eq!(std::fs::read_dir(scratch.0.path()).unwrap().count(), 1);
    let absent = scratch.path("none").join("key");
    assert!(matches!(replace(&absent, b"new", 0o600), Err(PrivateFileError::Io(..))));
}

#[test]
fn replacing_a_symlink_leaves_its_target_alone() {
    let scratch = Scratch::new();
    let (target, link) = (scratch.file("target", 0o600), scratch.path("link"));
    symlink(&target, &link).unwrap();
    replace(&link, b"new", 0o600).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), b"secret");
    assert_eq!(std::fs::read(&link).unwrap(), b"new");
}

#[test]
fn a_directory_is_ours_alone_or_refused() {
    let scratch = Scratch::new();
    let path = scratch.path("state");
    create_directory(&path).unwrap();
    assert_eq!(mode_of(&path), 0o700);
    create_directory(&path).unwrap();
    set_mode(&path, 0o750);
    assert!(matches!(create_directory(&path), Err(PrivateFileError::Loose(_, 0o750))));
    let link = scratch.path("link");
    symlink(scratch.0.path(), &link).unwrap();
    assert!(matches!(create_directory(&link), Err(PrivateFileError::NotRegular(_))));
    assert!(matches!(create_directory(&scratch.file("file", 0o600)), Err(PrivateFileError::NotRegular(_))));
}
