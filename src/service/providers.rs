//! The configured providers: listed, shown and tried by an admin.
//!
//! Never a secret, and never a token that is kept here.

use std::sync::Arc;
use std::time::SystemTime;

use tokenkeep_client::ids::ProviderId;
use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{Page, ProviderCheckOut, ProviderOut, ProviderSetting};

use super::oauth::check::{Ask as AskProvider, check};
use crate::domain::action::Action;
use crate::domain::provider::Provider;
use crate::domain::provider::catalogue::{Basis, Preset};
use crate::domain::provider::setting::{Origin, Setting};
use crate::vault::Vault;
use crate::vault::ask::Ask;
use crate::vault::caller::Caller;
use crate::vault::refusal::Refusal;
use crate::vault::request_id::RequestId;

/// Looks at the providers of a vault.
pub struct Providers {
    vault: Arc<Vault>,
    ask: Arc<AskProvider>,
}

impl Providers {
    /// Of this vault, asked by these means.
    #[must_use]
    pub fn new(vault: Arc<Vault>, ask: Arc<AskProvider>) -> Self {
        Self { vault, ask }
    }

    /// All of them.
    ///
    /// # Errors
    /// The door's.
    pub async fn list(&self, caller: &Caller, request: RequestId) -> Result<Page<ProviderOut>, Refusal> {
        let permit = self.vault.admit(caller, Ask::new(&request, Action::ProviderList))?;
        let items = self.vault.providers().iter().map(|provider| shown(provider)).collect();
        permit.settle(Ok(Page { items, next: None }), |_| None).await
    }

    /// One of them.
    ///
    /// # Errors
    /// The door's; `not_found`.
    pub async fn show(
        &self,
        caller: &Caller,
        request: RequestId,
        id: &ProviderId,
    ) -> Result<ProviderOut, Refusal> {
        let ask = Ask::new(&request, Action::ProviderRead).on(id.as_str());
        let permit = self.vault.admit(caller, ask)?;
        permit.settle(self.vault.provider(id).map(|provider| shown(&provider)), |_| None).await
    }

    /// Asks one of them whether it knows our client.
    ///
    /// # Errors
    /// The door's; `not_found`. What does not work is a result, not an error.
    pub async fn check(
        &self,
        caller: &Caller,
        request: RequestId,
        id: &ProviderId,
    ) -> Result<ProviderCheckOut, Refusal> {
        let ask = Ask::new(&request, Action::ProviderCheck).on(id.as_str());
        let permit = self.vault.admit(caller, ask)?;
        let checked = match self.vault.provider(id) {
            Ok(provider) => self.ask(provider).await,
            Err(refusal) => Err(refusal),
        };
        permit.settle(checked, |_| None).await
    }

    async fn ask(&self, provider: Arc<Provider>) -> Result<ProviderCheckOut, Refusal> {
        let ask = Arc::clone(&self.ask);
        let asked = tokio::task::spawn_blocking(move || {
            let findings = provider.client.as_ref().map(|client| check(client, &*ask, SystemTime::now()));
            ProviderCheckOut { provider: provider.id.clone(), findings: findings.unwrap_or_default() }
        });
        asked.await.map_err(|why| {
            tracing::error!(%why, "asking a provider did not end");
            Refusal::new(Code::Internal, "asking the provider did not end")
        })
    }
}

fn shown(provider: &Provider) -> ProviderOut {
    ProviderOut {
        provider: provider.id.clone(),
        preset: provider.preset.map(str::to_owned),
        refreshes: provider.client.is_some(),
        allowed_scopes: provider.allowed_scopes.clone(),
        requires_consent: provider.requires_consent,
        settings: provider.settings().into_iter().map(|setting| written(provider.preset, setting)).collect(),
    }
}

fn written(preset: Option<&'static str>, setting: Setting) -> ProviderSetting {
    let (from, source) = match setting.origin {
        Origin::ByHand => ("configuration", None),
        Origin::Default => ("default", None),
        Origin::Preset(Basis::Unverified) => ("preset", Some("unverified".to_owned())),
        Origin::Preset(Basis::Source(number)) => {
            let sources = preset.and_then(Preset::find).map(|preset| preset.sources).unwrap_or_default();
            ("preset", sources.get(number - 1).map(|source| format!("{} ({})", source.title, source.read)))
        }
    };
    ProviderSetting { name: setting.name.to_owned(), value: setting.value, from: from.to_owned(), source }
}
