//! `connection release`: lets connections go that a store which may be a copy holds back.
//!
//! Asks first: two daemons with one refresh token end what the other has.

use clap::Args;
use tokenkeep_client::Request;
use tokenkeep_client::ids::{ConnectionId, OrgId, ProviderId};
use tokenkeep_client::wire::{ReleaseIn, ReleaseOut, to_body};

use super::Session;
use super::failure::Failure;
use super::input::Consent;
use super::output::Exit;

/// Which connections.
#[derive(Args)]
pub(super) struct Release {
    /// The org
    org: Option<OrgId>,
    /// PROVIDER/NAME
    #[arg(requires = "org")]
    connection: Option<ConnectionId>,
    /// All connections: of ORG where it is named, of --provider where it is given
    #[arg(long, required_unless_present = "connection", conflicts_with = "connection")]
    all: bool,
    /// With --all: only of this provider
    #[arg(long, requires = "all")]
    provider: Option<ProviderId>,
    #[command(flatten)]
    consent: Consent,
}

impl Release {
    fn wanted(&self) -> ReleaseIn {
        let (provider, name) = match &self.connection {
            Some(id) => (Some(id.provider.clone()), Some(id.name.clone())),
            None => (self.provider.clone(), None),
        };
        ReleaseIn { org: self.org.clone(), provider, name, all: self.all, after: None }
    }

    fn question(&self) -> String {
        let which = match (&self.connection, &self.provider) {
            (Some(id), _) => format!("connection {id}"),
            (None, Some(provider)) => format!("all connections of provider {provider}"),
            (None, None) => "all connections".to_owned(),
        };
        let org = self.org.as_ref().map(|org| format!(" of org {org}")).unwrap_or_default();
        format!("Release {which}{org}? No other daemon may refresh them any more.")
    }
}

impl Session {
    pub(super) async fn release(&mut self, release: &Release) -> Result<Exit, Failure> {
        release.consent.confirm(&release.question())?;
        let mut wanted = release.wanted();
        let is_whole = wanted.all && wanted.org.is_none() && wanted.provider.is_none();
        let mut whole = ReleaseOut { released: 0, next: None };
        loop {
            let request = Request::post("/admin/v1/connections/release", to_body(&wanted));
            let part: ReleaseOut = self.client.send(&request).await?.read()?;
            whole.released += part.released;
            match part.next {
                Some(next) => wanted.after = Some(next),
                None => break,
            }
        }
        self.screen.show(&whole, |whole| {
            vec![if is_whole {
                "the quarantine is over".to_owned()
            } else {
                format!("{} released", whole.released)
            }]
        });
        Ok(Exit::Done)
    }
}
