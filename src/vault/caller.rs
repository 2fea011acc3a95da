//! Who asks, what it may, and how fast: made once a connection.
//!
//! All connections of a principal share one allowance, so that opening more of them buys nothing.
//!
//! Never says yes to a caller that no client is configured for.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokenkeep_client::ids::{OrgId, ProviderId};
use tokenkeep_client::problem::Code;

use super::Vault;
use super::ask::Ask;
use super::refusal::Refusal;
use crate::domain::action::Action;
use crate::domain::pass::{Pass, PassFault, needs_no_pass};
use crate::domain::policy::{Client, Policy, Verdict, is_grantable, judge, judge_admin, judge_in_org};
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
    held: Held,
}

#[derive(Debug, Clone)]
enum Rule {
    Admin,
    Client(Arc<Client>),
    Stranger,
}

/// What a caller shows beside who it is. Only ever takes away.
#[derive(Debug)]
pub(super) enum Held {
    /// Nothing.
    Nothing,
    /// A pass that it may show.
    Pass(Box<Pass>),
    /// Something that is no pass of its own; with the id, where it is a pass at all.
    Refused(PassFault, Option<String>),
}

/// How much a principal may ask, over all its connections.
#[derive(Debug)]
struct Allowance {
    bucket: Mutex<Bucket>,
    /// Second in which a refusal was last recorded.
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

/// How far a caller went beyond its rate.
pub(super) struct Excess {
    /// Until it may ask again.
    pub(super) wait: Duration,
    /// Whether it is the first in this second: one entry a second says enough.
    pub(super) first_in_second: bool,
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

    /// Takes one request from its allowance, `now` being the time since the vault was opened.
    pub(super) fn take(&self, now: Duration) -> Result<(), Excess> {
        let bucket = &self.allowance.bucket;
        bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now).map_err(|wait| {
            let second = now.as_secs();
            Excess {
                wait,
                first_in_second: self.allowance.recorded_in.swap(second, Ordering::Relaxed) != second,
            }
        })
    }

    /// The refusal of a caller that no client is configured for; it learns nothing else.
    pub(super) fn refused_as_stranger(&self) -> Option<Refusal> {
        matches!(self.rule, Rule::Stranger).then(|| {
            Refusal::new(
                Code::Unauthenticated,
                "no configured client matches this process; add a [[client]] for its user",
            )
        })
    }

    /// This caller for one request, in which it shows this.
    pub(super) fn holding(&self, held: Held) -> Self {
        let (principal, rule) = (self.principal.clone(), self.rule.clone());
        Self { principal, rule, allowance: Arc::clone(&self.allowance), held }
    }

    /// The pass that it shows.
    pub(super) fn pass(&self) -> Option<&Pass> {
        match &self.held {
            Held::Pass(pass) => Some(pass),
            Held::Nothing | Held::Refused(..) => None,
        }
    }

    /// The id of the pass that it shows, though it may not be its own.
    pub(super) fn pass_id(&self) -> Option<&str> {
        match &self.held {
            Held::Nothing => None,
            Held::Pass(pass) => Some(&pass.id),
            Held::Refused(_, id) => id.as_deref(),
        }
    }

    /// The refusal of a caller whose pass is not good for this, or that must show one and does not.
    pub(super) fn refused_by_pass(&self, ask: &Ask<'_>) -> Option<Refusal> {
        let fault = match &self.held {
            Held::Refused(fault, _) => Some(*fault),
            Held::Pass(pass) => pass.judge_use(ask.action, ask.org).err(),
            Held::Nothing => {
                let required = matches!(&self.rule, Rule::Client(client) if client.require_pass)
                    && ask.org.is_some()
                    && !needs_no_pass(ask.action);
                required.then_some(PassFault::Required)
            }
        };
        fault.map(Refusal::from)
    }

    /// Whether it may hand this on in a pass for this org: only what it may do there itself.
    pub(super) fn may_hand_on(&self, action: Action, org: &OrgId) -> Result<(), Refusal> {
        if let Some(pass) = self.pass() {
            pass.judge_use(action, Some(org))?;
        }
        let verdict = match &self.rule {
            Rule::Client(client) if is_grantable(action) => judge_in_org(client, action, Some(org)),
            Rule::Admin | Rule::Client(_) | Rule::Stranger => Verdict::Forbidden,
        };
        refuse_unless_allowed(verdict, action)
    }

    pub(super) fn verdict(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        self.refused_by(ask, |client| judge(client, ask.action, ask.org, ask.provider))
    }

    /// As [`Caller::verdict`], for a batch of which no provider is known yet.
    pub(super) fn verdict_in_org(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        self.refused_by(ask, |client| judge_in_org(client, ask.action, ask.org))
    }

    fn refused_by(&self, ask: &Ask<'_>, judge: impl Fn(&Client) -> Verdict) -> Result<(), Refusal> {
        if let Some(refusal) = self.refused_as_stranger() {
            return Err(refusal);
        }
        if let Some(refusal) = self.refused_by_pass(ask) {
            return Err(refusal);
        }
        let verdict = match &self.rule {
            Rule::Admin => judge_admin(ask.action),
            Rule::Client(client) => judge(client),
            Rule::Stranger => Verdict::Forbidden,
        };
        refuse_unless_allowed(verdict, ask.action)
    }
}

fn refuse_unless_allowed(verdict: Verdict, action: Action) -> Result<(), Refusal> {
    match verdict {
        Verdict::Allow => Ok(()),
        Verdict::CrossOrg => Err(Refusal::new(Code::CrossOrg, "this client may not act for that org")),
        Verdict::Forbidden => {
            Err(Refusal::new(Code::Forbidden, format!("this client may not do {action} here")))
        }
    }
}

impl Vault {
    /// Who a process at the application socket is.
    #[must_use]
    pub fn identify(&self, peer: Peer) -> Caller {
        match self.policy.identify(&peer) {
            Some(client) => Caller {
                principal: Principal { name: client.name.clone(), proof: Proof::Unix(peer) },
                allowance: self.allowances.client(client),
                rule: Rule::Client(Arc::new(client.clone())),
                held: Held::Nothing,
            },
            None => Caller {
                allowance: self.allowances.stranger(peer.uid),
                principal: Principal { name: "unknown".to_owned(), proof: Proof::Unix(peer) },
                rule: Rule::Stranger,
                held: Held::Nothing,
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
            held: Held::Nothing,
        }
    }

    /// A task of the daemon itself. It has a name in the audit log like everybody else.
    #[must_use]
    pub fn task(&self, name: &str) -> Caller {
        Caller {
            principal: Principal { name: format!("task:{name}"), proof: Proof::Internal },
            rule: Rule::Admin,
            allowance: Allowance::new(Rate::HIGHEST),
            held: Held::Nothing,
        }
    }
}
