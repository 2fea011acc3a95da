//! Who asks, what it may, and how fast: made once a connection.
//!
//! All connections of a principal share one allowance, so that opening more of them buys nothing.
//!
//! Never says yes to a caller that no client is configured for.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
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
use crate::domain::policy::{
    Ambiguous, Client, Policy, Verdict, is_grantable, judge, judge_admin, judge_in_org,
};
use crate::domain::principal::{Principal, Proof, Remote};
use crate::domain::rate::{Bucket, Rate};
use crate::domain::san::San;
use crate::os::peer::Peer;

/// Callers that no client is configured for: enough to hear why, too few to flood the audit log.
const STRANGER_RATE: Rate = Rate::of(5, 20);
/// Entries about callers that did not get in, over all of them: at some 350 bytes, 1 MB a minute at the most.
const TURNED_AWAY_RATE: Rate = Rate::of(50, 200);

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
    Stranger(Stranger),
}

/// Why nobody is configured for a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stranger {
    /// Its certificate has the names of several clients.
    Ambiguous,
    /// No client has a name of its certificate.
    Certificate,
    /// No client has its user and unit.
    Process,
}

impl Stranger {
    fn words(self) -> &'static str {
        match self {
            Self::Ambiguous => {
                "the certificate has the names of several configured clients; issue one with a single name"
            }
            Self::Certificate => {
                "no configured client has a name of this certificate; add a [[client]] with mtls = { san = … }"
            }
            Self::Process => "no configured client matches this process; add a [[client]] for its user",
        }
    }
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

    fn take(&self, now: Duration) -> Result<(), Excess> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now).map_err(|wait| {
            let second = now.as_secs();
            Excess { wait, first_in_second: self.recorded_in.swap(second, Ordering::Relaxed) != second }
        })
    }
}

/// Where a stranger comes from: those of one place share what a stranger is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A network: one IPv4 address, or the /64 of an IPv6 one (which is what one host is given).
    Network(IpAddr),
    /// A user of this host.
    User(u32),
}

impl Origin {
    /// The network of an address.
    #[must_use]
    pub fn network(address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
            address => address,
        }
    }
}

/// The allowances in use, so that all connections of a principal share one.
pub(super) struct Allowances {
    clients: HashMap<String, Arc<Allowance>>,
    /// By where they come from: bounded, for anybody may knock.
    strangers: Cache<Origin, Arc<Allowance>>,
    /// For entries about those who did not get in, from wherever they come.
    turned_away: Arc<Allowance>,
}

impl Allowances {
    pub(super) fn new(policy: &Policy) -> Self {
        let clients = policy
            .clients()
            .iter()
            .map(|client| (client.name.clone(), Allowance::new(client.rate.unwrap_or(Rate::HIGHEST))));
        Self {
            clients: clients.collect(),
            strangers: Cache::new(4096),
            turned_away: Allowance::new(TURNED_AWAY_RATE),
        }
    }

    fn client(&self, client: &Client) -> Arc<Allowance> {
        self.clients
            .get(&client.name)
            .cloned()
            .unwrap_or_else(|| Allowance::new(client.rate.unwrap_or(Rate::HIGHEST)))
    }

    fn stranger(&self, origin: Origin) -> Arc<Allowance> {
        let made =
            self.strangers.get_or_insert_with(&origin, || Ok::<_, Infallible>(Allowance::new(STRANGER_RATE)));
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

    /// Whether it came over TLS.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.principal.proof.remote().is_some()
    }

    /// Whether a client is configured for it.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !matches!(self.rule, Rule::Stranger(_))
    }

    /// Whether its certificate has the names of several clients.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self.rule, Rule::Stranger(Stranger::Ambiguous))
    }

    /// Whether a list may show it this provider's connections.
    pub(super) fn may_see(&self, org: &OrgId, provider: &ProviderId) -> bool {
        match &self.rule {
            Rule::Admin => true,
            Rule::Client(client) => {
                matches!(judge(client, Action::ConnectionList, Some(org), Some(provider)), Verdict::Allow)
            }
            Rule::Stranger(_) => false,
        }
    }

    /// Takes one request from its allowance, `now` being the time since the vault was opened.
    pub(super) fn take(&self, now: Duration) -> Result<(), Excess> {
        self.allowance.take(now)
    }

    /// The refusal of a caller that no client is configured for; it learns nothing else.
    pub(super) fn refused_as_stranger(&self) -> Option<Refusal> {
        match self.rule {
            Rule::Stranger(why) => Some(Refusal::new(Code::Unauthenticated, why.words())),
            Rule::Admin | Rule::Client(_) => None,
        }
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
            Rule::Admin | Rule::Client(_) | Rule::Stranger(_) => Verdict::Forbidden,
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
            Rule::Stranger(_) => Verdict::Forbidden,
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

impl Allowances {
    /// Takes one of the entries about those who did not get in.
    pub(super) fn take_turned_away(&self, now: Duration) -> Result<(), Excess> {
        self.turned_away.take(now)
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
                allowance: self.allowances.stranger(Origin::User(peer.uid)),
                principal: Principal { name: "unknown".to_owned(), proof: Proof::Unix(peer) },
                rule: Rule::Stranger(Stranger::Process),
                held: Held::Nothing,
            },
        }
    }

    /// Who a caller with a verified certificate is. One whose certificate names several clients is none of them.
    #[must_use]
    pub fn identify_remote(&self, from: SocketAddr, names: &[San], serial: String) -> Caller {
        let (client, why) = match self.policy.identify_certificate(names) {
            Ok(client) => (client, Stranger::Certificate),
            Err(Ambiguous) => (None, Stranger::Ambiguous),
        };
        let san = client.map(|(_, san)| san).or(names.first()).cloned();
        let proof = Proof::Mtls(Remote { address: from.to_string(), san, serial: Some(serial) });
        match client {
            Some((client, _)) => Caller {
                principal: Principal { name: client.name.clone(), proof },
                allowance: self.allowances.client(client),
                rule: Rule::Client(Arc::new(client.clone())),
                held: Held::Nothing,
            },
            None => Caller {
                principal: Principal { name: "unknown".to_owned(), proof },
                allowance: self.allowances.stranger(Origin::Network(Origin::network(from.ip()))),
                rule: Rule::Stranger(why),
                held: Held::Nothing,
            },
        }
    }

    /// A caller that did not prove who it is: enough for an entry in the audit log, and for nothing else.
    #[must_use]
    pub fn unproved(&self, from: SocketAddr, name: Option<San>, serial: Option<String>) -> Caller {
        let proof = Proof::Mtls(Remote { address: from.to_string(), san: name, serial });
        Caller {
            principal: Principal { name: "unknown".to_owned(), proof },
            allowance: self.allowances.stranger(Origin::Network(Origin::network(from.ip()))),
            rule: Rule::Stranger(Stranger::Certificate),
            held: Held::Nothing,
        }
    }

    /// A process at the admin socket: the daemon's own user or root, whom the socket's mode let in.
    #[must_use]
    pub fn identify_admin(&self, peer: Peer) -> Caller {
        let admitted = peer.uid == 0 || peer.uid == self.own_uid;
        let (rule, allowance) = if admitted {
            (Rule::Admin, Allowance::new(Rate::HIGHEST))
        } else {
            (Rule::Stranger(Stranger::Process), self.allowances.stranger(Origin::User(peer.uid)))
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
