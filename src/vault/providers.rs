//! The configured providers, as an admin asks for them.
//!
//! Never a secret: the vault holds none of theirs.

use std::sync::Arc;

use tokenkeep_client::ids::ProviderId;

use super::Vault;
use super::refusal::Refusal;
use crate::domain::provider::Provider;

impl Vault {
    /// Those that are configured now, in the order of the file.
    #[must_use]
    pub fn providers(&self) -> Vec<Arc<Provider>> {
        self.rules.now().providers.configured().to_vec()
    }

    /// The one with this id.
    ///
    /// # Errors
    /// `not_found`: it is not configured.
    pub fn provider(&self, id: &ProviderId) -> Result<Arc<Provider>, Refusal> {
        self.rules.now().providers.find(id).cloned().ok_or_else(|| Refusal::not_found("provider"))
    }
}
