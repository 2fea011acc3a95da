//! A writer: changes its own orgs, connections and secrets until the daemon is gone, and afterwards looks at each
//! of them.
//!
//! Never writes what another one writes.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};

use serde_json::{Value, json};

use crate::chance::Chance;
use crate::daemon::{Answer, Line};
use crate::ledger::{Finding, Kind, Ledger, State, Thing};

const CONNECTIONS: u64 = 6;
const SECRETS: u64 = 3;
/// The contract keeps so many versions of a secret.
const VERSIONS_KEPT: usize = 16;
/// Orgs are never removed and all are looked at after each restart: they are added slowly.
const ORGS: usize = 10;

/// Why a writer stops.
enum Stop {
    /// The daemon is gone; whether the change was made is open.
    Cut,
    Found(Finding),
}

impl From<Finding> for Stop {
    fn from(finding: Finding) -> Self {
        Self::Found(finding)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                Self::Found(Finding::new(Kind::Refused, "no answer"))
            }
            _ => Self::Cut,
        }
    }
}

pub(crate) struct Writer {
    name: String,
    orgs: Vec<String>,
    chance: Chance,
    pub(crate) ledger: Ledger,
}

impl Writer {
    pub(crate) fn new(number: usize, chance: Chance) -> Self {
        Self { name: format!("writer-{number}"), orgs: Vec::new(), chance, ledger: Ledger::default() }
    }

    /// Writes until the daemon is gone.
    pub(crate) fn write(&mut self, mut line: Line) -> Result<(), Finding> {
        let orgs = self.orgs.len();
        loop {
            let may_found = self.orgs.is_empty() || (self.orgs.len() == orgs && orgs < ORGS);
            match self.step(&mut line, may_found) {
                Ok(()) => {}
                Err(Stop::Cut) => return Ok(()),
                Err(Stop::Found(finding)) => return Err(finding),
            }
        }
    }

    fn step(&mut self, line: &mut Line, may_found: bool) -> Result<(), Stop> {
        if self.orgs.is_empty() || (may_found && self.chance.once_in(64)) {
            return self.found_org(line);
        }
        match self.chance.below(20) {
            0..=10 => {
                let connection = self.some_connection();
                self.put_connection(line, &connection)
            }
            11..=12 => {
                let connection = self.some_connection();
                self.delete(line, &connection)
            }
            13..=17 => {
                let secret = self.some_secret();
                self.put_secret(line, &secret)
            }
            18 => {
                let secret = self.some_secret();
                self.delete(line, &secret)
            }
            _ => {
                let connection = self.some_connection();
                self.look_again(line, &connection)
            }
        }
    }

    /// The first org gets most of the changes, so that they come upon one another.
    fn some_org(&mut self) -> String {
        let last = self.orgs.len() - 1;
        self.orgs[if self.chance.once_in(4) { last } else { 0 }].clone()
    }

    fn some_connection(&mut self) -> Thing {
        Thing::Connection { org: self.some_org(), name: format!("c{}", self.chance.below(CONNECTIONS)) }
    }

    fn some_secret(&mut self) -> Thing {
        Thing::Secret { org: self.some_org(), name: format!("s{}", self.chance.below(SECRETS)) }
    }

    fn found_org(&mut self, line: &mut Line) -> Result<(), Stop> {
        let org = format!("{}.{}", self.name, self.orgs.len());
        let thing = Thing::Org { org: org.clone() };
        self.ledger.begin(&thing, State::Org);
        let answer = line.ask("PUT", &thing.path(), &[], "")?;
        self.acknowledged(&thing, &answer)?;
        self.orgs.push(org);
        Ok(())
    }

