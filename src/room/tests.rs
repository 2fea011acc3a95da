//! What the room promises, seen from outside of it: by the kernel, in `/proc`, and from a child.
#![expect(unsafe_code, reason = "does what must not be done, and sees that it fails")]

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::pages::{Pages, whole};
use super::*;

/// A value that is told from any other by its bytes.
type Value = [u8; 32];

fn keep(byte: u8) -> Kept<Value> {
    let mut kept = None;
    within(|inside| kept = Kept::put([byte; 32], inside).ok());
    kept.unwrap()
}

fn address(kept: &Kept<Value>) -> usize {
    within(|inside| kept.get(inside).as_ptr() as usize)
}

fn read_by_proc(address: usize) -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/proc/self/mem")?.read_exact_at(&mut bytes, address as u64)?;
    Ok(bytes)
}

/// The line of `/proc/self/maps` of an address, and what it says there of the page before the first and behind the last.
fn mapping(address: usize) -> (String, String, String) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let lines: Vec<&str> = maps.lines().collect();
    let holds = |line: &&str| {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let end = |text| usize::from_str_radix(text, 16).unwrap();
        (end(from)..end(to)).contains(&address)
    };
    let at = lines.iter().position(holds).unwrap();
    (lines[at - 1].into(), lines[at].into(), lines[at + 1].into())
}

/// Runs the test of this name in a process of its own, which has to end as `how` says.
fn in_a_child(name: &str, how: impl Fn(std::process::ExitStatus) -> bool) -> bool {
    const INSIDE: &str = "TOKENKEEP_TEST_ROOM";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&format!("room::tests::{name}"), "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(how(output.status), "{:?}: {text}", output.status);
    false
}

#[test]
fn a_kept_value_is_read_within_a_section_and_not_by_the_kernel() {
    let kept = keep(7);
    assert!(within(|inside| *kept.get(inside) == [7; 32]));
    match (kind(), read_by_proc(address(&kept))) {
        (Kind::Secret, Err(why)) => {
            assert!(matches!(why.raw_os_error(), Some(libc::EIO | libc::EFAULT)), "{why}");
        }
        (Kind::Locked | Kind::Unlocked, Ok(bytes)) => assert_eq!(bytes, [7; 32]),
        (kind, read) => panic!("{kind:?}, and reading it gave {read:?}"),
    }
}

#[test]
fn a_slot_is_wiped_when_its_value_goes_and_given_out_again() {
    // In pages that can be read from outside, so that it is the bytes that are looked at.
    let pages = Pages::map(Kind::Unlocked, 65_536).unwrap();
    let address = pages.base() as usize;
    assert_eq!(read_by_proc(address).unwrap(), [0; 32]);
    // SAFETY: the pages are ours, and 32 bytes long at least.
    unsafe { pages.base().write_bytes(9, 32) };
    assert_eq!(read_by_proc(address).unwrap(), [9; 32]);
    pages.wipe();
    assert_eq!(read_by_proc(address).unwrap(), [0; 32]);

    let kept = keep(5);
    let place = self::address(&kept);
    drop(kept);
    // The last slot that came back is the first that is taken; other tests may be quicker.
    let found = (0..64).map(|_| keep(6)).collect::<Vec<_>>();
    let again = found.iter().any(|kept| self::address(kept) == place);
    assert!(again || kind() == Kind::Secret, "slots come back");
}

#[test]
fn pages_stand_between_guards_and_count_with_them() {
    let pages = Pages::map(kind(), 65_536).unwrap();
    let (before, inside, behind) = mapping(pages.base() as usize);
    assert!(before.contains(" ---") && behind.contains(" ---"), "{before}\n{inside}\n{behind}");
    assert!(inside.contains(" rw-"), "{inside}");
    assert_eq!(inside.contains("secretmem"), kind() == Kind::Secret, "{inside}");
    assert!(whole(65_536) > 65_536);
}

