//! Pressed out of memory, the daemon leaves nothing in the swap.
//!
//! The hard problem is to press: a host with room swaps nothing. The answer: a swap file of its own, and process_madvise(2)
//! with MADV_PAGEOUT on every page, under load; a program that leaks is pressed in the same way and must be found there, so
//! that the pressing is seen to work.
//!
//! The swap file is taken back whatever happens. It is the host's swap for these seconds, so nothing else is tested meanwhile.

#![expect(unsafe_code, reason = "process_madvise(2), which nobody wraps")]

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokenkeep_scanner::{Kind, Needles, Scanner};

use crate::canaries::Canaries;
use crate::kit::{is_root, skip};
use crate::load;
use crate::survey::Survey;

const SIZE: u64 = 512 << 20;

/// A swap file that is in use for as long as this lives.
struct Swap(PathBuf);

impl Swap {
    /// # Errors
    /// Why there is none.
    fn on(directory: &Path) -> Result<Self, String> {
        let path = directory.join("swapfile");
        let file = fs::File::create(&path).map_err(|why| why.to_string())?;
        let blocks = vec![0; 1 << 20];
        for _ in 0..SIZE >> 20 {
            (&file).write_all(&blocks).map_err(|why| why.to_string())?;
        }
        file.sync_all().map_err(|why| why.to_string())?;
        drop(file);
        run("chmod", &["600"], &path)?;
        run("mkswap", &[], &path)?;
        run("swapon", &[], &path)?;
        Ok(Self(path))
    }

    /// What was written to it.
    fn bytes(&self) -> Vec<u8> {
        // Past the cache of the file, which does not know what the kernel has written.
        let mut dd = Command::new("dd");
        dd.args(["iflag=direct", "bs=1M", "status=none"]).arg(format!("if={}", self.0.display()));
        let output = dd.output().expect("dd");
        assert!(output.status.success());
        output.stdout
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        if let Err(why) = run("swapoff", &[], &self.0) {
            eprintln!("the swap file {} is still in use: {why}", self.0.display());
        }
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> Result<(), String> {
    let output = Command::new(program).args(arguments).arg(path).output().map_err(|why| why.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
#[ignore = "it gives the host a swap file for some seconds; `make memory` runs it alone"]
fn nothing_of_the_daemon_is_in_the_swap() {
    if !is_root() {
        return skip("what the daemon leaves in the swap, which needs root");
    }
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let (mut vault, keys) = load::vault();
    // Before there is swap: whether it starts where there is some is tested elsewhere.
    vault.start();
    let swap = match Swap::on(directory.path()) {
        Ok(swap) => swap,
        Err(why) => return skip(&format!("what the daemon leaves in the swap: no swap file: {why}")),
    };
    let canaries = Canaries::default();
    let pid = vault.pid();
    let (stop, pressed) = (std::sync::atomic::AtomicBool::new(false), std::sync::atomic::AtomicU64::new(0));
    let connected = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                pressed.fetch_add(press_out(pid), std::sync::atomic::Ordering::Relaxed);
            }
        });
        let (_, connected) = load::serve(&vault, &keys, &canaries, 100);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        connected
    });
    println!("pages of the daemon that were pressed out: {} KiB", pressed.into_inner() >> 10);
    press_out(pid);
    let leak = leaking();
    assert!(press_out(leak.child.id()) > 0, "the pressing works");
    let written = swap.bytes();
    let mut control = Needles::default();
    control.canary("what leaks", leak.secret.as_bytes());
    let control = Scanner::new(control).bytes("the swap", &written);
    assert!(control.count(Kind::Canary) > 0, "what leaks is found in the swap");
    let report = Survey::new(&vault, &keys, &canaries).through("the swap", &written);
    println!("in the swap: {report}");
    assert_eq!(report.hits, []);
    drop(connected);
}

/// Pages that the kernel took out, in bytes.
fn press_out(pid: u32) -> u64 {
    let Ok(process) = pidfd_open(pid) else { return 0 };
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let ranges = maps.lines().filter_map(|line| {
        let (start, end) = line.split_whitespace().next()?.split_once('-')?;
        Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    });
    ranges.filter_map(|(start, end)| page_out(&process, start, end - start).ok()).sum()
}

fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers and gives a descriptor.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

fn page_out(process: &OwnedFd, start: usize, length: usize) -> io::Result<u64> {
    let range = libc::iovec { iov_base: start as *mut libc::c_void, iov_len: length };
    // SAFETY: the range is one of the other process, of which nothing changes but where it is kept.
    let done = unsafe {
        libc::syscall(
            libc::SYS_process_madvise,
            process.as_raw_fd(),
            &raw const range,
            1,
            libc::MADV_PAGEOUT,
            0,
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done as u64) }
}

/// A process that holds a secret in plain memory.
struct Leaking {
    child: Child,
    secret: String,
}

fn leaking() -> Leaking {
    let secret = tokenkeep_scanner::fresh_text().expect("randomness");
    // A shell that has read it into a variable.
    let mut child = Command::new("sh");
    child.args(["-c", "read secret; echo ready; read never"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.spawn().expect("sh");
    child.stdin.as_mut().unwrap().write_all(format!("{secret}\n").as_bytes()).unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    Leaking { child, secret }
}

impl Drop for Leaking {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
