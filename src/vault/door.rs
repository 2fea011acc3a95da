//! The one door: every operation is admitted here, and what became of it is recorded here.
//!
//! The hard problem: a check that can be forgotten will be. The answer: operations take a [`Permit`], only
//! this module makes one, and one that is dropped without being settled records itself as abandoned.
//!
//! Nothing is released before its entry is in the audit log.

use std::time::Duration;

use tokenkeep_client::ids::OrgId;
use tokenkeep_client::problem::Code;

use super::Vault;
use super::ask::Ask;
use super::caller::{Caller, Excess};
use super::refusal::Refusal;
use super::request_id::RequestId;
use crate::audit::entry::{Decision, Entry};
use crate::audit::{AuditError, State as AuditState};
use crate::chain::Mark;
use crate::domain::action::Action;
use crate::domain::pass::PassFault;

/// The right to do one thing once. Settle it, or it records itself as abandoned.
#[must_use = "a permit is settled with what became of it"]
pub struct Permit<'a> {
    vault: &'a Vault,
    caller: &'a Caller,
    ask: Ask<'a>,
    /// Since the vault was opened.
    admitted_at: Duration,
    settled: bool,
    /// What it rests on, in the words of the audit log.
    consent: Option<String>,
}

impl<'a> Permit<'a> {
    /// Names the consent that it rests on.
    pub(super) fn rests_on(&mut self, consent: Option<String>) {
        self.consent = consent.map(|name| format!("consent:{name}"));
    }

    /// Records what became of a read, and only then gives it out.
    ///
    /// # Errors
    /// The read's own refusal, or `audit_unavailable`.
    pub async fn settle<T>(
        mut self,
        result: Result<T, Refusal>,
        generation: impl Fn(&T) -> Option<u64>,
    ) -> Result<T, Refusal> {
        self.settled = true;
        self.note_span();
        let generation = result.as_ref().ok().and_then(generation);
        let mut entry = self.vault.entry(self.caller, &self.ask, Became::of(&result), generation, None);
        if result.is_ok() {
            entry.reason = self.consent.as_deref();
        }
        if self.vault.audit.sync_always() {
            self.vault.audit.append_durable(&entry).await.map_err(refuse_unaudited)?;
        } else {
            let gathered = self.vault.audit.gather(&entry).map_err(refuse_unaudited)?;
            gathered.written().await.map_err(refuse_unaudited)?;
        }
        result
    }

