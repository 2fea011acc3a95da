//! What became of the rows, counted: in all, by owner, by key.
//!
//! Never holds a row.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tokenkeep_client::ids::{OrgId, ProviderId};
use tokenkeep_client::import::{Imported, Mode};

use super::item::Owner;
use super::part::Part;
use super::wrong::Wrong;
use crate::crypto::key::KeyId;
use crate::crypto::key_list::RootKeys;

/// Owners that text shows: the others are in the JSON document.
const SHOWN: usize = 20;

/// Rows by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Rows {
    pub(super) rows: u64,
    pub(super) created: u64,
    pub(super) replaced: u64,
    pub(super) unchanged: u64,
    pub(super) newer: u64,
    pub(super) wrong: u64,
}

/// What became of all rows.
#[derive(Debug)]
pub(super) struct Tally {
    mode: Mode,
    pub(super) all: Rows,
    owners: BTreeMap<(OrgId, ProviderId), Rows>,
    /// In the order of the list, used or not.
    keys: Vec<(KeyId, u64)>,
    refreshable: u64,
    created_orgs: BTreeSet<OrgId>,
    /// Only where they are not printed at once.
    wrong_rows: Vec<WrongRow>,
    /// The last line of which it is known what became of it.
    pub(super) last_line: u64,
    pub(super) interrupted: bool,
}

/// A row that does not come in.
#[derive(Debug, Clone, Serialize)]
pub(super) struct WrongRow {
    pub(super) line: u64,
    #[serde(flatten)]
    pub(super) wrong: Wrong,
}

/// What the import was, as a document.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    dry_run: bool,
    interrupted: bool,
    last_line: u64,
    #[serde(flatten)]
    all: Rows,
    refresh_tokens: u64,
    created_orgs: usize,
    keys: Vec<KeyUse>,
    connections: Vec<OwnerRows>,
    wrong_rows: Vec<WrongRow>,
}

#[derive(Debug, Serialize)]
struct KeyUse {
    id: String,
    opened: u64,
}

#[derive(Debug, Serialize)]
struct OwnerRows {
    org: OrgId,
    provider: ProviderId,
    #[serde(flatten)]
    rows: Rows,
}

impl Rows {
    fn count(&mut self, outcome: Option<Imported>) {
        self.rows += 1;
        *match outcome {
            Some(Imported::Created) => &mut self.created,
            Some(Imported::Newer) => &mut self.newer,
            Some(Imported::Replaced) => &mut self.replaced,
            Some(Imported::Unchanged) => &mut self.unchanged,
            None => &mut self.wrong,
        } += 1;
    }
}

impl Tally {
    pub(super) fn new(mode: Mode, keys: &RootKeys) -> Self {
        Self {
            mode,
            all: Rows::default(),
            owners: BTreeMap::new(),
            keys: keys.iter().map(|key| (key.id(), 0)).collect(),
            refreshable: 0,
            created_orgs: BTreeSet::new(),
            wrong_rows: Vec::new(),
            last_line: 0,
            interrupted: false,
        }
    }

    pub(super) fn count_part(&mut self, part: &Part, created_orgs: Vec<OrgId>) {
        self.refreshable += part.refreshable;
        for (id, opened) in &mut self.keys {
            *opened += part.opened.get(id).copied().unwrap_or(0);
        }
        self.created_orgs.extend(created_orgs);
        self.last_line = part.last_line;
    }

    pub(super) fn count_row(&mut self, owner: Option<&Owner>, outcome: Option<Imported>) {
        self.all.count(outcome);
        if let Some(owner) = owner {
            let key = (owner.org.clone(), owner.id.provider.clone());
            self.owners.entry(key).or_default().count(outcome);
        }
    }

    pub(super) fn keep_wrong(&mut self, row: WrongRow) {
        self.wrong_rows.push(row);
    }

    pub(super) fn into_summary(self) -> Summary {
        let keys = self.keys.into_iter().map(|(id, opened)| KeyUse { id: id.to_string(), opened });
        let owners = self.owners.into_iter().map(|((org, provider), rows)| OwnerRows { org, provider, rows });
        Summary {
            dry_run: self.mode == Mode::DryRun,
            interrupted: self.interrupted,
            last_line: self.last_line,
            all: self.all,
            refresh_tokens: self.refreshable,
            created_orgs: self.created_orgs.len(),
            keys: keys.collect(),
            connections: owners.collect(),
            wrong_rows: self.wrong_rows,
        }
    }
}

impl Summary {
    /// Whether no row was refused.
    pub(super) fn all_in(&self) -> bool {
        self.all.wrong == 0
    }

    /// As text.
    pub(super) fn lines(&self) -> Vec<String> {
        let all = &self.all;
        let mut lines = Vec::new();
        if self.dry_run {
            lines.push("dry run: nothing was written; this is what an import would do".to_owned());
        }
        lines.extend([
            format!("rows        {}, {} with a refresh token", all.rows, self.refresh_tokens),
            format!("created     {}", all.created),
            format!("replaced    {}", all.replaced),
            format!("unchanged   {}", all.unchanged),
        ]);
        if all.newer > 0 {
            lines.push(format!(
                "newer       {} have a token set that came after the row's, and keep it",
                all.newer
            ));
        }
        lines.push(format!("wrong       {}", all.wrong));
        lines.push(format!("orgs        {} created", self.created_orgs));
        lines.extend(self.keys.iter().map(|key| format!("key         {} opened {}", key.id, key.opened)));
        let shown = self.connections.iter().take(SHOWN);
        lines.extend(shown.map(|owner| {
            let (org, provider, rows) = (&owner.org, &owner.provider, owner.rows);
            format!("{org} {provider}: {} rows{}", rows.rows, parts(&rows))
        }));
        let hidden = self.connections.len().saturating_sub(SHOWN);
        if hidden > 0 {
            lines.push(format!("and {hidden} more pairs of org and provider; --output json has them all"));
        }
        lines
    }
}

fn parts(rows: &Rows) -> String {
    let named = [
        (rows.created, "created"),
        (rows.replaced, "replaced"),
        (rows.unchanged, "unchanged"),
        (rows.newer, "newer"),
        (rows.wrong, "wrong"),
    ];
    named.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!(", {count} {word}")).collect()
}
