//! The scanner against a program that leaks on purpose: every form in every place is found, and what does not leak is not.
//!
//! Needs what the scan needs: a process of one's own that may be read, and gdb. Where gdb is not, it says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests say what they skip")]

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use tokenkeep_scanner::{
    CoreFile, Kind, Needles, Place, Process, Report, Scanner, Through, fresh_bytes, fresh_text,
};

struct Leak(Child);

impl Leak {
    /// Lets `bytes` lie in `place`, and comes back when they do.
    fn start(place: &str, bytes: &[u8]) -> Self {
        let mut leak = Command::new(env!("CARGO_BIN_EXE_leak"));
        let leak = leak.arg(place).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut leak = Self(leak.expect("the program that leaks"));
        let masked: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
        leak.0.stdin.take().unwrap().write_all(&masked).unwrap();
        let mut said = [0; 6];
        leak.0.stdout.as_mut().unwrap().read_exact(&mut said).expect("it leaks");
        assert_eq!(&said, b"ready\n");
        leak
    }

    fn process(&self) -> Process {
        Process::new(self.0.id())
    }

    fn scan(&self, scanner: &Scanner) -> Report {
        self.process().scan(scanner, Through::Mem).expect("its memory may be read")
    }
}

impl Drop for Leak {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A secret for each pattern of each kind of needle, and the bytes that give each away by that pattern alone.
fn one_for_each_form() -> (Needles, Vec<(String, Vec<u8>)>) {
    let (mut needles, mut leaks) = (Needles::default(), Vec::new());
    for make in [canary, fernet_key, mac_key] {
        let mut first = Needles::default();
        make(&mut first, "a");
        for at in 0..first.patterns().len() {
            let (begun, name) = (needles.patterns().len(), format!("{} {at}", first.patterns()[at].form));
            make(&mut needles, &name);
            leaks.push((name, needles.patterns()[begun + at].bytes.clone()));
        }
    }
    (needles, leaks)
}

fn canary(needles: &mut Needles, name: &str) {
    needles.canary(name, fresh_text().unwrap().as_bytes());
}

fn fernet_key(needles: &mut Needles, name: &str) {
    let bytes: [u8; 32] = fresh_bytes().unwrap();
    assert!(needles.fernet_key(name, &url_safe(&bytes)));
}

fn mac_key(needles: &mut Needles, name: &str) {
    needles.mac_key(name, &fresh_bytes::<32>().unwrap());
}

fn url_safe(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE.encode(bytes)
}

/// One after the other, each with a random byte between it and its neighbours.
fn joined(leaks: &[(String, Vec<u8>)]) -> Vec<u8> {
    leaks.iter().flat_map(|(_, bytes)| [bytes.as_slice(), b"."].concat()).collect()
}

#[test]
fn each_form_in_each_place_is_found() {
    let places = [
        ("heap", Some(Place::Heap)),
        ("freed", Some(Place::Heap)),
        ("stack", Some(Place::Stack)),
        ("returned", Some(Place::Stack)),
        ("thread", Some(Place::Stack)),
        ("mapped", Some(Place::Anonymous)),
        ("protected", Some(Place::Anonymous)),
    ];
    for (place, expected) in places {
        let (needles, leaks) = one_for_each_form();
        let names: Vec<_> = leaks.iter().map(|(name, _)| name.clone()).collect();
        let leak = Leak::start(place, &joined(&leaks));
        let _still = leak.process().stop().expect("it is ours");
        let report = leak.scan(&Scanner::new(needles));
        for name in &names {
            let hit = report.hits.iter().find(|hit| hit.needle == *name);
            let hit = hit.unwrap_or_else(|| panic!("{name} lies in {place} and was not found: {report}"));
            let where_it_is = if hit.place == Place::Anonymous && place == "freed" { None } else { expected };
            // A large block is mapped by itself, not in the heap that grows.
            let is_mapped = place == "heap" && hit.place == Place::Anonymous;
            assert!(
                is_mapped || where_it_is.is_none_or(|place| place == hit.place),
                "{name} in {place}: {hit:?}"
            );
        }
        assert_eq!(report.hits.len(), names.len(), "each once: {report}");
    }
}

#[test]
fn a_fragment_of_eight_bytes_is_found_anywhere() {
    let (secret, mut needles) = (fresh_text().unwrap(), Needles::default());
    needles.canary("it", secret.as_bytes());
    let fragments: Vec<u8> = secret.as_bytes().windows(8).flat_map(|part| [part, b"-"].concat()).collect();
    let leak = Leak::start("heap", &fragments);
    let report = leak.scan(&Scanner::new(needles));
    assert_eq!(report.count(Kind::Canary), 25, "{report}");
}

#[test]
fn what_does_not_leak_is_not_found() {
    let (needles, leaks) = one_for_each_form();
    let scanner = Scanner::new(needles);
    let leak = Leak::start("none", &joined(&leaks));
    let report = leak.scan(&scanner);
    assert_eq!(report.hits, [], "{report}");
    assert!(report.read > 64 << 10 && report.unread.is_empty(), "{report} {:?}", report.unread);
    // What came in is there, turned over: so the memory that was read is this program's.
    let masked: Vec<u8> = joined(&leaks)[..64].iter().map(|byte| !byte).collect();
    let mut needles = Needles::default();
    needles.canary("masked", &masked);
    assert_ne!(leak.scan(&Scanner::new(needles)).count(Kind::Canary), 0);
}

#[test]
fn bytes_at_hand_are_looked_through_too() {
    let (needles, leaks) = one_for_each_form();
    let report = Scanner::new(needles).bytes("a file", &joined(&leaks));
    assert_eq!(report.hits.len(), leaks.len());
    assert!(report.line(Kind::Canary).ends_with("canary hits (file 17)"), "{}", report.line(Kind::Canary));
}

/// Where protection is heeded, what is protected is said to be unread.
#[test]
fn what_cannot_be_read_is_in_the_report() {
    let (needles, leaks) = one_for_each_form();
    let scanner = Scanner::new(needles);
    let leak = Leak::start("protected", &joined(&leaks));
    let report = leak.process().scan(&scanner, Through::Readv).unwrap();
    assert_eq!(report.hits, [], "{report}");
    assert_eq!(report.unread.len(), 1, "{:?}", report.unread);
    assert!(report.unread[0].region.starts_with("---p"), "{:?}", report.unread);
    let leak = Leak::start("mapped", &joined(&leaks));
    assert_eq!(leak.process().scan(&scanner, Through::Readv).unwrap().hits.len(), leaks.len());
}

#[test]
fn a_register_is_found_in_a_core_file_alone() {
    if !has_gdb() {
        return;
    }
    let (secret, mut needles) = (fresh_text().unwrap(), Needles::default());
    needles.canary("it", secret.as_bytes());
    let scanner = Scanner::new(needles);
    let leak = Leak::start("register", &secret.as_bytes()[8..24]);
    assert_eq!(leak.scan(&scanner).hits, []);
    let scratch = Scratch::new();
    let report = core(&leak, &scratch).scan(&scanner).expect("it can be read");
    let hit = report.hits.first().expect("a register");
    // What the next register holds may go on with it.
    assert!(hit.place == Place::Registers && hit.length >= 16, "{report}");
}

#[test]
fn a_core_file_has_what_the_memory_has() {
    if !has_gdb() {
        return;
    }
    for place in ["heap", "stack", "mapped"] {
        let (needles, leaks) = one_for_each_form();
        let leak = Leak::start(place, &joined(&leaks));
        let scanner = Scanner::new(needles);
        let report = core(&leak, &Scratch::new()).scan(&scanner).expect("it can be read");
        // What wrote them there may have left its last bytes in registers.
        let mut of_core = report.hits;
        of_core.retain(|hit| hit.place != Place::Registers);
        assert_eq!(of_core.len(), leaks.len());
        assert_eq!(of_core, leak.scan(&scanner).hits);
    }
}

fn core(leak: &Leak, scratch: &Scratch) -> CoreFile {
    leak.process().core_file(&scratch.0).expect("a core file")
}

struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("tokenkeep-scanner-{}", fresh_text().unwrap());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn has_gdb() -> bool {
    let is_there = Command::new("gdb").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !is_there {
        // Past the capture of the test's own output.
        let _ = writeln!(std::io::stderr(), "NOT RUN: registers in a core file, which needs gdb");
    }
    is_there
}
