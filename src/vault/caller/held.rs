//! What a caller shows beside who it is: nothing, a pass of its own, or something that is none.
//!
//! Only ever takes away: a caller that shows something may do no more than one that shows nothing.

use std::sync::Arc;

use tokenkeep_client::ids::OrgId;

use super::{Caller, Rule, refuse_unless_allowed};
use crate::domain::action::Action;
use crate::domain::pass::{Pass, PassFault, needs_no_pass};
use crate::domain::policy::{Verdict, is_grantable, judge_in_org};
use crate::vault::ask::Ask;
use crate::vault::refusal::Refusal;

/// What a caller shows beside who it is. Only ever takes away.
#[derive(Debug)]
pub(in crate::vault) enum Held {
    /// Nothing.
    Nothing,
    /// A pass that it may show.
    Pass(Box<Pass>),
    /// Something that is no pass of its own; with the id, where it is a pass at all.
    Refused(PassFault, Option<String>),
}

impl Caller {
    /// This caller for one request, in which it shows this.
    pub(in crate::vault) fn holding(&self, held: Held) -> Self {
        let (principal, who, rule) = (self.principal.clone(), self.who.clone(), self.rule.clone());
        let allowance = Arc::clone(&self.allowance);
        // It lives no longer than the request: no reload comes in between.
        Self { principal, who, rule, allowance, edition: self.edition, certified: None, held }
    }

    /// The pass that it shows.
    pub(in crate::vault) fn pass(&self) -> Option<&Pass> {
        match &self.held {
            Held::Pass(pass) => Some(pass),
            Held::Nothing | Held::Refused(..) => None,
        }
    }

    /// The id of the pass that it shows, though it may not be its own.
    pub(in crate::vault) fn pass_id(&self) -> Option<&str> {
        match &self.held {
            Held::Nothing => None,
            Held::Pass(pass) => Some(&pass.id),
            Held::Refused(_, id) => id.as_deref(),
        }
    }

    /// The refusal of a caller whose pass is not good for this, or that must show one and does not.
    pub(in crate::vault) fn refused_by_pass(&self, ask: &Ask<'_>) -> Option<Refusal> {
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
    pub(in crate::vault) fn may_hand_on(&self, action: Action, org: &OrgId) -> Result<(), Refusal> {
        if let Some(pass) = self.pass() {
            pass.judge_use(action, Some(org))?;
        }
        let verdict = match &self.rule {
            Rule::Client(client) if is_grantable(action) => judge_in_org(client, action, Some(org)),
            Rule::Admin | Rule::Client(_) | Rule::Stranger(_) => Verdict::Forbidden,
        };
        refuse_unless_allowed(verdict, action)
    }
}
