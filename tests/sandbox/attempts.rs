//! What is tried, and what has to come of it.
//!
//! Killed: nothing that the daemon runs ever makes this call. Refused: libraries try it and can live without.
#![expect(unsafe_code, reason = "system calls as an intruder makes them")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{ToSocketAddrs, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};

use libc::{EACCES, EPERM, EXDEV, c_long};

use crate::room::Surroundings;

type Act = fn(&Surroundings) -> Result<(), i32>;

pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    pub(crate) expected: Expected,
    pub(crate) needs: Needs,
    pub(crate) act: Act,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Done,
    Killed,
    Refused(i32),
}

/// What the attempt is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// The filter of system calls alone.
    Calls,
    /// Landlock too.
    Files,
    /// Landlock, and a configuration that asks a secret manager directly.
    Network,
}

use Expected::{Done, Killed, Refused};
use Needs::{Calls, Files, Network};

const fn attempt(name: &'static str, expected: Expected, needs: Needs, act: Act) -> Attempt {
    Attempt { name, expected, needs, act }
}

pub(crate) fn named(name: &str) -> &'static Attempt {
    ATTEMPTS.iter().find(|attempt| attempt.name == name).expect("an attempt")
}

pub(crate) const ATTEMPTS: &[Attempt] = &[
    // What the daemon does.
    attempt("its_own_files_are_written_and_renamed", Done, Files, |room| {
        let (new, old) = (room.state().join("new"), room.state().join("old"));
        done(fs::write(&new, "x").and_then(|()| fs::rename(new, &old)).and_then(|()| fs::remove_file(old)))
    }),
    attempt("directories_of_its_own_are_made_and_filled", Done, Files, |room| {
        let (a, b) = (room.state().join("a"), room.state().join("b"));
        done(fs::create_dir(&a).and_then(|()| fs::create_dir(&b)))?;
        done(fs::write(a.join("f"), "x").and_then(|()| fs::rename(a.join("f"), b.join("f"))))?;
        done(File::open(&b).and_then(|directory| directory.sync_all()))?;
        done(fs::remove_dir_all(a).and_then(|()| fs::remove_dir_all(b)))
    }),
    attempt("what_replaces_its_configuration_is_read", Done, Files, |room| {
        done(fs::read(room.at("etc/root.key")))
    }),
    attempt("what_a_link_is_turned_to_is_read", Done, Files, |room| {
        done(fs::read(room.at("keys/..new/root.key")))
    }),
    attempt("a_name_is_looked_up", Done, Network, |_| done(("localhost", 1).to_socket_addrs())),
    attempt("who_calls_is_read", Done, Files, |room| done(fs::read(format!("/proc/{}/cgroup", room.parent)))),
    attempt("threads_are_made", Done, Calls, |_| {
        done(std::thread::Builder::new().spawn(|| ()).map(|t| t.join()))
    }),
    attempt("a_configured_port_is_connected_to", Done, Network, |room| done(room.connect(room.configured))),
    attempt("secret_pages_are_made", Done, Calls, |_| match call(libc::SYS_memfd_secret, [0; 4]) {
        // A kernel without them.
        Err(libc::ENOSYS) => Ok(()),
        other => other,
    }),
    // Files.
    attempt("a_file_elsewhere_is_read", Refused(EACCES), Files, |room| {
        done(fs::read(room.at("elsewhere/file")))
    }),
    attempt("the_user_database_is_read", Refused(EACCES), Files, |_| done(fs::read("/etc/passwd"))),
    attempt("a_file_elsewhere_is_written", Refused(EACCES), Files, |room| {
        done(OpenOptions::new().append(true).open(room.at("elsewhere/file")))
    }),
    attempt("a_file_elsewhere_is_made", Refused(EACCES), Files, |room| {
        done(File::create(room.at("elsewhere/new")))
    }),
    attempt("a_file_elsewhere_is_removed", Refused(EACCES), Files, |room| {
        done(fs::remove_file(room.at("elsewhere/file")))
    }),
    attempt("a_directory_elsewhere_is_listed", Refused(EACCES), Files, |room| {
        done(fs::read_dir(room.at("elsewhere")))
    }),
    attempt("its_configuration_is_changed", Refused(EACCES), Files, |room| {
        done(OpenOptions::new().append(true).open(room.at("etc/root.key")))
    }),
    attempt("a_file_is_moved_out", Refused(EACCES), Files, |room| {
        done(fs::rename(room.state().join("program"), room.at("elsewhere/program")))
    }),
    attempt("a_file_is_linked_in", Refused(EXDEV), Files, |room| {
        done(fs::hard_link(room.at("etc/root.key"), room.state().join("key")))
    }),
    attempt("a_link_to_elsewhere_is_made", Killed, Calls, |room| {
        done(symlink("/etc", room.state().join("link")))
    }),
    attempt("a_device_is_made", Killed, Calls, |room| {
        let path = path(&room.state().join("null"));
        call(libc::SYS_mknodat, [libc::AT_FDCWD as c_long, path.as_ptr() as c_long, 0o020_666, 0x103])
    }),
    attempt("memory_of_another_process_is_opened", Refused(EACCES), Files, |room| {
        done(File::open(format!("/proc/{}/mem", room.parent)))
    }),
    attempt("a_handle_is_opened", Killed, Calls, |_| call(libc::SYS_open_by_handle_at, [-1, 0, 0, 0])),
    // Programs.
    attempt("a_program_is_run", Killed, Calls, |_| {
        let program = c"/bin/true".as_ptr();
        let arguments = [program, std::ptr::null()];
        call(libc::SYS_execve, [program as c_long, arguments.as_ptr() as c_long, 0, 0])
    }),
    attempt("a_program_is_run_by_descriptor", Killed, Calls, |room| {
        let program = File::open(room.state().join("program")).map_err(errno)?;
        let empty = c"".as_ptr();
        call(libc::SYS_execveat, [c_long::from(program.as_raw_fd()), empty as c_long, 0, 0])
    }),
    attempt("a_process_is_made", Killed, Calls, |_| {
        call(libc::SYS_clone, [c_long::from(libc::SIGCHLD), 0, 0, 0])
    }),
    attempt("a_process_is_made_the_new_way", Refused(libc::ENOSYS), Calls, |_| {
        call(libc::SYS_clone3, [0, 0, 0, 0])
    }),
    attempt("a_call_that_nobody_knows_yet", Refused(libc::ENOSYS), Calls, |_| call(500, [0; 4])),
    attempt("memory_is_made_executable", Refused(EPERM), Calls, |_| {
        let page = anonymous(libc::PROT_READ | libc::PROT_WRITE)?;
        call(libc::SYS_mprotect, [page, 4096, c_long::from(libc::PROT_READ | libc::PROT_EXEC), 0])
    }),
    attempt("executable_memory_is_made", Refused(EPERM), Calls, |_| anonymous(libc::PROT_EXEC).map(drop)),
    attempt("memory_is_made_executable_by_key", Killed, Calls, |_| {
        call(libc::SYS_pkey_mprotect, [0, 4096, c_long::from(libc::PROT_EXEC), -1])
    }),
    attempt("a_file_of_memory_is_made", Refused(EPERM), Calls, |_| {
        call(libc::SYS_memfd_create, [c"x".as_ptr() as c_long, 0, 0, 0])
    }),
    attempt("another_personality", Killed, Calls, |_| call(libc::SYS_personality, [0x0040_0000, 0, 0, 0])),
    // Networks.
    attempt("a_connection_without_a_need", Refused(EPERM), Calls, |room| done(room.connect(room.configured))),
    attempt("a_datagram_without_a_need", Refused(EPERM), Calls, |_| done(UdpSocket::bind("127.0.0.1:0"))),
    attempt("a_port_that_is_not_configured_is_connected_to", Refused(EACCES), Network, |room| {
        done(room.connect(room.stranger))
    }),
    attempt("a_port_is_bound", Killed, Network, |_| done(std::net::TcpListener::bind("127.0.0.1:0"))),
    attempt("a_raw_socket", Killed, Network, |_| socket(libc::AF_INET, libc::SOCK_RAW)),
    attempt("a_socket_of_the_kernel", Refused(EPERM), Network, |_| socket(libc::AF_NETLINK, libc::SOCK_RAW)),
    attempt("a_socket_of_packets", Refused(EPERM), Calls, |_| socket(libc::AF_PACKET, libc::SOCK_RAW)),
    attempt("a_local_socket_is_listened_at", Killed, Calls, |room| {
        done(UnixListener::bind(room.state().join("s")))
    }),
    attempt("an_abstract_socket_of_others_is_connected_to", Refused(EPERM), Files, |room| {
        done(UnixStream::connect_addr(&room.abstract_address()))
    }),
    attempt("a_filter_is_put_on_a_socket", Refused(EPERM), Calls, |_| {
        let socket = std::os::unix::net::UnixDatagram::unbound().map_err(errno)?;
        let (level, option) = (c_long::from(libc::SOL_SOCKET), c_long::from(libc::SO_ATTACH_FILTER));
        call(libc::SYS_setsockopt, [c_long::from(socket.as_raw_fd()), level, option, 0])
    }),
    // Other processes.
    attempt("another_process_is_traced", Killed, Calls, |room| {
        call(libc::SYS_ptrace, [libc::PTRACE_SEIZE as c_long, c_long::from(room.parent), 0, 0])
    }),
    attempt("memory_of_another_process_is_read", Killed, Calls, |room| {
        call(libc::SYS_process_vm_readv, [c_long::from(room.parent), 0, 0, 0])
    }),
    attempt("memory_of_another_process_is_written", Killed, Calls, |room| {
        call(libc::SYS_process_vm_writev, [c_long::from(room.parent), 0, 0, 0])
    }),
    attempt("another_process_is_signalled", Killed, Calls, |room| {
        call(libc::SYS_kill, [c_long::from(room.parent), 0, 0, 0])
    }),
    attempt("a_thread_of_another_process_is_signalled", Killed, Calls, |room| {
        call(libc::SYS_tgkill, [c_long::from(room.parent), c_long::from(room.parent), 0, 0])
    }),
    attempt("another_process_is_held", Killed, Calls, |room| {
        call(libc::SYS_pidfd_open, [c_long::from(room.parent), 0, 0, 0])
    }),
    attempt("a_descriptor_of_another_process_is_taken", Killed, Calls, |_| {
        call(libc::SYS_pidfd_getfd, [0, 0, 0, 0])
    }),
    // The kernel.
    attempt("bpf", Killed, Calls, |_| call(libc::SYS_bpf, [0; 4])),
    attempt("io_uring", Killed, Calls, |_| call(libc::SYS_io_uring_setup, [1, 0, 0, 0])),
    attempt("userfaultfd", Killed, Calls, |_| call(libc::SYS_userfaultfd, [0; 4])),
    attempt("perf_events", Killed, Calls, |_| call(libc::SYS_perf_event_open, [0; 4])),
    attempt("keys_of_the_kernel", Killed, Calls, |_| call(libc::SYS_keyctl, [0; 4])),
    attempt("a_key_of_the_kernel_is_added", Killed, Calls, |_| call(libc::SYS_add_key, [0; 4])),
    attempt("a_module", Killed, Calls, |_| call(libc::SYS_finit_module, [-1, 0, 0, 0])),
    attempt("another_kernel", Killed, Calls, |_| call(libc::SYS_kexec_load, [0; 4])),
    attempt("a_reboot", Killed, Calls, |_| call(libc::SYS_reboot, [0; 4])),
    attempt("a_mount", Killed, Calls, |_| call(libc::SYS_mount, [0; 4])),
    attempt("a_mount_of_the_new_kind", Killed, Calls, |_| call(libc::SYS_fsopen, [0; 4])),
    attempt("an_unmount", Killed, Calls, |_| call(libc::SYS_umount2, [0; 4])),
    attempt("another_root", Killed, Calls, |_| call(libc::SYS_chroot, [c"/".as_ptr() as c_long, 0, 0, 0])),
    attempt("a_namespace", Killed, Calls, |_| {
        call(libc::SYS_unshare, [c_long::from(libc::CLONE_NEWUSER), 0, 0, 0])
    }),
    attempt("a_namespace_of_others", Killed, Calls, |_| call(libc::SYS_setns, [-1, 0, 0, 0])),
    attempt("a_thread_in_a_namespace", Killed, Calls, |_| {
        call(libc::SYS_clone, [c_long::from(libc::CLONE_THREAD | libc::CLONE_NEWNET), 0, 0, 0])
    }),
    // The process itself.
    attempt("another_user", Killed, Calls, |_| call(libc::SYS_setresuid, [0, 0, 0, 0])),
    attempt("more_capabilities", Killed, Calls, |_| call(libc::SYS_capset, [0; 4])),
    attempt("another_filter", Killed, Calls, |_| call(libc::SYS_seccomp, [1, 0, 0, 0])),
    attempt("its_memory_can_be_dumped_again", Refused(EPERM), Calls, |_| {
        call(libc::SYS_prctl, [c_long::from(libc::PR_SET_DUMPABLE), 1, 0, 0])
    }),
    attempt("a_limit_is_set", Refused(EPERM), Calls, |_| {
        let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        call(libc::SYS_prlimit64, [0, c_long::from(libc::RLIMIT_CORE), &raw const limit as c_long, 0])
    }),
    attempt("a_signal_for_others_by_a_descriptor", Refused(EPERM), Calls, |room| {
        call(libc::SYS_fcntl, [0, c_long::from(libc::F_SETOWN), c_long::from(room.parent), 0])
    }),
    attempt("something_is_typed_into_a_terminal", Refused(EPERM), Calls, |_| {
        call(libc::SYS_ioctl, [0, libc::TIOCSTI as c_long, 0, 0])
    }),
];

