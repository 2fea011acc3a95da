//! One flight: look, judge, write the intent, ask, keep the answer, tell.
//!
//! The hard problem is in the order. The answer: nothing is sent before the intent is durable, nothing is told before
//! the answer is, and every way out of the middle leaves an intent that says so.

use std::time::{Duration, Instant};

use tokenkeep_client::problem::Code;

use super::asking::Reply;
use super::counting::BrakeNews;
use super::gate::{Passed, braked};
use super::{Connection, Engine, Outcome, Setback, alarm, asking, in_progress};
use crate::crypto::random;
use crate::domain::provider::{OAuthClient, Provider};
use crate::domain::refresh::answer::Meaning;
use crate::domain::refresh::brake::{Cause, Sign};
use crate::domain::refresh::{Ended, Grounds, Holder, Intent, Move, Terms, pace};
use crate::metrics::Refreshed;
use crate::os::fault_points;
use crate::vault::Vault;
use crate::vault::custody::{Conclusion, Kept, needs_reauth};
use crate::vault::refusal::Refusal;
use crate::vault::request_id::RequestId;
use crate::vault::tokens::{Wanted, not_renewed};

/// How often one flight asks. Who still waits is better served by an answer in seconds than by an error at once.
const ATTEMPTS: u32 = 3;
/// A pause in a flight is not longer; one that must be is taken on the ground.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// Between two tries to keep an answer for which there is no room.
const KEEPING: Duration = Duration::from_secs(1);

/// What a flight has at hand.
struct Crew<'a> {
    vault: &'a Vault,
    connection: &'a Connection,
    client: &'a OAuthClient,
    terms: Terms,
    request: RequestId,
}

impl Engine {
    pub(super) async fn fly(&self, connection: &Connection, wanted: Wanted) -> Outcome {
        let Some(vault) = self.vault.upgrade() else { return Err(in_progress()) };
        let provider = vault.client_of(&connection.1.provider).ok_or_else(not_renewed)?;
        let client = provider.client.as_ref().ok_or_else(not_renewed)?;
        let grant = vault.grant(&connection.0, &connection.1)?.ok_or_else(not_renewed)?;
        // Another connection may have the same refresh token, and be at it.
        let _turn = self.grants.hold(&grant).await;
        let (terms, request) = (Terms::of(client), self.requests.next());
        let crew = Crew { vault: &vault, connection, client, terms, request };
        let mut last = Err(in_progress());
        for _ in 0..ATTEMPTS {
            // Twice: waiting for a place takes its time, and grounds hold for the moment.
            if judge(&crew, wanted).await?.is_none() {
                return Ok(());
            }
            self.heed_setback(&vault, connection)?;
            let edition = vault.edition();
            let entered = self.gates.enter(&provider.id, edition, || vault.since_epoch()).await;
            let passed = entered.inspect_err(|_| self.count(&provider.id, Refreshed::Braked))?;
            let Some((kept, grounds)) = judge(&crew, wanted).await? else { return Ok(()) };
            if kept.grant.as_ref() != Some(&grant) {
                return Err(in_progress());
            }
            fault_points::reach("flight/judged");
            let began = Instant::now();
            let begun = vault.begin_exchange(request, &connection.1, &kept, grounds, &self.node).await;
            let begun = begun.inspect_err(|refusal| self.count_unkept(&provider.id, refusal));
            let Some(begun) = begun.map_err(publishable)? else { continue };
            let reply = asking::ask(&self.door, client, begun.token, vault.moment().into(), began).await;
            let attempt = self.conclude(&crew, &provider, &passed, &kept, &begun.intent, reply).await;
            drop(passed);
            match attempt {
                Attempt::Over(outcome) => return outcome,
                Attempt::Again(wait, refusal) => {
                    last = Err(refusal);
                    tokio::time::sleep(wait).await;
                }
            }
        }
        last
    }

