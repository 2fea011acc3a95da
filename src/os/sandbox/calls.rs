//! Which system calls the process may make from here on (seccomp(2)).
//!
//! The hard problem: a list that is too long lets an intruder work, one that is too short kills the daemon in the
//! middle of a request, on a kernel or a C library that nobody tried. The answer: what the program needs is allowed;
//! what libraries only try, and can live without, is refused with an error; everything else ends the process. Calls
//! that are newer than this list do not exist, so that a newer C library takes the older way, as it does on an older
//! kernel.
//!
//! Three filters, as each has one answer; of several answers the kernel takes the strictest. Calls that are allowed
//! whatever their arguments cost nothing: the kernel keeps them in a table (Linux 5.11).
//!
//! Never looks through a pointer: a filter sees numbers alone.

use std::collections::BTreeMap;

use libc::{c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::{OnForbidden, Outbound};

/// Calls that the daemon makes, or the C library and the crates for it, whatever their arguments.
const ALLOWED: &[c_long] = &[
    // Memory. What would make it executable is refused below.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_memfd_secret,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munlock,
    libc::SYS_munmap,
    // Threads.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    // Signals of its own.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Time.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    // Descriptors.
    libc::SYS_close,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_lseek,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    // Files: Landlock says which.
    libc::SYS_copy_file_range,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_readlinkat,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_unlinkat,
    // Sockets that there are. New ones are below.
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    // Questions. The allocator asks on which node of the memory it is.
    libc::SYS_getcpu,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getrandom,
    libc::SYS_getuid,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    // Refused or judged by their arguments, in the other filters.
    libc::SYS_clone3,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
    libc::SYS_memfd_create,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
];

/// What newer architectures have no more: older C libraries take it instead of the call that ends in `at`.
#[cfg(target_arch = "x86_64")]
const ALLOWED_OLDER: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_chmod,
    libc::SYS_epoll_wait,
    libc::SYS_getrlimit,
    libc::SYS_link,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_rmdir,
    libc::SYS_stat,
    libc::SYS_sync_file_range,
    libc::SYS_time,
    libc::SYS_unlink,
];
/// `renameat` and `sync_file_range`, which `libc` does not name here (asm-generic/unistd.h).
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_OLDER: &[c_long] = &[38, 84];

/// What came with Linux 6.6 and later, with room for what is to come. Nothing here needs any of it.
const NEWER: std::ops::Range<c_long> = 450..512;

/// What fcntl(2) may be asked: never who gets a signal (`F_SETOWN`, `F_SETSIG`).
const CONTROLS: &[c_int] = &[
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_OFD_GETLK,
    libc::F_OFD_SETLK,
];

/// What ioctl(2) may be asked: whether there is a terminal, how much there is to read, and not to block.
const DEVICE_CONTROLS: &[c_long] = &[
    libc::FIONBIO as c_long,
    libc::FIONREAD as c_long,
    libc::FIOCLEX as c_long,
    libc::TCGETS as c_long,
    libc::TIOCGWINSZ as c_long,
];

/// What prctl(2) may be asked: names of threads, what it is that holds, and once more what holds already (the next
/// filter asks for it).
const PROCESS_CONTROLS: &[c_int] = &[
    libc::PR_GET_DUMPABLE,
    libc::PR_GET_NAME,
    libc::PR_GET_NO_NEW_PRIVS,
    libc::PR_SET_NAME,
    libc::PR_SET_NO_NEW_PRIVS,
];

/// A thread of this process, in its own namespaces, and no process.
const CLONE_FLAGS: c_int = libc::CLONE_THREAD
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS;

/// In the type of a socket, beside what is a flag.
const SOCKET_TYPE: u64 = 0xf;

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// The filters, in the order in which they are to be installed: the one that allows least comes last, as it does not
/// allow more filters.
pub(super) fn filters(
    outbound: &Outbound,
    on_forbidden: OnForbidden,
    own_pid: u32,
) -> Result<Vec<BpfProgram>, BackendError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let (refusal, end) = match on_forbidden {
        OnForbidden::End => (SeccompAction::Errno(libc::EPERM as u32), SeccompAction::KillProcess),
        OnForbidden::Tell => (SeccompAction::Trap, SeccompAction::Trap),
    };
    [
        (newer(), SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32)),
        (refused(outbound)?, SeccompAction::Allow, refusal),
        (allowed(outbound, own_pid)?, end, SeccompAction::Allow),
    ]
    .into_iter()
    .map(|(rules, otherwise, then)| SeccompFilter::new(rules, otherwise, then, architecture)?.try_into())
    .collect()
}

