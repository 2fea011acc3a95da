//! Damage: a file of a vault is not what was written, in one of six ways. Each is harmless, and then everything that was
//! acknowledged is served, and the log names a damaged segment or snapshot; or refused, and then the last line names the file and the way back, with exit code 74; or the store
//! says that it may be a copy (docs/restore.md). None is silent.
//!
//! `TOKENKEEP_DAMAGE_TRIALS=100` of each are the long form (`make damage`).
//!
//! A whole directory that is put back is not damage: docs/restore.md says what is noticed of that.

mod befall;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::befall::{ALL, Damage, Part, befall};
use crate::audited::Audited;
use crate::chance::Chance;
use crate::daemon::{Daemon, Place};
use crate::disk::cut::{Order, Survival};
use crate::disk::model::Disk;
use crate::number;
use crate::power_cut::load::{Known, Recording, ballast_lost};
use crate::power_cut::{below, build, inode, roomy};

const TRIALS: u64 = 6;
/// What the start did not need to read is read behind it.
const PATIENCE: Duration = Duration::from_secs(30);
const ALL_OF_IT: Survival = Survival { share: 100, order: Order::Kept, torn: false };

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Harmless,
    /// It came up in quarantine.
    Noticed,
    Refused,
    /// What must not be.
    Silent(String),
}

/// A vault, as it was last and as it once was, and what its writers know.
struct Ground<'a> {
    recording: &'a Recording,
    known: Known,
    /// Holds the directories `old` and `new`.
    room: &'a Path,
    names: Vec<PathBuf>,
}

#[test]
fn no_damage_is_silent() {
    let seed = number("TOKENKEEP_DAMAGE_SEED").unwrap_or_else(|| u64::from(process::id()));
    let trials = number("TOKENKEEP_DAMAGE_TRIALS").unwrap_or(TRIALS);
    let mut chance = Chance::new(seed);
    let (scratch, room) = (roomy(), roomy());
    let recording = Recording::make(scratch.path(), &mut chance);
    let ground = Ground::lay(&recording, room.path(), &mut chance);
    let table = Mutex::new(BTreeMap::new());
    let work: Vec<(usize, Damage, Chance)> = ALL
        .into_iter()
        .flat_map(|damage| (0..trials).map(move |_| damage))
        .enumerate()
        .map(|(number, damage)| (number, damage, chance.split()))
        .collect();
    let work = Mutex::new(work.into_iter());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some((number, damage, mut chance)) = work.lock().unwrap().next() else { return };
                    let (parts, outcome) = ground.trial(number, damage, &mut chance);
                    *table.lock().unwrap().entry((damage, parts, outcome)).or_insert(0) += 1;
                }
            });
        }
    });
    let table: BTreeMap<(Damage, Vec<Part>, Outcome), u64> = table.into_inner().unwrap();
    println!("damage | seed {seed}\n| damage | to | what came of it | times |\n|---|---|---|---|");
    for ((damage, parts, outcome), times) in &table {
        println!("| {damage:?} | {parts:?} | {outcome:?} | {times} |");
    }
    let silent = table.keys().filter(|(_, _, outcome)| matches!(outcome, Outcome::Silent(_))).count();
    assert_eq!(silent, 0, "seed {seed}: {silent} kinds of silent damage");
}

impl<'a> Ground<'a> {
    fn lay(recording: &'a Recording, room: &'a Path, chance: &mut Chance) -> Self {
        let mut disk = Disk::new(inode(recording.scratch()), None);
        let mut known = Known::default();
        let old = recording.record.len() / 2;
        for index in 0..recording.record.len() {
            if index == old {
                build(&disk, ALL_OF_IT, chance, &room.join("old"), recording);
            }
            let event = recording.record.event(index);
            disk.take(event);
            known.take(&event);
        }
        build(&disk, ALL_OF_IT, chance, &room.join("new"), recording);
        let names = below(&room.join("new/vault/state")).into_iter().map(|(name, _)| name);
        // Locks hold nothing, and what is prepared is nobody's yet.
        let mut names: Vec<PathBuf> = names.filter(|name| Part::of(name) != Part::Other).collect();
        names.sort_unstable();
        Self { recording, known, room, names }
    }

