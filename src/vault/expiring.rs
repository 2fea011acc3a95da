//! Connections that will end by themselves, over all orgs: what an admin asks for before customers do.
//!
//! The hard problem: it is a question to every connection there is. The answer: pages, each of so many looks, with a
//! pause between a few of them, so that reads go on.
//!
//! Never opens a token.

use std::time::Duration;

use tokenkeep_client::ids::ProviderId;
use tokenkeep_client::wire::{ExpiringOut, Page};

use super::Vault;
use super::ask::Ask;
use super::caller::Caller;
use super::orgs::Org;
use super::place::Table;
use super::refusal::Refusal;
use super::request_id::RequestId;
use crate::crypto::hex;
use crate::domain::action::Action;
use crate::store::{Key, Record};

/// A page looks at so many connections; its cursor goes on from there.
const LOOK_AT_MOST: usize = 10_000;
/// Looked at in one go.
const IN_ONE_GO: usize = 64;

/// Which connections, and which page of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring {
    /// Those that end within so long from now.
    pub within: Duration,
    /// Only of this issuer.
    pub provider: Option<ProviderId>,
    /// Where the last page ended.
    pub after: Option<Place>,
    /// At most so many, at least one.
    pub most: usize,
}

/// Where a page over all orgs ended: a blind name in its blind org.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place([u8; 32]);

impl Place {
    /// Reads what a page gave as its `next`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode(text.as_bytes()).map(Self)
    }

    fn of(key: &Key) -> Self {
        let mut blind = [0; 32];
        blind.copy_from_slice(&key.0[1..]);
        Self(blind)
    }

    fn key(self) -> Key {
        let mut key = Key([Table::Connection as u8; 33]);
        key.0[1..].copy_from_slice(&self.0);
        key
    }
}

impl Vault {
    /// A page of the connections that will end, in the order of their blind names.
    ///
    /// # Errors
    /// The door's; the store cannot be read. A connection that does not open is left out, and logged.
    pub async fn list_expiring(
        &self,
        caller: &Caller,
        request: RequestId,
        wanted: &Expiring,
    ) -> Result<Page<ExpiringOut>, Refusal> {
        let ask = Ask {
            provider: wanted.provider.as_ref(),
            ..Ask::new(&request, Action::ConnectionList).on("expiring")
        };
        let permit = self.admit(caller, ask)?;
        let listed = self.page_of_expiring(wanted).await;
        permit.settle(listed, |_| None).await
    }

    async fn page_of_expiring(&self, wanted: &Expiring) -> Result<Page<ExpiringOut>, Refusal> {
        let until = self.now().after(wanted.within);
        let (mut after, mut org) = (wanted.after.map(Place::key), None);
        let (mut items, mut looked_at) = (Vec::new(), 0);
        loop {
            let records = self.store.scan(&[Table::Connection as u8], after.as_ref(), IN_ONE_GO)?;
            let is_last = records.len() < IN_ONE_GO;
            for (key, record) in records {
                if items.len() == wanted.most || looked_at == LOOK_AT_MOST {
                    let next = after.as_ref().map(|key| hex::encode(&Place::of(key).0));
                    return Ok(Page { items, next });
                }
                let found =
                    self.org_passed(&key, &mut org).and_then(|org| expiring(self, org, &key, &record));
                let is_wanted = |found: &ExpiringOut| {
                    found.forecast.ends_at <= until
                        && wanted.provider.as_ref().is_none_or(|one| *one == found.provider)
                };
                items.extend(found.ok().flatten().filter(is_wanted));
                looked_at += 1;
                after = Some(key);
            }
            if is_last {
                return Ok(Page { items, next: None });
            }
            tokio::task::yield_now().await;
        }
    }
}

fn expiring(vault: &Vault, org: &Org, key: &Key, record: &Record) -> Result<Option<ExpiringOut>, Refusal> {
    let shown = vault.describe_connection(org, key, record)?;
    Ok(shown.forecast.map(|forecast| ExpiringOut {
        org: org.id.clone(),
        provider: shown.provider,
        name: shown.name,
        state: shown.state,
        forecast,
        last_read_at: shown.last_read_at,
    }))
}
