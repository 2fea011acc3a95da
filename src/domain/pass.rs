//! Passes: a right that is short-lived, bound to one org and one principal, and good for a few actions.
//!
//! The hard problem: a slip in an application's code that puts org B into a path while it works for org A looks
//! like any other request for B. The answer: the application asks for a pass where it learns for whom it works, and
//! shows it from there on; what the pass does not say is refused, whatever the path says.
//!
//! A pass only ever takes away: it lets nobody do what policy does not. Never reads the clock.

use serde::{Deserialize, Serialize};
use tokenkeep_client::ids::OrgId;
use tokenkeep_client::moment::Moment;
use tokenkeep_client::problem::Code;

use super::action::Action;
use super::policy::ActionSet;

/// Longest life of a pass in seconds: a pass cannot be called back, so an hour is much.
pub const LONGEST: u64 = 3600;
/// The life of a pass whose asker does not say: one request of a tenant, and what it waits for.
pub const USUAL: u64 = 300;

/// A pass, open and proved to be ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// The request that it was issued for, so that the audit log leads from each use to its origin.
    pub id: String,
    /// The only org that it is good for.
    pub org: OrgId,
    /// The only principal that may show it: the configured client, whichever way it comes in.
    pub principal: String,
    /// What it hands on.
    pub actions: ActionSet,
    /// From then on it is good for nothing.
    pub expires_at: Moment,
}

/// The form inside the seal. Actions are words: a number would mean another action to another version.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    org: OrgId,
    principal: String,
    actions: Vec<String>,
    expires_at: u64,
}

impl Pass {
    /// What is sealed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let written = Written {
            id: self.id.clone(),
            org: self.org.clone(),
            principal: self.principal.clone(),
            actions: self.actions.iter().map(|action| action.as_str().to_owned()).collect(),
            expires_at: self.expires_at.unix(),
        };
        serde_json::to_vec(&written).unwrap_or_default()
    }

    /// Reads what [`Pass::encode`] wrote; none for another version's that this one does not understand whole.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let Written { id, org, principal, actions, expires_at } = serde_json::from_slice(bytes).ok()?;
        let actions = ActionSet::named(&actions)?;
        Some(Self { id, org, principal, actions, expires_at: Moment::from_unix(expires_at)? })
    }

    /// Whether this principal may show it at this moment, wherever that may be.
    ///
    /// # Errors
    /// `OtherPrincipal`, `Expired`.
    pub fn judge_shown(&self, by: &str, now: Moment) -> Result<(), PassFault> {
        if self.principal != by {
            Err(PassFault::OtherPrincipal)
        } else if now >= self.expires_at {
            Err(PassFault::Expired)
        } else {
            Ok(())
        }
    }

    /// Whether it is good for this action on this org.
    ///
    /// # Errors
    /// `OtherOrg`, `LacksAction`.
    pub fn judge_use(&self, action: Action, org: Option<&OrgId>) -> Result<(), PassFault> {
        match org {
            Some(org) if *org != self.org => Err(PassFault::OtherOrg),
            _ if self.actions.contains(action) || needs_no_pass(action) => Ok(()),
            _ => Err(PassFault::LacksAction),
        }
    }
}

/// What is asked for: the actions that a new pass hands on, and its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassAsked {
    /// At least one.
    pub actions: ActionSet,
    /// Seconds.
    pub ttl: u64,
}

impl PassAsked {
    /// Judges what was asked. Each action is named: a wildcard would hand on what its asker never thought of.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn judge(actions: &[String], ttl: Option<u64>) -> Result<Self, &'static str> {
        let actions = ActionSet::named(actions).filter(|actions| *actions != ActionSet::default());
        let actions = actions.ok_or("actions are one or more words of the policy, without wildcards")?;
        match ttl.unwrap_or(USUAL) {
            ttl @ 1..=LONGEST => Ok(Self { actions, ttl }),
            _ => Err("ttl is 1 to 3600 seconds"),
        }
    }
}

/// Whether a client that must show a pass may do this without one: what begins a pass, and what concerns no org.
#[must_use]
pub fn needs_no_pass(action: Action) -> bool {
    matches!(action, Action::PassIssue | Action::StatusRead | Action::Unparsed)
}

/// What is wrong with a pass, or with there being none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassFault {
    /// Its time is over.
    Expired,
    /// It does not open: cut, widened, made up, or another vault's.
    Invalid,
    /// It does not hand on this action.
    LacksAction,
    /// The header is not one `Bearer` with one pass.
    Malformed,
    /// It is good for another org.
    OtherOrg,
    /// It was issued to another principal.
    OtherPrincipal,
    /// Policy demands one, and none was shown.
    Required,
}

impl PassFault {
    /// Every fault there is.
    pub const ALL: [Self; 7] = [
        Self::Expired,
        Self::Invalid,
        Self::LacksAction,
        Self::Malformed,
        Self::OtherOrg,
        Self::OtherPrincipal,
        Self::Required,
    ];

