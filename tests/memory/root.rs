//! What root gets of the pages in which keys stand, from outside: by every way that the kernel has for reading the memory of
//! another process, and by the one that is not reading.
//!
//! Each way is first seen to work on memory that is not secret.

#![expect(unsafe_code, reason = "pidfd_getfd(2), which nobody wraps")]

use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use tokenkeep_scanner::{Kind, Needles, Scanner};

use crate::kit::{TestVault, is_root, skip};
use crate::load;

/// A mapping: its range as the kernel writes it, and where it starts.
#[derive(Debug, Clone)]
struct Mapping {
    range: String,
    start: u64,
    length: u64,
    name: String,
}

fn mappings(vault: &TestVault) -> Vec<Mapping> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", vault.pid())).expect("its mappings");
    let mapping = |line: &str| {
        let mut words = line.split_whitespace();
        let range = words.next()?.to_owned();
        let readable = words.next()?.starts_with('r');
        let (start, end) = range.split_once('-')?;
        let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        let length = end - start;
        readable.then(|| Mapping { range, start, length, name: words.skip(3).collect::<Vec<_>>().join(" ") })
    };
    maps.lines().filter_map(mapping).collect()
}

/// A daemon that has served, the pages of its keys, and memory of it that anybody with the right may read.
fn opened() -> Option<(TestVault, Vec<Mapping>, Mapping)> {
    if !is_root() {
        skip("what root gets of the keys, which needs root");
        return None;
    }
    let (mut vault, _) = load::vault();
    vault.start();
    vault.create_org("acme");
    vault.put_pair("acme", "github/a", "at", "rt");
    let all = mappings(&vault);
    let secret: Vec<_> = all.iter().filter(|mapping| mapping.name.contains("secretmem")).cloned().collect();
    assert!(!secret.is_empty(), "keys stand in secret memory: {all:?}");
    let heap = all.into_iter().find(|mapping| mapping.name == "[heap]").expect("a heap");
    Some((vault, secret, heap))
}

