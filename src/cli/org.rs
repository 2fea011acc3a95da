//! `org`: tenants.
//!
//! Never deletes one.

use clap::Subcommand;
use tokenkeep_client::Request;
use tokenkeep_client::ids::OrgId;
use tokenkeep_client::wire::{OrgOut, Page};

use super::Session;
use super::failure::Failure;
use super::output::Exit;
use super::page::Part;

/// What to do with orgs.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Creates an org; one that exists stays as it is
    Create {
        /// Its name
        org: OrgId,
    },
    /// Lists orgs
    List {
        #[command(flatten)]
        part: Part,
    },
    /// Shows an org
    Show {
        /// Its name
        org: OrgId,
    },
}

impl Session {
    pub(super) async fn org(&mut self, command: Command) -> Result<Exit, Failure> {
        let org = match command {
            Command::Create { org } => self.client.org(&org).create().await?,
            Command::List { part } => return self.list_orgs(&part).await,
            Command::Show { org } => self.client.org(&org).show().await?,
        };
        self.screen.show(&org, |org| {
            vec![
                format!("org         {}", org.org),
                format!("created     {}", org.created_at),
                format!("root key    {}", org.root_key_id),
            ]
        });
        Ok(Exit::Done)
    }

    async fn list_orgs(&mut self, part: &Part) -> Result<Exit, Failure> {
        let orgs: Page<OrgOut> = part.read(&self.client, &Request::get("/admin/v1/orgs")).await?;
        self.screen.show_table(&orgs, ["ORG", "CREATED", "ROOT KEY"], |orgs| {
            let row =
                |org: &OrgOut| [org.org.to_string(), org.created_at.to_string(), org.root_key_id.clone()];
            orgs.items.iter().map(row).collect()
        });
        self.note_more(orgs.next.as_deref());
        Ok(Exit::Done)
    }

    /// Says how a list that was cut short goes on.
    pub(super) fn note_more(&self, next: Option<&str>) {
        if let Some(next) = next {
            self.screen.note(format!("note: there is more, from --after {next}"));
        }
    }
}
