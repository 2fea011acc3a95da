//! How the backups stand: what runs, what was asked for, what came of it last.
//!
//! Never waits: it is looked at by those who are served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokenkeep_client::moment::Moment;
use tokenkeep_client::wire::{BackupRun, Finding};

use super::{BackupError, Settings, Task};
use crate::crypto::key_list::RootKeys;
use crate::metrics::{Drilled, Meters};
use crate::vault::kept::{KeptKeys, Needed};

/// Somebody is woken when what was written is in no backup for so long.
const LONG_BEHIND: u64 = 300;

/// A drill may be so much later than it is due before somebody is woken.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// After a start.
const REST: Duration = Duration::from_secs(3600);

/// What is told of, beside the pieces of work.
const LATE_DRILL: &str = "late drill";

/// The figures.
pub(super) struct Standing {
    figures: Mutex<Figures>,
    meters: Arc<Meters>,
    begun_at: Instant,
}

#[derive(Debug, Default)]
struct Figures {
    running: Option<&'static str>,
    asked: Vec<Task>,
    set: Option<String>,
    /// All that was acknowledged before is shipped; none until the first set is whole.
    shipped_up_to: Option<Moment>,
    /// Whether anything has changed since.
    is_behind: bool,
    last: BTreeMap<&'static str, BackupRun>,
    /// When it failed last.
    failed_at: BTreeMap<&'static str, Instant>,
    /// Of which somebody was told.
    told: BTreeSet<&'static str>,
    drilled_at: Option<Moment>,
    /// When the last drill of all succeeded, before this start too; or the first set was begun, where none ever did.
    proved_at: Option<Moment>,
    /// What the sets need of the keys, and when that was asked last.
    kept: Option<KeptKeys>,
    looked_at: Option<Instant>,
}

impl Standing {
    pub(super) fn new(meters: Arc<Meters>) -> Self {
        Self { figures: Mutex::default(), meters, begun_at: Instant::now() }
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ask(&self, task: Task) {
        let mut figures = self.figures();
        if !figures.asked.contains(&task) {
            figures.asked.push(task);
        }
    }

    /// Whether it was asked for; it no longer is then.
    pub(super) fn take(&self, task: Task) -> bool {
        let mut figures = self.figures();
        let before = figures.asked.len();
        figures.asked.retain(|asked| *asked != task);
        figures.asked.len() != before
    }

    /// Whether it has not failed just now.
    pub(super) fn may_try(&self, what: &'static str, patience: Duration) -> bool {
        self.figures().failed_at.get(what).is_none_or(|at| at.elapsed() >= patience)
    }

    pub(super) fn begins(&self, what: &'static str) {
        if what != "ship" {
            self.figures().running = Some(what);
        }
    }

    pub(super) fn ended(
        &self,
        what: &'static str,
        now: Moment,
        took: Duration,
        done: &Result<String, BackupError>,
    ) {
        let mut figures = self.figures();
        if figures.running == Some(what) {
            figures.running = None;
        }
        match done {
            Ok(_) => drop(figures.failed_at.remove(what)),
            Err(_) => drop(figures.failed_at.insert(what, Instant::now())),
        }
        self.meters.backup().ran(what, done.is_ok());
        let number = figures.last.get(what).map_or(0, |run| run.number) + 1;
        let run = BackupRun {
            what: what.to_owned(),
            number,
            ended_at: now,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            error: done.as_ref().err().map(ToString::to_string),
            detail: done.as_ref().map_or_else(|_| String::new(), Clone::clone),
        };
        figures.last.insert(what, run);
    }

    /// A set that a daemon before this one began.
    pub(super) fn goes_on(&self, set: &str, up_to: Moment) {
        self.shipped(set, up_to, 0);
        self.falls_behind();
    }

    pub(super) fn shipped(&self, set: &str, up_to: Moment, bytes: u64) {
        let mut figures = self.figures();
        figures.set = Some(set.to_owned());
        figures.shipped_up_to = Some(up_to);
        figures.is_behind = false;
        self.meters.backup().shipped(up_to.unix(), bytes);
    }

    pub(super) fn falls_behind(&self) {
        self.figures().is_behind = true;
        self.meters.backup().falls_behind();
    }

    pub(super) fn proved(&self, at: Moment) {
        self.figures().proved_at = Some(at);
    }

    /// Whether somebody is to hear that no drill has succeeded for too long; and once. A start after a long rest holds one at once,
    /// and is given the time for it.
    pub(super) fn is_late_drill_to_be_told(&self, every: Duration, now: Moment) -> bool {
        let mut figures = self.figures();
        self.begun_at.elapsed() >= REST
            && figures.proved_at.is_some_and(|at| is_late(at, every, now))
            && figures.told.insert(LATE_DRILL)
    }

    pub(super) fn drilled(&self, at: Moment, took: Duration, age: u64) {
        {
            let mut figures = self.figures();
            (figures.drilled_at, figures.proved_at) = (Some(at), Some(at));
        }
        self.meters.backup().drilled(Drilled { at: at.unix(), took, age });
    }

    /// Whether it is time to look which keys the sets need.
    pub(super) fn wants_keys(&self, every: Duration) -> bool {
        let mut figures = self.figures();
        let is_due = figures.looked_at.is_none_or(|at| at.elapsed() >= every);
        if is_due {
            figures.looked_at = Some(Instant::now());
        }
        is_due
    }

    pub(super) fn keeps(&self, kept: KeptKeys) {
        let mut figures = self.figures();
        (figures.kept, figures.looked_at) = (Some(kept), Some(Instant::now()));
    }

    /// Whether somebody is to hear of a failure: of what is shipped once it is late, of the rest at once; and once.
    pub(super) fn is_to_be_told(&self, what: &'static str, now: Moment) -> bool {
        let is_bad = what != "ship" || self.behind(now).is_none_or(|behind| behind >= LONG_BEHIND);
        is_bad && self.figures().told.insert(what)
    }

    /// Whether somebody is to hear that it is over.
    pub(super) fn is_over(&self, what: &'static str) -> bool {
        let mut figures = self.figures();
        let was_late = what == "drill" && figures.told.remove(LATE_DRILL);
        figures.told.remove(what) || was_late
    }

    pub(super) fn set(&self) -> Option<String> {
        self.figures().set.clone()
    }

    pub(super) fn running(&self) -> Option<&'static str> {
        self.figures().running
    }

