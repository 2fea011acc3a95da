//! Intents that a crash has left open, resolved when the daemon starts: by each provider's leeway, not by hope.
//!
//! Never sends what the rules would not let a caller have sent.

use super::Refresh;
use crate::domain::refresh::Custody;
use crate::vault::renewal::Renewal;
use crate::vault::tokens::Wanted;

/// Connections looked at in one go.
const PAGE: usize = 256;

impl Refresh {
    /// Finds every open exchange and goes on with it where that is allowed now.
    pub async fn recover(&self) {
        let mut after = None;
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
                // The token set before is not good enough, whatever is left of it: its refresh token may be spent.
                let ended = self.renew(&open.org, &open.id, Wanted::OtherThan(open.generation)).await;
                let became = ended.err().map_or("ok", |refusal| refusal.code.as_str());
                tracing::info!(became, "a refresh that was cut short was looked into");
            }
            match last {
                Some(last) => after = Some(last),
                None => return,
            }
            tokio::task::yield_now().await;
        }
    }
}

fn is_open(custody: &Custody) -> bool {
    matches!(custody, Custody::Refreshing { .. } | Custody::OutcomeUnknown { .. })
}
