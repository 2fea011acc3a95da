//! `revocation`: deleted connections whose tokens still live at their provider.
//!
//! Never prints a token.

use clap::Subcommand;
use tokenkeep_client::Request;
use tokenkeep_client::wire::{RevocationOut, RevocationsOut};

use super::Session;
use super::failure::Failure;
use super::output::Exit;

/// What to do with revocations.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists what is still to be revoked, and what came of it so far
    List,
}

impl Session {
    pub(super) async fn revocation(&mut self, command: &Command) -> Result<Exit, Failure> {
        match command {
            Command::List => self.list_revocations().await,
        }
    }

    async fn list_revocations(&mut self) -> Result<Exit, Failure> {
        let request = Request::get("/admin/v1/revocations");
        let list: RevocationsOut = self.client.send(&request).await?.read()?;
        let head = ["ORG", "CONNECTION", "DELETED", "ATTEMPTS", "NEXT", "LAST"];
        self.screen.show_table(&list, head, |list| list.items.iter().map(row).collect());
        Ok(Exit::Done)
    }
}

fn row(item: &RevocationOut) -> [String; 6] {
    [
        item.org.to_string(),
        format!("{}/{}", item.provider, item.name),
        item.since.to_string(),
        item.attempts.to_string(),
        item.next_at.to_string(),
        item.last.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}