    pub(super) fn runs(&self) -> Vec<BackupRun> {
        self.figures().last.values().cloned().collect()
    }

    /// How much would be lost now, in seconds.
    pub(super) fn behind(&self, now: Moment) -> Option<u64> {
        let figures = self.figures();
        let up_to = figures.shipped_up_to?;
        Some(if figures.is_behind { now.unix().saturating_sub(up_to.unix()) } else { 0 })
    }

    /// What `doctor` says.
    pub(super) fn examine(&self, settings: &Settings, now: Moment, root: &RootKeys) -> Vec<Finding> {
        let finding = |check: &str, level: &str, detail: String, mend: Option<&str>| Finding {
            check: check.to_owned(),
            level: level.to_owned(),
            detail,
            mend: mend.map(str::to_owned),
        };
        let behind = self.behind(now);
        let figures = self.figures();
        let why = |what: &str| figures.last.get(what).and_then(|run| run.error.clone());
        let mend = Some("see the log, and that the place of [backup] is there, can be written and has room");
        let said = why("create").or_else(|| why("ship"));
        let shipped = match (behind, said) {
            (None, said) => {
                let said = said.map_or_else(String::new, |said| format!(": {said}"));
                finding("backup", "fail", format!("there is no backup yet{said}"), mend)
            }
            (Some(behind), said) if behind >= LONG_BEHIND => {
                let said = said.map_or_else(String::new, |said| format!(": {said}"));
                finding("backup", "fail", format!("{behind} s of changes are in no backup{said}"), mend)
            }
            (Some(behind), Some(said)) => {
                finding("backup", "warn", format!("{behind} s of changes are in no backup; {said}"), mend)
            }
            (Some(behind), None) => {
                finding("backup", "ok", format!("{behind} s of changes are in no backup"), None)
            }
        };
        let drilled = match (why("drill"), figures.drilled_at) {
            (Some(why), _) => finding(
                "backup_drill",
                "fail",
                format!("the last drill failed: {why}"),
                Some("tokenkeep backup verify; then tokenkeep backup create, and tokenkeep backup drill"),
            ),
            (None, _) if figures.proved_at.is_some_and(|at| is_late(at, settings.drill, now)) => finding(
                "backup_drill",
                "warn",
                format!(
                    "none has succeeded for longer than the {} h after which one is due",
                    settings.drill.as_secs() / 3600
                ),
                Some("tokenkeep backup drill, and see the log for what keeps it from being held"),
            ),
            (None, Some(at)) => {
                finding("backup_drill", "ok", format!("the newest set was restored at {at}"), None)
            }
            (None, None) => finding(
                "backup_drill",
                "ok",
                format!("none since the start; one is held every {} h", settings.drill.as_secs() / 3600),
                None,
            ),
        };
        [shipped, drilled].into_iter().chain(figures.kept.as_ref().map(|kept| of_keys(kept, root))).collect()
    }
}

/// Whether the last drill that succeeded is too long ago.
fn is_late(proved_at: Moment, every: Duration, now: Moment) -> bool {
    Duration::from_secs(now.unix().saturating_sub(proved_at.unix())) > every + GRACE
}

/// Whether the key list still has what the sets are restored with.
fn of_keys(kept: &KeptKeys, root: &RootKeys) -> Finding {
    let missing: Vec<String> = kept
        .missing_from(root)
        .map(|(id, Needed { sets, last_set, until })| {
            format!(
                "{sets} sets are restored with root key {id}, the last of them, {last_set}, until {until}"
            )
        })
        .collect();
    let is_well = missing.is_empty();
    Finding {
        check: "backup_keys".to_owned(),
        level: if is_well { "ok" } else { "warn" }.to_owned(),
        detail: if is_well {
            "the key list has every root key that the kept backups need".to_owned()
        } else {
            format!("not on the key list any more: {}", missing.join("; "))
        },
        mend: (!is_well).then(|| {
            "put it back at the end of the list, or be sure that it is kept elsewhere until then: without it those sets do not \
             open"
                .to_owned()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_is_late_a_day_after_it_was_due_and_somebody_hears_of_it_once() {
        let (week, day) = (Duration::from_secs(7 * 86_400), 86_400);
        let at = |days: u64| Moment::from_unix(days * day).unwrap();
        assert!(!is_late(at(1), week, at(9)));
        assert!(is_late(at(1), week, at(10)));
        let mut standing = Standing::new(Arc::new(Meters::default()));
        standing.proved(at(1));
        assert!(!standing.is_late_drill_to_be_told(week, at(10)), "it has only just started");
        standing.begun_at = Instant::now().checked_sub(REST).unwrap();
        assert!(!standing.is_late_drill_to_be_told(week, at(9)));
        assert!(standing.is_late_drill_to_be_told(week, at(10)));
        assert!(!standing.is_late_drill_to_be_told(week, at(10)), "once");
        standing.drilled(at(10), Duration::ZERO, 0);
        assert!(standing.is_over("drill"));
        assert!(!standing.is_over("drill"));
        assert!(!standing.is_late_drill_to_be_told(week, at(11)));
    }
}
