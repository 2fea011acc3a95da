//! `key`: root keys, and the keys of orgs.
//!
//! A rotation runs inside the daemon and survives this program: what is seen here is only watched. Running
//! `key rotate` again goes on where the last run ended.
//!
//! Never sends a key anywhere.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::IsTerminal;
use tokenkeep_client::ids::OrgId;
use tokenkeep_client::wire::{KeysOut, OrgRotationIn};
use tokenkeep_client::{Client, Request};
use zeroize::Zeroizing;

use super::Session;
use super::failure::Failure;
use super::key_file;
use super::key_of_org::Retire;
use super::output::{Exit, Screen};
use crate::crypto::key::KeyText;

/// How often a rotation is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How often it is spoken of where there is no terminal, in looks.
const SPEAK: u32 = 10;

/// A rotation re-wraps one small record per org; so long may the daemon take to begin or to come back.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to do with root keys.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Seals the key list for people elsewhere, here, without the daemon
    Escrow(super::escrow::Escrow),
    /// Makes a new Fernet key, here, without the daemon
    Generate {
        /// Puts it in front of the key list in FILE (made with mode 0600 if need be); prints it otherwise
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Has the daemon read its key list again
    Reload,
    /// Retires a key that nothing in the store needs; that of an org then opens ciphertexts alone
    Retire(Retire),
    /// Re-wraps every org key under the first root key, or makes new org keys and seals everything under them anew; goes on
    /// where an earlier run ended
    Rotate {
        /// A new key for this org
        #[arg(long, value_name = "ORG", conflicts_with = "all_orgs")]
        org: Option<OrgId>,
        /// A new key for every org
        #[arg(long)]
        all_orgs: bool,
        /// At most so many records a second, 1 to 1000000
        #[arg(long, value_name = "RECORDS")]
        rate: Option<u64>,
    },
    /// Counts what each root key still wraps, and the records under each org key
    Status {
        /// The keys of this org, its current one among them
        #[arg(long, value_name = "ORG")]
        org: Option<OrgId>,
    },
}

#[derive(Serialize)]
struct Generated<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    keys: usize,
}

impl Session {
    pub(super) async fn key(&mut self, command: Command) -> Result<Exit, Failure> {
        let keys = match command {
            Command::Escrow(wanted) => return self.escrow(&wanted),
            Command::Generate { file } => return self.generate(file),
            Command::Reload => {
                self.client
                    .send(&Request::post("/admin/v1/keys/reload", Zeroizing::default()))
                    .await?
                    .success()?;
                keys(&self.client).await?
            }
            Command::Retire(key) => return self.retire(&key).await,
            Command::Rotate { org: None, all_orgs: false, rate: None } => self.rotate().await?,
            Command::Rotate { org, all_orgs, rate } => {
                let wanted = OrgRotationIn { org, all: all_orgs, records_per_second: rate };
                return self.rotate_org_keys(&wanted).await;
            }
            Command::Status { org } => return self.key_status(org.as_ref()).await,
        };
        self.screen.show(&keys, lines);
        Ok(Exit::Done)
    }

    fn generate(&mut self, file: Option<PathBuf>) -> Result<Exit, Failure> {
        let key = KeyText::generate();
        let Some(path) = file else {
            let generated = Generated { key: Some(key.expose()), file: None, keys: 1 };
            self.screen.show(&generated, |_| vec![key.expose()]);
            return Ok(Exit::Done);
        };
        let older = key_file::put_first(&path, &key)?;
        let generated = Generated { key: None, file: Some(path.display().to_string()), keys: older + 1 };
        self.screen.show(&generated, |_| vec![format!("{}: new first key, {older} older", path.display())]);
        if older > 0 {
            self.screen.note("next: `tokenkeep key reload`, then `tokenkeep key rotate`");
        }
        Ok(Exit::Done)
    }

    async fn rotate(&mut self) -> Result<KeysOut, Failure> {
        let mut view = View::new(&self.screen, keys(&self.client).await?.remaining, "keys");
        let patient = self.client.clone().with_patience(PATIENCE).with_deadline(PATIENCE);
        let begun =
            patient.send(&Request::post("/admin/v1/keys/rotate", Zeroizing::default())).await?.success();
        match begun {
            // One that runs already is as good.
            Err(error) if error.code() == Some("conflict") => {}
            other => drop(other?),
        }
        loop {
            let now = keys(&patient).await?;
            view.advance(now.remaining);
            if now.rotating {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            view.end();
            return match (now.remaining, &now.rotation_error) {
                (0, None) => Ok(now),
                (left, error) => Err(ended_early(left, error.as_deref())),
            };
        }
    }
}

pub(super) async fn keys(client: &Client) -> Result<KeysOut, Failure> {
    Ok(client.send(&Request::get("/admin/v1/keys")).await?.read()?)
}

fn ended_early(left: u64, error: Option<&str>) -> Failure {
    let why = error.unwrap_or("the daemon may have been restarted");
    Failure::daemon("rotation_ended", format!("the rotation ended with {left} keys left: {why}"))
        .mend("nothing is lost, old and new root key both open; run `tokenkeep key rotate` again to go on")
}

pub(super) fn lines(keys: &KeysOut) -> Vec<String> {
    let mut lines: Vec<String> = keys
        .root_keys
        .iter()
        .map(|key| {
            let rank = if key.primary { "primary" } else { "older" };
            let system = if key.system_key { ", the system key" } else { "" };
            format!("root key {} ({rank}): {} org keys{system}", key.id, key.org_keys)
        })
        .collect();
    let rotating = if keys.rotating { ", a rotation runs" } else { "" };
    lines.push(format!("left to rotate: {}{rotating}", keys.remaining));
    lines.extend(keys.rotation_error.as_ref().map(|why| format!("the last rotation ended early: {why}")));
    lines
}

/// How a rotation is shown while it runs: a bar, lines, or nothing.
pub(super) enum View<'a> {
    Bar(ProgressBar),
    Lines { screen: &'a Screen, looks: u32, total: u64, what: &'static str },
}

impl<'a> View<'a> {
    pub(super) fn new(screen: &'a Screen, total: u64, what: &'static str) -> Self {
        if !screen.is_text() || !std::io::stderr().is_terminal() {
            return Self::Lines { screen, looks: 0, total, what };
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        if let Ok(style) =
            ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {what}, {{eta}} left"))
        {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    pub(super) fn advance(&mut self, left: u64) {
        match self {
            Self::Bar(bar) => bar.set_position(bar.length().unwrap_or(left).saturating_sub(left)),
            Self::Lines { screen, looks, total, what } => {
                if looks.is_multiple_of(SPEAK) {
                    screen.note(format!("rotating: {} of {total} {what} done", total.saturating_sub(left)));
                }
                *looks += 1;
            }
        }
    }

    pub(super) fn end(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
