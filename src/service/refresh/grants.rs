//! One exchange a refresh token: several connections may have the same.
//!
//! Never two exchanges of one refresh token at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use crate::domain::refresh::Fingerprint;

/// So many that nobody holds are left to lie about before they are swept.
const SWEEP: usize = 1024;

/// Who is at which refresh token.
#[derive(Default)]
pub(super) struct Grants(Mutex<HashMap<Fingerprint, Weak<Turn<()>>>>);

impl Grants {
    /// Waits for its turn.
    pub(super) async fn hold(&self, grant: &Fingerprint) -> OwnedMutexGuard<()> {
        let turn = {
            let mut grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if grants.len() >= SWEEP {
                grants.retain(|_, turn| turn.strong_count() > 0);
            }
            grants.get(grant).and_then(Weak::upgrade).unwrap_or_else(|| {
                let turn = Arc::default();
                grants.insert(grant.clone(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}
