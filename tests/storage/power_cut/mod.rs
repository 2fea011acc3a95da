//! Power cuts: the real daemon is recorded under load, and started again on what a power cut at any moment may have left.
//!
//! At each cut, what was synced is there; of what was not, nothing, some, most or all, block by block and name by name. The
//! daemon must start, have all that was acknowledged before the cut, nothing that nobody asked for and nothing in part, be
//! itself (no quarantine), and its audit log must be whole and speak once of each change.
//!
//! `TOKENKEEP_POWER_CUTS=500` is the long form (`make power-cut`); `TOKENKEEP_POWER_SEED` cuts at the same places of
//! another recording.
//!
//! The recording is tested too: replayed whole, it is the directory that the daemon left.

pub(crate) mod load;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use self::load::{Known, Recording};
use crate::audited::Audited;
use crate::chance::Chance;
use crate::daemon::{Daemon, Place};
use crate::disk::cut::{Order, Survival};
use crate::disk::model::{Deaf, Disk};
use crate::ledger::{Finding, Kind};
use crate::number;
use crate::writer::{Writer, names};

const CUTS: u64 = 12;
const SHARES: [u64; 4] = [0, 30, 70, 100];
/// Cuts of a disk that leaves out syncs.
const DEAF_CUTS: u64 = 5;

/// What a cut has left, to be looked at.
struct Remains {
    cut: usize,
    survival: Survival,
    known: Arc<Known>,
    directory: PathBuf,
}

/// What was seen, for one share.
#[derive(Default)]
struct Row {
    share: u64,
    cuts: u64,
    acknowledged: u64,
    found_done: u64,
    rebuilt: u64,
    recovered: u64,
    findings: Vec<String>,
    kinds: Vec<Kind>,
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes() {
    let seed = number("TOKENKEEP_POWER_SEED").unwrap_or_else(|| u64::from(process::id()));
    let cuts = number("TOKENKEEP_POWER_CUTS").unwrap_or(CUTS);
    let mut chance = Chance::new(seed);
    let scratch = roomy();
    let recording = Recording::make(scratch.path(), &mut chance);
    let rows = cut(&recording, &SHARES, None, &moments(&recording, cuts, &mut chance), &mut chance);
    println!("power cuts | seed {seed}, {} events recorded\n{}", recording.record.len(), table(&rows));
    let findings: Vec<&String> = rows.iter().flat_map(|row| &row.findings).collect();
    let few = &findings[..findings.len().min(8)];
    assert!(findings.is_empty(), "seed {seed}, recorded in {}: {few:#?}", scratch.keep().display());

    let (moments, mut blind) = (moments(&recording, DEAF_CUTS, &mut chance), Vec::new());
    let deafs = [Deaf::Directories, Deaf::Files(".journal"), Deaf::Files(".jsonl")];
    for deaf in deafs {
        let rows = cut(&recording, &[0], Some(deaf), &moments, &mut chance);
        println!("{deaf:?} | cuts {} | findings {}", rows[0].cuts, rows[0].findings.len());
        blind.extend(rows[0].findings.is_empty().then_some(deaf));
    }
    assert!(blind.is_empty(), "seed {seed}: syncs were left out, and nothing was found: {blind:?}");
}

/// Cuts at these moments, each with each of the shares.
fn cut(
    recording: &Recording,
    shares: &[u64],
    deaf: Option<Deaf>,
    moments: &[usize],
    chance: &mut Chance,
) -> Vec<Row> {
    let room = roomy();
    let rows =
        Mutex::new(shares.iter().map(|share| Row { share: *share, ..Row::default() }).collect::<Vec<_>>());
    let (send, receive) = sync_channel(1);
    let receive = Mutex::new(receive);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| examine_all(recording, &receive, &rows));
        }
        let mut disk = Disk::new(inode(recording.scratch()), deaf);
        let mut known = Known::default();
        for index in 0..=recording.record.len() {
            for cut in moments.iter().filter(|moment| **moment == index) {
                let known = Arc::new(known.clone());
                for share in shares {
                    let (order, torn) = (if cut % 2 == 0 { Order::Free } else { Order::Kept }, cut % 3 != 0);
                    let survival = Survival { share: *share, order, torn };
                    let directory = room.path().join(format!("{cut}-{share}"));
                    build(&disk, survival, chance, &directory, recording);
                    send.send(Remains { cut: *cut, survival, known: Arc::clone(&known), directory }).unwrap();
                }
            }
            if index < recording.record.len() {
                let event = recording.record.event(index);
                disk.take(event);
                known.take(&event);
            }
        }
        drop(send);
        if deaf.is_none() {
            the_recording_is_what_happened(&disk, chance, recording, room.path());
        }
    });
    rows.into_inner().unwrap()
}

