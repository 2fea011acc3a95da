//! What is counted of refreshes, and what is told of brakes.
//!
//! Never decides anything.

use tokenkeep_client::ids::ProviderId;
use tokenkeep_client::problem::Code;

use super::{Engine, Outcome};
use crate::domain::refresh::brake::{Cause, News, Sign};
use crate::metrics::Refreshed;
use crate::vault::Vault;
use crate::vault::refusal::Refusal;

/// How the brake of a provider stands after an exchange, as far as that exchange says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "somebody is to be told"]
pub(super) enum BrakeNews {
    /// It says nothing.
    None,
    /// It is off.
    Off,
    /// It is on, and why.
    On(&'static str),
}

impl BrakeNews {
    /// A success is told as the end of whatever was told before, be it in another life of the daemon.
    pub(super) fn of(sign: Sign, news: Option<News>) -> Self {
        match (news, sign) {
            (Some(News::On(Cause::Client)), _) => Self::On("client_refused"),
            (Some(News::On(Cause::Failures)), _) => Self::On("failures"),
            (Some(News::On(Cause::Refusals)), _) => Self::On("refusals"),
            (Some(News::Off), _) | (None, Sign::Tokens) => Self::Off,
            (None, _) => Self::None,
        }
    }

    /// Tells of it where that is news.
    pub(super) async fn tell(self, vault: &Vault, provider: &ProviderId) {
        match self {
            Self::None => {}
            Self::Off => vault.tell_released(provider).await,
            Self::On(reason) => vault.tell_braked(provider, reason).await,
        }
    }
}

impl Engine {
    pub(super) fn count(&self, provider: &ProviderId, became: Refreshed) {
        if let Some(vault) = self.vault.upgrade() {
            vault.meters().refreshed(provider.as_str(), became);
        }
    }

    /// An intent that could not be written.
    pub(super) fn count_unkept(&self, provider: &ProviderId, refusal: &Refusal) {
        if is_ours(refusal.code) {
            self.count(provider, Refreshed::PersistFailed);
        }
    }

    /// An exchange that was carried out, and what callers are told of it.
    pub(super) fn count_exchange(&self, provider: &ProviderId, has_tokens: bool, outcome: &Outcome) {
        let became = match outcome {
            Ok(()) if has_tokens => Refreshed::Success,
            Ok(()) => Refreshed::ProviderError,
            Err(refusal) => match refusal.code {
                Code::ClientMisconfigured => Refreshed::Braked,
                Code::NeedsReauth => Refreshed::NeedsReauth,
                Code::OutcomeUnknown => Refreshed::OutcomeUnknown,
                // Counted when it could not be kept.
                code if is_ours(code) => return,
                _ => Refreshed::ProviderError,
            },
        };
        self.count(provider, became);
    }
}

/// Whether what could not be done is ours, not the provider's.
fn is_ours(code: Code) -> bool {
    matches!(
        code,
        Code::AuditUnavailable | Code::Integrity | Code::Internal | Code::NotReady | Code::StorageFull
    )
}
