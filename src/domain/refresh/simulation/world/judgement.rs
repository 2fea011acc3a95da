//! What must hold in every schedule, whatever happened in it.
//!
//! Never asks the rules that are walked: they are what is judged.

use super::{Flight, Who, World};
use crate::domain::refresh::{Custody, Grounds};

impl World {
    pub(super) fn judge_sending(&self, who: Who, flight: &Flight) -> Result<(), String> {
        let token = flight.token;
        if self.known_spent.contains(&token) {
            return Err(format!("token {token} is known to be spent, and is sent"));
        }
        let other = &self.machines[1 - who.0];
        let waits = |flight: &Flight| flight.is_waiting && flight.token == token;
        if self.terms.rotates && other.is_up && other.flight.as_ref().is_some_and(waits) {
            return Err(format!("token {token} is sent while somebody waits for its answer"));
        }
        let is_strict = self.terms.rotates && self.terms.reuse_revokes_family;
        let Some(first) = self.unanswered.get(&token).filter(|_| is_strict) else { return Ok(()) };
        // Clocks that jump may misjudge a leeway by as much as they jump, and by no more.
        let inside = self.now - first
            < self.terms.leeway.as_millis() as u64 + 1_200_000 * u64::from(!self.terms.leeway.is_zero());
        // By the clock that it was decided by.
        let ended = flight.intent.begun_at >= self.store.ends;
        if !inside && !ended {
            return Err(format!("token {token} may be spent, and is sent while the access token lives"));
        }
        if matches!(flight.intent.grounds, Grounds::Probe { .. }) && self.probed.contains(&token) {
            return Err(format!("token {token} is probed twice"));
        }
        Ok(())
    }

    pub(super) fn judge_end(&mut self) -> Result<(), String> {
        let works = self.provider.live.contains_key(&self.store.token);
        if works {
            return match self.store.custody {
                Custody::NeedsReauth { .. } => Err("a connection that works is called dead".into()),
                _ => Ok(()),
            };
        }
        self.told.dead += 1;
        // How long ago something was, only a clock says that may be wrong; and who stands still with an answer in its
        // hand for longer than its intent stands is taken for dead.
        if self.told.lost == 0 && self.told.jumps == 0 && self.told.late == 0 {
            return Err("a connection is dead, and there is no excuse".into());
        }
        Ok(())
    }
}