    fn trial(&self, number: usize, damage: Damage, chance: &mut Chance) -> (Vec<Part>, Outcome) {
        let directory = self.room.join(number.to_string());
        let (place, touched) = loop {
            let place = self.copy(&directory);
            let old = self.room.join("old/vault/state");
            match befall(damage, &place.state(), &old, &self.names, chance) {
                Some(touched) => break (place, touched),
                None => fs::remove_dir_all(&directory).unwrap(),
            }
        };
        let is_other_header = damage == Damage::BitFlip && self.has_other_header(&place);
        let outcome = match self.outcome(&place, damage, &touched) {
            Outcome::Harmless | Outcome::Noticed if is_other_header => {
                Outcome::Silent("vault.json says something else, and nobody noticed".to_owned())
            }
            outcome => outcome,
        };
        let outcome = match outcome {
            Outcome::Silent(what) => Outcome::Silent(format!("{touched:?}: {what}")),
            other => other,
        };
        fs::remove_dir_all(&directory).unwrap();
        let mut parts: Vec<Part> = touched.iter().map(|name| Part::of(name)).collect();
        parts.sort_unstable();
        (parts, outcome)
    }

    /// A copy whose files are, for the daemon, the ones that they were.
    fn copy(&self, to: &Path) -> Place {
        let copied = process::Command::new("cp")
            .args(["-a", "--sparse=always"])
            .args([&self.room.join("new"), to])
            .status();
        assert!(copied.unwrap().success());
        let (from, here) = (self.room.join("new/vault").display().to_string(), to.join("vault"));
        let configuration = here.join("tokenkeep.toml");
        let text = fs::read_to_string(&configuration).unwrap();
        fs::write(configuration, text.replace(&from, &here.display().to_string())).unwrap();
        let (were, are) = (fs::read(to.join("identities")).unwrap(), to.join("identities"));
        let now: Vec<u8> = were
            .chunks(24)
            .flat_map(|known| {
                let told = u64::from_le_bytes(*known.first_chunk().unwrap());
                let path = find(&self.room.join("new"), told).map(|name| to.join(name));
                let here = path.map_or(0, |path| inode(&path));
                [&here.to_le_bytes()[..], &known[8..]].concat()
            })
            .collect();
        fs::write(are, now).unwrap();
        Place::new(to)
            .with("LD_PRELOAD", self.recording.scratch().join("recorder.so"))
            .with("TOKENKEEP_RECORD_BELOW", to.join("vault"))
            .with("TOKENKEEP_RECORD_IDENTITY", to.join("identities"))
    }

    /// Beyond the case of a letter, which in a moment or a hexadecimal number says nothing.
    fn has_other_header(&self, place: &Place) -> bool {
        let written = fs::read(self.room.join("new/vault/state/vault.json")).unwrap();
        !fs::read(place.state().join("vault.json")).unwrap().eq_ignore_ascii_case(&written)
    }

    fn outcome(&self, place: &Place, damage: Damage, touched: &[PathBuf]) -> Outcome {
        let mut daemon = match place.start() {
            Ok(daemon) => daemon,
            Err(why) => return refusal(&why, touched),
        };
        // What is found behind the start ends the daemon, perhaps while it is asked.
        let seen = catch_unwind(AssertUnwindSafe(|| self.look(&daemon)));
        let Ok((mut wrong, is_noticed, head)) = seen else {
            let ended = daemon.ended().map_or("it did not end".to_owned(), |status| status.to_string());
            return refusal(&format!("{ended}\n{}", place.last_words()), touched);
        };
        let untold =
            touched.iter().find(|name| self.needs_a_word(damage, name) && !self.is_told(place, name));
        wrong.extend(untold.map(|name| format!("{}: served, and nobody was told", name.display())));
        daemon.kill();
        wrong.extend(Audited::read(&place.state()).findings(head).iter().map(ToString::to_string));
        match (wrong.first(), is_noticed) {
            (Some(first), _) => Outcome::Silent(first.clone()),
            (None, true) => Outcome::Noticed,
            (None, false) => Outcome::Harmless,
        }
    }

