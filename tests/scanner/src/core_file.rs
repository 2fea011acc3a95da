//! A core file of a live process, as gdb's `gcore` writes it: all memory that a debugger can read, and the registers of
//! every thread, vector registers too.
//!
//! What the process asks the kernel to leave out of cores (MADV_DONTDUMP) is taken in: whoever attaches has it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Scanner;
use crate::index::Found;
use crate::process::{Process, Region};
use crate::report::{Place, Report, Unread};

const PIECE: usize = 1 << 20;
/// ELF-64: sizes and numbers of elf(5).
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const PT_NOTE: u64 = 4;
const PN_XNUM: u64 = 0xffff;

/// Why there is no core file.
#[derive(Debug)]
pub enum CoreError {
    /// gdb wrote none; what it said.
    Gdb(String),
    /// What it wrote is no core file of this kind.
    NotACore,
    /// The file system's word.
    Io(io::Error),
}

impl std::fmt::Display for CoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gdb(said) => write!(f, "gdb wrote no core file: {said}"),
            Self::NotACore => f.write_str("what gdb wrote is no ELF-64 core file"),
            Self::Io(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for CoreError {}

impl From<io::Error> for CoreError {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}

/// A part of the file that comes from one place.
struct Segment {
    offset: u64,
    length: u64,
    /// None for notes.
    address: Option<u64>,
}

/// A core file, removed when it is dropped.
#[derive(Debug)]
pub struct CoreFile {
    path: PathBuf,
    regions: Vec<Region>,
    /// Where, and how many bytes: what gdb says it could not read.
    left_out: Vec<(u64, u64)>,
}

impl Process {
    /// Makes gdb write a core file into `directory`.
    ///
    /// # Errors
    /// There is no gdb, or it may not attach.
    pub fn core_file(self, directory: &Path) -> Result<CoreFile, CoreError> {
        let path = directory.join(format!("core.{}", self.pid));
        let regions = self.regions()?;
        let mut gdb = Command::new("gdb");
        // Nothing of the user's or of the program's is run, and no symbols are needed.
        gdb.args(["-nx", "-batch", "-iex", "set auto-load off", "-iex", "set auto-solib-add off"]);
        gdb.args(["-iex", "set debuginfod enabled off", "-iex", "set pagination off"]);
        gdb.args(["-ex", "set use-coredump-filter off", "-ex", "set dump-excluded-mappings on"]);
        gdb.args(["-p", &self.pid.to_string()]);
        gdb.args(["-ex", &format!("generate-core-file {}", path.display()), "-ex", "detach"]);
        let output = gdb.stdin(Stdio::null()).output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        if !path.exists() {
            return Err(CoreError::Gdb(said));
        }
        Ok(CoreFile { path, regions, left_out: said.lines().filter_map(left_out).collect() })
    }
}

impl CoreFile {
    /// Looks through all of it.
    ///
    /// # Errors
    /// What gdb wrote is no core file, or cannot be read.
    pub fn scan(&self, scanner: &Scanner) -> Result<Report, CoreError> {
        let file = File::open(&self.path)?;
        let mut report = Report::default();
        for segment in segments(&file)? {
            let (place, name) = self.origin(&segment);
            let found = search(&file, &segment, scanner)?;
            report.read += segment.length;
            report.add(&scanner.needles, place, name, found);
        }
        for &(address, length) in &self.left_out {
            let region = self.region(address).map(|region| region.name.clone()).unwrap_or_default();
            report.unread.push(Unread { region, address, length, why: "gdb could not read it".to_owned() });
        }
        Ok(report.settle())
    }

    fn origin(&self, segment: &Segment) -> (Place, &str) {
        match segment.address {
            None => (Place::Registers, "notes"),
            Some(address) => {
                self.region(address).map_or((Place::Anonymous, ""), |region| (region.place, &region.name))
            }
        }
    }

    fn region(&self, address: u64) -> Option<&Region> {
        self.regions.iter().find(|region| (region.start..region.end).contains(&address))
    }
}

impl Drop for CoreFile {
    fn drop(&mut self) {
        // Its directory may be gone already.
        let _ = fs::remove_file(&self.path);
    }
}

fn search(file: &File, segment: &Segment, scanner: &Scanner) -> Result<Vec<Found>, CoreError> {
    let mut found = Vec::new();
    let base = segment.address.unwrap_or(segment.offset);
    let (mut at, mut kept) = (0, Vec::new());
    while at < segment.length {
        let mut piece = vec![0; PIECE.min((segment.length - at) as usize)];
        file.read_exact_at(&mut piece, segment.offset + at)?;
        // Most of a core is memory that nobody has touched.
        if piece.iter().all(|byte| *byte == 0) {
            kept.clear();
        } else {
            let start = base + at - kept.len() as u64;
            kept.extend_from_slice(&piece);
            scanner.index.search(&kept, start, &mut found);
            kept.drain(..kept.len().saturating_sub(scanner.index.overlap()));
        }
        at += piece.len() as u64;
    }
    Ok(found)
}

/// From `warning: Memory read failed for corefile section, 4096 bytes at 0x7f0000000000.` The upper half of the addresses
/// is the kernel's (vsyscall), the same in every process.
fn left_out(line: &str) -> Option<(u64, u64)> {
    let (_, rest) = line.split_once("Memory read failed for corefile section, ")?;
    let (length, address) = rest.trim_end_matches('.').split_once(" bytes at 0x")?;
    let address = u64::from_str_radix(address, 16).ok().filter(|address| address >> 63 == 0)?;
    Some((address, length.parse().ok()?))
}

fn segments(file: &File) -> Result<Vec<Segment>, CoreError> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err(CoreError::NotACore);
    }
    let table = number(&header[32..40]);
    let mut count = number(&header[56..58]);
    if count == PN_XNUM {
        // More segments than the field holds: the first section says how many.
        let mut section = [0; 64];
        file.read_exact_at(&mut section, number(&header[40..48]))?;
        count = number(&section[44..48]);
    }
    let mut segments = Vec::new();
    for at in 0..count {
        let mut entry = [0; PROGRAM_HEADER];
        file.read_exact_at(&mut entry, table + at * PROGRAM_HEADER as u64)?;
        let is_note = number(&entry[..4]) == PT_NOTE;
        let (offset, address, length) =
            (number(&entry[8..16]), number(&entry[16..24]), number(&entry[32..40]));
        segments.push(Segment { offset, length, address: (!is_note).then_some(address) });
    }
    Ok(segments)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
