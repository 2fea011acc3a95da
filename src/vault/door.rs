//! The one door: every operation is admitted here, and what became of it is recorded here.
//!
//! The hard problem: a check that can be forgotten will be. The answer: operations take a [`Permit`], only
//! this module makes one, and one that is dropped without being settled records itself as abandoned.
//!
//! Nothing is released before its entry is in the audit log.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;
use tokenkeep_client::ids::{OrgId, ProviderId};
use tokenkeep_client::problem::Code;

use super::Vault;
use super::refusal::Refusal;
use crate::audit::entry::{Decision, Entry};
use crate::audit::{AuditError, State as AuditState};
use crate::chain::Mark;
use crate::domain::action::Action;
use crate::domain::policy::{Client, Policy, Verdict, judge, judge_admin, judge_in_org};
use crate::domain::principal::{Principal, Proof};
use crate::domain::rate::{Bucket, Rate};
use crate::os::peer::Peer;

/// Callers that no client is configured for: enough to hear why, too few to flood the audit log.
const STRANGER_RATE: Rate = Rate::of(5, 20);

/// Who asks, what it may, and how fast: made once a connection.
#[derive(Debug)]
pub struct Caller {
    principal: Principal,
    rule: Rule,
    allowance: Arc<Allowance>,
}

#[derive(Debug)]
enum Rule {
    Admin,
    Client(Client),
    Stranger,
}

/// How much a principal may ask, over all its connections.
#[derive(Debug)]
struct Allowance {
    bucket: Mutex<Bucket>,
    /// Second in which a refusal was last recorded: one entry a second says enough.
    recorded_in: AtomicU64,
}

impl Allowance {
    fn new(rate: Rate) -> Arc<Self> {
        Arc::new(Self { bucket: Mutex::new(Bucket::new(rate)), recorded_in: AtomicU64::new(u64::MAX) })
    }
}

/// The allowances in use, so that all connections of a principal share one.
pub(super) struct Allowances {
    clients: HashMap<String, Arc<Allowance>>,
    /// By user: bounded, for anybody may knock.
    strangers: Cache<u32, Arc<Allowance>>,
}

impl Allowances {
    pub(super) fn new(policy: &Policy) -> Self {
        let clients = policy
            .clients()
            .iter()
            .map(|client| (client.name.clone(), Allowance::new(client.rate.unwrap_or(Rate::HIGHEST))));
        Self { clients: clients.collect(), strangers: Cache::new(4096) }
    }

    fn client(&self, client: &Client) -> Arc<Allowance> {
        self.clients
            .get(&client.name)
            .cloned()
            .unwrap_or_else(|| Allowance::new(client.rate.unwrap_or(Rate::HIGHEST)))
    }

    fn stranger(&self, uid: u32) -> Arc<Allowance> {
        let made =
            self.strangers.get_or_insert_with(&uid, || Ok::<_, Infallible>(Allowance::new(STRANGER_RATE)));
        match made {
            Ok(allowance) => allowance,
        }
    }
}

impl Caller {
    /// Who it is.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether it came through the admin socket.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        matches!(self.rule, Rule::Admin)
    }

    /// Whether a list may show it this provider's connections.
    pub(super) fn may_see(&self, org: &OrgId, provider: &ProviderId) -> bool {
        match &self.rule {
            Rule::Admin => true,
            Rule::Client(client) => {
                matches!(judge(client, Action::ConnectionList, Some(org), Some(provider)), Verdict::Allow)
            }
            Rule::Stranger => false,
        }
    }

    fn verdict(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        self.refused_by(ask, |client| judge(client, ask.action, ask.org, ask.provider))
    }

    /// As [`Caller::verdict`], for a batch of which no provider is known yet.
    fn verdict_in_org(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        self.refused_by(ask, |client| judge_in_org(client, ask.action, ask.org))
    }

    fn refused_by(&self, ask: &Ask<'_>, judge: impl Fn(&Client) -> Verdict) -> Result<(), Refusal> {
        let verdict = match &self.rule {
            Rule::Admin => judge_admin(ask.action),
            Rule::Client(client) => judge(client),
            Rule::Stranger => {
                return Err(Refusal::new(
                    Code::Unauthenticated,
                    "no configured client matches this process; add a [[client]] for its user",
                ));
            }
        };
        match verdict {
            Verdict::Allow => Ok(()),
            Verdict::CrossOrg => Err(Refusal::new(Code::CrossOrg, "this client may not act for that org")),
            Verdict::Forbidden => {
                Err(Refusal::new(Code::Forbidden, format!("this client may not do {} here", ask.action)))
            }
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Of the request; in every entry.
    pub request_id: &'a str,
    /// What is to be done.
    pub action: Action,
    /// To whose belongings.
    pub org: Option<&'a OrgId>,
    /// Of which issuer, where policy looks at it.
    pub provider: Option<&'a ProviderId>,
    /// Which thing, in words for the audit log.
    pub target: Option<&'a str>,
}

/// The right to do one thing once. Settle it, or it records itself as abandoned.
#[must_use = "a permit is settled with what became of it"]
pub struct Permit<'a> {
    vault: &'a Vault,
    caller: &'a Caller,
    ask: Ask<'a>,
    settled: bool,
}