    async fn conclude(
        &self,
        crew: &Crew<'_>,
        provider: &Provider,
        passed: &Passed,
        kept: &Kept,
        intent: &Intent,
        reply: Reply,
    ) -> Attempt {
        let meaning = reply.meaning(crew.client);
        fault_points::reach("answer/understood");
        let sign = alarm::sign(&meaning, &reply, intent.grounds);
        let (is_believed, brake) = self.judge_client(crew, provider, passed, sign).await;
        let ended = if is_believed { meaning.ended() } else { Ended::NotProcessed };
        let now = crew.vault.moment();
        let next = intent.settle(ended, now).next(&crew.terms, now, kept.life.expires_at, Holder::Gone);
        let pause = self.pause(crew, &meaning);
        let told =
            if is_believed { told(&meaning, &reply, &next, pause) } else { braked(Cause::Refusals, None) };
        let unread = matches!(meaning, Meaning::Unreadable);
        let granted = if let Meaning::Tokens(granted) = meaning { Some(granted) } else { None };
        let conclusion = Conclusion {
            ended,
            granted,
            usual_life: crew.client.access_token_lifetime,
            unread: unread.then(|| reply.into_body()).flatten(),
            told,
        };
        let outcome = keep(crew, intent, &conclusion).await;
        // The answer first: whoever is told of the brake waits.
        brake.tell(crew.vault, &provider.id).await;
        self.count_exchange(&provider.id, conclusion.granted.is_some(), &outcome);
        let Err(refusal) = outcome else {
            self.setbacks().remove(crew.connection);
            return Attempt::Over(Ok(()));
        };
        let may_go_on = matches!(next, Move::Send(Grounds::First | Grounds::Again { .. }))
            && matches!(refusal.code, Code::ProviderError | Code::ProviderTimeout);
        if may_go_on && pause <= LONGEST_PAUSE {
            return Attempt::Again(pause, refusal);
        }
        Attempt::Over(Err(refusal))
    }

    /// Takes note of what an exchange says of our client: whether it says something of the connection too, and what
    /// somebody is to be told.
    async fn judge_client(
        &self,
        crew: &Crew<'_>,
        provider: &Provider,
        passed: &Passed,
        sign: Sign,
    ) -> (bool, BrakeNews) {
        let heard = passed.heard(crew.connection, sign, crew.vault.edition(), crew.vault.since_epoch());
        if let Some(news) = heard.verdict.news {
            self.tell_of_brake(&provider.id, news);
        }
        for (org, id) in &heard.in_doubt {
            // Where it cannot be kept, its owner is asked to connect again, and was asked in vain.
            if let Err(refusal) = crew.vault.reprieve(crew.request, org, id).await {
                tracing::warn!(code = refusal.code.as_str(), "a connection stays marked for a fault of ours");
            }
            self.put_off(&(org.clone(), id.clone()), &braked(Cause::Refusals, None));
        }
        (heard.verdict.is_believed, BrakeNews::of(sign, heard.verdict.news))
    }

    /// Notes a failure, and says how long to wait before the next try.
    fn pause(&self, crew: &Crew<'_>, meaning: &Meaning) -> Duration {
        let wish = match meaning {
            Meaning::Broken(wish) | Meaning::NotProcessed(wish) => *wish,
            Meaning::Lost | Meaning::Unreadable => None,
            Meaning::ClientRefused | Meaning::Refused | Meaning::Tokens(_) => return Duration::ZERO,
        };
        let mut setbacks = self.setbacks();
        let failures = setbacks.get(crew.connection).map_or(0, |setback| setback.failures).saturating_add(1);
        let pause = pace::wait(failures, wish, chance());
        let over_at = crew.vault.since_epoch() + pause;
        setbacks.insert(crew.connection.clone(), Setback { failures, over_at });
        pause
    }

