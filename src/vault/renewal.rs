//! Who renews a token set that is no longer good enough: stands above the vault, and is asked by a read.
//!
//! A read waits here with its permit in its hand, so that its one audit entry says what came of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokenkeep_client::ids::{ConnectionId, OrgId, ProviderId};

use super::Vault;
use super::custody::Surveyed;
use super::refusal::Refusal;
use super::tokens::Wanted;
use crate::domain::provider::Provider;

/// Ready when the renewal has ended, or when it takes longer than a caller is kept waiting. Dropping it changes nothing.
pub type Renewed = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;

/// Renews token sets.
pub trait Renewal: Send + Sync + 'static {
    /// Joins the renewal of a connection that is under way, or begins one. It is on its way when this returns.
    fn renew(&self, org: &OrgId, id: &ConnectionId, wanted: Wanted) -> Renewed;

    /// A connection with a refresh token is about to be what is said here.
    fn changed(&self, connection: &Surveyed);
}

impl Vault {
    /// Names who renews token sets. The first one named stays.
    pub fn renew_by(&self, renewal: Arc<dyn Renewal>) {
        drop(self.renewal.set(renewal));
    }

    /// The provider, where it is configured with a client of ours.
    #[must_use]
    pub fn client_of(&self, id: &ProviderId) -> Option<Arc<Provider>> {
        let rules = self.rules.now();
        rules.providers.find(id).filter(|provider| provider.client.is_some()).cloned()
    }

    /// The span since 1970, by the clock of the vault.
    #[must_use]
    pub fn since_epoch(&self) -> Duration {
        self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// Counts the editions of the rules: a new one may have mended what a provider refused.
    #[must_use]
    pub fn edition(&self) -> u64 {
        self.rules.edition()
    }
}
