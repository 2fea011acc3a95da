//! Intents that a crash has left open, resolved when the daemon starts: by each provider's leeway, not by hope.
//!
//! Never sends what the rules would not let a caller have sent.

use super::Refresh;
use crate::domain::refresh::Custody;
use crate::os::fault_points;
use crate::vault::renewal::Renewal;
use crate::vault::tokens::Wanted;

/// Connections looked at in one go.
const PAGE: usize = 256;

impl Refresh {
    /// Finds every open exchange and goes on with it where that is allowed now.
    pub async fn recover(&self) {
        fault_points::reach("recovery/begun");
        let (mut after, mut looked_into) = (None, 0_u64);
        loop {
            let Some(vault) = self.0.vault.upgrade() else { return };
            let page = match vault.survey(after.as_ref(), PAGE) {
                Ok(page) => page,
                Err(refusal) => {
                    tracing::error!(code = refusal.code.as_str(), "open refreshes could not be looked for");
                    return;
                }
            };
            let (found, last) = page;
            for open in found.into_iter().filter(|found| is_open(&found.custody)) {
                fault_points::reach("recovery/found");
                // The token set before is not good enough, whatever is left of it: its refresh token may be spent.
                let ended = self.renew(&open.org, &open.id, Wanted::OtherThan(open.generation)).await;
                let became = ended.err().map_or("ok", |refusal| refusal.code.as_str());
                tracing::info!(
                    found = found_as(&open.custody),
                    became,
                    "a refresh that was cut short was looked into"
                );
                looked_into += 1;
            }
            match last {
                Some(last) => after = Some(last),
                None => break,
            }
            tokio::task::yield_now().await;
        }
        fault_points::reach("recovery/over");
        tracing::info!(looked_into, "refreshes that were cut short have been looked for");
    }
}

fn is_open(custody: &Custody) -> bool {
    matches!(custody, Custody::Refreshing { .. } | Custody::OutcomeUnknown { .. })
}

fn found_as(custody: &Custody) -> &'static str {
    match custody {
        Custody::NeedsReauth { .. } => "needs_reauth",
        Custody::OutcomeUnknown { .. } => "outcome_unknown",
        Custody::Refreshing { .. } => "refreshing",
        Custody::Settled => "active",
    }
}
