//! `audit`: what happened.
//!
//! Following the log is itself recorded in it: what this very program reads is left out, or it would see
//! nothing but itself for ever.
//!
//! Never changes the log.

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;
use tokenkeep_client::ids::OrgId;
use tokenkeep_client::moment::Moment;
use tokenkeep_client::wire::{AuditVerifyOut, Page};
use tokenkeep_client::{Client, Request};
use zeroize::Zeroizing;

use super::Session;
use super::failure::Failure;
use super::output::Exit;
use super::page::Part;

/// Pause between two looks at the end of the log.
const LOOK: Duration = Duration::from_secs(1);

/// Reading 400 days of log takes its time, for the few entries of a query too.
const READ_DEADLINE: Duration = Duration::from_secs(60 * 60);

/// While following, a daemon that restarts is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest answer: some ten thousand entries.
const ANSWER: usize = 32 << 20;

/// Entries that a query shows where no limit is given: the log may have millions.
const QUERY: u32 = 1000;

/// What to do with the audit log.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Finds entries, oldest first; 1,000 where no limit is given
    Query(Query),
    /// Shows the last entries
    Tail {
        /// How many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
        lines: u32,
        /// Goes on as entries come; in JSON one entry a line
        #[arg(long)]
        follow: bool,
    },
    /// Verifies that every entry is there, in order, unchanged; exits with 1 where one is not
    Verify,
}

/// Which entries.
#[derive(Args)]
pub(super) struct Query {
    /// Only of this org
    #[arg(long)]
    org: Option<OrgId>,
    /// Only of this action, such as token:read
    #[arg(long)]
    action: Option<String>,
    /// Only of this principal
    #[arg(long)]
    principal: Option<String>,
    /// Only with this outcome: ok, or the code of a problem
    #[arg(long)]
    outcome: Option<String>,
    /// Not before this moment, RFC 3339 in UTC, or so long ago: 2h, 7d
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Moment>,
    /// Not after this moment
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<Moment>,
    #[command(flatten)]
    part: Part,
}

/// An entry, as far as a person reads it on one line.
#[derive(Deserialize)]
struct Entry {
    seq: u64,
    at: String,
    principal: Principal,
    action: String,
    org: Option<String>,
    target: Option<String>,
    decision: String,
    outcome: String,
    generation: Option<u64>,
}

#[derive(Deserialize)]
struct Principal {
    name: String,
    proof: String,
    address: Option<String>,
    san: Option<String>,
}

impl Principal {
    /// Who, how it was proved, and what is known of a caller from elsewhere.
    fn shown(&self) -> String {
        let from = [&self.san, &self.address].into_iter().flatten().map(|part| format!(" {part}"));
        format!("{} ({}{})", self.name, self.proof, from.collect::<String>())
    }
}

impl Session {
    pub(super) async fn audit(&mut self, command: Command) -> Result<Exit, Failure> {
        match command {
            Command::Query(mut query) => {
                query.part.limit.get_or_insert(QUERY);
                let request = entries()
                    .with_query_if("org", query.org)
                    .with_query_if("action", query.action)
                    .with_query_if("principal", query.principal)
                    .with_query_if("outcome", query.outcome)
                    .with_query_if("since", query.since)
                    .with_query_if("until", query.until);
                let page: Page<Value> = query.part.read(&self.patient(), &request).await?;
                self.screen.show(&page, |page| page.items.iter().map(line).collect());
                self.note_more(page.next.as_deref());
                Ok(Exit::Done)
            }
            Command::Tail { lines, follow } => {
                let request = entries().with_query("last", lines);
                let page: Page<Value> = self.client.send(&request).await?.read()?;
                if follow {
                    return self.follow(page.items).await;
                }
                self.screen.show(&page, |page| page.items.iter().map(line).collect());
                Ok(Exit::Done)
            }
            Command::Verify => self.verify().await,
        }
    }

    async fn follow(&mut self, mut news: Vec<Value>) -> Result<Exit, Failure> {
        let patient = self.client.clone().with_patience(PATIENCE);
        let mut after = 0;
        loop {
            after = news.iter().filter_map(sequence).fold(after, u64::max);
            for entry in news.iter().filter(|entry| !is_own_reading(entry)) {
                if self.screen.is_text() {
                    self.screen.line(line(entry));
                } else {
                    self.screen.document(entry);
                }
            }
            if self.screen.is_closed() {
                return Ok(Exit::Done);
            }
            tokio::time::sleep(LOOK).await;
            let part = Part { after: Some(after.to_string()), ..Part::ALL };
            news = part.read(&patient, &entries()).await?.items;
        }
    }

    /// Waits an hour.
    fn patient(&self) -> Client {
        self.client.clone().with_deadline(READ_DEADLINE)
    }

    async fn verify(&mut self) -> Result<Exit, Failure> {
        let request = Request::post("/admin/v1/audit/verify", Zeroizing::default());
        let verified: AuditVerifyOut = self.patient().send(&request).await?.read()?;
        self.screen.show(&verified, verdict);
        Ok(if verified.intact { Exit::Done } else { Exit::Refused })
    }
}

fn entries() -> Request {
    Request::get("/admin/v1/audit").with_answer_up_to(ANSWER)
}

fn verdict(verified: &AuditVerifyOut) -> Vec<String> {
    let (entries, files) = (verified.entries, verified.files);
    match &verified.first_break {
        None if verified.intact => vec![format!("intact: {entries} entries in {files} files")],
        None => vec![format!("not intact, after {entries} entries in {files} files")],
        Some(found) => vec![
            format!("not intact: {}, line {}: {}: {}", found.file, found.line, found.kind, found.detail),
            format!("{entries} entries before it are intact, of {files} files read"),
            "mend: keep the audit directory as evidence, and compare it with its copy elsewhere".into(),
        ],
    }
}

/// One entry on one line; what cannot be read as one is shown as it came.
fn line(value: &Value) -> String {
    let Ok(entry) = Entry::deserialize(value) else { return value.to_string() };
    let org = entry.org.as_deref().unwrap_or("-");
    let target = entry.target.as_deref().unwrap_or("-");
    let generation = entry.generation.map(|n| format!(" generation {n}")).unwrap_or_default();
    format!(
        "{} {} {} {} {org} {target} {} {}{generation}",
        entry.seq,
        entry.at,
        entry.principal.shown(),
        entry.action,
        entry.decision,
        entry.outcome
    )
}

fn sequence(entry: &Value) -> Option<u64> {
    entry.get("seq")?.as_u64()
}

fn is_own_reading(entry: &Value) -> bool {
    let pid = entry.pointer("/principal/pid").and_then(Value::as_u64);
    entry.get("action").and_then(Value::as_str) == Some("audit:read")
        && pid == Some(std::process::id().into())
}

fn moment(text: &str) -> Result<Moment, &'static str> {
    if let Some(at) = Moment::parse(text) {
        return Ok(at);
    }
    let ago = humantime::parse_duration(text).ok();
    let at = ago.and_then(|ago| SystemTime::now().checked_sub(ago));
    at.map(Moment::from).ok_or("a moment is RFC 3339 in UTC (2026-11-21T18:00:00Z), or so long ago (2h, 7d)")
}
