//! Who asks, what it may, and how fast: made once a connection.
//!
//! All connections of a principal share one allowance, so that opening more of them buys nothing.
//!
//! Never says yes to a caller that no client is configured for.

mod held;

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
use super::rules::Rules;
use crate::audit::entry::Who;
use crate::domain::action::Action;
use crate::domain::policy::{Ambiguous, Client, Policy, Verdict, judge, judge_admin, judge_in_org};
use crate::domain::principal::{Principal, Proof, Remote};
use crate::domain::rate::{Bucket, Rate};
use crate::domain::san::San;
use crate::os::peer::Peer;

/// Callers that no client is configured for: enough to hear why, too few to flood the audit log.
const STRANGER_RATE: Rate = Rate::of(5, 20);
/// Entries about callers that did not get in, over all of them: at some 350 bytes, 1 MB a minute at the most.
const TURNED_AWAY_RATE: Rate = Rate::of(50, 200);

pub(super) use held::Held;

/// Who asks, what it may, and how fast: made once a connection.
#[derive(Debug)]
pub struct Caller {
    principal: Principal,
    /// The same, for the audit log.
    who: Who,
    rule: Rule,
    allowance: Arc<Allowance>,
    held: Held,
    /// Of the rules under which it was identified.
    edition: u64,
    /// What a verified certificate said, to be judged by other rules too.
    certified: Option<Certified>,
}

/// Who a certificate says it is, and where it comes from.
#[derive(Debug, Clone)]
struct Certified {
    from: SocketAddr,
    names: Vec<San>,
    serial: String,
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

    fn rate(&self) -> Rate {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).rate()
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
    strangers: Arc<Cache<Origin, Arc<Allowance>>>,
    /// For entries about those who did not get in, from wherever they come.
    turned_away: Arc<Allowance>,
}

impl Allowances {
    /// Those of a policy. What was used up of an allowance of `before` stays so where its rate is the same: a
    /// reload gives nobody a new burst.
    pub(super) fn new(policy: &Policy, before: Option<&Self>) -> Self {
        let clients = policy.clients().iter().map(|client| {
            let rate = client.rate.unwrap_or(Rate::HIGHEST);
            let kept = before.and_then(|before| before.clients.get(&client.name));
            let kept = kept.filter(|allowance| allowance.rate() == rate).cloned();
            (client.name.clone(), kept.unwrap_or_else(|| Allowance::new(rate)))
        });
        let (strangers, turned_away) = match before {
            Some(before) => (Arc::clone(&before.strangers), Arc::clone(&before.turned_away)),
            None => (Arc::new(Cache::new(4096)), Allowance::new(TURNED_AWAY_RATE)),
        };
        Self { clients: clients.collect(), strangers, turned_away }
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
    fn new(principal: Principal, rule: Rule, allowance: Arc<Allowance>, edition: u64) -> Self {
        let who = Who::of(&principal);
        Self { principal, who, rule, allowance, held: Held::Nothing, edition, certified: None }
    }

    /// As entries of the audit log name it.
    pub(super) fn who(&self) -> &Who {
        &self.who
    }

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
        let rules = self.rules.now();
        let (name, rule, allowance) = match rules.policy.identify(&peer) {
            Some(client) => known(&rules, client),
            None => unknown(&rules, Origin::User(peer.uid), Stranger::Process),
        };
        Caller::new(Principal { name, proof: Proof::Unix(peer) }, rule, allowance, rules.edition)
    }

    /// Who a caller with a verified certificate is. One whose certificate names several clients is none of them.
    #[must_use]
    pub fn identify_remote(&self, from: SocketAddr, names: &[San], serial: String) -> Caller {
        let rules = self.rules.now();
        let (client, why) = match rules.policy.identify_certificate(names) {
            Ok(client) => (client, Stranger::Certificate),
            Err(Ambiguous) => (None, Stranger::Ambiguous),
        };
        let san = client.map(|(_, san)| san).or(names.first()).cloned();
        let proof = Proof::Mtls(Remote { address: from.to_string(), san, serial: Some(serial.clone()) });
        let (name, rule, allowance) = match client {
            Some((client, _)) => known(&rules, client),
            None => unknown(&rules, Origin::Network(Origin::network(from.ip())), why),
        };
        Caller {
            certified: Some(Certified { from, names: names.to_vec(), serial }),
            ..Caller::new(Principal { name, proof }, rule, allowance, rules.edition)
        }
    }

    /// The caller under the rules of now; none where they are still those under which it was identified.
    #[must_use]
    pub fn identified_anew(&self, caller: &Caller) -> Option<Caller> {
        if caller.edition == self.rules.edition() {
            return None;
        }
        match (&caller.principal.proof, &caller.certified) {
            (Proof::Unix(peer), _) => Some(self.identify(peer.clone())),
            (Proof::Mtls(_), Some(Certified { from, names, serial })) => {
                Some(self.identify_remote(*from, names, serial.clone()))
            }
            // No configured client, or nobody: no edition says anything else of them.
            (Proof::Admin(_) | Proof::Internal | Proof::Mtls(_), _) => None,
        }
    }

    /// A caller that did not prove who it is: enough for an entry in the audit log, and for nothing else.
    #[must_use]
    pub fn unproved(&self, from: SocketAddr, name: Option<San>, serial: Option<String>) -> Caller {
        let rules = self.rules.now();
        let proof = Proof::Mtls(Remote { address: from.to_string(), san: name, serial });
        let origin = Origin::Network(Origin::network(from.ip()));
        let (name, rule, allowance) = unknown(&rules, origin, Stranger::Certificate);
        Caller::new(Principal { name, proof }, rule, allowance, rules.edition)
    }

    /// A process at the admin socket: the daemon's own user or root, whom the socket's mode let in.
    #[must_use]
    pub fn identify_admin(&self, peer: Peer) -> Caller {
        let rules = self.rules.now();
        let (rule, allowance) = if peer.uid == 0 || peer.uid == self.own_uid {
            (Rule::Admin, Allowance::new(Rate::HIGHEST))
        } else {
            let (_, rule, allowance) = unknown(&rules, Origin::User(peer.uid), Stranger::Process);
            (rule, allowance)
        };
        let principal = Principal { name: "admin".to_owned(), proof: Proof::Admin(peer) };
        Caller::new(principal, rule, allowance, rules.edition)
    }

    /// A task of the daemon itself. It has a name in the audit log like everybody else.
    #[must_use]
    pub fn task(&self, name: &str) -> Caller {
        let principal = Principal { name: format!("task:{name}"), proof: Proof::Internal };
        Caller::new(principal, Rule::Admin, Allowance::new(Rate::HIGHEST), self.rules.edition())
    }
}

fn known(rules: &Rules, client: &Client) -> (String, Rule, Arc<Allowance>) {
    (client.name.clone(), Rule::Client(Arc::new(client.clone())), rules.allowances.client(client))
}

fn unknown(rules: &Rules, origin: Origin, why: Stranger) -> (String, Rule, Arc<Allowance>) {
    ("unknown".to_owned(), Rule::Stranger(why), rules.allowances.stranger(origin))
}
