//! `connection`: granted accounts of an org, without their tokens.
//!
//! Never prints a token.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use tokenkeep_client::ids::{ConnectionId, OrgId, ProviderId};
use tokenkeep_client::wire::{
    ConnectionOut, ConnectionState, Deleted, ExpiringOut, Forecast, Page, RevocationState,
};
use tokenkeep_client::{Condition, Request};

use super::Session;
use super::authorize::Authorize;
use super::failure::Failure;
use super::input::{Consent, Source};
use super::output::{Exit, or_dash};
use super::page::Part;
use super::release::Release;
use super::token_set;

/// Largest body of a PUT in the contract.
const TOKEN_SET_MOST: usize = 64 << 10;

/// What to do with connections.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Has an owner grant access in a browser: the token set goes straight into the vault
    Authorize(Authorize),
    /// Revokes a connection at its provider and deletes it
    Delete {
        /// The org
        org: OrgId,
        /// PROVIDER/NAME
        connection: ConnectionId,
        /// Leaves its tokens alive at the provider: somebody else goes on with them
        #[arg(long)]
        keep_grant: bool,
        #[command(flatten)]
        consent: Consent,
    },
    /// Lists connections of all orgs that will end by themselves, the first to end first
    Expiring {
        /// Only those that end within this span: 14d, 36h
        #[arg(long, value_name = "SPAN", default_value = "14d", value_parser = humantime::parse_duration)]
        within: Duration,
        /// Only of this provider
        #[arg(long)]
        provider: Option<ProviderId>,
    },
    /// Lists the connections of an org
    List {
        /// The org
        org: OrgId,
        /// Only of this provider
        #[arg(long)]
        provider: Option<ProviderId>,
        /// Only in this state
        #[arg(long, value_parser = state())]
        state: Option<ConnectionState>,
        #[command(flatten)]
        part: Part,
    },
    /// Stores a token set, in JSON: access_token, refresh_token, expires_in, scope …
    Put {
        /// The org
        org: OrgId,
        /// PROVIDER/NAME
        connection: ConnectionId,
        /// It is a provider's answer as it came, or as an OAuth library keeps it: what else is in it is left out
        #[arg(long)]
        as_issued: bool,
        #[command(flatten)]
        condition: When,
        #[command(flatten)]
        source: Source,
    },
    /// Lets connections go that a store which may be a copy holds back
    Release(Release),
    /// Shows a connection
    Show {
        /// The org
        org: OrgId,
        /// PROVIDER/NAME
        connection: ConnectionId,
    },
}

/// On what a put depends.
#[derive(Args)]
#[group(multiple = false)]
pub(super) struct When {
    /// Only while N is the current generation
    #[arg(long, value_name = "N")]
    if_generation: Option<u64>,
    /// Only where there is no such connection yet
    #[arg(long)]
    if_absent: bool,
}

impl From<When> for Condition {
    fn from(when: When) -> Self {
        match (when.if_generation, when.if_absent) {
            (Some(generation), _) => Self::Generation(generation),
            (None, true) => Self::Absent,
            (None, false) => Self::Always,
        }
    }
}

impl Session {
    pub(super) async fn connection(&mut self, command: Command) -> Result<Exit, Failure> {
        let shown = match command {
            Command::Authorize(asked) => self.authorize(asked).await?,
            Command::Delete { org, connection, keep_grant, consent } => {
                consent
                    .confirm(&format!("Delete connection {connection} of org {org}, its tokens for good?"))?;
                let org = self.client.org(&org);
                let deleted = match keep_grant {
                    true => org.delete_connection_unrevoked(&connection).await?,
                    false => org.delete_connection(&connection).await?,
                };
                return Ok(self.say_deleted(&connection, &deleted));
            }
            Command::Expiring { within, provider } => return self.list_expiring(within, provider).await,
            Command::List { org, provider, state, part } => {
                let request = Request::get(format!("/v1/orgs/{org}/connections"))
                    .with_query_if("provider", provider)
                    .with_query_if("state", state.map(ConnectionState::as_str));
                return self.list_connections(&request, &part).await;
            }
            Command::Put { org, connection, as_issued, condition, source } => {
                let json = source.read(TOKEN_SET_MOST)?;
                let tokens =
                    if as_issued { token_set::read_as_issued(&json) } else { token_set::read(&json) }?;
                self.client.org(&org).put_connection(&connection, &tokens, condition.into()).await?
            }
            Command::Release(release) => return self.release(&release).await,
            Command::Show { org, connection } => self.client.org(&org).connection(&connection).await?,
        };
        self.screen.show(&shown, lines);
        Ok(Exit::Done)
    }