    /// The public code. What proves nothing is 401; a genuine pass in the wrong place is 403.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Self::Expired | Self::Invalid | Self::Malformed | Self::Required => Code::Unauthenticated,
            Self::LacksAction | Self::OtherPrincipal => Code::Forbidden,
            Self::OtherOrg => Code::CrossOrg,
        }
    }

    /// The reason beside the code, in the answer and in the audit log.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Expired => "pass_expired",
            Self::Invalid => "pass_invalid",
            Self::LacksAction => "pass_lacks_action",
            Self::Malformed => "pass_malformed",
            Self::OtherOrg => "pass_for_other_org",
            Self::OtherPrincipal => "pass_of_other_principal",
            Self::Required => "pass_required",
        }
    }

    /// The fault with this reason.
    #[must_use]
    pub fn of_reason(reason: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.reason() == reason)
    }

    /// The `WWW-Authenticate` that goes with a 401 (RFC 9110, section 15.5.2; RFC 6750, section 3).
    #[must_use]
    pub fn challenge(self) -> Option<&'static str> {
        match self {
            Self::Expired | Self::Invalid => Some("Bearer error=\"invalid_token\""),
            Self::Malformed | Self::Required => Some("Bearer"),
            Self::LacksAction | Self::OtherOrg | Self::OtherPrincipal => None,
        }
    }

    /// What happened and what to do.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::Expired => "the pass has expired; ask for a new one with POST .../passes",
            Self::Invalid => "the pass does not open: it was cut or changed, or another vault issued it",
            Self::LacksAction => "the pass does not hand on what this request does; ask for one that does",
            Self::Malformed => "Authorization is one field, `Bearer` and one pass",
            Self::OtherOrg => "the pass is good for another org than the one in the path",
            Self::OtherPrincipal => "the pass was issued to another client",
            Self::Required => "this client must show a pass for this org; ask for one with POST .../passes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass() -> Pass {
        Pass {
            id: "0123456789abcdef".into(),
            org: OrgId::parse("acme").unwrap(),
            principal: "web".into(),
            actions: ActionSet::named(&["token:read".to_owned(), "secret:read".to_owned()]).unwrap(),
            expires_at: Moment::from_unix(1000).unwrap(),
        }
    }

    #[test]
    fn a_pass_reads_back_and_one_of_a_newer_version_is_none() {
        assert_eq!(Pass::decode(&pass().encode()), Some(pass()));
        let text = String::from_utf8(pass().encode()).unwrap();
        assert_eq!(Pass::decode(text.replace("secret:read", "secret:dream").as_bytes()), None);
        assert_eq!(Pass::decode(text.replace("\"id\"", "\"only\":1,\"id\"").as_bytes()), None);
    }

    #[test]
    fn a_pass_ends_at_its_moment_and_is_its_principals_alone() {
        let at = |seconds| Moment::from_unix(seconds).unwrap();
        assert_eq!(pass().judge_shown("web", at(999)), Ok(()));
        assert_eq!(pass().judge_shown("web", at(1000)), Err(PassFault::Expired));
        assert_eq!(pass().judge_shown("webb", at(999)), Err(PassFault::OtherPrincipal));
    }

    #[test]
    fn a_pass_is_good_for_its_org_and_its_actions() {
        let (acme, beta) = (OrgId::parse("acme").unwrap(), OrgId::parse("beta").unwrap());
        let use_of = |action, org| pass().judge_use(action, Some(org));
        assert_eq!(use_of(Action::TokenRead, &acme), Ok(()));
        assert_eq!(use_of(Action::TokenRead, &beta), Err(PassFault::OtherOrg));
        assert_eq!(use_of(Action::PassIssue, &beta), Err(PassFault::OtherOrg));
        assert_eq!(use_of(Action::SecretWrite, &acme), Err(PassFault::LacksAction));
        assert_eq!(pass().judge_use(Action::AuditRead, None), Err(PassFault::LacksAction));
        assert_eq!(pass().judge_use(Action::StatusRead, None), Ok(()));
    }

    #[test]
    fn what_is_asked_is_named_and_bounded() {
        let judge = |words: &[&str], ttl| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            PassAsked::judge(&words, ttl)
        };
        assert_eq!(judge(&["token:read"], None).unwrap().ttl, USUAL);
        assert!(judge(&["token:read"], Some(3600)).is_ok() && judge(&["token:read"], Some(1)).is_ok());
        for (words, ttl) in [
            (&[][..], None),
            (&["*"], None),
            (&["token:*"], None),
            (&["token:dream"], None),
            (&["token:read"], Some(0)),
            (&["token:read"], Some(3601)),
        ] {
            assert!(judge(words, ttl).is_err(), "{words:?} {ttl:?}");
        }
    }

    #[test]
    fn each_fault_has_a_reason_of_its_own() {
        for fault in PassFault::ALL {
            assert_eq!(PassFault::of_reason(fault.reason()), Some(fault));
            assert_eq!(fault.challenge().is_some(), fault.code() == Code::Unauthenticated);
        }
    }
}
