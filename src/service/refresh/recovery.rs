//! Every connection is looked at once when the daemon starts, and when the rules change: what a crash has left open is
//! resolved, by each provider's leeway and not by hope, and the others are put into the queue of what is due.
//!
//! The hard problem: there may be a million, and reads go on meanwhile. The answer: a few at a time, and between them as
//! long a pause as they took.
//!
//! Never sends what the rules would not let a caller have sent.

use std::time::Instant;

use super::Refresh;
use crate::domain::refresh::Custody;
use crate::vault::custody::Surveyed;
use crate::vault::renewal::Renewal;
use crate::vault::tokens::Wanted;

/// Connections looked at in one go: a read waits no longer than that.
const PAGE: usize = 64;

impl Refresh {
    /// Finds every connection, goes on with what is open where that is allowed now, and queues the rest.
    pub async fn recover(&self) {
        let mut after = None;
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
                match found.custody {
                    Custody::Refreshing { .. } => self.look_into(&found),
                    Custody::NeedsReauth { .. } | Custody::OutcomeUnknown { .. } | Custody::Settled => {
                        self.0.schedule(&found);
                    }
                }
            }
            match last {
                Some(last) => after = Some(last),
                None => return,
            }
            tokio::time::sleep(begun.elapsed()).await;
        }
    }

    /// Begins at once: it is what a crash, or the flight that is in the air, has left open.
    fn look_into(&self, open: &Surveyed) {
        // The token set before is not good enough, whatever is left of it: its refresh token may be spent.
        let ended = self.renew(&open.org, &open.id, Wanted::OtherThan(open.generation));
        tokio::spawn(async move {
            let became = ended.await.err().map_or("ok", |refusal| refusal.code.as_str());
            tracing::info!(became, "a refresh that was cut short was looked into");
        });
    }
}
