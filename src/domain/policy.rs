//! Who may do what: the configured clients, and the one judgement over them.
//!
//! The hard problem: a rule that is forgotten for a new action must not let anybody in. The answer: every list
//! of actions here is a `match` over all of them, so that a new one does not compile until it is decided.
//!
//! Only judges. Never lets anybody in, never records, never looks anything up.

mod action_set;

use std::collections::BTreeSet;
use std::fmt;

use tokenkeep_client::ids::{OrgId, ProviderId};

use crate::domain::action::Action;
use crate::domain::rate::Rate;
use crate::domain::san::San;
use crate::os::peer::Peer;

pub use action_set::{ActionError, ActionSet};

/// What is said of a request.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allow,
    /// It may do this, but not for this org.
    CrossOrg,
    /// It may not do this.
    Forbidden,
}

/// Everything, or what is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Among<T> {
    /// Every one, those to come included.
    Every,
    /// These and no other.
    Only(BTreeSet<T>),
}

/// The orgs that a client may act for.
pub type OrgSet = Among<OrgId>;

/// The providers whose connections a client may touch.
pub type ProviderSet = Among<ProviderId>;

impl<T: Ord> Among<T> {
    /// Whether it is one of them.
    pub fn contains(&self, one: &T) -> bool {
        match self {
            Self::Every => true,
            Self::Only(listed) => listed.contains(one),
        }
    }
}

/// How a client is known on the Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixMatch {
    /// The effective user of the process.
    pub uid: u32,
    /// The systemd unit that the process must run in; any or none where left out.
    pub unit: Option<String>,
}

/// A configured client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its name in the audit log.
    pub name: String,
    /// How it is known on the Unix socket.
    pub unix: Option<UnixMatch>,
    /// The name in its certificate, on the mTLS listener.
    pub san: Option<San>,
    /// The orgs that it may act for.
    pub orgs: OrgSet,
    /// The providers whose connections it may touch.
    pub providers: ProviderSet,
    /// What it may do.
    pub allow: ActionSet,
    /// Whether it must show a pass for the org of the path, but to ask for one.
    pub require_pass: bool,
    /// How often it may ask; `None` is without limit.
    pub rate: Option<Rate>,
}

/// Why the clients are no policy. Names clients, nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyError {
    /// Nothing tells who is this client.
    NoProof(String),
    /// The name is taken by the daemon itself, or not one.
    ReservedName(String),
    /// Two clients have this name.
    SameName(String),
    /// These two have the same user and the same unit.
    SameProof(String, String),
    /// These two have the same name in their certificates.
    SameSan(String, String),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProof(name) => {
                write!(
                    f,
                    "nothing says who is the client {name}; give it unix = {{ user = … }} or mtls = {{ san = … }}"
                )
            }
            Self::ReservedName(_) => f.write_str(
                "the name of a client is 1 to 63 characters of a-z 0-9 - and starts with a letter or digit; \
                 admin and unknown are taken",
            ),
            Self::SameName(name) => write!(f, "two clients are named {name}; give each a name of its own"),
            Self::SameProof(one, other) => write!(
                f,
                "the clients {one} and {other} have the same user and unit, so nothing tells them apart; \
                 give each a user or a unit of its own"
            ),
            Self::SameSan(one, other) => write!(
                f,
                "the clients {one} and {other} have the same san, so nothing tells them apart; give each its own"
            ),
        }
    }
}

impl std::error::Error for PolicyError {}

/// A certificate carries the names of several clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ambiguous;

/// All clients, each told from the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    clients: Vec<Client>,
}

