//! `consent`: what an org has agreed to, for one connection each.
//!
//! Never prints a token.

use clap::Subcommand;
use tokenkeep_client::Request;
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::wire::{ConsentIn, ConsentOut, Page, RevocationState, to_body};

use super::Session;
use super::failure::Failure;
use super::input::Consent;
use super::output::{Exit, or_dash};
use super::page::Part;

/// What to do with consents.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Lists the consents of an org, those that were withdrawn among them
    List {
        /// The org
        org: OrgId,
        #[command(flatten)]
        part: Part,
    },
    /// Records that an org consents to the use of a connection
    Record {
        /// The org
        org: OrgId,
        /// PROVIDER/NAME
        connection: ConnectionId,
        /// What attests it: a document, a ticket, the version of a form
        #[arg(long, value_name = "TEXT")]
        reference: String,
    },
    /// Withdraws a consent: the connection is served no more, deleted, and revoked at its provider
    Withdraw {
        /// The org
        org: OrgId,
        /// PROVIDER/NAME
        connection: ConnectionId,
        #[command(flatten)]
        consent: Consent,
    },
}

impl Session {
    pub(super) async fn consent(&mut self, command: Command) -> Result<Exit, Failure> {
        let path = |org: &OrgId, id: &ConnectionId| format!("/admin/v1/orgs/{org}/consents/{id}");
        let out: ConsentOut = match command {
            Command::List { org, part } => return self.list_consents(&org, &part).await,
            Command::Record { org, connection, reference } => {
                let request = Request::put(path(&org, &connection), to_body(&ConsentIn { reference }));
                self.client.send(&request).await?.read()?
            }
            Command::Withdraw { org, connection, consent } => {
                consent.confirm(&format!(
                    "Withdraw the consent for {connection} of org {org}, and delete its tokens for good?"
                ))?;
                self.client.send(&Request::delete(path(&org, &connection))).await?.read()?
            }
        };
        self.screen.show(&out, lines);
        Ok(Exit::Done)
    }

    async fn list_consents(&mut self, org: &OrgId, part: &Part) -> Result<Exit, Failure> {
        let request = Request::get(format!("/admin/v1/orgs/{org}/consents"));
        let page: Page<ConsentOut> = part.read(&self.client, &request).await?;
        let head = ["CONNECTION", "CONSENT", "RECORDED", "BY", "WITHDRAWN", "REFERENCE"];
        self.screen.show_table(&page, head, |page| page.items.iter().map(row).collect());
        self.note_more(page.next.as_deref());
        Ok(Exit::Done)
    }
}

fn row(consent: &ConsentOut) -> [String; 6] {
    [
        format!("{}/{}", consent.provider, consent.name),
        consent.consent.clone(),
        consent.recorded_at.to_string(),
        consent.recorded_by.clone(),
        or_dash(consent.withdrawn_at),
        consent.reference.clone(),
    ]
}

fn lines(consent: &ConsentOut) -> Vec<String> {
    let mut lines = vec![
        format!("connection  {}/{}", consent.provider, consent.name),
        format!("consent     {}", consent.consent),
        format!("reference   {}", consent.reference),
        format!("recorded    {} by {}", consent.recorded_at, consent.recorded_by),
        format!("withdrawn   {}", or_dash(consent.withdrawn_at)),
    ];
    lines.extend(consent.revocation.map(|state| format!("revocation  {}", words(state))));
    lines
}

fn words(state: RevocationState) -> &'static str {
    match state {
        RevocationState::Pending => "pending: see tokenkeep revocation list",
        state => state.as_str(),
    }
}
