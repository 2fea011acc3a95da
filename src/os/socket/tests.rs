//! Listening sockets: stale ones, living ones, and the mode they are born with.

use super::*;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixStream;

fn mode_of(path: &Path) -> u32 {
    symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_socket_has_the_mode_of_its_audience_and_answers() {
    let directory = tempfile::tempdir().unwrap();
    for (name, audience) in [("app", Audience::Everyone), ("admin", Audience::Owner)] {
        let path = directory.path().join(name);
        let (listener, bound) = listen_at(&path, audience).unwrap();
        assert_eq!(mode_of(bound.path()), audience.mode());
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let _client = UnixStream::connect(&path).unwrap();
        listener.accept().unwrap();
    }
}

/// The kernel's promise that this module rests on.
#[test]
fn a_socket_is_born_with_the_mode_of_the_unbound_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let unbound = stream().unwrap();
    fchmod(&unbound, Mode::S_IRUSR).unwrap();
    bind(unbound.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    assert_eq!(mode_of(&path), 0o400);
}

#[test]
fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let (listener, _bound) = listen_at(&path, Audience::Owner).unwrap();
    let living = symlink_metadata(&path).unwrap().ino();
    assert!(matches!(listen_at(&path, Audience::Owner), Err(SocketError::InUse(_))));
    assert_eq!(symlink_metadata(&path).unwrap().ino(), living);
    drop(listener);
    let (_listener, _bound) = listen_at(&path, Audience::Owner).unwrap();
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_daemon_that_is_too_busy_to_accept_lives() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let busy = stream().unwrap();
    let address = UnixAddr::new(&path).unwrap();
    bind(busy.as_raw_fd(), &address).unwrap();
    listen(&busy, Backlog::new(0).unwrap()).unwrap();
    let waiting: Vec<_> = (0..3).map(|_| stream().unwrap()).collect();
    let outcomes: Vec<_> = waiting.iter().map(|fd| connect(fd.as_raw_fd(), &address)).collect();
    assert_eq!(outcomes.last(), Some(&Err(Errno::EAGAIN)), "the backlog is full");
    assert!(matches!(listen_at(&path, Audience::Owner), Err(SocketError::InUse(_))));
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let link = directory.path().join("link");
    symlink(&file, &link).unwrap();
    for path in [&file, &link] {
        assert!(matches!(listen_at(path, Audience::Owner), Err(SocketError::NotASocket(_))));
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}

#[test]
fn paths_that_cannot_be_are_refused_with_the_mend() {
    let directory = tempfile::tempdir().unwrap();
    let long = directory.path().join("x".repeat(120));
    assert!(matches!(listen_at(&long, Audience::Owner), Err(SocketError::TooLong(_))));
    let error = listen_at(&directory.path().join("none/s"), Audience::Owner).unwrap_err();
    assert!(error.to_string().contains("RuntimeDirectory="), "{error}");
}

#[test]
fn a_directory_where_others_can_replace_the_socket_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    for (mode, is_fine) in [(0o777, false), (0o770, false), (0o1777, true), (0o755, true)] {
        std::fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
        match listen_at(&path, Audience::Owner) {
            Ok((_, bound)) => {
                assert!(is_fine, "{mode:o}");
                bound.remove().unwrap();
            }
            Err(error) => assert!(matches!(error, SocketError::LooseDirectory(_)) && !is_fine, "{mode:o}"),
        }
    }
    if user::effective() == 0 {
        chown(directory.path(), Some(4711), None).unwrap();
        assert!(matches!(listen_at(&path, Audience::Owner), Err(SocketError::LooseDirectory(_))));
    }
}

#[test]
fn only_our_own_file_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let (_listener, bound) = listen_at(&path, Audience::Owner).unwrap();
    bound.remove().unwrap();
    assert!(!path.exists());

    // Both are bound at once, so that the file system cannot give both the same inode.
    let (_first, bound) = listen_at(&path, Audience::Owner).unwrap();
    std::fs::rename(&path, directory.path().join("moved")).unwrap();
    let (_second, _) = listen_at(&path, Audience::Owner).unwrap();
    bound.remove().unwrap();
    assert!(path.exists(), "it is the file of the second daemon");
}