    /// Whether the log must speak of it where everything is served. Not of a segment that both snapshots hold: the daemon removes it itself. Not
    /// of a snapshot that is gone, or of a file of then that is there again: they leave no trace, and nobody needs them.
    fn needs_a_word(&self, damage: Damage, name: &Path) -> bool {
        match (damage, Part::of(name)) {
            (Damage::OldCopy, _) | (Damage::Deletion, Part::Snapshot) => false,
            (_, Part::Snapshot) => true,
            (_, Part::Journal) => {
                let older = self.of(Part::Snapshot).next().map_or(0, sequence);
                let next = self.of(Part::Journal).find(|other| sequence(other) > sequence(name));
                next.is_none_or(|next| sequence(next) > older + 1)
            }
            _ => false,
        }
    }

    /// Whether the log names the file, or the segment before it, where the journal breaks off, or the one after it, where that is the first now;
    /// at once or once it was looked at behind the start.
    fn is_told(&self, place: &Place, name: &Path) -> bool {
        let before = self.of(Part::Journal).take_while(|other| *other != name).last();
        let after = || self.of(Part::Journal).find(|other| sequence(other) > sequence(name));
        let beside = before.or_else(after);
        let named = beside.filter(|_| Part::of(name) == Part::Journal).into_iter().chain([name]);
        let named: Vec<_> = named.map(|file| file.file_name().unwrap().to_string_lossy()).collect();
        let is_warning = |line: &str| line.contains(" WARN ") || line.contains("ERROR ");
        let is_told = || {
            let said = place.words();
            said.lines().any(|line| is_warning(line) && named.iter().any(|file| line.contains(&**file)))
        };
        let until = Instant::now() + PATIENCE;
        while !is_told() {
            if Instant::now() > until {
                return false;
            }
            thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// The files of this part, by their numbers.
    fn of(&self, part: Part) -> impl Iterator<Item = &Path> {
        self.names.iter().map(PathBuf::as_path).filter(move |name| Part::of(name) == part)
    }

    /// What is wrong, whether it takes itself for a copy, and how far its journal goes.
    fn look(&self, daemon: &Daemon) -> (Vec<String>, bool, u64) {
        let status = daemon.application().read("/v1/status").unwrap().json();
        let is_noticed = !status["quarantine"].is_null();
        if is_noticed {
            daemon.admin().done("POST", "/admin/v1/connections/release", &json!({ "all": true }));
        }
        let mut wrong: Vec<String> = Vec::new();
        for writer in &mut self.recording.writers(&self.known) {
            assert!(writer.ledger.acknowledged > 0);
            wrong.extend(writer.examine(daemon.application()).iter().map(ToString::to_string));
        }
        wrong.extend(ballast_lost(&mut daemon.application(), &self.known));
        let verified = daemon.admin().done("POST", "/admin/v1/audit/verify", &Value::Null);
        if verified["intact"] != true {
            wrong.push(verified.to_string());
        }
        let status = daemon.application().read("/v1/status").unwrap().json();
        if status["store"]["state"] != "ok" {
            // It is about to end, and to say why.
            panic!("{status}");
        }
        (wrong, is_noticed, status["store"]["sequence"].as_u64().unwrap())
    }
}

/// Whether a refusal says what it must: the file, or that it is missing; the way back; and the code.
fn refusal(said: &str, touched: &[PathBuf]) -> Outcome {
    let line = said.lines().rev().find(|line| line.starts_with("tokenkeepd: ")).unwrap_or_default();
    let names_it = touched.iter().any(|name| {
        let (file, directory) = (name.file_name().unwrap(), name.parent().unwrap());
        let directory = directory.display().to_string();
        line.contains(&*file.to_string_lossy())
            || (!directory.is_empty() && line.contains(&directory))
            || line.contains("audit log")
    });
    let way_back = line.contains("restore") || line.contains("put that key back");
    let code = said.contains("exit status: 74") || said.contains("exit status: 65");
    match (names_it, way_back, code) {
        (true, true, true) => Outcome::Refused,
        seen => Outcome::Silent(format!("refused, but not as it must be {seen:?}: {line}")),
    }
}

/// The number that a segment or snapshot is named by.
fn sequence(name: &Path) -> u64 {
    name.file_stem().unwrap().to_string_lossy().parse().unwrap()
}

/// What has this inode, by its name below.
fn find(directory: &Path, wanted: u64) -> Option<PathBuf> {
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        if inode(&next) == wanted {
            return Some(next.strip_prefix(directory).unwrap().to_owned());
        }
        if next.is_dir() {
            open.extend(fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    None
}
