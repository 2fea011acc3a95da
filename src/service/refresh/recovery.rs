//! Every connection is looked at once when the daemon starts, and when the rules change: what a crash has left open is
//! resolved, by each provider's leeway and not by hope, and the others are put into the queue of what is due.
//!
//! The hard problem: there may be a million, and reads go on meanwhile. The answer: a few at a time, and between them as
//! long a pause as they took.
//!
//! Never sends what the rules would not let a caller have sent.

use std::time::Instant;

use tokio::task::JoinSet;

use super::Refresh;
use crate::domain::refresh::Custody;
use crate::os::fault_points;
use crate::vault::custody::Surveyed;
use crate::vault::renewal::Renewal;
use crate::vault::tokens::Wanted;

/// Connections looked at in one go: a read waits no longer than that.
const PAGE: usize = 64;

impl Refresh {
    /// Finds every connection, goes on with what is open where that is allowed now, and queues the rest.
    pub async fn recover(&self) {
        fault_points::reach("recovery/begun");
        let (mut after, mut looking) = (None, JoinSet::new());
        loop {
            let begun = Instant::now();
            let Some(vault) = self.0.vault.upgrade() else { return };
            let page = match vault.survey(after.as_ref(), PAGE) {
                Ok(page) => page,
                Err(refusal) => {
                    tracing::error!(code = refusal.code.as_str(), "open refreshes could not be looked for");
                    return;
                }
            };
            drop(vault);
            let (found, last) = page;
            for found in found {
                let state = match found.custody {
                    Custody::NeedsReauth { .. } | Custody::Settled => {
                        self.0.schedule(&found);
                        continue;
                    }
                    Custody::OutcomeUnknown { .. } => "outcome_unknown",
                    Custody::Refreshing { .. } => "refreshing",
                };
                fault_points::reach("recovery/found");
                looking.spawn(self.look_into(&found, state));
            }
            match last {
                Some(last) => after = Some(last),
                None => break,
            }
            tokio::time::sleep(begun.elapsed()).await;
        }
        let looked_into = looking.join_all().await.len();
        fault_points::reach("recovery/over");
        tracing::info!(looked_into, "refreshes that were cut short have been looked for");
    }

    /// Begins at once: it is what a crash, or the flight that is in the air, has left open. What must wait is queued by its
    /// flight.
    fn look_into(&self, open: &Surveyed, found: &'static str) -> impl Future<Output = ()> + Send + use<> {
        // The token set before is not good enough, whatever is left of it: its refresh token may be spent.
        let ended = self.renew(&open.org, &open.id, Wanted::OtherThan(open.generation));
        async move {
            let became = ended.await.err().map_or("ok", |refusal| refusal.code.as_str());
            tracing::info!(found, became, "a refresh that was cut short was looked into");
        }
    }
}