impl Policy {
    /// The policy of these clients.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn new(clients: Vec<Client>) -> Result<Self, PolicyError> {
        for (index, client) in clients.iter().enumerate() {
            if !is_client_name(&client.name) {
                return Err(PolicyError::ReservedName(client.name.clone()));
            }
            if client.unix.is_none() && client.san.is_none() {
                return Err(PolicyError::NoProof(client.name.clone()));
            }
            for other in &clients[..index] {
                if other.name == client.name {
                    return Err(PolicyError::SameName(client.name.clone()));
                }
                let names = || (other.name.clone(), client.name.clone());
                if client.unix.is_some() && other.unix == client.unix {
                    return Err(PolicyError::SameProof(names().0, names().1));
                }
                if client.san.is_some() && other.san == client.san {
                    return Err(PolicyError::SameSan(names().0, names().1));
                }
            }
        }
        Ok(Self { clients })
    }

    /// For development: this user may do everything in every org.
    #[must_use]
    pub fn development(uid: u32) -> Self {
        let dev = Client {
            name: "dev".into(),
            unix: Some(UnixMatch { uid, unit: None }),
            san: None,
            orgs: OrgSet::Every,
            providers: ProviderSet::Every,
            allow: ActionSet::every(),
            require_pass: false,
            rate: None,
        };
        Self { clients: vec![dev] }
    }

    /// The client that the peer is: one bound to its unit before one bound to no unit.
    #[must_use]
    pub fn identify(&self, peer: &Peer) -> Option<&Client> {
        let with = |unit: Option<&str>| {
            self.clients.iter().find(|client| {
                client
                    .unix
                    .as_ref()
                    .is_some_and(|proof| proof.uid == peer.uid && proof.unit.as_deref() == unit)
            })
        };
        peer.unit.as_deref().and_then(|unit| with(Some(unit))).or_else(|| with(None))
    }

    /// The client that a certificate with these names is, and by which name.
    ///
    /// # Errors
    /// They are the names of several clients: which one it is would be a guess.
    pub fn identify_certificate(&self, names: &[San]) -> Result<Option<(&Client, &San)>, Ambiguous> {
        let is_named = |client: &&Client| client.san.as_ref().is_some_and(|san| names.contains(san));
        let mut named = self.clients.iter().filter(is_named);
        match (named.next(), named.next()) {
            (Some(_), Some(_)) => Err(Ambiguous),
            (one, _) => Ok(one.and_then(|client| Some((client, client.san.as_ref()?)))),
        }
    }

    /// The clients, in the order of the file.
    #[must_use]
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }
}

/// Whether the client may do this, for this org, with connections of this provider. Both are `None` only where
/// the request concerns none; a client of some providers that lists connections without naming one gets the
/// verdict for the list, and the list must then be cut to `client.providers`.
pub fn judge(client: &Client, action: Action, org: Option<&OrgId>, provider: Option<&ProviderId>) -> Verdict {
    let is_provider_fine = match provider {
        Some(provider) => client.providers.contains(provider),
        None => client.providers == ProviderSet::Every || !is_of_one_connection(action),
    };
    match judge_in_org(client, action, org) {
        Verdict::Allow if !is_provider_fine && action != Action::StatusRead => Verdict::Forbidden,
        verdict => verdict,
    }
}

/// Whether the client may do this for this org with some provider: for a batch, whose items are then judged one
/// by one with [`judge`].
pub fn judge_in_org(client: &Client, action: Action, org: Option<&OrgId>) -> Verdict {
    if action == Action::StatusRead {
        return Verdict::Allow;
    }
    // What a pass hands on is judged action by action; to ask for one it takes the org alone.
    if action == Action::PassIssue {
        return match org {
            Some(org) if client.orgs.contains(org) => Verdict::Allow,
            Some(_) => Verdict::CrossOrg,
            None => Verdict::Forbidden,
        };
    }
    // Again here, so that no `ActionSet` can say otherwise.
    if !client.allow.contains(action) || !is_grantable(action) {
        return Verdict::Forbidden;
    }
    match org {
        Some(org) if client.orgs.contains(org) => Verdict::Allow,
        Some(_) => Verdict::CrossOrg,
        None => Verdict::Forbidden, // everything that can be granted is done in an org
    }
}

