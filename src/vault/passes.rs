//! Passes: issued under the vault's system key, and opened where they are shown.
//!
//! The hard problem: a pass must be checked without a table of passes, and must never be mistaken for anything else
//! that is sealed. The answer: it is a Fernet token like every sealed value, in a place of its own
//! ([`Table::Pass`]), so no stored value opens as a pass and no pass as a stored value. The system key and not the
//! org's: a genuine pass for another org must be told from a forged one, and an org that is not there yet can have one.
//!
//! Never kept: what is issued is known to the audit log by its id alone.

use std::sync::Arc;
use std::time::Duration;

use tokenkeep_client::ids::OrgId;
use tokenkeep_client::secret::Pass as Token;
use tokenkeep_client::wire::{PassOut, PassRequest};

use super::Vault;
use super::ask::Ask;
use super::caller::{Caller, Held};
use super::place::{Field, Table, vault_place};
use super::refusal::Refusal;
use super::request_id::RequestId;
use crate::crypto::seal::{open, seal};
use crate::domain::action::Action;
use crate::domain::pass::{Pass, PassAsked, PassFault};

/// No pass of ours is longer: the longest identifiers and every action come to three quarters of it.
pub const LONGEST_PASS: usize = 2048;

/// What a request shows in `Authorization`.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'a> {
    /// Not one `Bearer` with one token.
    Malformed,
    /// Perhaps a pass.
    Token(&'a [u8]),
}

impl Vault {
    /// The caller of one request, bound by what it shows. What is wrong with that is said, and recorded, at the door,
    /// where it is known what was asked.
    #[must_use]
    pub fn caller_showing(&self, caller: &Caller, shown: Shown<'_>) -> Arc<Caller> {
        let held = match shown {
            Shown::Malformed => Held::Refused(PassFault::Malformed, None),
            Shown::Token(token) => self.held(caller, token),
        };
        Arc::new(caller.holding(held))
    }

    fn held(&self, caller: &Caller, token: &[u8]) -> Held {
        let Some(pass) = self.open_pass(token) else { return Held::Refused(PassFault::Invalid, None) };
        match pass.judge_shown(&caller.principal().name, self.now()) {
            Ok(()) => Held::Pass(Box::new(pass)),
            Err(fault) => Held::Refused(fault, Some(pass.id)),
        }
    }

    fn open_pass(&self, token: &[u8]) -> Option<Pass> {
        if token.len() > LONGEST_PASS {
            return None;
        }
        let place = vault_place(self.vault_id, Table::Pass, Field::Pass);
        Pass::decode(open(&self.system_key, &place, token).ok()?.expose())
    }

    /// Issues a pass: for this org and this principal, with what the principal may hand on.
    ///
    /// # Errors
    /// The door's; `invalid_request`; `forbidden`, `cross_org` for an action that the caller may not do itself, or
    /// that the pass it shows does not hand on.
    pub async fn issue_pass(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        asked: &PassRequest,
    ) -> Result<PassOut, Refusal> {
        let words = |asked: &PassAsked| {
            let words: Vec<&str> = asked.actions.iter().map(Action::as_str).collect();
            words.join(" ")
        };
        let ask = Ask::new(&request, Action::PassIssue).of(org);
        let asked = PassAsked::judge(&asked.actions, asked.ttl).map_err(Refusal::invalid);
        let asked = match asked {
            Ok(asked) => asked,
            Err(refusal) => return Err(self.refuse(caller, ask, refusal)),
        };
        let target = words(&asked);
        let ask = ask.on(&target);
        for action in asked.actions.iter() {
            if let Err(refusal) = caller.may_hand_on(action, org) {
                return Err(self.refuse(caller, ask, refusal));
            }
        }
        let permit = self.admit(caller, ask)?;
        let pass = self.make_pass(caller, request, org, asked);
        permit.settle(Ok(pass), |_| None).await
    }

    fn make_pass(&self, caller: &Caller, request: RequestId, org: &OrgId, asked: PassAsked) -> PassOut {
        let end = self.now().after(Duration::from_secs(asked.ttl));
        let pass = Pass {
            id: request.to_string(),
            org: org.clone(),
            principal: caller.principal().name.clone(),
            actions: asked.actions,
            // A pass that is made from another one does not outlive it.
            expires_at: caller.pass().map_or(end, |shown| end.min(shown.expires_at)),
        };
        let place = vault_place(self.vault_id, Table::Pass, Field::Pass);
        let token = seal(&self.system_key, &place, 1, &pass.encode());
        PassOut { pass: Token::new(token), expires_at: pass.expires_at }
    }
}
