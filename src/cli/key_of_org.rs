//! `key rotate --org`, `key rotate --all-orgs`, `key status`, `key retire`: the keys of orgs.
//!
//! A rotation runs inside the daemon, and goes on by itself after a start: what is seen here is only watched.
//!
//! Asks before a key is destroyed: nothing brings it back.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokenkeep_client::ids::OrgId;
use tokenkeep_client::wire::{
    KeptBackupsOut, KeptRootKeyOut, KeysOut, OrgKeyOut, OrgKeysOut, OrgRotationIn, OrgRotationOut, RetireIn,
    RetireOut, to_body,
};
use tokenkeep_client::{Client, Request};

use super::Session;
use super::failure::Failure;
use super::input::Consent;
use super::key::{View, keys, lines};
use super::output::Exit;

/// How often a rotation is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// To count what is under each key, every record is looked at; so long may that take, or the daemon to come back.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which key, and what becomes of it.
#[derive(Args)]
pub(super) struct Retire {
    /// The id of the key, as `key status` shows it
    id: String,
    /// No application keeps a ciphertext under it any more: the key of an org is destroyed
    #[arg(long)]
    destroy: bool,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    keys: KeysOut,
    org_keys: OrgKeysOut,
}

impl Session {
    pub(super) async fn key_status(&mut self, org: Option<&OrgId>) -> Result<Exit, Failure> {
        let patient = self.client.clone().with_deadline(PATIENCE);
        let status = Status { keys: keys(&patient).await?, org_keys: org_keys(&patient, org).await? };
        self.screen.show(&status, |status| {
            let mut lines = lines(&status.keys);
            lines.extend(org_lines(&status.org_keys));
            lines
        });
        Ok(Exit::Done)
    }

    pub(super) async fn rotate_org_keys(&mut self, wanted: &OrgRotationIn) -> Result<Exit, Failure> {
        if wanted.org.is_none() && !wanted.all {
            return Err(Failure::usage("--rate is for the records of orgs")
                .mend("name one with --org ORG, or say --all-orgs"));
        }
        let patient = self.client.clone().with_patience(PATIENCE).with_deadline(PATIENCE);
        let request = Request::post("/admin/v1/keys/orgs/rotate", to_body(wanted));
        let mut seen: OrgRotationOut = patient.send(&request).await?.read()?;
        let mut view = None;
        while seen.running {
            if seen.found > 0 {
                let view = view.get_or_insert_with(|| View::new(&self.screen, seen.found, "records"));
                view.advance(seen.found.saturating_sub(seen.done));
            }
            tokio::time::sleep(LOOK).await;
            seen = keys(&patient).await?.org_rotation;
        }
        if let Some(view) = view {
            view.end();
        }
        if let Some(why) = &seen.error {
            return Err(Failure::daemon("rotation_ended", format!("the rotation ended early: {why}")).mend(
                "nothing is lost, old and new keys both open; mend that and run the same command again",
            ));
        }
        let org_keys = org_keys(&patient, wanted.org.as_ref()).await?;
        self.screen.show(&org_keys, org_lines);
        Ok(Exit::Done)
    }

    pub(super) async fn retire(&mut self, key: &Retire) -> Result<Exit, Failure> {
        if key.destroy {
            let question = format!("Destroy key {}? What an application still has under it is lost.", key.id);
            key.consent.confirm(&question)?;
        }
        let wanted = RetireIn { id: key.id.clone(), destroy: key.destroy };
        let patient = self.client.clone().with_deadline(PATIENCE);
        let request = Request::post("/admin/v1/keys/retire", to_body(&wanted));
        let out: RetireOut = patient.send(&request).await?.read()?;
        self.screen.show(&out, retired);
        Ok(Exit::Done)
    }
}

async fn org_keys(client: &Client, org: Option<&OrgId>) -> Result<OrgKeysOut, Failure> {
    let path = org.map_or("/admin/v1/keys/orgs".to_owned(), |org| format!("/admin/v1/keys/orgs?org={org}"));
    Ok(client.send(&Request::get(&path)).await?.read()?)
}

fn retired(out: &RetireOut) -> Vec<String> {
    let state = match (&out.org, out.state.as_str()) {
        (None, _) => {
            format!("nothing needs root key {}: take it off the list, then `tokenkeep key reload`", out.id)
        }
        (Some(org), "destroyed") => format!("key {} of org {org} is destroyed", out.id),
        (Some(org), _) => format!("key {} of org {org} opens ciphertexts and nothing else", out.id),
    };
    let kept = out.in_backups_until.map(|until| {
        format!("backups that are kept bring it along, wrapped; the last of them goes on {until} or later")
    });
    let unread = out.backups_error.as_ref().map(|why| format!("whether kept backups bring it along: {why}"));
    [Some(state), kept, unread].into_iter().flatten().collect()
}

fn org_lines(keys: &OrgKeysOut) -> Vec<String> {
    let mut lines: Vec<String> = keys.keys.iter().map(line).collect();
    let hidden = keys.earlier_keys.saturating_sub(keys.keys.len() as u64);
    if hidden > 0 {
        lines.push(format!("and {hidden} more org keys: key status --org ORG"));
    }
    lines.push(format!(
        "records under current org keys: {}, under earlier ones: {}",
        keys.current_records, keys.earlier_records
    ));
    let OrgRotationOut { running, found, done, records_per_second, error, .. } = &keys.rotation;
    if *running {
        lines.push(format!(
            "a rotation of org keys runs: {done} of {found} records done, at most {records_per_second} a second"
        ));
    }
    lines.extend(error.as_ref().map(|why| format!("the rotation of org keys is held up: {why}")));
    lines.extend(keys.backups.iter().flat_map(backup_lines));
    lines
}

fn backup_lines(backups: &KeptBackupsOut) -> Vec<String> {
    if let Some(why) = &backups.error {
        return vec![format!("what the kept backups need cannot be said now: {why}")];
    }
    let mut lines: Vec<String> = backups.root_keys.iter().map(needed_root).collect();
    if backups.uncounted_sets > 0 {
        lines.push(format!(
            "{} of {} kept sets do not say what is under which org key: each counts for every key",
            backups.uncounted_sets, backups.sets
        ));
    }
    lines
}

fn needed_root(key: &KeptRootKeyOut) -> String {
    let KeptRootKeyOut { id, listed, sets, last_set, until } = key;
    let listed = if *listed { "" } else { ", and is not on the key list" };
    format!(
        "root key {id} is needed by {sets} kept sets{listed}; the last of them, {last_set}, goes on {until} or later"
    )
}

fn line(key: &OrgKeyOut) -> String {
    let since = key.former_since.map(|at| format!(" since {at}")).unwrap_or_default();
    let backups = match (key.backup_records, key.backup_sets) {
        (Some(_), Some(0)) => ", none in kept backups".to_owned(),
        (Some(count), sets) => {
            let sets = sets.map(|sets| format!(" ({sets} sets)")).unwrap_or_default();
            let until = key.in_backups_until.map(|until| format!(" until {until}")).unwrap_or_default();
            format!(", {count} in kept backups{sets}{until}")
        }
        (None, _) => String::new(),
    };
    format!("org {} key {} ({}{since}): {} records{backups}", key.org, key.id, key.state, key.records)
}