    /// Notes what became of a read, one of many that are recorded together with [`Vault::settle_all`]. Until then it
    /// counts as abandoned. It took from `begun_at` until `ended_at`.
    pub(super) fn took<T>(
        self,
        result: Result<T, Refusal>,
        begun_at: Duration,
        ended_at: Duration,
    ) -> Settling<'a, T> {
        self.vault.meters.took(self.ask.action, ended_at.saturating_sub(begun_at));
        Settling { permit: self, result }
    }

    /// As [`Permit::settle`], for one item of a batch that waits for the disk as a whole.
    pub(super) fn settle_in_batch<T>(
        mut self,
        result: Result<T, Refusal>,
        generation: impl Fn(&T) -> Option<u64>,
    ) -> Result<Result<T, Refusal>, Refusal> {
        self.settled = true;
        self.note_span();
        let generation = result.as_ref().ok().and_then(generation);
        let entry = self.vault.entry(self.caller, &self.ask, Became::of(&result), generation, None);
        self.vault.audit.append(&entry).map_err(refuse_unaudited)?;
        Ok(result)
    }

    /// Records what became of a change, waits until the entry is durable, and only then gives it out.
    ///
    /// # Errors
    /// The change's own refusal, or `audit_unavailable`.
    pub async fn settle_change<T>(
        mut self,
        result: Result<(T, Mark), Refusal>,
        generation: impl Fn(&T) -> Option<u64>,
    ) -> Result<T, Refusal> {
        self.settled = true;
        self.note_span();
        let (at, generation) = match &result {
            Ok((done, mark)) => (Some(*mark), generation(done)),
            Err(_) => (None, None),
        };
        let mut entry = self.vault.entry(self.caller, &self.ask, Became::of(&result), generation, at);
        if result.is_ok() {
            entry.reason = self.consent.as_deref();
        }
        self.vault.audit.append_durable(&entry).await.map_err(refuse_unaudited)?;
        result.map(|(done, _)| done)
    }

    /// As [`Permit::settle_change`], for one item of a batch that waits for the disk as a whole.
    pub(super) fn settle_change_in_batch<T>(
        mut self,
        (done, mark): (T, Mark),
        generation: Option<u64>,
    ) -> Result<T, Refusal> {
        self.settled = true;
        self.note_span();
        let entry = self.vault.entry(self.caller, &self.ask, Became::plain("ok"), generation, Some(mark));
        self.vault.audit.append(&entry).map_err(refuse_unaudited)?;
        Ok(done)
    }

    /// Records a step of the daemon's own work in these words, and waits until the entry is durable.
    ///
    /// # Errors
    /// `audit_unavailable`.
    pub(super) async fn settle_step(
        mut self,
        became: Became,
        generation: Option<u64>,
        at: Option<Mark>,
    ) -> Result<(), Refusal> {
        self.settled = true;
        self.note_span();
        let entry = self.vault.entry(self.caller, &self.ask, became, generation, at);
        self.vault.audit.append_durable(&entry).await.map_err(refuse_unaudited).map(|_| ())
    }

    fn note_span(&self) {
        let span = self.vault.uptime().saturating_sub(self.admitted_at);
        self.vault.meters.took(self.ask.action, span);
    }

    /// With the thing concerned, where that is known only now.
    pub(super) fn on(mut self, target: &'a str) -> Self {
        self.ask = self.ask.on(target);
        self
    }

    /// What was asked.
    #[must_use]
    pub fn ask(&self) -> &Ask<'_> {
        &self.ask
    }

    /// Who asked.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        self.caller
    }
}

/// A read whose outcome is known and not recorded yet.
#[must_use = "nothing is given out before it is recorded"]
pub(super) struct Settling<'a, T> {
    permit: Permit<'a>,
    result: Result<T, Refusal>,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.settled {
            let entry = self.vault.entry(self.caller, &self.ask, Became::plain("abandoned"), None, None);
            if let Err(why) = self.vault.audit.append(&entry) {
                tracing::error!(%why, "an abandoned operation could not be recorded");
            }
        }
    }
}

/// What became of an operation, in the words of the audit log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Became {
    outcome: &'static str,
    reason: Option<&'static str>,
}

impl Became {
    pub(super) fn plain(outcome: &'static str) -> Self {
        Self { outcome, reason: None }
    }

    pub(super) fn because(outcome: &'static str, reason: &'static str) -> Self {
        Self { outcome, reason: Some(reason) }
    }

    pub(super) fn refused(refusal: &Refusal) -> Self {
        Self { outcome: refusal.code.as_str(), reason: refusal.reason }
    }

    fn of<T>(result: &Result<T, Refusal>) -> Self {
        result.as_ref().err().map_or(Self::plain("ok"), Self::refused)
    }
}

fn refuse_unaudited(why: AuditError) -> Refusal {
    tracing::error!(%why, "the audit log cannot be written: nothing is released");
    Refusal::audit_unavailable()
}