impl Permit<'_> {
    /// Records what became of a read, and only then gives it out.
    ///
    /// # Errors
    /// The read's own refusal, or `audit_unavailable`.
    pub async fn settle<T>(
        mut self,
        result: Result<T, Refusal>,
        generation: impl Fn(&T) -> Option<u64>,
    ) -> Result<T, Refusal> {
        self.settled = true;
        let generation = result.as_ref().ok().and_then(generation);
        let entry = self.vault.entry(self.caller, &self.ask, outcome(&result), generation, None);
        if self.vault.audit.sync_always() {
            self.vault.audit.append_durable(&entry).await.map_err(refuse_unaudited)?;
        } else {
            self.vault.audit.append(&entry).map_err(refuse_unaudited)?;
        }
        result
    }

    /// As [`Permit::settle`], for one item of a batch that waits for the disk as a whole.
    pub(super) fn settle_in_batch<T>(
        mut self,
        result: Result<T, Refusal>,
        generation: impl Fn(&T) -> Option<u64>,
    ) -> Result<Result<T, Refusal>, Refusal> {
        self.settled = true;
        let generation = result.as_ref().ok().and_then(generation);
        let entry = self.vault.entry(self.caller, &self.ask, outcome(&result), generation, None);
        self.vault.audit.append(&entry).map_err(refuse_unaudited)?;
        Ok(result)
    }

    /// Records what became of a change, waits until the entry is durable, and only then gives it out.
    ///
    /// # Errors
    /// The change's own refusal, or `audit_unavailable`.
    pub async fn settle_change<T>(
        mut self,
        result: Result<(T, Mark), Refusal>,
        generation: impl Fn(&T) -> Option<u64>,
    ) -> Result<T, Refusal> {
        self.settled = true;
        let (at, generation) = match &result {
            Ok((done, mark)) => (Some(*mark), generation(done)),
            Err(_) => (None, None),
        };
        let entry = self.vault.entry(self.caller, &self.ask, outcome(&result), generation, at);
        self.vault.audit.append_durable(&entry).await.map_err(refuse_unaudited)?;
        result.map(|(done, _)| done)
    }

    /// What was asked.
    #[must_use]
    pub fn ask(&self) -> &Ask<'_> {
        &self.ask
    }

    /// Who asked.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        self.caller
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.settled {
            let entry = self.vault.entry(self.caller, &self.ask, "abandoned", None, None);
            if let Err(why) = self.vault.audit.append(&entry) {
                tracing::error!(%why, "an abandoned operation could not be recorded");
            }
        }
    }
}

fn outcome<T>(result: &Result<T, Refusal>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(refusal) => refusal.code.as_str(),
    }
}

fn refuse_unaudited(why: AuditError) -> Refusal {
    tracing::error!(%why, "the audit log cannot be written: nothing is released");
    Refusal::audit_unavailable()
}

impl Vault {
    /// Who a process at the application socket is.
    #[must_use]
    pub fn identify(&self, peer: Peer) -> Caller {
        match self.policy.identify(&peer) {
            Some(client) => Caller {
                principal: Principal { name: client.name.clone(), proof: Proof::Unix(peer) },
                allowance: self.allowances.client(client),
                rule: Rule::Client(client.clone()),
            },
            None => Caller {
                allowance: self.allowances.stranger(peer.uid),
                principal: Principal { name: "unknown".to_owned(), proof: Proof::Unix(peer) },
                rule: Rule::Stranger,
            },
        }
    }

    /// A process at the admin socket: the daemon's own user or root, whom the socket's mode let in.
    #[must_use]
    pub fn identify_admin(&self, peer: Peer) -> Caller {
        let admitted = peer.uid == 0 || peer.uid == self.own_uid;
        let (rule, allowance) = if admitted {
            (Rule::Admin, Allowance::new(Rate::HIGHEST))
        } else {
            (Rule::Stranger, self.allowances.stranger(peer.uid))
        };
        Caller {
            principal: Principal { name: "admin".to_owned(), proof: Proof::Admin(peer) },
            rule,
            allowance,
        }
    }

    /// A task of the daemon itself. It has a name in the audit log like everybody else.
    #[must_use]
    pub fn task(&self, name: &str) -> Caller {
        Caller {
            principal: Principal { name: format!("task:{name}"), proof: Proof::Internal },
            rule: Rule::Admin,
            allowance: Allowance::new(Rate::HIGHEST),
        }
    }