/// Where to cut: an eighth while the vault is made, the others anywhere.
fn moments(recording: &Recording, cuts: u64, chance: &mut Chance) -> Vec<usize> {
    let mut known = Known::default();
    let ready = (0..recording.record.len()).find(|index| {
        known.take(&recording.record.event(*index));
        known.was_ready
    });
    let (ready, end) = (ready.expect("it was ready") as u64, recording.record.len() as u64);
    let mut moments = BTreeSet::new();
    while (moments.len() as u64) < (cuts / 8).min(ready / 2) {
        moments.insert(chance.below(ready) as usize);
    }
    while (moments.len() as u64) < cuts {
        moments.insert((ready + chance.below(end - ready)) as usize);
    }
    moments.into_iter().collect()
}

/// In memory, where there is room: a start writes out a segment, and what it syncs need not last.
pub(crate) fn roomy() -> tempfile::TempDir {
    let shared = Path::new("/dev/shm");
    let free = nix::sys::statvfs::statvfs(shared).map_or(0, |s| s.blocks_available() * s.fragment_size());
    if free > 1 << 30 { tempfile::tempdir_in(shared).unwrap() } else { tempfile::tempdir().unwrap() }
}

pub(crate) fn inode(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().ino()
}

pub(crate) fn build(
    disk: &Disk,
    survival: Survival,
    chance: &mut Chance,
    directory: &Path,
    recording: &Recording,
) {
    fs::create_dir(directory).unwrap();
    survival.build(disk, chance, directory, &directory.join("identities"));
    let vault = directory.join("vault");
    // The configuration names the place; the tests wrote the key list.
    if vault.join("tokenkeep.toml").exists() {
        let (from, to) = (recording.place.root().display().to_string(), vault.display().to_string());
        let text = fs::read_to_string(vault.join("tokenkeep.toml")).unwrap();
        fs::write(vault.join("tokenkeep.toml"), text.replace(&from, &to) + load::SIZES).unwrap();
    }
    if vault.join("root.key").exists() {
        fs::write(vault.join("root.key"), &recording.root_key).unwrap();
    }
}

/// With all that was written, it is what lies there.
fn the_recording_is_what_happened(disk: &Disk, chance: &mut Chance, recording: &Recording, room: &Path) {
    let survival = Survival { share: 100, order: Order::Kept, torn: false };
    let directory = room.join("whole");
    build(disk, survival, chance, &directory, recording);
    let mut built = below(&directory.join("vault/state"));
    let real = below(&recording.place.state());
    assert_eq!(
        built.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        real.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    for ((name, built), (_, real)) in built.drain(..).zip(real) {
        assert!(built == real, "the record misses something that was written to {}", name.display());
    }
}

/// Every file below, by its name from there.
pub(crate) fn below(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut open) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                found.push((path.strip_prefix(directory).unwrap().to_owned(), bytes));
            }
        }
    }
    found.sort();
    found
}

fn examine_all(recording: &Recording, remains: &Mutex<Receiver<Remains>>, rows: &Mutex<Vec<Row>>) {
    loop {
        let next = remains.lock().unwrap().recv();
        let Ok(remains) = next else { return };
        let mut seen = Row { cuts: 1, ..Row::default() };
        // What a writer asserts is a finding too.
        let examined = catch_unwind(AssertUnwindSafe(|| examine(recording, &remains, &mut seen)));
        if let Err(panic) = examined {
            let what = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            seen.find(Finding::new(Kind::Refused, what));
        }
        let mut rows = rows.lock().unwrap();
        let row = rows.iter_mut().find(|row| row.share == remains.survival.share).unwrap();
        row.add(seen, &remains);
        drop(rows);
        fs::remove_dir_all(&remains.directory).unwrap();
    }
}

