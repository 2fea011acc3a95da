//! Each change has its audit entry, and one only: written when it was made, or, where the kill came between the two
//! logs, by the next start.
//!
//! Reads the audit log by its documented format (docs/audit-format.md), not through the daemon.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::ledger::{Finding, Kind};

/// What the audit log says of the journal.
#[derive(Debug, Default)]
pub(crate) struct Audited {
    /// Journal records, by how many entries speak of them.
    entries: BTreeMap<u64, u64>,
    /// Entries that a start has written for a change that the kill had cut off from its own.
    pub(crate) recovered: u64,
}

impl Audited {
    pub(crate) fn read(state: &Path) -> Self {
        let mut audited = Self::default();
        for file in fs::read_dir(state.join("audit")).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            // Most lines are of reads, which speak of no change.
            for line in text.lines().filter(|line| line.contains("\"journal\"")) {
                audited.enter(&serde_json::from_str(line).unwrap());
            }
        }
        audited
    }

    fn enter(&mut self, line: &Value) {
        // The first line of a segment carries the newest mark of those before.
        let of_change = line["kind"].is_null();
        let Some(sequence) = line["journal"]["sequence"].as_u64().filter(|_| of_change) else {
            return;
        };
        assert!(line["outcome"] == "ok" || line["outcome"] == "recovered", "{line}");
        self.recovered += u64::from(line["outcome"] == "recovered");
        *self.entries.entry(sequence).or_default() += 1;
    }

    /// What is wrong where there were so many changes.
    pub(crate) fn findings(&self, changes: u64) -> Vec<Finding> {
        let missing = (1..=changes).filter(|sequence| !self.entries.contains_key(sequence));
        let missing = missing.map(|sequence| format!("change {sequence} has no audit entry"));
        let beyond = self.entries.keys().filter(|sequence| !(1..=changes).contains(*sequence));
        let beyond = beyond.map(|sequence| format!("an audit entry of change {sequence}, which nobody made"));
        let many = self.entries.iter().filter(|(_, count)| **count > 1);
        let many = many.map(|(sequence, count)| format!("change {sequence} has {count} audit entries"));
        missing.chain(beyond).chain(many).map(|what| Finding::new(Kind::Unaudited, what)).collect()
    }
}