    /// Lets an operation in, or records that it was refused.
    ///
    /// # Errors
    /// The refusal; `audit_unavailable` where even that could not be recorded.
    pub fn admit<'a>(&'a self, caller: &'a Caller, ask: Ask<'a>) -> Result<Permit<'a>, Refusal> {
        self.take_allowance(caller, &ask)?;
        self.admit_in_batch(caller, ask)
    }

    /// As [`Vault::admit`], for one item of a batch whose allowance was taken as a whole.
    pub(super) fn admit_in_batch<'a>(
        &'a self,
        caller: &'a Caller,
        ask: Ask<'a>,
    ) -> Result<Permit<'a>, Refusal> {
        if let Err(refusal) = caller.verdict(&ask) {
            self.record_denial(caller, &ask, &refusal)?;
            return Err(refusal);
        }
        Ok(Permit { vault: self, caller, ask, settled: false })
    }

    /// Lets a change in: as [`Vault::admit`], and there must be room to record it durably.
    ///
    /// # Errors
    /// As [`Vault::admit`]; `storage_full` while the audit log lives on its reserve.
    pub fn admit_change<'a>(&'a self, caller: &'a Caller, ask: Ask<'a>) -> Result<Permit<'a>, Refusal> {
        let permit = self.admit(caller, ask)?;
        let refusal = match self.audit.health().state {
            AuditState::Ok => return Ok(permit),
            AuditState::Low => Refusal::from(crate::store::CommitError::Full),
            AuditState::Failed(_) => Refusal::audit_unavailable(),
        };
        let mut permit = permit;
        permit.settled = true;
        self.record_denial(caller, &permit.ask, &refusal)?;
        Err(refusal)
    }

    /// Waits, where reads are synced before the answer, until all entries of a batch are durable.
    pub(super) async fn end_batch(&self) -> Result<(), Refusal> {
        if self.audit.sync_always() {
            self.audit.durable().await.map_err(refuse_unaudited)?;
        }
        Ok(())
    }

    /// Records a request that was refused before it could be understood as an operation of the vault.
    ///
    /// # Errors
    /// `rate_limited`, or `audit_unavailable`.
    pub fn record_refused(&self, caller: &Caller, ask: Ask<'_>, refusal: &Refusal) -> Result<(), Refusal> {
        self.take_allowance(caller, &ask)?;
        if let Rule::Stranger = caller.rule {
            let unknown = caller.verdict(&ask).err().unwrap_or_else(|| refusal.clone());
            self.record_denial(caller, &ask, &unknown)?;
            return Err(unknown);
        }
        self.record_denial(caller, &ask, refusal)
    }

    /// Turns away, before its body is read, a request that would not be admitted.
    ///
    /// # Errors
    /// As [`Vault::admit`].
    pub fn refuse_early(&self, caller: &Caller, ask: Ask<'_>) -> Result<(), Refusal> {
        let verdict = match ask.provider {
            Some(_) => caller.verdict(&ask),
            None => caller.verdict_in_org(&ask),
        };
        match verdict {
            Ok(()) => Ok(()),
            Err(refusal) => {
                self.take_allowance(caller, &ask)?;
                self.record_denial(caller, &ask, &refusal)?;
                Err(refusal)
            }
        }
    }

    pub(super) fn take_allowance(&self, caller: &Caller, ask: &Ask<'_>) -> Result<(), Refusal> {
        let now = self.started.elapsed();
        let taken = caller.allowance.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now);
        let Err(wait) = taken else { return Ok(()) };
        let refusal = Refusal {
            retry_after: Some(wait.as_secs() + 1),
            ..Refusal::new(Code::RateLimited, "this client asks faster than its configured rate")
        };
        let second = now.as_secs();
        if caller.allowance.recorded_in.swap(second, Ordering::Relaxed) != second {
            self.record_denial(caller, ask, &refusal)?;
        }
        Err(refusal)
    }

    pub(super) fn record_denial(
        &self,
        caller: &Caller,
        ask: &Ask<'_>,
        refusal: &Refusal,
    ) -> Result<(), Refusal> {
        let mut entry = self.entry(caller, ask, refusal.code.as_str(), None, None);
        entry.decision = Decision::Deny;
        self.audit.append(&entry).map_err(refuse_unaudited).map(|_| ())
    }

    pub(super) fn entry<'a>(
        &self,
        caller: &'a Caller,
        ask: &Ask<'a>,
        outcome: &'a str,
        generation: Option<u64>,
        journal: Option<Mark>,
    ) -> Entry<'a> {
        Entry {
            request_id: ask.request_id,
            principal: &caller.principal,
            action: ask.action,
            org: ask.org.map(OrgId::as_str),
            target: ask.target,
            decision: Decision::Allow,
            outcome,
            generation,
            journal,
        }
    }
}