#[test]
fn root_reads_no_secret_page() {
    let Some((vault, secret, heap)) = opened() else { return };
    let memory = File::open(format!("/proc/{}/mem", vault.pid())).expect("root may");
    let mem = |mapping: &Mapping| memory.read_exact_at(&mut [0; 64], mapping.start);
    let readv = |mapping: &Mapping| {
        let remote = RemoteIoVec { base: mapping.start as usize, len: 64 };
        let pid = Pid::from_raw(vault.pid() as i32);
        process_vm_readv(pid, &mut [IoSliceMut::new(&mut [0; 64])], &[remote])
            .map(drop)
            .map_err(io::Error::from)
    };
    let peek = |mapping: &Mapping| {
        let said = gdb(&vault, &format!("x/8xg {:#x}", mapping.start));
        // What it shows is `0x...: 0x... 0x...`; what it cannot is an error.
        let refused = said.lines().find(|line| line.contains("Cannot access memory"));
        refused.map_or(Ok(()), |line| Err(io::Error::other(line.to_owned())))
    };
    // The file behind a mapping, by its magic link (proc_pid_map_files(5)).
    let again = |mapping: &Mapping| {
        let file = File::open(format!("/proc/{}/map_files/{}", vault.pid(), mapping.range))?;
        file.read_exact_at(&mut [0; 64], 0)
    };
    type Read<'a> = &'a dyn Fn(&Mapping) -> io::Result<()>;
    let ways: [(&str, Read<'_>); 3] =
        [("/proc/PID/mem", &mem), ("process_vm_readv", &readv), ("peek of gdb", &peek)];
    for (way, read) in ways {
        read(&heap).unwrap_or_else(|why| panic!("{way} works on what is not secret: {why}"));
        for mapping in &secret {
            let refused = read(mapping).expect_err(way).to_string();
            println!("{way} at {}: {}", mapping.range, refused.lines().last().unwrap_or_default());
        }
    }
    for mapping in &secret {
        println!("map_files/{}: {}", mapping.range, again(mapping).expect_err("map_files"));
    }
}

/// Descriptors of the daemon, taken by pidfd_getfd(2): none of them leads to its keys.
#[test]
fn no_descriptor_of_the_daemon_leads_to_its_keys() {
    let Some((vault, ..)) = opened() else { return };
    let process = pidfd_open(vault.pid()).expect("root may");
    let names = fs::read_dir(format!("/proc/{}/fd", vault.pid())).expect("root may");
    let mut taken = 0;
    for name in names.flatten() {
        let number: i32 = name.file_name().to_string_lossy().parse().expect("a number");
        let descriptor = match pidfd_getfd(&process, number) {
            // Closed since the directory was read: the daemon goes on meanwhile.
            Err(gone) if gone.raw_os_error() == Some(libc::EBADF) => continue,
            taken => taken.expect("root may"),
        };
        let leads_to = fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).expect("a link");
        let leads_to = leads_to.to_string_lossy().into_owned();
        assert!(
            !leads_to.contains("secretmem") && !leads_to.contains("memfd"),
            "{number} leads to {leads_to}"
        );
        taken += 1;
    }
    println!("pidfd_getfd: {taken} descriptors taken, none of secret memory");
    assert!(taken > 5);
}

/// The end of what is promised: whoever makes the process run code of his own has the keys. SECURITY.md says so, and which
/// setting of the host stops it.
#[cfg(target_arch = "x86_64")]
#[test]
fn code_that_root_injects_gets_what_the_daemon_has() {
    let Some((vault, secret, _)) = opened() else { return };
    let log = || fs::read(vault.room().join("err.log")).expect("a log");
    let before = log().len();
    let made: Result<Vec<_>, _> = secret.iter().map(|mapping| make_it_write(&vault, mapping)).collect();
    if made == Err(nix::Error::EPERM) {
        return skip("code injected by ptrace(2), which this host does not let root do");
    }
    made.expect("ptrace(2)");
    let mut needles = Needles::default();
    crate::keys::add_to(&mut needles, &vault, &[vault.root_key()]);
    let taken = Scanner::new(needles).bytes("what it was made to write", &log()[before..]);
    println!("code injected by ptrace: {taken}");
    assert!(taken.count(Kind::Key) > 0, "SECURITY.md says that this works, and it is the only way that does");
    assert!(include_str!("../../SECURITY.md").contains("kernel.yama.ptrace_scope=3"), "what stops it");
}

/// Makes the main thread write(2) a mapping to the daemon's log, wherever it is caught: it is led to a `syscall` of the vDSO
/// (vdso(7)), which every process has, and back to where it was.
#[cfg(target_arch = "x86_64")]
fn make_it_write(vault: &TestVault, mapping: &Mapping) -> Result<(), nix::Error> {
    use nix::sys::{ptrace, wait::waitpid};
    let pid = Pid::from_raw(vault.pid() as i32);
    let syscall = syscall_of_the_vdso(vault);
    ptrace::attach(pid)?;
    waitpid(pid, None)?;
    let before = ptrace::getregs(pid)?;
    let mut made = before;
    made.rip = syscall;
    (made.rax, made.orig_rax) = (libc::SYS_write as u64, u64::MAX);
    (made.rdi, made.rsi, made.rdx) = (2, mapping.start, mapping.length);
    ptrace::setregs(pid, made)?;
    ptrace::step(pid, None)?;
    waitpid(pid, None)?;
    let written = ptrace::getregs(pid)?.rax;
    ptrace::setregs(pid, before)?;
    ptrace::detach(pid, None)?;
    assert_eq!(written, mapping.length, "what write(2) answered, of {mapping:?}");
    Ok(())
}

/// Where the instruction `syscall` stands in the vDSO of the daemon.
#[cfg(target_arch = "x86_64")]
fn syscall_of_the_vdso(vault: &TestVault) -> u64 {
    let vdso = mappings(vault).into_iter().find(|mapping| mapping.name == "[vdso]").expect("a vDSO");
    let mut code = vec![0; vdso.length as usize];
    let memory = File::open(format!("/proc/{}/mem", vault.pid())).expect("root may");
    memory.read_exact_at(&mut code, vdso.start).expect("root may");
    let offset = code.windows(2).position(|two| two == [0x0f, 0x05]).expect("the instruction `syscall`");
    vdso.start + offset as u64
}

fn gdb(vault: &TestVault, command: &str) -> String {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off"]);
    gdb.args(["-p", &vault.pid().to_string(), "-ex", command, "-ex", "detach"]);
    let output = gdb.stdin(Stdio::null()).output().expect("gdb");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers and gives a descriptor.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

fn pidfd_getfd(process: &OwnedFd, number: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes three numbers and gives a descriptor.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) })
}

fn owned(descriptor: libc::c_long) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}