/// What does not exist, so that the C library does without. Flags of clone3(2) lie behind a pointer, where no filter
/// sees them.
fn newer() -> Rules {
    NEWER.chain([libc::SYS_clone3]).map(|call| (call, Vec::new())).collect()
}

/// What libraries try and can live without.
fn refused(outbound: &Outbound) -> Result<Rules, BackendError> {
    let executable = || rule(vec![masked(2, libc::PROT_EXEC as u64, libc::PROT_EXEC as u64)?]);
    let families: &[c_int] = match outbound {
        Outbound::None => &[libc::AF_UNIX],
        // getaddrinfo(3) tries AF_NETLINK too, and takes the refusal for an answer.
        Outbound::Ports(_) => &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6],
    };
    let programs = [libc::SO_ATTACH_FILTER, libc::SO_ATTACH_BPF, libc::SO_ATTACH_REUSEPORT_CBPF];
    let attaching = programs
        .iter()
        .map(|program| rule(vec![equal(1, libc::SOL_SOCKET as u64)?, equal(2, *program as u64)?]));
    Ok(BTreeMap::from([
        (libc::SYS_fcntl, vec![none_of(1, CONTROLS.iter().map(|&control| control as u64))?]),
        (libc::SYS_ioctl, vec![none_of(1, DEVICE_CONTROLS.iter().map(|&control| control as u64))?]),
        (libc::SYS_memfd_create, Vec::new()),
        (libc::SYS_mmap, vec![executable()?]),
        (libc::SYS_mprotect, vec![executable()?]),
        (libc::SYS_prctl, vec![none_of(0, PROCESS_CONTROLS.iter().map(|&control| control as u64))?]),
        // Limits are read, never set.
        (libc::SYS_prlimit64, vec![rule(vec![qword(2, SeccompCmpOp::Ne, 0)?])?]),
        (libc::SYS_setsockopt, attaching.collect::<Result<_, _>>()?),
        (libc::SYS_socket, vec![none_of(0, families.iter().map(|&family| family as u64))?]),
    ]))
}

/// What is allowed; with these, a call that an earlier filter refuses is answered by that one.
fn allowed(outbound: &Outbound, own_pid: u32) -> Result<Rules, BackendError> {
    let mut rules: Rules = ALLOWED.iter().chain(ALLOWED_OLDER).map(|&call| (call, Vec::new())).collect();
    rules.extend(NEWER.map(|call| (call, Vec::new())));
    let thread = masked(0, CLONE_FLAGS as u64, libc::CLONE_THREAD as u64)?;
    rules.insert(libc::SYS_clone, vec![rule(vec![thread])?]);
    // abort(3) and raise(3).
    rules.insert(libc::SYS_tgkill, vec![rule(vec![equal(0, u64::from(own_pid))?])?]);
    let mut sockets = Vec::new();
    if let Outbound::Ports(_) = outbound {
        let inet = [libc::AF_INET as u64, libc::AF_INET6 as u64];
        sockets.push(none_of(0, inet.into_iter())?);
        // Datagrams are for DNS.
        for (family, kind) in
            inet.iter().flat_map(|family| [(family, libc::SOCK_STREAM), (family, libc::SOCK_DGRAM)])
        {
            sockets.push(rule(vec![equal(0, *family)?, masked(1, SOCKET_TYPE, kind as u64)?])?);
        }
    }
    rules.insert(libc::SYS_socket, sockets);
    Ok(rules)
}

fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions)
}

/// The argument is none of these.
fn none_of(argument: u8, values: impl Iterator<Item = u64>) -> Result<SeccompRule, BackendError> {
    rule(values.map(|value| dword(argument, SeccompCmpOp::Ne, value)).collect::<Result<_, _>>()?)
}

fn equal(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    dword(argument, SeccompCmpOp::Eq, value)
}

/// Of the bits of the mask, the argument has these and no others.
fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, BackendError> {
    dword(argument, SeccompCmpOp::MaskedEq(mask), value)
}

/// Compares the lower half: the kernel takes these arguments for 32 bits and ignores the rest.
fn dword(argument: u8, compared: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compared, value)
}

fn qword(argument: u8, compared: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, compared, value)
}