impl Vault {
    /// Lets an operation in, or records that it was refused.
    ///
    /// # Errors
    /// The refusal; `audit_unavailable` where even that could not be recorded.
    pub fn admit<'a>(&'a self, caller: &'a Caller, ask: Ask<'a>) -> Result<Permit<'a>, Refusal> {
        let now = self.uptime();
        self.refuse_excess(caller.take(now), caller, &ask)?;
        self.admit_at(caller, ask, now)
    }

    /// As [`Vault::admit`], for one item of a batch whose allowance was taken as a whole.
    pub(super) fn admit_in_batch<'a>(
        &'a self,
        caller: &'a Caller,
        ask: Ask<'a>,
    ) -> Result<Permit<'a>, Refusal> {
        self.admit_at(caller, ask, self.uptime())
    }

    /// As [`Vault::admit_in_batch`], with the time since the vault was opened: one look at the clock serves several.
    pub(super) fn admit_at<'a>(
        &'a self,
        caller: &'a Caller,
        ask: Ask<'a>,
        now: Duration,
    ) -> Result<Permit<'a>, Refusal> {
        if let Err(refusal) = caller.verdict(&ask) {
            self.record_denial(caller, &ask, &refusal)?;
            return Err(refusal);
        }
        Ok(Permit { vault: self, caller, ask, admitted_at: now, settled: false, consent: None })
    }

    /// Records what became of many reads, in one write, and only then gives it out: all of it or nothing.
    ///
    /// # Errors
    /// `audit_unavailable`.
    pub(super) async fn settle_all<T>(
        &self,
        mut reads: Vec<Settling<'_, T>>,
        generation: impl Fn(&T) -> Option<u64>,
    ) -> Result<Vec<Result<T, Refusal>>, Refusal> {
        for read in &mut reads {
            read.permit.settled = true;
        }
        let entries = reads.iter().map(|Settling { permit, result }| {
            let generation = result.as_ref().ok().and_then(&generation);
            let mut entry = self.entry(permit.caller, &permit.ask, Became::of(result), generation, None);
            if result.is_ok() {
                entry.reason = permit.consent.as_deref();
            }
            entry
        });
        self.audit.append_all(entries).map_err(refuse_unaudited)?;
        self.end_batch().await?;
        Ok(reads.into_iter().map(|read| read.result).collect())
    }

    /// Since the vault was opened.
    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Lets a change in: as [`Vault::admit`], and there must be room to record it durably.
    ///
    /// # Errors
    /// As [`Vault::admit`]; `storage_full` while the audit log lives on its reserve.
    pub fn admit_change<'a>(&'a self, caller: &'a Caller, ask: Ask<'a>) -> Result<Permit<'a>, Refusal> {
        self.take_allowance(caller, &ask)?;
        self.admit_change_in_batch(caller, ask)
    }

    /// As [`Vault::admit_change`], for one item of a batch whose allowance was taken as a whole.
    pub(super) fn admit_change_in_batch<'a>(
        &'a self,
        caller: &'a Caller,
        ask: Ask<'a>,
    ) -> Result<Permit<'a>, Refusal> {
        let permit = self.admit_in_batch(caller, ask)?;
        let refusal = match self.audit.health().state {
            AuditState::Ok => return Ok(permit),
            AuditState::Low => Refusal::from(crate::store::CommitError::Full),
            AuditState::Failed(_) => Refusal::audit_unavailable(),
        };
        let mut permit = permit;
        permit.settled = true;
        self.record_denial(caller, &permit.ask, &refusal)?;
        Err(refusal)
    }

    /// Waits, where reads are synced before the answer, until all entries of a batch are durable.
    pub(super) async fn end_batch(&self) -> Result<(), Refusal> {
        if self.audit.sync_always() {
            self.audit.durable().await.map_err(refuse_unaudited)?;
        }
        Ok(())
    }

    /// Waits until all entries of a batch of changes are durable.
    pub(super) async fn end_batch_of_changes(&self) -> Result<(), Refusal> {
        self.audit.durable().await.map_err(refuse_unaudited).map(|_| ())
    }

    /// Records a request that was refused before it could be understood as an operation of the vault.
    ///
    /// # Errors
    /// `rate_limited`, or `audit_unavailable`.
    pub fn record_refused(&self, caller: &Caller, ask: Ask<'_>, refusal: &Refusal) -> Result<(), Refusal> {
        self.take_allowance(caller, &ask)?;
        // Who it is and what it shows comes before what it asks.
        if let Some(sooner) = caller.refused_as_stranger().or_else(|| caller.refused_by_pass(&ask)) {
            self.record_denial(caller, &ask, &sooner)?;
            return Err(sooner);
        }
        self.record_denial(caller, &ask, refusal)
    }

    /// Records that a caller was not let in at all, and why. Those who come too often are not recorded one by one:
    /// a flood must not fill the audit log.
    ///
    /// # Errors
    /// `rate_limited`, or `audit_unavailable`.
    pub fn record_turned_away(
        &self,
        caller: &Caller,
        request: &RequestId,
        reason: &'static str,
    ) -> Result<(), Refusal> {
        let ask = Ask::new(request, Action::Connect);
        self.take_allowance(caller, &ask)?;
        self.refuse_excess(self.rules.now().allowances.take_turned_away(self.uptime()), caller, &ask)?;
        let became = Became { outcome: Code::Unauthenticated.as_str(), reason: Some(reason) };
        let mut entry = self.entry(caller, &ask, became, None, None);
        entry.decision = Decision::Deny;
        self.audit.append(&entry).map_err(refuse_unaudited).map(|_| ())
    }

    /// Records a refusal and gives it back, or the one that came in between.
    pub(super) fn refuse(&self, caller: &Caller, ask: Ask<'_>, refusal: Refusal) -> Refusal {
        self.record_refused(caller, ask, &refusal).err().unwrap_or(refusal)
    }

    /// As [`Vault::refuse`], for what concerns nothing that there is.
    pub fn refuse_unfound(&self, caller: &Caller, ask: Ask<'_>, refusal: Refusal) -> Refusal {
        self.refuse(caller, ask, refusal)
    }

    /// Turns away, before its body is read, a request that would not be admitted.
    ///
    /// # Errors
    /// As [`Vault::admit`].
    pub fn refuse_early(&self, caller: &Caller, ask: Ask<'_>) -> Result<(), Refusal> {
        let verdict = match ask.provider {
            Some(_) => caller.verdict(&ask),
            None => caller.verdict_in_org(&ask),
        };
        match verdict {
            Ok(()) => Ok(()),
            Err(refusal) => {
                self.take_allowance(caller, &ask)?;
                self.record_denial(caller, &ask, &refusal)?;
                Err(refusal)
            }
        }
    }

    pub(super) fn take_allowance(&self, caller: &Caller, ask: &Ask<'_>) -> Result<(), Refusal> {
        self.refuse_excess(caller.take(self.uptime()), caller, ask)
    }

    /// One entry a second says that somebody goes beyond.
    fn refuse_excess(
        &self,
        taken: Result<(), Excess>,
        caller: &Caller,
        ask: &Ask<'_>,
    ) -> Result<(), Refusal> {
        let Err(excess) = taken else { return Ok(()) };
        let refusal = Refusal {
            retry_after: Some(excess.wait.as_secs() + 1),
            ..Refusal::new(Code::RateLimited, "this client asks faster than its configured rate")
        };
        if excess.first_in_second {
            self.record_denial(caller, ask, &refusal)?;
        } else {
            self.meters.count(ask.action, refusal.code.as_str());
        }
        Err(refusal)
    }

    pub(super) fn record_denial(
        &self,
        caller: &Caller,
        ask: &Ask<'_>,
        refusal: &Refusal,
    ) -> Result<(), Refusal> {
        if let Some(fault) = refusal.reason.and_then(PassFault::of_reason) {
            // The org stands in the audit log alone; the request id leads there.
            let (request, principal) = (ask.request.as_str(), &caller.principal().name);
            tracing::warn!(request, principal, fault = fault.reason(), "a request was refused for its pass");
        }
        let mut entry = self.entry(caller, ask, Became::refused(refusal), None, None);
        entry.decision = Decision::Deny;
        self.audit.append(&entry).map_err(refuse_unaudited).map(|_| ())
    }

    /// The entry of what became of something, which is hereby counted.
    pub(super) fn entry<'a>(
        &self,
        caller: &'a Caller,
        ask: &Ask<'a>,
        became: Became,
        generation: Option<u64>,
        journal: Option<Mark>,
    ) -> Entry<'a> {
        self.meters.count(ask.action, became.outcome);
        Entry {
            request_id: ask.request.as_str(),
            who: caller.who(),
            action: ask.action,
            org: ask.org.map(OrgId::as_str),
            target: ask.target,
            decision: Decision::Allow,
            outcome: became.outcome,
            reason: became.reason,
            pass: caller.pass_id(),
            generation,
            journal,
        }
    }
}