    fn heed_setback(&self, vault: &Vault, connection: &Connection) -> Result<(), Refusal> {
        let setback = self.setbacks().get(connection).copied();
        let left = setback.map(|setback| setback.over_at.saturating_sub(vault.since_epoch()));
        match left {
            Some(left) if !left.is_zero() => Err(Refusal {
                retry_after: Some(left.as_secs() + 1),
                ..Refusal::new(
                    Code::ProviderError,
                    "the provider did not give a token set a moment ago; it is asked again later",
                )
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// How one attempt of a flight ended.
enum Attempt {
    /// The flight may go on, after a pause; or else end with this.
    Again(Duration, Refusal),
    /// The flight has ended.
    Over(Outcome),
}

/// On which grounds the refresh token may be sent now; none: what is stored is good enough.
async fn judge(crew: &Crew<'_>, wanted: Wanted) -> Result<Option<(Kept, Grounds)>, Refusal> {
    let kept = crew.vault.look(&crew.connection.0, &crew.connection.1)?;
    if is_good(&kept, wanted, crew) {
        return Ok(None);
    }
    match grounds(&kept, crew) {
        Ok(grounds) => Ok(Some((kept, grounds))),
        Err(refusal) => give_up(crew, &kept, refusal).await.map(|()| None),
    }
}

fn is_good(kept: &Kept, wanted: Wanted, crew: &Crew<'_>) -> bool {
    match wanted {
        Wanted::LivesFor(span) => {
            let least = kept.life.least(span, &crew.terms);
            kept.life.expires_at.is_none_or(|ends| ends > crew.vault.moment().after(least))
        }
        Wanted::OtherThan(generation) => kept.generation != generation,
    }
}

/// On which grounds the refresh token may be sent now.
fn grounds(kept: &Kept, crew: &Crew<'_>) -> Result<Grounds, Refusal> {
    if !kept.has_refresh_token {
        return Err(not_renewed());
    }
    if kept.is_held {
        return Err(crew.vault.quarantined());
    }
    // The lock of the state directory lets one daemon in: whose intent stands here, and is no flight of ours, is dead.
    match kept.custody.next(&crew.terms, crew.vault.moment(), kept.life.expires_at, Holder::Gone) {
        Move::Send(grounds) => Ok(grounds),
        Move::NeedsReauth { reason, since } => Err(needs_reauth(reason, since)),
        Move::UnderWay => Err(in_progress()),
        refused @ (Move::GiveUp { .. } | Move::Wait { .. }) => Err(outcome_unknown(&refused)),
    }
}

/// Nothing may be sent now. An intent that a crash has left open says from now on what it is: an outcome unknown.
async fn give_up(crew: &Crew<'_>, kept: &Kept, told: Refusal) -> Outcome {
    let Some(intent) = kept.custody.intent() else { return Err(told) };
    fault_points::reach("flight/given-up");
    let lost = Conclusion { ended: Ended::Lost, granted: None, usual_life: None, unread: None, told };
    keep(crew, intent, &lost).await
}

/// Keeps what came of an exchange. A token set is tried to be kept for as long as the daemon lives.
async fn keep(crew: &Crew<'_>, intent: &Intent, conclusion: &Conclusion) -> Outcome {
    let (org, id) = crew.connection;
    let is_precious = conclusion.granted.is_some() || conclusion.unread.is_some();
    for tried in 0_u32.. {
        let refusal = match crew.vault.end_exchange(crew.request, org, id, intent, conclusion).await {
            Ok(outcome) => return outcome,
            Err(refusal) => refusal,
        };
        if tried == 0 {
            let provider = id.provider.as_str();
            crew.vault.meters().refreshed(provider, Refreshed::PersistFailed);
            let code = refusal.code.as_str();
            tracing::error!(
                code,
                is_precious,
                "what a provider answered could not be kept; it is tried again"
            );
        }
        let may_pass = matches!(refusal.code, Code::StorageFull | Code::NotReady | Code::Conflict);
        if !may_pass || (!is_precious && tried == 3) {
            return Err(publishable(refusal));
        }
        tokio::time::sleep(KEEPING).await;
    }
    Err(in_progress())
}

/// What callers are told where no token set came.
fn told(meaning: &Meaning, reply: &Reply, next: &Move, pause: Duration) -> Refusal {
    let failed =
        |code, detail| Refusal { retry_after: Some(pause.as_secs() + 1), ..Refusal::new(code, detail) };
    match (meaning, next) {
        (Meaning::ClientRefused, _) => braked(Cause::Client, None),
        _ if matches!(reply, Reply::Unmade) => braked(Cause::Client, None),
        (
            Meaning::Lost | Meaning::Unreadable | Meaning::Broken(_),
            Move::GiveUp { .. } | Move::Wait { .. },
        ) => outcome_unknown(next),
        _ if reply.is_late() => {
            failed(Code::ProviderTimeout, "the provider did not answer in time; it is asked again later")
        }
        _ => failed(Code::ProviderError, "the provider did not give a token set; it is asked again later"),
    }
}

fn outcome_unknown(next: &Move) -> Refusal {
    let (since, detail, reason) = match next {
        Move::Wait { since, .. } => (
            Some(*since),
            "a refresh token was sent and no answer came; the access token is served to its end, then it is tried once",
            "answer_lost",
        ),
        Move::GiveUp { since } => (
            Some(*since),
            "a refresh token was sent twice and no answer came; its owner must connect again",
            "probe_lost",
        ),
        Move::NeedsReauth { .. } | Move::Send(_) | Move::UnderWay => {
            (None, "a refresh token was sent and no answer came", "answer_lost")
        }
    };
    Refusal { since, reason: Some(reason), ..Refusal::new(Code::OutcomeUnknown, detail) }
}

/// A refusal of the store or the door, as far as the contract knows it for a read.
fn publishable(refusal: Refusal) -> Refusal {
    match refusal.code {
        Code::Conflict | Code::TooLarge => in_progress(),
        _ => refusal,
    }
}

/// From 0 to 1.
fn chance() -> f64 {
    f64::from(u32::from_be_bytes(random::bytes())) / f64::from(u32::MAX)
}
