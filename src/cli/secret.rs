//! `secret`: other secrets of an org, without their values.
//!
//! The value is what comes in, byte for byte: a key file that ends in a newline must come out as it went
//! in. `echo` adds a newline that nobody meant, so a value of one line that ends in one is pointed out.
//!
//! Never prints a value.

use clap::Subcommand;
use serde::Serialize;
use tokenkeep_client::Request;
use tokenkeep_client::ids::{OrgId, SecretName};
use tokenkeep_client::secret::SecretValue;
use tokenkeep_client::wire::{Page, SecretIn, SecretInfo};
use zeroize::Zeroizing;

use super::Session;
use super::failure::Failure;
use super::input::{Consent, Source};
use super::output::Exit;
use super::page::Part;

/// Largest value in the contract.
const VALUE_MOST: usize = 64 << 10;

/// What to do with secrets.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Deletes a secret, every version of it
    Delete {
        /// The org
        org: OrgId,
        /// The secret
        name: SecretName,
        #[command(flatten)]
        consent: Consent,
    },
    /// Lists the secrets of an org
    List {
        /// The org
        org: OrgId,
        #[command(flatten)]
        part: Part,
    },
    /// Stores a new version of a secret, exactly as it is read
    Put {
        /// The org
        org: OrgId,
        /// The secret
        name: SecretName,
        /// Drops one newline at the end
        #[arg(long)]
        strip_newline: bool,
        #[command(flatten)]
        source: Source,
    },
}

#[derive(Serialize)]
struct Deleted<'a> {
    name: &'a SecretName,
    deleted: bool,
}

impl Session {
    pub(super) async fn secret(&mut self, command: Command) -> Result<Exit, Failure> {
        match command {
            Command::Delete { org, name, consent } => {
                consent.confirm(&format!("Delete secret {name} of org {org}, every version for good?"))?;
                self.client.org(&org).delete_secret(&name).await?;
                let deleted = Deleted { name: &name, deleted: true };
                self.screen.show(&deleted, |deleted| vec![format!("deleted {}", deleted.name)]);
            }
            Command::List { org, part } => {
                let request = Request::get(format!("/v1/orgs/{org}/secrets"));
                let page: Page<SecretInfo> = part.read(&self.client, &request).await?;
                self.screen.show_table(&page, ["SECRET", "VERSION", "CREATED", "KEPT"], |page| {
                    page.items.iter().map(row).collect()
                });
                self.note_more(page.next.as_deref());
            }
            Command::Put { org, name, strip_newline, source } => {
                let mut bytes = source.read(VALUE_MOST)?;
                if strip_newline {
                    strip(&mut bytes);
                }
                let secret = SecretIn { value: self.value(&bytes)?, labels: None };
                let stored = self.client.org(&org).put_secret(&name, &secret).await?;
                self.screen.show(&stored, |stored| {
                    vec![format!("stored {}, version {}", stored.name, stored.version)]
                });
            }
        }
        Ok(Exit::Done)
    }

    fn value(&self, bytes: &[u8]) -> Result<SecretValue, Failure> {
        let text = std::str::from_utf8(bytes).map_err(|_| {
            Failure::here("not_text", "the value is not UTF-8")
                .mend("store it as base64: `base64 -w0 FILE | …`")
        })?;
        if text.is_empty() {
            return Err(Failure::here("empty", "the value is empty").mend("see that it is the right input"));
        }
        if text.ends_with('\n') && text.lines().count() == 1 {
            self.screen.note("note: the value ends with a newline, which is kept; --strip-newline drops it");
        }
        Ok(SecretValue::new(text.to_owned()))
    }
}

fn strip(bytes: &mut Zeroizing<Vec<u8>>) {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
}

fn row(secret: &SecretInfo) -> [String; 4] {
    [
        secret.name.to_string(),
        secret.version.to_string(),
        secret.created_at.to_string(),
        secret.versions.len().to_string(),
    ]
}