    fn say_deleted(&mut self, id: &ConnectionId, deleted: &Deleted) -> Exit {
        self.screen.show(deleted, |deleted| {
            let what = match deleted.revocation {
                Some(RevocationState::Done) => "revoked at the provider",
                Some(RevocationState::Pending) => {
                    "being revoked at the provider: see tokenkeep revocation list"
                }
                Some(RevocationState::Impossible) => "NOT revoked: the provider has no way, or will not",
                Some(RevocationState::NotAsked) | None => "not revoked at the provider",
            };
            vec![format!("deleted {id}, {what}")]
        });
        Exit::Done
    }

    /// All of them, for the first to end may stand on the last page.
    async fn list_expiring(
        &mut self,
        within: Duration,
        provider: Option<ProviderId>,
    ) -> Result<Exit, Failure> {
        let request = Request::get("/admin/v1/expiring")
            .with_query_if("within", Some(within.as_secs()))
            .with_query_if("provider", provider);
        let mut page: Page<ExpiringOut> = Part::ALL.read(&self.client, &request).await?;
        page.items.sort_by_key(|expiring| expiring.forecast.ends_at);
        let head = ["ORG", "CONNECTION", "ENDS", "WHY", "STATE", "LAST READ"];
        self.screen.show_table(&page, head, |page| page.items.iter().map(expiring).collect());
        Ok(Exit::Done)
    }

    async fn list_connections(&mut self, request: &Request, part: &Part) -> Result<Exit, Failure> {
        let page: Page<ConnectionOut> = part.read(&self.client, request).await?;
        let head = ["CONNECTION", "STATE", "GENERATION", "EXPIRES", "REFRESHED"];
        self.screen.show_table(&page, head, |page| page.items.iter().map(row).collect());
        self.note_more(page.next.as_deref());
        Ok(Exit::Done)
    }
}

fn state() -> impl TypedValueParser<Value = ConnectionState> {
    let words = ConnectionState::ALL.iter().map(|state| state.as_str());
    PossibleValuesParser::new(words)
        .try_map(|word| ConnectionState::parse(&word).ok_or("there is no such state"))
}

fn row(connection: &ConnectionOut) -> [String; 5] {
    [
        format!("{}/{}", connection.provider, connection.name),
        state_and_reason(connection),
        connection.generation.to_string(),
        or_dash(connection.expires_at),
        connection.refreshed_at.to_string(),
    ]
}

fn expiring(one: &ExpiringOut) -> [String; 6] {
    [
        one.org.to_string(),
        format!("{}/{}", one.provider, one.name),
        one.forecast.ends_at.to_string(),
        one.forecast.reason.clone(),
        one.state.as_str().to_owned(),
        or_dash(one.last_read_at),
    ]
}

fn state_and_reason(connection: &ConnectionOut) -> String {
    let reason = connection.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{}{reason}", connection.state.as_str())
}

fn lines(connection: &ConnectionOut) -> Vec<String> {
    let since = connection.since.map(|since| format!(", since {since}")).unwrap_or_default();
    let refresh = if connection.has_refresh_token { "kept" } else { "none" };
    let mut lines = vec![
        format!("connection     {}/{}", connection.provider, connection.name),
        format!("state          {}{since}", state_and_reason(connection)),
        format!("generation     {}", connection.generation),
        format!("scopes         {}", connection.scopes.join(" ")),
        format!("refresh token  {refresh}"),
        format!("expires        {}", or_dash(connection.expires_at)),
        format!("created        {}", connection.created_at),
        format!("refreshed      {}", connection.refreshed_at),
        format!("last read      {}", or_dash(connection.last_read_at)),
    ];
    lines.extend(connection.same_account.then(|| "same account   yes".to_owned()));
    lines.extend(connection.shared.map(|shared| format!("shared         {}", shared.as_str())));
    if let Some(Forecast { ends_at, reason }) = &connection.forecast {
        lines.push(format!("will end       {ends_at} ({reason})"));
    }
    lines.extend(connection.labels.iter().map(|(name, value)| format!("label          {name}={value}")));
    lines
}
