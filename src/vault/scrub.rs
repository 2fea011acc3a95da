//! The scrub: every sealed value is opened in its place, to find what is damaged while a backup still has it whole.
//!
//! The hard problem: a record that nobody reads may rot for a year, and a look at all of them must disturb nobody. The answer: a few
//! records at a time, in key order, round and round; the org that is passed by is opened beside the cache; what changes
//! under the look is looked at in the next round.
//!
//! Never gives a value out: it is wiped where it was opened.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokenkeep_client::wire::Finding;

use super::Vault;
use super::ask::Ask;
use super::door::Became;
use super::orgs::Org;
use super::place::{OrgBlind, Table};
use super::record::RecordView;
use super::refusal::Refusal;
use super::request_id::RequestIds;
use crate::crypto::hex;
use crate::domain::action::Action;
use crate::store::{Key, Record};

/// Tables whose records are sealed.
const SEALED: [Table; 9] = [
    Table::Org,
    Table::Connection,
    Table::Secret,
    Table::SecretVersion,
    Table::Revocation,
    Table::Authorization,
    Table::Consent,
    Table::Event,
    Table::Alarm,
];

/// How far it has come.
#[derive(Debug, Default)]
pub(super) struct Scrub {
    opened: AtomicU64,
    rounds: AtomicU64,
    /// Records that do not open, in this life.
    bad: Mutex<BTreeSet<Key>>,
}

impl Scrub {
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    pub(super) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    pub(super) fn bad(&self) -> u64 {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// Whether that is news.
    fn is_bad(&self, key: Key) -> bool {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).insert(key)
    }

    fn is_well(&self, key: &Key) {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl Vault {
    /// Opens the sealed values of the next records after `after`, at most so many; moves `after` on, and to the
    /// beginning where it was the end. One that does not open is recorded once.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn scrub(&self, after: &mut Option<Key>, most: usize) -> Result<(), Refusal> {
        let records = self.store.scan(&[], after.as_ref(), most)?;
        let mut passed = None;
        for (key, record) in &records {
            match self.open_all(key, record, &mut passed) {
                Ok(()) => self.scrub.is_well(key),
                Err(_) if self.has_changed(key, record) => {}
                Err(refusal) => self.record_bad(key, &refusal),
            }
            self.scrub.opened.fetch_add(1, Ordering::Relaxed);
        }
        *after = records.last().map(|(last, _)| *last);
        if after.is_none() {
            self.scrub.rounds.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn has_changed(&self, key: &Key, record: &Record) -> bool {
        let now = self.store.read(key);
        now.is_ok_and(|now| now.is_none_or(|now| now.revision != record.revision))
    }

    fn open_all(&self, key: &Key, record: &Record, passed: &mut Option<Arc<Org>>) -> Result<(), Refusal> {
        let is = |table: Table| key.0[0] == table as u8;
        if !SEALED.into_iter().any(is) {
            return Ok(());
        }
        if is(Table::Org) {
            return self.keys_for_ciphertexts(OrgBlind::of_record(key)).map(drop);
        }
        let view =
            RecordView::parse(&record.value).ok_or_else(|| Refusal::integrity("record", &"it is not one"))?;
        let is_of_nobody = OrgBlind::of_record(key) == OrgBlind::NOBODY;
        let org = if is_of_nobody { None } else { Some(&**self.org_passed(key, passed)?) };
        for section in view.sections() {
            drop(match org {
                Some(org) => self.open_found_section(org, key, &view, &section)?,
                None => self.open_found_section(&self.system_key, key, &view, &section)?,
            });
        }
        Ok(())
    }

    fn record_bad(&self, key: &Key, refusal: &Refusal) {
        if !self.scrub.is_bad(*key) {
            return;
        }
        let (task, request, target) =
            (self.task("scrub"), RequestIds::new().next(), format!("record {}", hex::encode(&key.0)));
        tracing::error!(%target, code = refusal.code.as_str(), "a sealed value does not open in its place");
        let ask = Ask::new(&request, Action::VaultRun).on(&target);
        let entry = self.entry(&task, &ask, Became::refused(refusal), None, None);
        if let Err(why) = self.audit.append(&entry) {
            tracing::error!(%why, "what the scrub found could not be recorded");
        }
    }

    /// What `doctor` says of snapshots, journal and scrub.
    #[must_use]
    pub fn examine_store(&self) -> [Finding; 2] {
        let standing = self.store.standing();
        let (segments, mebibytes) = (standing.segments, standing.journal_bytes >> 20);
        let kept = standing.snapshots.len();
        let newest = standing.snapshots.last().map_or(0, |newest| newest.at.sequence);
        let journal = format!(
            "{kept} snapshots, the newest after record {newest}; {segments} journal segments, {mebibytes} MiB, from record {}",
            standing.first
        );
        let snapshots = match (standing.damage, standing.failure) {
            (None, None) => told("snapshots", "ok", journal, None),
            (Some(why), _) => told(
                "snapshots",
                "warn",
                format!("{journal}; what stood in a damaged segment is in a snapshot, and served: {why}"),
                Some("see to the disk; take a backup now: `tokenkeep backup create`: docs/storage.md"),
            ),
            (None, Some(why)) => told(
                "snapshots",
                "warn",
                format!("{journal}; {why}"),
                Some(
                    "look at the disk and its free space; until a snapshot is made, the journal grows: docs/storage.md",
                ),
            ),
        };
        let (opened, rounds, bad) = (self.scrub.opened(), self.scrub.rounds(), self.scrub.bad());
        let scrub = match bad {
            0 => {
                told("scrub", "ok", format!("{opened} records opened in their places, {rounds} rounds"), None)
            }
            bad => told(
                "scrub",
                "fail",
                format!("{bad} records hold a sealed value that does not open in its place"),
                Some("tokenkeep audit query --outcome integrity says which; restore them from a backup"),
            ),
        };
        [snapshots, scrub]
    }
}

fn told(check: &str, level: &str, detail: String, mend: Option<&str>) -> Finding {
    Finding { check: check.to_owned(), level: level.to_owned(), detail, mend: mend.map(str::to_owned) }
}