    fn put_connection(&mut self, line: &mut Line, thing: &Thing) -> Result<(), Stop> {
        let sequence = self.ledger.next_sequence();
        let (generation, kept) = match self.ledger.state(thing) {
            State::Connection { generation, refresh, .. } => (generation, refresh),
            _ => (0, None),
        };
        let mut body = json!({
            "access_token": thing.text("at", sequence),
            "labels": { "sequence": sequence.to_string() },
        });
        let refresh = if self.chance.once_in(5) {
            kept
        } else {
            body["refresh_token"] = json!(thing.text("rt", sequence));
            Some(sequence)
        };
        let condition = match (self.chance.once_in(4), generation) {
            (false, _) => None,
            (true, 0) => Some("If-None-Match: *".to_owned()),
            (true, generation) => Some(format!("If-Match: \"{generation}\"")),
        };
        let headers: Vec<&str> = condition.iter().map(String::as_str).collect();
        let next = State::Connection { generation: generation + 1, access: sequence, refresh };
        self.ledger.begin(thing, next);
        let answer = line.ask("PUT", &thing.path(), &headers, &body.to_string())?;
        self.acknowledged(thing, &answer)?;
        match answer.json()["generation"].as_u64() {
            Some(counted) if counted == generation + 1 => Ok(()),
            other => Err(Finding::new(Kind::Lost, format!("{thing:?}: {generation}, then {other:?}")).into()),
        }
    }

    fn put_secret(&mut self, line: &mut Line, thing: &Thing) -> Result<(), Stop> {
        let sequence = self.ledger.next_sequence();
        let mut versions = match self.ledger.state(thing) {
            State::Secret(versions) => versions,
            _ => Vec::new(),
        };
        versions.push((versions.last().map_or(1, |(version, _)| version + 1), sequence));
        let superfluous = versions.len().saturating_sub(VERSIONS_KEPT);
        versions.drain(..superfluous);
        self.ledger.begin(thing, State::Secret(versions));
        let body = json!({ "value": thing.text("sv", sequence) });
        let answer = line.ask("PUT", &thing.path(), &[], &body.to_string())?;
        self.acknowledged(thing, &answer)
    }

    fn delete(&mut self, line: &mut Line, thing: &Thing) -> Result<(), Stop> {
        if self.ledger.state(thing) == State::Absent {
            return Ok(());
        }
        self.ledger.begin(thing, State::Absent);
        let answer = line.ask("DELETE", &thing.path(), &[], "")?;
        self.acknowledged(thing, &answer)
    }

    fn acknowledged(&mut self, thing: &Thing, answer: &Answer) -> Result<(), Stop> {
        if answer.status == 507 {
            self.ledger.refuse(thing);
        }
        if answer.status >= 300 {
            return Err(Finding::new(Kind::Refused, format!("{thing:?}: {}", answer.refusal())).into());
        }
        self.ledger.acknowledge(thing);
        Ok(())
    }

    /// While the daemon runs, one reads what one wrote.
    fn look_again(&mut self, line: &mut Line, thing: &Thing) -> Result<(), Stop> {
        let found = find(line, thing)?;
        Ok(self.ledger.settle(thing, found)?)
    }

    /// After a restart: everything that was ever begun, and nothing beside it.
    pub(crate) fn examine(&mut self, mut line: Line) -> Vec<Finding> {
        let mut findings = Vec::new();
        for thing in self.ledger.things() {
            let settled = match find(&mut line, &thing) {
                Ok(found) => self.ledger.settle(&thing, found),
                Err(Stop::Found(finding)) => Err(finding),
                Err(Stop::Cut) => Err(Finding::new(Kind::Refused, format!("{thing:?}: the daemon is gone"))),
            };
            findings.extend(settled.err());
        }
        self.orgs = self.orgs();
        for org in self.orgs.clone() {
            for (list, key) in [("connections", "connection"), ("secrets", "secret")] {
                let listed = line.list(&format!("/v1/orgs/{org}/{list}")).unwrap();
                let listed: BTreeSet<String> = names(&listed, "name");
                let known: BTreeSet<String> =
                    self.ledger.present().filter_map(|t| in_org(t, &org, key)).collect();
                let lost = known.difference(&listed).map(|name| (Kind::Lost, name));
                let phantom = listed.difference(&known).map(|name| (Kind::Phantom, name));
                let told = |(kind, name)| Finding::new(kind, format!("{org}: the list of {list}: {name}"));
                findings.extend(lost.chain(phantom).map(told));
            }
        }
        findings
    }

    /// Those it has founded.
    pub(crate) fn orgs(&self) -> Vec<String> {
        let founded = |thing: &Thing| match thing {
            Thing::Org { org } => Some(org.clone()),
            _ => None,
        };
        let mut orgs: Vec<String> = self.ledger.present().filter_map(founded).collect();
        orgs.sort_by_key(|org| (org.len(), org.clone()));
        orgs
    }
}

