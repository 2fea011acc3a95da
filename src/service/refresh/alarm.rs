//! What an exchange says of our client, and what people are told of the brake: once when it goes on, once when it is off.
//!
//! Never names an org or a connection.

use tokenkeep_client::ids::ProviderId;

use super::Engine;
use super::asking::Reply;
use crate::domain::refresh::Grounds;
use crate::domain::refresh::answer::Meaning;
use crate::domain::refresh::brake::{Cause, News, Sign};

/// What came of an exchange, as far as the brake goes by it.
pub(super) fn sign(meaning: &Meaning, reply: &Reply, grounds: Grounds) -> Sign {
    match meaning {
        // We cannot prove ourselves: as bad as a proof that is refused.
        _ if matches!(reply, Reply::Unmade) => Sign::ClientRefused,
        Meaning::ClientRefused => Sign::ClientRefused,
        Meaning::Refused if grounds == Grounds::First => Sign::TokenRefused,
        Meaning::Refused => Sign::SpentRefused,
        Meaning::Tokens(_) => Sign::Tokens,
        Meaning::Broken(_) | Meaning::Lost | Meaning::NotProcessed(_) | Meaning::Unreadable => Sign::Failed,
    }
}

impl Engine {
    /// The one place at which a change of the brake is told.
    pub(super) fn tell_of_brake(&self, provider: &ProviderId, news: News) {
        let provider = provider.as_str();
        match news {
            News::On(Cause::Client) => tracing::error!(
                provider,
                "the provider refuses our client id or secret: nothing is refreshed there until one trial \
                 succeeds; no connection is marked; mend the [[provider]] and reload"
            ),
            News::On(Cause::Failures) => tracing::error!(
                provider,
                "almost every exchange with the provider fails: one trial at a time until one succeeds; no \
                 connection is marked"
            ),
            News::On(Cause::Refusals) => tracing::error!(
                provider,
                "the provider refuses one refresh token after the other, as if our client were another: nothing is \
                 refreshed there until one trial succeeds; no connection is marked; look at client_id and \
                 token_endpoint of the [[provider]], mend and reload"
            ),
            News::Off => tracing::info!(provider, "an exchange with the provider has succeeded: all go on"),
        }
    }
}
