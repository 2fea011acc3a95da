//! The key room: the only memory in which keys stand, and the only stack on which they are used.
//!
//! The hard problem: a key is everywhere that a processor ever put it: in the value that holds it, in the copies that a move
//! leaves behind, in the expanded schedules that a cipher spills to its stack, in registers long after the call. No wiping
//! of values reaches all of that. The answer is not to chase the copies but to choose the place where they fall:
//!
//! - [`Pages`](pages) that the kernel shows to nobody but this process (memfd_secret(2)): not to `/proc/PID/mem`,
//!   process_vm_readv(2), ptrace(2), a core, not even to root;
//! - [`Kept`]: a value in such pages;
//! - [`within`]: a section, which runs on a stack of such pages and clears the registers when it ends.
//!
//! A value that is kept can be reached from within a section and from nowhere else: the compiler sees to it. Out of a section
//! comes a scalar; everything else leaves by `&mut`, and only what has no byte that was not written: a `Vec`, an array, an
//! `Option` of one pointer. (A larger `Option` that is returned carries bytes of the secret stack with it: one was seen to
//! carry the whole signing key.)
//!
//! A panic in a section cannot unwind over the change of stacks: the process aborts. So nothing in a section may panic, and the
//! hook that says what happened must print no data.
//!
//! What it does not hide: what a section takes from the heap (freed memory is the allocator's to wipe), and registers while a
//! section runs.
//!
//! Knows memory, and nothing of what is kept in it.

mod kept;
mod pages;
mod registers;
mod section;

use std::sync::{Mutex, OnceLock};
use std::{fmt, io};

pub use kept::Kept;
pub use pages::Kind;
pub use registers::clear as clear_registers;
pub use section::{Inside, Scalar, within};

use kept::Arena;
use section::Stack;

/// What to do where the kernel does not give secret pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SecretPages {
    /// Take locked pages instead, and say so.
    Preferred,
    /// Do not start.
    #[default]
    Required,
}

/// Why there is no room for keys; with the mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomError {
    /// More keys at once than the room was made for.
    Full,
    /// The limit of locked memory does not allow it.
    Limit,
    /// The kernel said no, with this errno.
    Refused(i32),
    /// The kernel has no secret pages, or they are switched off.
    Unsupported,
}

impl RoomError {
    fn of(why: &io::Error) -> Self {
        match why.raw_os_error() {
            Some(libc::ENOSYS) => Self::Unsupported,
            Some(libc::EAGAIN | libc::ENOMEM) => Self::Limit,
            errno => Self::Refused(errno.unwrap_or_default()),
        }
    }
}

impl fmt::Display for RoomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const OR: &str = "or set [memory] secret_pages = \"preferred\", and root can read the keys";
        match self {
            Self::Full => f.write_str("there is no room for more keys; lower org_keys in [limits]"),
            Self::Limit => write!(
                f,
                "keys do not fit into the memory that may be locked; raise it (LimitMEMLOCK=64M in the systemd unit, \
                 --ulimit memlock=67108864 for containers)"
            ),
            Self::Refused(errno) => write!(
                f,
                "the kernel refuses secret pages: {}; let the sandbox around the daemon allow memfd_secret(2), {OR}",
                io::Error::from_raw_os_error(*errno)
            ),
            Self::Unsupported => write!(
                f,
                "the kernel has no secret pages; boot Linux 5.14 or later with secretmem.enable=1, {OR}"
            ),
        }
    }
}

impl std::error::Error for RoomError {}

/// For those who derive a key where they open a file: both are of the host.
impl From<RoomError> for io::Error {
    fn from(why: RoomError) -> Self {
        Self::new(io::ErrorKind::OutOfMemory, why)
    }
}

struct Room {
    kind: Kind,
    arena: Mutex<Arena>,
    /// For threads that cannot have a stack of their own: they take turns.
    reserve: Mutex<Stack>,
}

static ROOM: OnceLock<Room> = OnceLock::new();

/// Furnishes the room, once, before the first key: the first pages for keys, and a stack in reserve.
///
/// # Errors
/// There are no secret pages to be had, and they are required.
pub fn furnish(wanted: SecretPages) -> Result<Kind, RoomError> {
    if ROOM.get().is_none() {
        let room = Room::make(wanted)?;
        // Another thread that was first has made the same.
        drop(ROOM.set(room));
    }
    match kind() {
        Kind::Secret => Ok(Kind::Secret),
        _ if wanted == SecretPages::Required && !DANGEROUS_PAGES => Err(RoomError::Unsupported),
        weaker => Ok(weaker),
    }
}

/// What the room is made of.
#[must_use]
pub fn kind() -> Kind {
    room().kind
}

/// For the tests alone: pages that everybody can read.
const DANGEROUS_PAGES: bool = cfg!(feature = "dangerous-without-secret-pages");

/// Where nobody furnished it (a command line, a test), the first use does, with the best there is.
#[expect(clippy::panic, reason = "a process that gets no page of memory is at its end")]
fn room() -> &'static Room {
    ROOM.get_or_init(|| match Room::make(SecretPages::Preferred) {
        Ok(room) => room,
        Err(why) => panic!("no memory for keys: {why}"),
    })
}

impl Room {
    fn make(wanted: SecretPages) -> Result<Self, RoomError> {
        let kinds: &[Kind] = match wanted {
            _ if DANGEROUS_PAGES => &[Kind::Unlocked],
            SecretPages::Preferred => &[Kind::Secret, Kind::Locked, Kind::Unlocked],
            SecretPages::Required => &[Kind::Secret],
        };
        let mut refused = RoomError::Unsupported;
        for kind in kinds {
            match Self::of(*kind) {
                Ok(room) => return Ok(room),
                Err(why) => refused = RoomError::of(&why),
            }
        }
        Err(refused)
    }

    fn of(kind: Kind) -> io::Result<Self> {
        Ok(Self { kind, arena: Mutex::new(Arena::new(kind)?), reserve: Mutex::new(Stack::map(kind)?) })
    }
}

#[cfg(test)]
pub(crate) use section::{STACK, depth};

#[cfg(test)]
mod tests;