#[test]
fn no_descriptor_of_the_pages_is_left_open() {
    let pages = (0..8).map(|_| Pages::map(kind(), 65_536).unwrap()).collect::<Vec<_>>();
    let open: Vec<_> = fs::read_dir("/proc/self/fd").unwrap().flatten().collect();
    let named = open.iter().filter_map(|entry| fs::read_link(entry.path()).ok());
    let secret = named.filter(|path| path.to_string_lossy().contains("secretmem")).count();
    assert_eq!((secret, pages.len()), (0, 8));
}

#[test]
fn touching_a_guard_ends_the_process() {
    let by_signal = |status: std::process::ExitStatus| status.signal() == Some(libc::SIGSEGV);
    if in_a_child("touching_a_guard_ends_the_process", by_signal) {
        let pages = Pages::map(kind(), 65_536).unwrap();
        // SAFETY: it is not safe: that it ends the process is what is tested.
        unsafe { pages.base().wrapping_sub(1).read_volatile() };
        unreachable!("the guard was touched");
    }
}

#[test]
fn a_child_does_not_inherit_the_pages() {
    let kept = keep(7);
    let address = address(&kept) as *const u8;
    let mut status = 0;
    // SAFETY: the child reads one byte, which is not there, and ends either way.
    let waited = unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::signal(libc::SIGSEGV, libc::SIG_DFL);
            address.read_volatile();
            libc::_exit(0);
        }
        libc::waitpid(child, &raw mut status, 0)
    };
    assert!(waited > 0 && libc::WIFSIGNALED(status), "{status}");
    assert_eq!(libc::WTERMSIG(status), libc::SIGSEGV);
}

#[test]
fn a_panic_within_a_section_aborts() {
    if cfg!(feature = "dangerous-without-secret-stack") {
        return;
    }
    let by_signal = |status: std::process::ExitStatus| status.signal() == Some(libc::SIGABRT);
    if in_a_child("a_panic_within_a_section_aborts", by_signal) {
        within::<()>(|_| panic!("nothing unwinds from here"));
    }
}

#[test]
fn sections_run_on_secret_pages_and_nest() {
    let depth = within(|_| {
        let local = 0_u8;
        let here = (&raw const local) as usize;
        within(|_| {
            let deeper = 0_u8;
            here.abs_diff((&raw const deeper) as usize)
        })
    });
    assert!(depth < section::STACK, "a section in a section stays where it is");
    let here = within(|_| {
        let local = 0_u8;
        (&raw const local) as usize
    });
    let (_, on, _) = mapping(here);
    let is_secret = on.contains("secretmem");
    let should = kind() == Kind::Secret && !cfg!(feature = "dangerous-without-secret-stack");
    assert_eq!(is_secret, should, "{on}");
}

#[test]
fn threads_come_and_go_and_leave_nothing_mapped() {
    let count = || {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.contains("secretmem") && line.contains(" rw-")).count()
    };
    let name = "threads_come_and_go_and_leave_nothing_mapped";
    if in_a_child(name, |status| status.success()) {
        let kept = keep(7);
        let before = count();
        for _ in 0..50 {
            let threads = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|_| scope.spawn(|| within(|inside| usize::from(kept.get(inside)[0]))))
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
            });
            assert_eq!(threads, 28);
        }
        assert_eq!(count(), before);
    }
}

#[test]
fn a_thread_without_a_stack_of_its_own_takes_turns() {
    let name = "a_thread_without_a_stack_of_its_own_takes_turns";
    if in_a_child(name, |status| status.success()) {
        let kept = keep(7);
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a limit is read from a value of ours; whoever is root is nobody from here on, and bound by it.
        assert_eq!(
            unsafe { (libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const none), libc::setuid(65_534)) }.0,
            0
        );
        assert!(kind() == Kind::Unlocked || Pages::map(kind(), 65_536).is_err());
        let work = || within(|inside| usize::from(kept.get(inside)[0]));
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
            assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>(), 56);
        });
    }
}

#[test]
fn a_room_that_is_full_says_so_and_has_room_again() {
    if in_a_child("a_room_that_is_full_says_so_and_has_room_again", |status| status.success()) {
        let mut kept = Vec::new();
        let mut full = Ok(());
        while full.is_ok() {
            within(|inside| match Kept::put([1_u8; 32], inside) {
                Ok(one) => kept.push(one),
                Err(why) => full = Err(why),
            });
        }
        assert!(matches!(full, Err(RoomError::Full | RoomError::Limit)), "{full:?}");
        assert!(kept.len() > 100_000, "{}", kept.len());
        kept.pop();
        kept.push(keep(2));
    }
}

