//! Root keys: loaded anew from their source, and everything wrapped anew under the first of them.
//!
//! The hard problem: a rotation of many keys must survive a kill at any moment. The answer: it is a loop over
//! small durable batches that starts from what is still wrapped otherwise; running it again goes on.
//!
//! Never drops a key that is in use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{KeysOut, OrgRotationOut};

use crate::crypto::key::KeyId;
use crate::crypto::key_list::RootKeys;
use crate::domain::action::Action;
use crate::vault::Vault;
use crate::vault::ask::Ask;
use crate::vault::caller::Caller;
use crate::vault::refusal::Refusal;
use crate::vault::request_id::{RequestId, RequestIds};

/// Reads the root keys from their source; blocks while it does.
pub type ReadRootKeys = dyn Fn() -> Result<RootKeys, Unread> + Send + Sync;

/// Why there are none.
#[derive(Debug, Clone)]
pub struct Unread {
    /// For the admin who asked: what happened, and the mend.
    pub why: String,
    /// For the audit log: one word.
    pub reason: &'static str,
}

/// The life of the root keys at run time.
pub struct Rotation {
    vault: Arc<Vault>,
    read: Arc<ReadRootKeys>,
    running: AtomicBool,
    ended_early: Mutex<Option<String>>,
}

impl Rotation {
    /// Over this vault, from this source.
    #[must_use]
    pub fn new(vault: Arc<Vault>, read: Arc<ReadRootKeys>) -> Arc<Self> {
        Arc::new(Self { vault, read, running: AtomicBool::new(false), ended_early: Mutex::new(None) })
    }

    /// What each root key wraps, and how a rotation goes.
    ///
    /// # Errors
    /// The door's.
    pub async fn status(&self, caller: &Caller, request: RequestId) -> Result<KeysOut, Refusal> {
        let permit = self.vault.admit(caller, Ask::new(&request, Action::KeyRead))?;
        permit.settle(self.describe(), |_| None).await
    }

    /// Loads the list anew.
    ///
    /// # Errors
    /// The door's; `not_ready` where the source does not answer or is not a key list; `conflict` where a key
    /// in use is missing. The old list stands then.
    pub async fn reload(&self, caller: &Caller, request: RequestId) -> Result<KeysOut, Refusal> {
        let permit = self.vault.admit_change(caller, Ask::new(&request, Action::KeyReload))?;
        let loaded = async {
            let read = Arc::clone(&self.read);
            let root = tokio::task::spawn_blocking(move || read()).await;
            let unended =
                |_| Err(Unread { why: "reading it did not end".to_owned(), reason: "source_unavailable" });
            let root = root.unwrap_or_else(unended).map_err(|Unread { why, reason }| {
                let detail = format!("the root key source gave no key list: {why}; the old list stands");
                Refusal { reason: Some(reason), ..Refusal::new(Code::NotReady, detail) }
            })?;
            self.vault.replace_root_keys(root).await?;
            self.describe()
        };
        permit.settle(loaded.await, |_| None).await
    }

    /// Begins to wrap everything under the first root key; goes on by itself. Beginning twice is one rotation.
    ///
    /// # Errors
    /// The door's.
    pub async fn begin(self: &Arc<Self>, caller: &Caller, request: RequestId) -> Result<KeysOut, Refusal> {
        let permit = self.vault.admit_change(caller, Ask::new(&request, Action::KeyRotate))?;
        if !self.running.swap(true, Ordering::SeqCst) {
            *self.ended_early.lock().unwrap_or_else(PoisonError::into_inner) = None;
            let rotation = Arc::clone(self);
            tokio::spawn(async move { rotation.run().await });
        }
        permit.settle(self.describe(), |_| None).await
    }

    async fn run(&self) {
        let ended = self.rewrap_all().await;
        if let Err(refusal) = ended {
            tracing::error!(
                code = refusal.code.as_str(),
                "the rotation of root keys ended early; begin it again"
            );
            let why = format!("{}: {}", refusal.code.as_str(), refusal.detail);
            *self.ended_early.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        }
        self.running.store(false, Ordering::SeqCst);
    }

    async fn rewrap_all(&self) -> Result<(), Refusal> {
        let (task, requests) = (self.vault.task("rotation"), RequestIds::new());
        let request = requests.next();
        let ask = |target| Ask::new(&request, Action::KeyRotate).on(target);
        let permit = self.vault.admit_change(&task, ask("system key"))?;
        permit.settle(self.vault.rewrap_system_key().await, |()| None).await?;
        let mut after = None;
        loop {
            let permit = self.vault.admit_change(&task, ask("org keys"))?;
            let step = self.vault.rewrap_some(&permit, &mut after).await;
            let count = |count: &u64| Some(*count);
            match step {
                Ok(Some(wrapped)) => {
                    permit.settle_change(Ok(wrapped), count).await?;
                }
                Ok(None) => return permit.settle(Ok(()), |()| Some(0)).await,
                Err(refusal) => return permit.settle(Err(refusal), |()| None).await,
            }
        }
    }

    fn describe(&self) -> Result<KeysOut, Refusal> {
        // First: what is counted after a rotation has ended is what it has left.
        let rotating = self.running.load(Ordering::SeqCst);
        let (root_keys, in_use) = self.vault.describe_keys()?;
        let primary = root_keys.iter().find(|key| key.primary).and_then(|key| KeyId::parse(&key.id));
        let remaining = primary.map_or(0, |primary| in_use.beside(primary));
        Ok(KeysOut {
            root_keys,
            remaining,
            rotating,
            org_rotation: OrgRotationOut::default(),
            rotation_error: self.ended_early.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        })
    }
}
