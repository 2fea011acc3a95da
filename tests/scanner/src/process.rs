//! The memory of a live process: every mapping, through `/proc/PID/mem` or process_vm_readv(2) (proc(5)).
//!
//! Pages that are not there are skipped by `/proc/PID/pagemap`, so that reading makes none; a page in the swap counts
//! as there. Protection keeps nothing from being read, except the pages of memfd_secret(2).
//!
//! Never writes to the process, and never leaves out in silence what it could not read.

use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::Scanner;
use crate::index::Found;
use crate::report::{Place, Report, Unread};

const PAGE: u64 = 4096;
const PIECE: u64 = 4 << 20;

/// Mappings of the kernel's own, the same in every process; and they do not always let themselves be read.
const KERNEL_S: [&str; 4] = ["[vvar]", "[vvar_vclock]", "[vsyscall]", "[uprobes]"];

/// How memory is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through {
    /// `/proc/PID/mem`.
    Mem,
    /// process_vm_readv(2), which heeds protection.
    Readv,
}

/// A process that is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    pub(crate) pid: u32,
}

/// A mapping.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) place: Place,
    /// With the protection, as `rw-p`.
    pub(crate) name: String,
}

impl Process {
    /// The process with this number.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// Looks through all of its memory.
    ///
    /// # Errors
    /// It is gone, or its memory may not be read at all.
    pub fn scan(self, scanner: &Scanner, through: Through) -> io::Result<Report> {
        let regions = self.regions()?;
        let memory = File::open(format!("/proc/{}/mem", self.pid))?;
        let pages = File::open(format!("/proc/{}/pagemap", self.pid))?;
        let pid = Pid::from_raw(self.pid as i32);
        let mut read = |address: u64, piece: &mut [u8]| match through {
            Through::Mem => memory.read_at(piece, address),
            Through::Readv => {
                let remote = RemoteIoVec { base: address as usize, len: piece.len() };
                Ok(process_vm_readv(pid, &mut [IoSliceMut::new(piece)], &[remote])?)
            }
        };
        let mut report = Report::default();
        for region in &regions {
            let mut found = Vec::new();
            for (start, end) in present(&pages, region) {
                scan_run(scanner, region, start..end, &mut read, &mut found, &mut report);
            }
            report.add(&scanner.needles, region.place, &region.name, found);
        }
        Ok(report.settle())
    }

    /// Its mappings, without the kernel's.
    pub(crate) fn regions(self) -> io::Result<Vec<Region>> {
        let stacks = self.stack_pointers()?;
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid))?;
        let regions = maps.lines().filter_map(|line| region(line, &stacks));
        Ok(regions.filter(|region| !KERNEL_S.iter().any(|name| region.name.ends_with(name))).collect())
    }

    /// Where each thread's stack pointer is; of one that runs at the moment the kernel does not say, and its stack is
    /// anonymous memory then.
    fn stack_pointers(self) -> io::Result<Vec<u64>> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid))?.flatten();
        let pointer = |text: String| {
            u64::from_str_radix(text.split_whitespace().rev().nth(1)?.strip_prefix("0x")?, 16).ok()
        };
        let texts = threads.filter_map(|thread| fs::read_to_string(thread.path().join("syscall")).ok());
        Ok(texts.filter_map(pointer).collect())
    }
}

fn region(line: &str, stacks: &[u64]) -> Option<Region> {
    let mut words = line.split_whitespace();
    let (range, protection) = (words.next()?, words.next()?);
    let name = words.skip(3).collect::<Vec<_>>().join(" ");
    let (start, end) = range.split_once('-')?;
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    let is_stack = stacks.iter().any(|pointer| (start..end).contains(pointer));
    let place = match name.as_str() {
        _ if is_stack => Place::Stack,
        "[heap]" => Place::Heap,
        "[stack]" => Place::Stack,
        name if name.starts_with('/') => Place::File,
        _ => Place::Anonymous,
    };
    Some(Region { start, end, place, name: format!("{protection} {name}").trim_end().to_owned() })
}

/// The runs of pages that are in memory or in the swap (bits 63 and 62 of an entry: admin-guide/mm/pagemap.rst). Where
/// that cannot be asked, and of secret memory, whose pages are on no list, all.
fn present(pages: &File, region: &Region) -> Vec<(u64, u64)> {
    let all = vec![(region.start, region.end)];
    if region.name.contains("secretmem") {
        return all;
    }
    let mut entries = vec![0_u8; ((region.end - region.start) / PAGE * 8) as usize];
    if pages.read_exact_at(&mut entries, region.start / PAGE * 8).is_err() {
        return all;
    }
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (page, entry) in entries.chunks_exact(8).enumerate() {
        if entry[7] >> 6 != 0 {
            let start = region.start + page as u64 * PAGE;
            match runs.last_mut() {
                Some((_, end)) if *end == start => *end += PAGE,
                _ => runs.push((start, start + PAGE)),
            }
        }
    }
    runs
}

/// Reads piece by piece, and page by page where a piece does not let itself be read; pieces overlap.
fn scan_run(
    scanner: &Scanner,
    region: &Region,
    range: std::ops::Range<u64>,
    read: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<usize>,
    found: &mut Vec<Found>,
    report: &mut Report,
) {
    let (mut at, mut kept) = (range.start, Vec::new());
    while at < range.end {
        let mut piece = vec![0; PIECE.min(range.end - at) as usize];
        let mut got = read(at, &mut piece);
        if got.is_err() && piece.len() as u64 > PAGE {
            piece.truncate(PAGE as usize);
            got = read(at, &mut piece);
        }
        match got {
            Ok(length) if length > 0 => {
                let base = at - kept.len() as u64;
                // Memory that nobody has touched, or that was wiped: no pattern is all zeros.
                if piece[..length].iter().all(|byte| *byte == 0) {
                    kept.clear();
                } else {
                    kept.extend_from_slice(&piece[..length]);
                    scanner.index.search(&kept, base, found);
                    kept.drain(..kept.len().saturating_sub(scanner.index.overlap()));
                }
                report.read += length as u64;
                at += length as u64;
            }
            failed => {
                let why = failed.err().map_or("nothing came".to_owned(), |why| why.to_string());
                let length = PAGE.min(range.end - at);
                note_unread(report, region, at, length, why);
                kept.clear();
                at += length;
            }
        }
    }
}

fn note_unread(report: &mut Report, region: &Region, address: u64, length: u64, why: String) {
    match report.unread.last_mut() {
        Some(last)
            if last.address + last.length == address && last.why == why && last.region == region.name =>
        {
            last.length += length;
        }
        _ => report.unread.push(Unread { region: region.name.clone(), address, length, why }),
    }
}
