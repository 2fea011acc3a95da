//! Who calls, told by a process that can see it: the line between the daemon and `tokenkeep-doorman`.
//!
//! The hard problem: a daemon in a user namespace of its own (`PrivateUsers=yes`), before whom other processes are hidden
//! (`ProtectProc=invisible`), cannot see who calls: the kernel translates every user id into the namespace of who asks,
//! and all strangers are `nobody` there. The answer: the accepted socket is shown to a process outside, which asks the
//! kernel the same questions and says what it heard.
//!
//! ```text
//! daemon -> doorman   one byte, with the socket (SCM_RIGHTS)
//! doorman -> daemon   `+`, then uid, gid, pid: 4 bytes each, big-endian; 1 byte, the length of the unit's name; the name
//!                     `-`, where the kernel did not say
//! ```
//!
//! Never guesses: where the doorman does not answer, a caller whom the kernel does not name here is not let in.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::peer::{Peer, is_unit_name};
use super::{descriptor, socket, user};

/// For an answer, the doorman's start by the service manager included.
const PATIENCE: Duration = Duration::from_secs(2);

const SHOWN: u8 = b'?';
const KNOWN: u8 = b'+';
const UNKNOWN: u8 = b'-';

/// Who is at the other end of a socket, by the kernel's word.
#[derive(Debug)]
pub enum Peers {
    /// As the kernel says here.
    Seen,
    /// As the doorman says.
    Told(Doorman),
}

/// The doorman at the other end.
#[derive(Debug)]
pub struct Doorman {
    socket: PathBuf,
    stream: Mutex<Option<UnixStream>>,
}

impl Peers {
    /// Of the doorman who listens there, where there is one.
    #[must_use]
    pub fn new(doorman: Option<PathBuf>) -> Self {
        doorman.map_or(Self::Seen, |socket| Self::Told(Doorman { socket, stream: Mutex::default() }))
    }

    /// Who connected this Unix socket.
    ///
    /// # Errors
    /// The kernel's; the doorman does not answer.
    pub fn of(&self, socket: &impl AsFd) -> io::Result<Peer> {
        let Self::Told(doorman) = self else { return Peer::of(socket) };
        doorman.ask(socket).or_else(|why| {
            tracing::warn!(%why, "tokenkeep-doorman does not say who calls");
            // Root and the daemon's own user are named here too: an admin gets in to see what is wrong.
            Peer::of(socket)
        })
    }
}

impl Doorman {
    fn ask(&self, socket: &impl AsFd) -> io::Result<Peer> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        // The one that answered before may have been started again since.
        if let Some(kept) = stream.as_mut()
            && let Ok(peer) = show(kept, socket)
        {
            return peer.ok_or(io::ErrorKind::NotFound.into());
        }
        *stream = None;
        let mut anew = self.connect()?;
        let peer = show(&mut anew, socket)?;
        *stream = Some(anew);
        peer.ok_or(io::ErrorKind::NotFound.into())
    }

    fn connect(&self) -> io::Result<UnixStream> {
        let stream = socket::connect_within(&self.socket, PATIENCE)?;
        let uid = Peer::of(&stream)?.uid;
        if uid != 0 && uid != user::effective() {
            let what = format!("what answers in its place is user {uid}");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        Ok(stream)
    }
}

/// None where the doorman does not know either.
fn show(stream: &mut UnixStream, socket: &impl AsFd) -> io::Result<Option<Peer>> {
    descriptor::send(stream, SHOWN, Some(socket.as_fd()))?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    match answer[0] {
        KNOWN => read_peer(stream).map(Some),
        UNKNOWN => Ok(None),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn read_peer(stream: &mut impl Read) -> io::Result<Peer> {
    let mut number = || {
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).map(|()| u32::from_be_bytes(bytes))
    };
    let (uid, gid, pid) = (number()?, number()?, number()?);
    let mut length = [0];
    stream.read_exact(&mut length)?;
    let mut name = vec![0; length[0].into()];
    stream.read_exact(&mut name)?;
    let name = String::from_utf8(name).map_err(|_| io::ErrorKind::InvalidData)?;
    let is_fine = name.is_empty() || is_unit_name(&name);
    let unit = (!name.is_empty()).then_some(name);
    if is_fine { Ok(Peer { uid, gid, pid, unit }) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The doorman's part: says who is at the other end of the next socket that is shown.
///
/// # Errors
/// The daemon is gone, or shows no socket.
pub fn testify(stream: &mut UnixStream) -> io::Result<()> {
    let (_, shown) = descriptor::receive(stream)?;
    let shown = shown.ok_or(io::ErrorKind::InvalidData)?;
    match Peer::of(&shown) {
        Ok(peer) => stream.write_all(&written(&peer)),
        Err(_) => stream.write_all(&[UNKNOWN]),
    }
}

fn written(peer: &Peer) -> Vec<u8> {
    let mut answer = vec![KNOWN];
    for number in [peer.uid, peer.gid, peer.pid] {
        answer.extend_from_slice(&number.to_be_bytes());
    }
    let unit = peer.unit.as_deref().unwrap_or_default();
    let length = u8::try_from(unit.len()).unwrap_or_default();
    answer.push(length);
    answer.extend_from_slice(&unit.as_bytes()[..length.into()]);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread;

    /// Doormen who each answer one question, for as long as they are asked.
    fn doormen(path: &std::path::Path) {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = testify(&mut stream.unwrap());
            }
        });
    }

    #[test]
    fn what_the_doorman_says_is_what_the_kernel_says_also_after_it_was_started_again() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("s");
        doormen(&path);
        let peers = Peers::new(Some(path));
        for _ in 0..3 {
            let (ours, _theirs) = UnixStream::pair().unwrap();
            assert_eq!(peers.of(&ours).unwrap(), Peer::of(&ours).unwrap());
        }
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(peers.of(&file).is_err(), "no socket has no caller");
    }

    #[test]
    fn without_a_doorman_who_is_seen_is_known() {
        let peers = Peers::new(Some("/nonexistent/s".into()));
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert_eq!(peers.of(&ours).unwrap(), Peer::of(&ours).unwrap());
    }

    #[test]
    fn an_answer_is_read_as_it_was_written_or_not_at_all() {
        let unit = Some("web.service".to_owned());
        for peer in [
            Peer { uid: 1, gid: 2, pid: 3, unit: None },
            Peer { uid: u32::MAX - 1, gid: 0, pid: 0, unit },
            Peer { uid: 0, gid: 0, pid: 1, unit: Some(format!("{}.scope", "a".repeat(249))) },
        ] {
            let written = written(&peer);
            assert_eq!(written[0], KNOWN);
            assert_eq!(read_peer(&mut &written[1..]).unwrap(), peer);
            assert!(read_peer(&mut &written[1..written.len() - 1]).is_err());
        }
        let mut no_unit = written(&Peer { uid: 1, gid: 2, pid: 3, unit: None });
        *no_unit.last_mut().unwrap() = 3;
        no_unit.extend_from_slice(b"web");
        assert!(read_peer(&mut &no_unit[1..]).is_err());
    }
}
