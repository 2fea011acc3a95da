//! The rules that are walked: the real ones, and each of them broken in one way.
//!
//! Never a rule of its own: what is broken differs from the real one by what its name says.

use std::time::Duration;

use tokenkeep_client::moment::Moment;

use crate::domain::refresh::{
    Custody, Ended, Fingerprint, Grounds, Holder, Intent, Landing, Move, Terms, landing, may_still_send,
};

/// The rules that are walked: the real ones, or one of them broken.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) next: fn(&Custody, &Terms, Moment, Option<Moment>, Holder) -> Move,
    pub(super) settle: fn(&Intent, Ended, Moment) -> Custody,
    pub(super) landing: fn(&Intent, Option<&Fingerprint>, &Custody) -> Landing,
    pub(super) may_still_send: fn(Duration) -> bool,
    pub(super) still_stands: fn(&Intent, &Custody) -> bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            next: Custody::next,
            settle: Intent::settle,
            landing,
            may_still_send,
            still_stands: Intent::still_stands,
        }
    }
}

impl Rules {
    /// Each of them broken in one way.
    pub(super) fn broken() -> Vec<(&'static str, Self)> {
        let real = Self::default();
        let rules = |change: fn(&mut Self)| {
            let mut rules = real;
            change(&mut rules);
            rules
        };
        vec![
            ("an intent that was left open is forgotten", rules(|r| r.next = forgets_intents)),
            ("an intent is taken over while its holder may live", rules(|r| r.next = takes_over)),
            ("the access token is not waited for", rules(|r| r.next = does_not_wait)),
            ("a lost answer counts as none", rules(|r| r.settle = takes_lost_for_unprocessed)),
            ("a late answer is dropped", rules(|r| r.landing = drops_late_answers)),
            ("a late answer overwrites what is stored", rules(|r| r.landing = |_, _, _| Landing::Whole)),
            ("an intent is not looked at again before it is sent", rules(|r| r.still_stands = |_, _| true)),
            ("a request is sent however late", rules(|r| r.may_still_send = |_| true)),
        ]
    }
}

fn forgets_intents(
    custody: &Custody,
    terms: &Terms,
    now: Moment,
    ends: Option<Moment>,
    holder: Holder,
) -> Move {
    match custody {
        Custody::Refreshing { .. } if holder == Holder::Gone => Move::Send(Grounds::First),
        other => other.next(terms, now, ends, holder),
    }
}

fn takes_over(custody: &Custody, terms: &Terms, now: Moment, ends: Option<Moment>, _: Holder) -> Move {
    custody.next(terms, now, ends, Holder::Gone)
}

fn does_not_wait(custody: &Custody, terms: &Terms, now: Moment, _: Option<Moment>, holder: Holder) -> Move {
    custody.next(terms, now, Some(now), holder)
}

fn takes_lost_for_unprocessed(intent: &Intent, ended: Ended, now: Moment) -> Custody {
    intent.settle(if ended == Ended::Lost { Ended::NotProcessed } else { ended }, now)
}

fn drops_late_answers(intent: &Intent, stored: Option<&Fingerprint>, custody: &Custody) -> Landing {
    match landing(intent, stored, custody) {
        Landing::IfAnswered if custody.intent().is_some() => Landing::Beside,
        other => other,
    }
}
