//! Where the configuration leads: the destinations that `tokenkeep-egress` lets the daemon connect to.
//!
//! The same file, read by the same code as the daemon's, so that the two cannot differ.
//!
//! Never the environment: what a variable of the daemon names is not a destination.

use super::{Config, RootKey};
use crate::domain::provider::client::OAuthClient;
use crate::net::destination::Destination;

impl Config {
    /// Every destination that the configuration names. A setting that sends something out does not compile until it is
    /// decided here.
    #[must_use]
    pub fn destinations(&self) -> Vec<Destination> {
        let mut named = match &self.root_key {
            RootKey::AwsSecretsManager(settings) => settings.destinations(),
            RootKey::OpenBao(settings) => vec![settings.address.destination().clone()],
            RootKey::Exec { .. } | RootKey::File { .. } | RootKey::SystemdCredential { .. } => Vec::new(),
        };
        let clients = self.providers.iter().filter_map(|provider| provider.client.as_ref());
        named
            .extend(clients.flat_map(OAuthClient::asked).map(|address| address.host().destination().clone()));
        named.extend(self.alerts.webhook.iter().map(|webhook| webhook.address.host().destination().clone()));
        let bucket = self.backup.as_ref().and_then(|backup| backup.place.bucket());
        named.extend(bucket.iter().flat_map(|bucket| bucket.destinations()));
        named
    }
}
