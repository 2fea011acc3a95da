//! The gate of a provider: how many exchanges at once, and none while it refuses our client.
//!
//! Never marks a connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenkeep_client::ids::ProviderId;
use tokenkeep_client::problem::Code;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::refresh::brake::{Brake, Pass};
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
    /// `client_misconfigured`, while the brake is on.
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
            Pass::Stop(wait) => Err(client_refused(Some(wait))),
        }
    }
}

impl Passed {
    /// The provider has refused our client. True where that is news.
    pub(super) fn refused(&self, edition: u64, now: Duration) -> bool {
        let mut braked = self.gate.braked();
        braked.edition = edition;
        braked.brake.refused(now)
    }

    /// The provider has taken our client. True where the brake was on.
    pub(super) fn taken(&self) -> bool {
        self.gate.braked().brake.taken()
    }
}

impl Gate {
    fn braked(&self) -> MutexGuard<'_, Braked> {
        self.braked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Braked {
    fn asked(&mut self, edition: u64, now: Duration) -> Pass {
        if self.edition != edition {
            *self = Self { brake: Brake::Off, edition };
        }
        self.brake.ask(now)
    }
}

/// The provider refuses our client id or secret.
pub(super) fn client_refused(wait: Option<Duration>) -> Refusal {
    Refusal {
        retry_after: wait.map(|wait| wait.as_secs() + 1),
        ..Refusal::new(
            Code::ClientMisconfigured,
            "the provider refuses our client id or secret, so nothing is refreshed there; mend the [[provider]]",
        )
    }
}
