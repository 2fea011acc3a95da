//! What the daemon does while it is recorded: three lives, each with writers, the first from an empty directory; the
//! root key changes, and the journal goes on to further segments.
//!
//! The hard problem: what was acknowledged at a cut must be known for any cut. The answer: each change is written into the
//! record itself, as it is begun and as its answer comes; what stands there before the cut is what counts.
//!
//! Never writes into the state directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::daemon::{Daemon, Line, Place};
use crate::disk::faults::Faults;
use crate::disk::record::{Event, Pen, Record};
use crate::disk::recorder;
use crate::ledger::{Ledger, State, Thing, Told};
use crate::writer::Writer;

const WRITERS: usize = 4;
/// How long the writers write in each life.
const WRITING: Duration = Duration::from_millis(700);
/// Puts of `BALLAST_LENGTH` in each of the first two lives: more than a segment of the journal.
const BALLAST: u64 = 130;
const BALLAST_LENGTH: usize = 60_000;
/// From the second life on: small enough that segments close, snapshots are made and segments removed all the time.
pub(crate) const SIZES: &str = "\n[store]\nsegment_mib = 1\nsnapshot_after_mib = 1\n";
/// They go to so many secrets.
const SLOTS: u64 = 8;

/// What is marked in the record beside the steps of the writers.
const STEP: u64 = 1;
const STORED: u64 = 2;
const READY: u64 = 3;
const ROTATED: u64 = 4;

/// What happened to a ledger.
pub(crate) enum Step {
    Acknowledged(Thing),
    Begun(Thing, State),
    Settled(Thing, State),
}

/// What was recorded.
pub(crate) struct Recording {
    pub(crate) record: Record,
    steps: Vec<(usize, Step)>,
    pub(crate) place: Place,
    pub(crate) root_key: String,
}

/// What was known to the writers at a moment.
#[derive(Clone, Default)]
pub(crate) struct Known {
    /// Steps, in their order.
    steps: Vec<usize>,
    /// What was stored last, by slot.
    stored: BTreeMap<u64, u64>,
    pub(crate) was_ready: bool,
    pub(crate) rotated: bool,
}

impl Known {
    pub(crate) fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Mark(STEP, step) => self.steps.push(*step as usize),
            Event::Mark(STORED, number) => drop(self.stored.insert(number % SLOTS, *number)),
            Event::Mark(READY, _) => self.was_ready = true,
            Event::Mark(ROTATED, _) => self.rotated = true,
            _ => {}
        }
    }
}

impl Recording {
    /// Records the daemon below `scratch`.
    pub(crate) fn make(scratch: &Path, chance: &mut Chance) -> Self {
        let scratch = scratch.canonicalize().unwrap();
        let to = scratch.join("record");
        let pen = Arc::new(Pen::on(&to));
        let (faults, place) = (Faults::none(&scratch.join("faults")), Place::new(&scratch));
        let place = place
            .with("LD_PRELOAD", recorder(&scratch))
            .with("TOKENKEEP_RECORD_BELOW", &scratch)
            .with("TOKENKEEP_RECORD_FAULTS", faults.path())
            .with("TOKENKEEP_RECORD_TO", &to);
        let steps = Arc::new(Mutex::new(Vec::new()));
        let mut writers: Vec<Writer> =
            (0..WRITERS).map(|number| Writer::new(number, chance.split())).collect();
        for (number, writer) in writers.iter_mut().enumerate() {
            listen(number, &mut writer.ledger, &pen, &steps);
        }
        for life in 0..3 {
            live(life, &place, &mut writers, &pen, &faults);
        }
        drop(writers);
        let steps = Arc::into_inner(steps).expect("the writers are gone").into_inner().unwrap();
        let root_key = fs::read_to_string(place.root_key()).unwrap();
        Self { record: Record::read(&to), steps, place, root_key }
    }

    /// The directory that holds the one of the vault.
    pub(crate) fn scratch(&self) -> &Path {
        self.place.root().parent().unwrap()
    }