fn examine(recording: &Recording, remains: &Remains, row: &mut Row) {
    let place = Place::new(&remains.directory)
        .with("LD_PRELOAD", recording.scratch().join("recorder.so"))
        .with("TOKENKEEP_RECORD_BELOW", remains.directory.join("vault"))
        .with("TOKENKEEP_RECORD_IDENTITY", remains.directory.join("identities"));
    let mut writers = recording.writers(&remains.known);
    let daemon = match place.start() {
        Ok(daemon) => daemon,
        Err(why) => return row.find(Finding::new(Kind::Refused, why)),
    };
    row.rebuilt += u64::from(place.last_words().contains("made anew"));
    for writer in &mut writers {
        row.acknowledged += writer.ledger.acknowledged;
        writer.examine(daemon.application()).into_iter().for_each(|finding| row.find(finding));
        row.found_done += writer.ledger.in_doubt.0;
    }
    for lost in load::ballast_lost(&mut daemon.application(), &remains.known) {
        row.find(Finding::new(Kind::Lost, lost));
    }
    for finding in whole(&daemon, &writers, &remains.known) {
        row.find(finding);
    }
    let head = daemon.application().read("/v1/status").unwrap().json()["store"]["sequence"].as_u64().unwrap();
    daemon.kill();
    let audited = Audited::read(&place.state());
    row.recovered += audited.recovered;
    audited.findings(head).into_iter().for_each(|finding| row.find(finding));
}

/// What is wrong with the vault as a whole.
fn whole(daemon: &Daemon, writers: &[Writer], known: &Known) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut claim = |holds: bool, kind, what: String| {
        if !holds {
            findings.push(Finding::new(kind, what));
        }
    };
    let status = daemon.application().read("/v1/status").unwrap().json();
    claim(status["quarantine"].is_null(), Kind::Refused, format!("it takes itself for a copy: {status}"));
    claim(status["store"]["state"] == "ok", Kind::Refused, status.to_string());
    let verified = daemon.admin().done("POST", "/admin/v1/audit/verify", &Value::Null);
    claim(verified["intact"] == true, Kind::Unaudited, verified.to_string());
    if known.rotated {
        let keys = daemon.admin().read("/admin/v1/keys").unwrap().json();
        claim(keys["remaining"] == 0, Kind::Lost, format!("the rotation that had ended: {keys}"));
    }
    let mut orgs: BTreeSet<String> = writers.iter().flat_map(Writer::orgs).collect();
    orgs.insert("ballast".to_owned());
    let listed = names(&daemon.admin().list("/admin/v1/orgs").unwrap(), "org");
    let phantom: Vec<_> = listed.difference(&orgs).collect();
    claim(phantom.is_empty(), Kind::Phantom, format!("orgs {phantom:?}"));
    findings
}

impl Row {
    fn find(&mut self, finding: Finding) {
        self.kinds.push(finding.kind);
        self.findings.push(finding.to_string());
    }

    fn add(&mut self, seen: Self, remains: &Remains) {
        self.cuts += seen.cuts;
        self.acknowledged += seen.acknowledged;
        self.found_done += seen.found_done;
        self.rebuilt += seen.rebuilt;
        self.recovered += seen.recovered;
        self.kinds.extend(seen.kinds);
        let at = format!("cut {} {:?}: ", remains.cut, remains.survival);
        self.findings.extend(seen.findings.into_iter().map(|finding| at.clone() + &finding));
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| unsynced that survived | cuts | acknowledged before | lost | torn | phantom | refused | unaudited | \
         in doubt and done | audit entries recovered | index made anew |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let count = |kind| row.kinds.iter().filter(|found| **found == kind).count();
        let wrong = [Kind::Lost, Kind::Torn, Kind::Phantom, Kind::Refused, Kind::Unaudited].map(count);
        let [lost, torn, phantom, refused, unaudited] = wrong;
        let Row { share, cuts, acknowledged, found_done, recovered, rebuilt, .. } = row;
        text += &format!(
            "| {share} % | {cuts} | {acknowledged} | {lost} | {torn} | {phantom} | {refused} | {unaudited} | \
             {found_done} | {recovered} | {rebuilt} |\n"
        );
    }
    text
}