fn done<T>(result: io::Result<T>) -> Result<(), i32> {
    result.map(drop).map_err(errno)
}

fn errno(error: io::Error) -> i32 {
    error.raw_os_error().unwrap_or(-1)
}

/// The call, with arguments that would be harmless if it were let through.
fn call(number: c_long, [a, b, c, d]: [c_long; 4]) -> Result<(), i32> {
    // SAFETY: what is called with a pointer that is none fails, and what is called at all ends this process or fails.
    answer(unsafe { libc::syscall(number, a, b, c, d, 0, 0) }).map(drop)
}

fn answer(result: c_long) -> Result<c_long, i32> {
    if result < 0 { Err(errno(io::Error::last_os_error())) } else { Ok(result) }
}

fn anonymous(protection: i32) -> Result<c_long, i32> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: new memory, at no fixed place.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
    if page == libc::MAP_FAILED { Err(errno(io::Error::last_os_error())) } else { Ok(page as c_long) }
}

fn socket(family: i32, kind: i32) -> Result<(), i32> {
    call(libc::SYS_socket, [c_long::from(family), c_long::from(kind), 0, 0])
}

fn path(path: &std::path::Path) -> std::ffi::CString {
    std::ffi::CString::new(path.to_str().expect("UTF-8")).expect("no NUL")
}