    /// Writers that know this.
    pub(crate) fn writers(&self, known: &Known) -> Vec<Writer> {
        let mut chance = Chance::new(0);
        let mut writers: Vec<Writer> =
            (0..WRITERS).map(|number| Writer::new(number, chance.split())).collect();
        for step in &known.steps {
            let (writer, step) = &self.steps[*step];
            let ledger = &mut writers[*writer].ledger;
            match step {
                Step::Acknowledged(thing) => ledger.acknowledge(thing),
                Step::Begun(thing, state) => ledger.begin(thing, state.clone()),
                Step::Settled(thing, state) => ledger.settle(thing, state.clone()).expect("as it was"),
            }
        }
        writers
    }
}

fn listen(number: usize, ledger: &mut Ledger, pen: &Arc<Pen>, steps: &Arc<Mutex<Vec<(usize, Step)>>>) {
    let (pen, steps) = (Arc::clone(pen), Arc::clone(steps));
    ledger.listener = Some(Box::new(move |told| {
        let step = match told {
            Told::Acknowledged(thing) => Step::Acknowledged(thing.clone()),
            Told::Begun(thing, state) => Step::Begun(thing.clone(), state.clone()),
            Told::Settled(thing, state) => Step::Settled(thing.clone(), state.clone()),
        };
        let mut steps = steps.lock().unwrap();
        steps.push((number, step));
        pen.mark(STEP, steps.len() as u64 - 1);
    }));
}

fn live(life: u64, place: &Place, writers: &mut [Writer], pen: &Pen, faults: &Faults) {
    let daemon = place.start().unwrap();
    pen.mark(READY, life);
    for writer in writers.iter_mut().filter(|_| life > 0) {
        let found = writer.examine(daemon.application());
        assert!(found.is_empty(), "life {life}, what kill -9 left: {found:#?}");
    }
    thread::scope(|scope| {
        let lines: Vec<Line> = writers.iter().map(|_| daemon.application()).collect();
        let mut underway = Vec::new();
        for (writer, line) in writers.iter_mut().zip(lines) {
            underway.push(scope.spawn(|| writer.write(line)));
        }
        match life {
            0 | 1 => store_ballast(&mut daemon.application(), life, pen),
            _ => {}
        }
        if life == 1 {
            rotate(place, &daemon, pen);
        }
        thread::sleep(WRITING);
        faults.hold_still();
        daemon.kill();
        faults.clear();
        for writer in underway {
            assert!(writer.join().unwrap().is_ok());
        }
    });
}

fn store_ballast(line: &mut Line, life: u64, pen: &Pen) {
    line.done("PUT", "/v1/orgs/ballast", &Value::Null);
    for number in (life * BALLAST + 1)..=((life + 1) * BALLAST) {
        line.done("PUT", &ballast_path(number % SLOTS), &json!({ "value": ballast(number) }));
        pen.mark(STORED, number);
    }
}

fn ballast_path(slot: u64) -> String {
    format!("/v1/orgs/ballast/secrets/slot-{slot}")
}

fn ballast(number: u64) -> String {
    let mut text = format!("{number}.");
    text.extend(std::iter::repeat_n('b', BALLAST_LENGTH));
    text
}

/// What is wrong with what was stored.
pub(crate) fn ballast_lost(line: &mut Line, known: &Known) -> Vec<String> {
    let mut lost = Vec::new();
    for (slot, number) in &known.stored {
        let answer = line.read(&ballast_path(*slot)).unwrap();
        let value = answer.json()["value"].as_str().unwrap_or_default().to_owned();
        let found = value.split('.').next().and_then(|digits| digits.parse().ok()).unwrap_or(0);
        if found < *number || value != ballast(found) {
            lost.push(format!("slot {slot}: {number} was acknowledged, {found} is there"));
        }
    }
    lost
}

fn rotate(place: &Place, daemon: &Daemon, pen: &Pen) {
    let mut new = [0; 32];
    File::open("/dev/urandom").unwrap().read_exact(&mut new).unwrap();
    let file = place.root_key();
    let both = URL_SAFE.encode(new) + "\n" + &fs::read_to_string(&file).unwrap();
    fs::write(&file, both).unwrap();
    let mut admin = daemon.admin();
    admin.done("POST", "/admin/v1/keys/reload", &Value::Null);
    admin.done("POST", "/admin/v1/keys/rotate", &Value::Null);
    loop {
        let keys = admin.read("/admin/v1/keys").unwrap().json();
        if keys["rotating"] == false {
            assert_eq!(keys["rotation_error"], Value::Null, "{keys}");
            break;
        }
    }
    pen.mark(ROTATED, 0);
}
