//! The custody engine: exchanges refresh tokens at their providers, one flight a connection.
//!
//! The hard problem: many callers find the same token ended at the same moment, each may leave at any moment, and the
//! one request that is made on their behalf must be brought to its end whatever they do. The answer: a flight is a task
//! of its own; callers only wait for it, and it keeps what it got before it tells anybody.
//!
//! What may be sent when is decided in `domain/refresh`; what is kept, in `vault/custody`. Here is the I/O between.
//!
//! Never two flights of one connection.

mod ahead;
mod alarm;
mod asking;
mod counting;
mod flight;
mod gate;
mod grants;
pub mod queue;
mod recovery;
mod settings;
#[cfg(test)]
mod virtual_time;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::problem::Code;
use tokio::sync::watch;

use crate::crypto::{hex, random};
use crate::domain::refresh::Node;
use crate::metrics::Refreshed;
use crate::net::outbound::Door;
use crate::os::fault_points;
use crate::vault::Vault;
use crate::vault::custody::Surveyed;
use crate::vault::refusal::Refusal;
use crate::vault::renewal::{Renewal, Renewed};
use crate::vault::request_id::RequestIds;
use crate::vault::tokens::Wanted;
use ahead::Ahead;
use gate::Gates;
use grants::Grants;
pub use settings::Settings;

/// A caller is not kept waiting longer: a flight goes on without it, and the next call finds what it brought.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whose connection it is, and which.
type Connection = (OrgId, ConnectionId);

/// How a flight ended.
type Outcome = Result<(), Refusal>;

/// Renews the token sets of a vault.
#[derive(Clone)]
pub struct Refresh(Arc<Engine>);

struct Engine {
    /// The vault names the engine, too: neither keeps the other alive.
    vault: Weak<Vault>,
    door: Door,
    node: Node,
    requests: RequestIds,
    flights: Mutex<HashMap<Connection, watch::Receiver<Option<Outcome>>>>,
    /// Connections whose last exchange failed, and when the next may be tried.
    setbacks: Mutex<HashMap<Connection, Setback>>,
    gates: Gates,
    ahead: Ahead,
    grants: Grants,
}

/// An exchange that failed, and may be tried again.
#[derive(Debug, Clone, Copy)]
struct Setback {
    failures: u32,
    /// Since 1970, by the clock of the vault.
    over_at: Duration,
}

impl Refresh {
    /// Over this vault, by this way out; from now on its reads renew what is not good enough.
    #[must_use]
    pub fn of(vault: &Arc<Vault>, door: Door, settings: &Settings) -> Self {
        let engine = Engine {
            vault: Arc::downgrade(vault),
            door,
            node: Node(hex::encode(&random::bytes::<8>())),
            requests: RequestIds::new(),
            flights: Mutex::default(),
            setbacks: Mutex::default(),
            gates: Gates::new(settings.concurrency),
            ahead: Ahead::new(settings, vault.moment()),
            grants: Grants::default(),
        };
        let refresh = Self(Arc::new(engine));
        vault.renew_by(Arc::new(refresh.clone()));
        refresh
    }

    /// Waits until no flight is in the air, for so long at the most.
    pub async fn land(&self, most: Duration) {
        let all_down = async {
            loop {
                let next = self.0.flights().values().next().cloned();
                let Some(mut flight) = next else { return };
                drop(flight.wait_for(Option::is_some).await);
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(most, all_down).await.is_err() {
            tracing::warn!("refreshes were cut: their outcome is found out after the next start");
        }
    }

    fn join(&self, connection: Connection, wanted: Wanted) -> watch::Receiver<Option<Outcome>> {
        let mut flights = self.0.flights();
        if let Some(flight) = flights.get(&connection) {
            self.0.count(&connection.1.provider, Refreshed::Joined);
            return flight.clone();
        }
        let (end, flight) = watch::channel(None);
        flights.insert(connection.clone(), flight.clone());
        drop(flights);
        let seat = Seat { engine: Arc::clone(&self.0), connection };
        tokio::spawn(async move {
            fault_points::reach("flight/begun");
            let outcome = seat.engine.fly(&seat.connection, wanted).await;
            fault_points::reach("flight/over");
            if let Err(refusal) = &outcome {
                seat.engine.put_off(&seat.connection, refusal);
            }
            // Off the list first: whoever comes now begins with what this one has brought.
            drop(seat);
            end.send_replace(Some(outcome));
            fault_points::reach("flight/told");
        });
        flight
    }
}

impl Renewal for Refresh {
    fn renew(&self, org: &OrgId, id: &ConnectionId, wanted: Wanted) -> Renewed {
        let mut flight = self.join((org.clone(), id.clone()), wanted);
        Box::pin(async move {
            let landed = tokio::time::timeout(PATIENCE, flight.wait_for(Option::is_some)).await;
            match landed {
                Ok(Ok(outcome)) => outcome.clone().unwrap_or_else(|| Err(in_progress())),
                Ok(Err(_)) => Err(Refusal::new(Code::Internal, "the refresh did not end; ask again")),
                Err(_) => Err(in_progress()),
            }
        })
    }

    fn changed(&self, connection: &Surveyed) {
        self.0.schedule(connection);
    }
}

impl Engine {
    fn flights(&self) -> MutexGuard<'_, HashMap<Connection, watch::Receiver<Option<Outcome>>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn setbacks(&self) -> MutexGuard<'_, HashMap<Connection, Setback>> {
        self.setbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A flight's place on the list, given up however it ends.
struct Seat {
    engine: Arc<Engine>,
    connection: Connection,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.engine.flights().remove(&self.connection);
    }
}

fn in_progress() -> Refusal {
    Refusal {
        retry_after: Some(1),
        ..Refusal::new(Code::RefreshInProgress, "a refresh is under way and goes on by itself; ask again")
    }
}