/// Whether an admin, on the admin socket, may do this. An admin runs the vault and never sees a value in it.
pub fn judge_admin(action: Action) -> Verdict {
    match action {
        Action::AlertDeliver
        | Action::AlertRead
        | Action::AlertTell
        | Action::AlertTest
        | Action::AuditRead
        | Action::BackupMake
        | Action::BackupRead
        | Action::ConnectionCompare
        | Action::ConnectionDelete
        | Action::ConnectionList
        | Action::ConnectionRead
        | Action::ConnectionRelease
        | Action::ConnectionWrite
        | Action::ConsentList
        | Action::ConsentRecord
        | Action::ConsentWithdraw
        | Action::KeyRead
        | Action::KeyReload
        | Action::KeyRetire
        | Action::KeyRotate
        | Action::MetricsRead
        | Action::OrgCreate
        | Action::OrgList
        | Action::OrgRead
        | Action::ProviderCheck
        | Action::ProviderList
        | Action::ProviderRead
        | Action::RevocationList
        | Action::SecretDelete
        | Action::SecretList
        | Action::SecretWrite
        | Action::StatusRead
        | Action::TokenRefresh
        | Action::TokenRevoke => Verdict::Allow,
        // An admin on its socket has no use for a pass, and no rows of its own.
        Action::Connect
        | Action::CryptDecrypt
        | Action::CryptEncrypt
        | Action::PassIssue
        | Action::RefreshTokenRead
        | Action::SecretRead
        | Action::TokenRead
        | Action::Unparsed
        | Action::VaultRun => Verdict::Forbidden,
    }
}

/// Whether a client can be granted the action at all.
#[must_use]
pub fn is_grantable(action: Action) -> bool {
    match action {
        Action::ConnectionDelete
        | Action::ConnectionList
        | Action::ConnectionRead
        | Action::ConnectionWrite
        | Action::CryptDecrypt
        | Action::CryptEncrypt
        | Action::OrgCreate
        | Action::OrgRead
        | Action::RefreshTokenRead
        | Action::SecretDelete
        | Action::SecretList
        | Action::SecretRead
        | Action::SecretWrite
        | Action::StatusRead
        | Action::TokenRead => true,
        Action::AlertDeliver
        | Action::AlertRead
        | Action::AlertTell
        | Action::AlertTest
        | Action::AuditRead
        | Action::BackupMake
        | Action::BackupRead
        | Action::Connect
        | Action::ConnectionCompare
        | Action::ConnectionRelease
        | Action::ConsentList
        | Action::ConsentRecord
        | Action::ConsentWithdraw
        | Action::KeyRead
        | Action::KeyReload
        | Action::KeyRetire
        | Action::KeyRotate
        | Action::MetricsRead
        | Action::OrgList
        // Not granted: whoever may do what it hands on may issue it.
        | Action::PassIssue
        // Not granted: whoever may read a token has it renewed where it must be.
        | Action::TokenRefresh
        // Not granted: whoever may delete a connection has it revoked.
        | Action::TokenRevoke
        | Action::ProviderCheck
        | Action::ProviderList
        | Action::ProviderRead
        | Action::RevocationList
        | Action::Unparsed
        | Action::VaultRun => false,
    }
}

/// Whether the action always concerns one connection, hence one provider.
fn is_of_one_connection(action: Action) -> bool {
    match action {
        Action::ConnectionCompare
        | Action::ConnectionDelete
        | Action::ConnectionRead
        | Action::ConnectionWrite
        | Action::ConsentRecord
        | Action::ConsentWithdraw
        | Action::RefreshTokenRead
        | Action::TokenRead
        | Action::TokenRefresh
        | Action::TokenRevoke => true,
        Action::AlertDeliver
        | Action::AlertRead
        | Action::AlertTell
        | Action::AlertTest
        | Action::AuditRead
        | Action::BackupMake
        | Action::BackupRead
        | Action::Connect
        | Action::ConnectionList
        // One, or many.
        | Action::ConnectionRelease
        | Action::ConsentList
        | Action::CryptDecrypt
        | Action::CryptEncrypt
        | Action::KeyRead
        | Action::KeyReload
        | Action::KeyRetire
        | Action::KeyRotate
        | Action::MetricsRead
        | Action::OrgCreate
        | Action::OrgList
        | Action::OrgRead
        | Action::PassIssue
        | Action::ProviderCheck
        | Action::ProviderList
        | Action::ProviderRead
        | Action::RevocationList
        | Action::SecretDelete
        | Action::SecretList
        | Action::SecretRead
        | Action::SecretWrite
        | Action::StatusRead
        | Action::Unparsed
        | Action::VaultRun => false,
    }
}

/// The form of a provider's name, without the names that the daemon gives out itself.
fn is_client_name(name: &str) -> bool {
    ProviderId::parse(name).is_ok() && !matches!(name, "admin" | "unknown")
}

#[cfg(test)]
mod tests;
