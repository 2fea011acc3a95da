//! Handshakes that are under way: on a thread of their own, bounded, and never in anybody's way.
//!
//! The hard problem: a handshake is the work that a stranger can make the daemon do, and one that is begun and
//! left holds a place. The answer: they run apart from the requests, so that they take one core at the most and
//! no request waits behind one; and where all places are taken, the oldest goes. An honest handshake is over in
//! a few milliseconds, so the oldest is one that stalls.
//!
//! Never turns a newcomer away for the sake of one that stalls.

use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, JoinHandle};

/// Under way at once. One that has not begun to speak takes a few KiB, one in the middle of it some 40: 20 MB.
const MOST: usize = 512;
/// Of these, from one network: half-open handshakes from one place push each other out first.
const MOST_OF_ONE: usize = 256;

/// Handshakes that are under way.
pub(super) struct Handshakes {
    /// None only while it goes.
    runtime: Option<Runtime>,
    begun: Arc<Mutex<Begun>>,
}

#[derive(Default)]
struct Begun {
    next: u64,
    /// Oldest first.
    under_way: Vec<UnderWay>,
}

struct UnderWay {
    number: u64,
    network: IpAddr,
    task: Option<AbortHandle>,
}

impl Handshakes {
    pub(super) fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tokenkeep-tls")
            .enable_time()
            .build()?;
        Ok(Self { runtime: Some(runtime), begun: Arc::default() })
    }

    /// Begins one. Its result is an error where it had to give way.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        network: IpAddr,
        handshake: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        let (number, ousted) = self.lock().admit(network);
        if let Some(task) = ousted {
            tracing::debug!("a handshake gives way to a newer one");
            task.abort();
        }
        let left = Left { begun: Arc::clone(&self.begun), number };
        let task = self.runtime.as_ref()?.spawn(async move {
            let done = handshake.await;
            drop(left);
            done
        });
        self.lock().name(number, task.abort_handle());
        Some(task)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Begun> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handshakes {
    fn drop(&mut self) {
        // Dropped within a runtime, which must not wait for another.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Begun {
    /// Takes a place, and says who loses it.
    fn admit(&mut self, network: IpAddr) -> (u64, Option<AbortHandle>) {
        let of_it = self.under_way.iter().filter(|other| other.network == network).count();
        let ousted = if of_it >= MOST_OF_ONE {
            self.under_way.iter().position(|other| other.network == network)
        } else {
            (self.under_way.len() >= MOST).then_some(0)
        };
        let ousted = ousted.and_then(|at| self.under_way.remove(at).task);
        let number = self.next;
        self.next += 1;
        self.under_way.push(UnderWay { number, network, task: None });
        (number, ousted)
    }

    fn name(&mut self, number: u64, task: AbortHandle) {
        // It may be over already.
        if let Some(one) = self.under_way.iter_mut().find(|one| one.number == number) {
            one.task = Some(task);
        }
    }
}

/// Gives the place back, however the handshake ends.
struct Left {
    begun: Arc<Mutex<Begun>>,
    number: u64,
}

impl Drop for Left {
    fn drop(&mut self) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.under_way.retain(|one| one.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn network(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(n).into()
    }

    #[tokio::test]
    async fn the_oldest_gives_way_first_of_its_own_network() {
        let handshakes = Handshakes::start().expect("a thread");
        let mut stalled = Vec::new();
        for n in 0..MOST_OF_ONE as u32 + 1 {
            stalled.push(handshakes.begin(network(1), std::future::pending::<()>()).expect("begun"));
            handshakes.begin(network(1000 + n), async {}).expect("begun").await.expect("done");
        }
        assert!(stalled.remove(0).await.expect_err("it gave way").is_cancelled());
        assert!(!stalled[0].is_finished());
        assert_eq!(handshakes.lock().under_way.len(), MOST_OF_ONE);
    }

    #[tokio::test]
    async fn there_are_never_more_than_there_may_be() {
        let handshakes = Handshakes::start().expect("a thread");
        let mut stalled = Vec::new();
        for n in 0..2 * MOST as u32 {
            stalled.push(handshakes.begin(network(n), std::future::pending::<()>()).expect("begun"));
        }
        assert_eq!(handshakes.lock().under_way.len(), MOST);
        for gone in stalled.drain(..MOST) {
            assert!(gone.await.is_err());
        }
        let done = handshakes.begin(network(7), async { 7 }).expect("begun");
        assert_eq!(done.await.expect("honest ones are served"), 7);
    }
}