#[test]
fn what_is_wrong_is_said_with_the_mend() {
    assert!(RoomError::Unsupported.to_string().contains("secretmem.enable=1"));
    assert!(RoomError::Unsupported.to_string().contains("secret_pages = \"preferred\""));
    assert!(RoomError::Limit.to_string().contains("LimitMEMLOCK"));
    assert!(RoomError::Refused(libc::EPERM).to_string().contains("memfd_secret"));
}

/// Looks at registers the way a core does: whole, and at a moment that nobody chose.
#[cfg(target_arch = "x86_64")]
mod registers {
    use crate::room::*;

    const MARK: [u8; 64] = *b"these bytes were in a vector register while a section was there.";

    fn fill_upper() {
        // SAFETY: the caller knows that there is AVX-512F; what changes is named.
        unsafe {
            std::arch::asm!(
                "vmovdqu64 zmm16, [{0}]", "vmovdqu64 zmm17, [{0}]", "vmovdqu64 zmm18, [{0}]",
                "vmovdqu64 zmm30, [{0}]", "vmovdqu64 zmm31, [{0}]",
                in(reg) MARK.as_ptr(), clobber_abi("sysv64"), options(nostack, readonly),
            );
        }
    }

    fn read_upper() -> [[u8; 64]; 5] {
        let mut found = [[0_u8; 64]; 5];
        // SAFETY: as above; what is written is large enough.
        unsafe {
            std::arch::asm!(
                "vmovdqu64 [{0}], zmm16", "vmovdqu64 [{0} + 64], zmm17", "vmovdqu64 [{0} + 128], zmm18",
                "vmovdqu64 [{0} + 192], zmm30", "vmovdqu64 [{0} + 256], zmm31",
                in(reg) found.as_mut_ptr(), options(nostack),
            );
        }
        found
    }

    fn fill_lower() {
        // SAFETY: every x86-64 has SSE; what changes is named.
        unsafe {
            std::arch::asm!(
                "movdqu xmm12, [{0}]", "movdqu xmm13, [{0}]", "movdqu xmm14, [{0}]", "movdqu xmm15, [{0}]",
                in(reg) MARK.as_ptr(), clobber_abi("sysv64"), options(nostack, readonly),
            );
        }
    }

    fn read_lower() -> [[u8; 16]; 4] {
        let mut found = [[0_u8; 16]; 4];
        // SAFETY: as above; what is written is large enough.
        unsafe {
            std::arch::asm!(
                "movdqu [{0}], xmm12", "movdqu [{0} + 16], xmm13", "movdqu [{0} + 32], xmm14", "movdqu [{0} + 48], xmm15",
                in(reg) found.as_mut_ptr(), options(nostack),
            );
        }
        found
    }

    #[test]
    fn a_section_leaves_nothing_in_vector_registers() {
        let stays = cfg!(feature = "dangerous-without-register-wipe");
        within(|_| fill_lower());
        let found = read_lower();
        assert_eq!(found.iter().any(|bytes| bytes[..] == MARK[..16]), stays, "{found:?}");
        if std::arch::is_x86_feature_detected!("avx512f") {
            within(|_| fill_upper());
            let found = read_upper();
            assert_eq!(found.contains(&MARK), stays, "{found:?}");
        }
    }

    #[test]
    fn a_thread_that_goes_to_sleep_leaves_nothing_in_vector_registers() {
        let stays = cfg!(feature = "dangerous-without-register-wipe");
        if std::arch::is_x86_feature_detected!("avx512f") {
            fill_upper();
            clear_registers();
            assert_eq!(read_upper().contains(&MARK), stays);
        }
        fill_lower();
        clear_registers();
        assert_eq!(read_lower().iter().any(|bytes| bytes[..] == MARK[..16]), stays);
    }
}
