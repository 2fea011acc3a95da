//! The gate of a provider: how many exchanges at once, and none while it refuses our client.
//!
//! Never marks a connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenkeep_client::ids::ProviderId;
use tokenkeep_client::problem::Code;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Connection;
use crate::domain::refresh::brake::{Brake, Cause, News, Pass, REFUSALS, Sign, Verdict};
use crate::vault::refusal::Refusal;

/// The gates of all providers.
pub(super) struct Gates {
    gates: Mutex<HashMap<ProviderId, Arc<Gate>>>,
    /// Exchanges at once with one provider.
    at_once: usize,
}

struct Gate {
    places: Arc<Semaphore>,
    braked: Mutex<Braked>,
}

#[derive(Default)]
struct Braked {
    brake: Brake,
    /// Of the rules under which it was put on: others may have mended it.
    edition: u64,
    /// Connections that were refused since the last success.
    marked: Vec<Connection>,
}

/// A place among the exchanges with a provider.
pub(super) struct Passed {
    gate: Arc<Gate>,
    _place: OwnedSemaphorePermit,
}

impl Gates {
    pub(super) fn new(at_once: usize) -> Self {
        Self { gates: Mutex::default(), at_once }
    }

    /// Waits for a place. Times are spans since the engine began.
    ///
    /// # Errors
    /// `client_misconfigured` or `provider_error`, while the brake is on.
    pub(super) async fn enter(
        &self,
        provider: &ProviderId,
        edition: u64,
        now: impl Fn() -> Duration,
    ) -> Result<Passed, Refusal> {
        let gate = {
            let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(gates.entry(provider.clone()).or_insert_with(|| {
                Arc::new(Gate { places: Arc::new(Semaphore::new(self.at_once)), braked: Mutex::default() })
            }))
        };
        let unreachable = |_| Refusal::new(Code::Internal, "the gate of the provider is closed");
        let place = Arc::clone(&gate.places).acquire_owned().await.map_err(unreachable)?;
        let pass = gate.braked().asked(edition, now());
        match pass {
            Pass::Go | Pass::Trial => Ok(Passed { gate, _place: place }),
            Pass::Stop(wait, cause) => Err(braked(cause, Some(wait))),
        }
    }
}

impl Passed {
    /// Takes note of what an exchange of this connection says of our client.
    pub(super) fn heard(&self, connection: &Connection, sign: Sign, edition: u64, now: Duration) -> Heard {
        let mut braked = self.gate.braked();
        braked.edition = edition;
        let verdict = braked.brake.heard(sign, now);
        let in_doubt = match (sign, verdict.news) {
            (Sign::TokenRefused, Some(News::On(_))) => std::mem::take(&mut braked.marked),
            (Sign::TokenRefused, _) if verdict.is_believed => {
                // As many as put the brake on, and no more: what was marked before them was marked for itself.
                if braked.marked.len() == REFUSALS {
                    braked.marked.remove(0);
                }
                braked.marked.push(connection.clone());
                Vec::new()
            }
            (Sign::Tokens, _) => {
                braked.marked.clear();
                Vec::new()
            }
            _ => Vec::new(),
        };
        Heard { verdict, in_doubt }
    }
}

/// What follows from an exchange.
pub(super) struct Heard {
    pub(super) verdict: Verdict,
    /// Connections that were marked for what turns out to be a fault of ours.
    pub(super) in_doubt: Vec<Connection>,
}

impl Gate {
    fn braked(&self) -> MutexGuard<'_, Braked> {
        self.braked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Braked {
    fn asked(&mut self, edition: u64, now: Duration) -> Pass {
        if self.edition != edition {
            *self = Self { edition, ..Self::default() };
        }
        self.brake.ask(now)
    }
}

/// In `reason`: the brake is on.
pub(super) const BRAKED: &str = "braked";

/// Nothing is asked there now.
pub(super) fn braked(cause: Cause, wait: Option<Duration>) -> Refusal {
    let (code, detail) = match cause {
        Cause::Client => (
            Code::ClientMisconfigured,
            "the provider refuses our client id or secret, so nothing is refreshed there; mend the [[provider]]",
        ),
        Cause::Failures => (
            Code::ProviderError,
            "almost nothing that the provider is asked succeeds, so it is asked seldom until something does",
        ),
        Cause::Refusals => (
            Code::ClientMisconfigured,
            "the provider refuses one refresh token after the other, as if our client were another; mend the [[provider]]",
        ),
    };
    let retry_after = wait.map(|wait| wait.as_secs() + 1);
    Refusal { retry_after, reason: Some(BRAKED), ..Refusal::new(code, detail) }
}
