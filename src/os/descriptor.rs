//! One open descriptor, handed from one process to another over a Unix socket, with one byte that says what it is
//! (unix(7), `SCM_RIGHTS`).
//!
//! The hard problem: the kernel puts whatever was sent into the receiver's table, wanted or not. The answer: what
//! comes is owned at once, so that it is closed where it is not taken; more than one is no answer at all; and none is
//! inherited by a child (`MSG_CMSG_CLOEXEC`).
//!
//! Never says what the descriptor leads to: that is for whoever asked for it.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockType, getsockopt, recvmsg, sendmsg, sockopt,
};

/// As many as the kernel lets be sent at once (`SCM_MAX_FD`): none of them is cut off, open and unknown.
const MOST: usize = 253;

/// Sends the byte, and with it the descriptor where there is one.
///
/// # Errors
/// The kernel's; `WouldBlock` where the socket's deadline for writing has passed.
pub fn send(socket: &UnixStream, byte: u8, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let descriptor: Vec<RawFd> = descriptor.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&descriptor)];
    let control = if descriptor.is_empty() { &rights[..0] } else { &rights[..] };
    let bytes = [byte];
    loop {
        match sendmsg::<()>(
            socket.as_raw_fd(),
            &[IoSlice::new(&bytes)],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        ) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Receives a byte, and the descriptor that came with it.
///
/// # Errors
/// The kernel's; `UnexpectedEof` where the other end has closed; `InvalidData` where more came than one.
pub fn receive(socket: &UnixStream) -> io::Result<(u8, Option<OwnedFd>)> {
    let mut byte = [0];
    let mut room = nix::cmsg_space!([RawFd; MOST]);
    let mut received: Vec<OwnedFd> = Vec::new();
    let length = loop {
        let mut into = [IoSliceMut::new(&mut byte)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = match recvmsg::<()>(socket.as_raw_fd(), &mut into, Some(&mut room), flags) {
            Ok(message) => message,
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(descriptors) = control {
                received.extend(descriptors.into_iter().map(own));
            }
        }
        break message.bytes;
    };
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let descriptor = received.pop();
    if !received.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more came than one descriptor"));
    }
    Ok((byte[0], descriptor))
}

/// Whether it is a stream socket that is, or may be, connected: not one that listens.
#[must_use]
pub fn is_stream(socket: &impl AsFd) -> bool {
    getsockopt(socket, sockopt::SockType) == Ok(SockType::Stream)
        && getsockopt(socket, sockopt::AcceptConn) == Ok(false)
}

#[expect(unsafe_code, reason = "a descriptor comes as a number")]
fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just opened it for this process, in the call that gave the number, and each number is
    // taken from that call's answer once.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    #[test]
    fn a_descriptor_arrives_with_its_byte_and_is_not_inherited() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "handed").unwrap();
        send(&ours, b'+', Some(file.as_file().as_fd())).unwrap();
        let (byte, descriptor) = receive(&theirs).unwrap();
        let mut file = File::from(descriptor.unwrap());
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((byte, text.as_str()), (b'+', "handed"));
        let flags = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags, nix::libc::FD_CLOEXEC);
    }

    #[test]
    fn a_byte_may_come_alone_and_nothing_is_an_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        send(&ours, b'-', None).unwrap();
        assert!(matches!(receive(&theirs), Ok((b'-', None))));
        drop(ours);
        assert_eq!(receive(&theirs).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn more_than_one_is_no_answer_and_leaks_nothing() {
        for count in [2, 3, MOST] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let raw = vec![ours.as_raw_fd(); count];
            let rights = [ControlMessage::ScmRights(&raw)];
            sendmsg::<()>(ours.as_raw_fd(), &[IoSlice::new(b"+")], &rights, MsgFlags::empty(), None).unwrap();
            assert_eq!(receive(&theirs).unwrap_err().kind(), io::ErrorKind::InvalidData, "{count}");
            drop(ours);
            // A copy of our own end that was kept would keep this from being an end.
            assert_eq!(receive(&theirs).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{count}");
        }
    }

    #[test]
    fn only_what_can_be_spoken_over_is_a_stream() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let connected = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(is_stream(&connected) && !is_stream(&listener) && !is_stream(&datagrams));
        assert!(!is_stream(&File::open("/dev/null").unwrap()));
    }
}
