//! The vault: the one door to everything that is kept, and what lies behind it.
//!
//! The hard problem: a request for org A must never yield a byte of org B. The answer is by construction:
//! each org has its own key, each value names its place inside its seal, and every operation passes
//! [`door`], which decides and records.
//!
//! Nothing here is released or changed without its audit entry.

pub mod application_keys;
pub mod ask;
pub mod authorizations;
pub mod backup;
pub mod caller;
mod census;
pub mod ciphertexts;
mod connection_record;
pub mod connections;
mod consents;
pub mod custody;
pub mod door;
pub mod expiring;
mod former_keys;
pub mod header;
pub mod import;
pub mod kept;
pub mod keys;
mod last_reads;
pub mod lease;
mod metering;
mod note;
pub mod open;
pub mod open_orgs;
pub mod orgs;
pub mod outbox;
mod outlook;
pub mod page;
pub mod passes;
pub mod place;
pub mod proof;
mod providers;
pub mod quarantine;
pub mod record;
pub mod refusal;
pub mod renewal;
mod reprieve;
pub mod request_id;
pub mod retirement;
mod revocation_record;
pub mod revocations;
pub mod rotation;
mod rules;
pub mod scrub;
pub mod sealed;
pub mod secrets;
pub mod shared_grant;
pub mod status;
mod stored;
mod telling;
pub mod tokens;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokenkeep_client::moment::Moment;
use tokenkeep_client::problem::Code;

use crate::audit::Log;
use crate::clock::Clock;
use crate::crypto::key::SealingKey;
use crate::crypto::key_list::RootKeys;
use crate::metrics::Meters;
use application_keys::ApplicationKeys;
use backup::BackupKeys;
use census::Census;
use former_keys::FormerKeys;
use header::Header;
use last_reads::LastReads;
use lease::Lease;
use open_orgs::{Bounds, OpenOrgs};
use outbox::Outbox;
use place::Blind;
use quarantine::Quarantine;
use refusal::Refusal;
use renewal::Renewal;
use revocations::Revoking;
use rules::Standing;
use scrub::Scrub;
use stored::Stored;

/// The vault, open.
pub struct Vault {
    vault_id: [u8; 16],
    own_uid: u32,
    started: Instant,
    clock: Arc<dyn Clock>,
    application_keys: ApplicationKeys,
    rules: Standing,
    store: Stored,
    audit: Arc<Log>,
    header: Mutex<Header>,
    system_key: SealingKey,
    blind: Blind,
    root_keys: RwLock<Arc<RootKeys>>,
    /// Read: something is sealed under the primary root key. Write: the list of root keys changes.
    key_change: tokio::sync::RwLock<()>,
    open_orgs: OpenOrgs,
    former_keys: FormerKeys,
    org_keys: Bounds,
    last_reads: LastReads,
    outbox: Arc<Outbox>,
    lease: Mutex<Lease>,
    quarantine: Quarantine,
    census: Census,
    scrub: Scrub,
    renewal: OnceLock<Arc<dyn Renewal>>,
    revoking: OnceLock<Arc<dyn Revoking>>,
    meters: Arc<Meters>,
    backup: BackupKeys,
}

impl Vault {
    fn now(&self) -> Moment {
        self.clock.now().into()
    }

    fn root_keys(&self) -> Arc<RootKeys> {
        Arc::clone(&self.root_keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn header(&self) -> MutexGuard<'_, Header> {
        self.header.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often [`Vault::let_go_of_idle_keys`] is due.
    #[must_use]
    pub fn idle_turn(&self) -> Duration {
        self.org_keys.turn()
    }

    /// Wipes the keys of orgs that nobody used for their time.
    pub fn let_go_of_idle_keys(&self) {
        self.open_orgs.turn();
        self.former_keys.let_go();
    }

    /// The audit log, for those who read and verify it.
    #[must_use]
    pub fn audit(&self) -> &Arc<Log> {
        &self.audit
    }
}

/// Runs a change as a task of its own: a caller that leaves changes nothing.
async fn apart<T: Send + 'static>(
    change: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::spawn(change).await {
        Ok(result) => result,
        Err(why) => {
            tracing::error!(panicked = why.is_panic(), "an operation did not end");
            Err(Refusal::new(
                Code::Internal,
                "the operation did not end; whether it was done, a read will tell",
            ))
        }
    }
}
