//! What lies between a machine and the provider, and what stops a machine: where answers are lost.
//!
//! Never loses one that it does not count.

use super::{Event, Reply, Token, Who, World};
use crate::domain::refresh::{Ended, Grounds};

impl World {
    pub(super) fn arrive(&mut self, who: Who, fence: u64, token: Token) {
        if self.goes_wrong(8) {
            return self.soon(Event::Reply(who, fence, (Ended::NotProcessed, None)));
        }
        if self.goes_wrong(20) {
            return self.soon(Event::Reply(who, fence, (Ended::Broken, None)));
        }
        let reply = match self.provider.refresh(token, &self.terms, self.now) {
            Ok(next) => (Ended::Answered, next),
            Err(()) => (Ended::Refused, None),
        };
        if reply.0 == Ended::Answered && self.goes_wrong(20) {
            // It broke after the rotation.
            self.told.lost += 1;
            return self.soon(Event::Reply(who, fence, (Ended::Broken, None)));
        }
        if reply.0 == Ended::Answered && (!self.is_alive(who) || self.goes_wrong(8)) {
            self.told.lost += 1;
            return;
        }
        self.soon(Event::Reply(who, fence, reply));
    }

    pub(super) fn end_waiting(&mut self, who: Who, fence: u64, reply: Reply) {
        let Some(flight) = self.machines[who.0].flight.as_mut() else { return self.lose(&reply) };
        if flight.intent.fence != fence || !flight.is_waiting {
            return self.lose(&reply);
        }
        flight.is_waiting = false;
        let (token, is_probe) = (flight.token, matches!(flight.intent.grounds, Grounds::Probe { .. }));
        match reply.0 {
            Ended::Lost if is_probe => {
                self.probed.insert(token);
            }
            Ended::NotProcessed if matches!(flight.intent.grounds, Grounds::First) => {
                self.unanswered.remove(&token);
            }
            _ => {}
        }
        self.soon(Event::Keep(who, reply));
    }

    pub(super) fn lose(&mut self, reply: &Reply) {
        self.told.lost += u64::from(reply.0 == Ended::Answered);
    }

    pub(super) fn crash(&mut self) {
        let machine = self.chance.below(2) as usize;
        if !self.machines[machine].is_up {
            return;
        }
        self.told.crashes += 1;
        let died = &mut self.machines[machine];
        (died.is_up, died.boot, died.seen) = (false, died.boot + 1, None);
        // What it held in its hand is gone, an answer that had arrived included.
        if let Some(flight) = died.flight.take() {
            self.told.lost += 1;
            if matches!(flight.intent.grounds, Grounds::Probe { .. }) {
                self.probed.insert(flight.token);
            }
        }
        self.after(100, 40_000, Event::Start(machine));
    }
}
