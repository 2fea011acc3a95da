//! The TLS of a listener: its files, who may come in by them, and how both change while it runs.
//!
//! The hard problem: certificates are renewed and revoked while connections live. The answer: a new set of files is
//! judged as a whole and then put in the place of the old one; handshakes take whichever is there; and a
//! connection that came in by an older set is judged again by the new one.
//!
//! Never without a set that was judged: a bad new one leaves the old one in its place.

mod certificate;
mod handshake;
mod material;
mod reason;
pub mod revocation;
mod stamp;
mod verifier;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;

pub use certificate::Certificate;
pub use handshake::{Refused, Session};
pub use material::{Key, Life, Lives, MaterialError, Sources, Version};
pub use reason::Reason;

use material::Material;
use stamp::Stamp;

/// The TLS of a listener.
pub struct TlsServer {
    sources: Sources,
    current: RwLock<Arc<Material>>,
    /// Counts the sets, so that a connection knows whether it was judged by the present one.
    turn: AtomicU64,
    attempt: Mutex<Attempt>,
}

/// The last time the files were read.
struct Attempt {
    stamp: Stamp,
    /// Why they were not taken.
    fault: Option<String>,
}

/// How the TLS of a listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// How long what serves is good.
    pub lives: Lives,
    /// Why newer files were not taken.
    pub fault: Option<String>,
}

/// What a connection stands on.
#[derive(Debug)]
pub struct Standing {
    chain: Vec<CertificateDer<'static>>,
    ends_at: UnixTime,
    turn: u64,
}

impl TlsServer {
    /// Reads the files.
    ///
    /// # Errors
    /// See [`MaterialError`].
    pub fn open(sources: Sources) -> Result<Self, MaterialError> {
        let stamp = Stamp::of(sources.files());
        let material = sources.read()?;
        Ok(Self {
            sources,
            current: RwLock::new(Arc::new(material)),
            turn: AtomicU64::new(0),
            attempt: Mutex::new(Attempt { stamp, fault: None }),
        })
    }

    /// Reads the files again. New handshakes use what was read; whoever came in before is judged again within a
    /// second. Where the new set is no good, the old one stays. Blocks while it reads.
    ///
    /// # Errors
    /// See [`MaterialError`]. Shown by [`TlsServer::condition`] until it is mended; to be logged by who asked.
    pub fn reload(&self) -> Result<(), MaterialError> {
        let mut attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        attempt.stamp = Stamp::of(self.sources.files());
        match self.sources.read() {
            Ok(material) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(material);
                self.turn.fetch_add(1, Ordering::Release);
                attempt.fault = None;
                tracing::info!("certificate, key, client CAs and revocation lists were read again");
                Ok(())
            }
            Err(why) => {
                attempt.fault = Some(why.to_string());
                Err(why)
            }
        }
    }

    /// Reads the files again if they are others than when they were last read, and the same as when this was last
    /// asked: whoever replaces several of them is not disturbed in between. `seen` is kept by the caller. Blocks.
    pub fn reload_if_changed(&self, seen: &mut Option<Stamp>) {
        let now = Stamp::of(self.sources.files());
        let is_new = self.attempt.lock().unwrap_or_else(PoisonError::into_inner).stamp != now;
        if is_new
            && seen.as_ref() == Some(&now)
            && let Err(why) = self.reload()
        {
            tracing::error!(%why, "the new TLS files are not taken, the old ones stay in use");
        }
        *seen = Some(now);
    }

    /// How it is.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let fault = self.attempt.lock().unwrap_or_else(PoisonError::into_inner).fault.clone();
        Condition { lives: self.material().lives, fault }
    }

    /// Why a connection may not go on; none where it may. Costs nothing unless its certificate has ended or the
    /// files have changed since it was last asked.
    pub fn lapsed(&self, standing: &mut Standing) -> Option<Reason> {
        let now = UnixTime::now();
        if now > standing.ends_at {
            return Some(Reason::Expired);
        }
        let turn = self.turn.load(Ordering::Acquire);
        if turn == standing.turn {
            return None;
        }
        let Some((leaf, others)) = standing.chain.split_first() else { return Some(Reason::Absent) };
        match self.material().verifier.verify_client_cert(leaf, others, now) {
            Ok(_) => {
                standing.turn = turn;
                None
            }
            Err(why) => Some(Reason::of(&why).unwrap_or(Reason::Malformed)),
        }
    }

    fn material(&self) -> Arc<Material> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}