/// Strings under `key` of each item.
pub(crate) fn names(items: &[Value], key: &str) -> BTreeSet<String> {
    items.iter().filter_map(|item| item[key].as_str().map(str::to_owned)).collect()
}

fn in_org(thing: &Thing, wanted: &str, key: &str) -> Option<String> {
    match (thing, key) {
        (Thing::Connection { org, name }, "connection") | (Thing::Secret { org, name }, "secret")
            if org == wanted =>
        {
            Some(name.clone())
        }
        _ => None,
    }
}

fn find(line: &mut Line, thing: &Thing) -> Result<State, Stop> {
    match thing {
        Thing::Connection { .. } => find_connection(line, thing),
        Thing::Org { .. } => {
            Ok(if there(line, thing, &thing.path())?.is_some() { State::Org } else { State::Absent })
        }
        Thing::Secret { org, name } => find_secret(line, thing, org, name),
    }
}

/// The body, if there is such a thing.
fn there(line: &mut Line, thing: &Thing, path: &str) -> Result<Option<Value>, Stop> {
    let answer = line.read(path)?;
    match answer.status {
        200 => Ok(Some(answer.json())),
        404 => Ok(None),
        _ => Err(Finding::new(Kind::Refused, format!("{thing:?}: {}", answer.refusal())).into()),
    }
}

/// Three reads, each of another section of the record: they must speak of one put.
fn find_connection(line: &mut Line, thing: &Thing) -> Result<State, Stop> {
    let path = thing.path();
    let shown = there(line, thing, &path)?;
    let token = there(line, thing, &format!("{path}/token"))?;
    let refresh_token = there(line, thing, &format!("{path}/refresh-token"))?;
    let torn = |why: &str| Stop::Found(Finding::new(Kind::Torn, format!("{thing:?}: {why}")));
    let (Some(shown), Some(token)) = (&shown, &token) else {
        return match (shown, token, refresh_token) {
            (None, None, None) => Ok(State::Absent),
            _ => Err(torn("a part of it is missing")),
        };
    };
    let sequence = |kind, text: &Value| text.as_str().and_then(|text| thing.sequence(kind, text));
    let access = sequence("at", &token["access_token"]).ok_or_else(|| torn("its access token"))?;
    let refresh = refresh_token
        .as_ref()
        .map(|found| sequence("rt", &found["refresh_token"]).ok_or_else(|| torn("its refresh token")))
        .transpose()?;
    let generation = shown["generation"].as_u64().ok_or_else(|| torn("its generation"))?;
    let one_generation = token["generation"] == generation
        && refresh_token.as_ref().is_none_or(|found| found["generation"] == generation);
    if !one_generation {
        return Err(torn("its tokens are of two generations"));
    }
    let one_put = shown["labels"]["sequence"].as_str() == Some(&*access.to_string())
        && shown["has_refresh_token"] == refresh.is_some();
    if !one_put {
        return Err(torn("its metadata and its tokens are of two puts"));
    }
    Ok(State::Connection { generation, access, refresh })
}

fn find_secret(line: &mut Line, thing: &Thing, org: &str, name: &str) -> Result<State, Stop> {
    let listed = line.list(&format!("/v1/orgs/{org}/secrets"))?;
    let Some(info) = listed.iter().find(|info| info["name"] == name) else {
        return match there(line, thing, &thing.path())? {
            None => Ok(State::Absent),
            Some(_) => Err(Finding::new(Kind::Torn, format!("{thing:?}: readable and not listed")).into()),
        };
    };
    let mut versions = Vec::new();
    for version in info["versions"].as_array().into_iter().flatten() {
        let version = version["version"].as_u64().unwrap_or_default();
        let path = format!("{}?version={version}", thing.path());
        let found = there(line, thing, &path)?.unwrap_or_default();
        let sequence = found["value"].as_str().and_then(|text| thing.sequence("sv", text));
        let sequence = sequence.filter(|_| found["version"] == version);
        let torn = || Finding::new(Kind::Torn, format!("{thing:?}: its version {version}"));
        versions.push((version, sequence.ok_or_else(torn)?));
    }
    Ok(State::Secret(versions))
}
