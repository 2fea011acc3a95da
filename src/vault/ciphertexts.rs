//! Ciphertexts that stay in the application's own database: made under the org's key, opened under it or under a
//! retired application key.
//!
//! The hard problem: whoever may open ciphertexts must not open with it what the vault keeps, nor plant in the store what
//! it had sealed. The answer: they stand in a table of their own ([`Table::Ciphertext`]), bound to vault and org, and
//! what was sealed for another place is refused, and said.
//!
//! Never kept: the vault remembers of a ciphertext only its fingerprint, in the audit log.
//!
//! [`Table::Ciphertext`]: super::place::Table::Ciphertext

use std::borrow::Cow;
use std::sync::Arc;

use tokenkeep_client::ids::{KeyName, OrgId};
use tokenkeep_client::problem::Code;
use tokenkeep_client::secret::Plaintext;
use tokenkeep_client::wire::{CRYPT_ITEMS, DecryptRequest};

use super::Vault;
use super::application_keys::ApplicationKey;
use super::ask::Ask;
use super::caller::Caller;
use super::orgs::Org;
use super::place::ciphertext_place;
use super::refusal::Refusal;
use super::request_id::RequestId;
use crate::crypto::fingerprint;
use crate::crypto::key::{KeyId, SealingKey};
use crate::crypto::seal::{SealError, TOKEN_LIMIT, VALUE_LIMIT, open, seal};
use crate::domain::action::Action;

/// Bytes after which others have their turn: a large batch takes longer than anybody should wait.
const TURN: usize = 64 * 1024;

/// What opens the ciphertexts of one request.
enum Opener<'a> {
    /// The org's own key, in the place of ciphertexts; and those before it, once one was needed: a ciphertext names none.
    Org(Arc<Org>, Option<Vec<SealingKey>>),
    /// A retired application key; and which of its list opened last.
    Retired(&'a ApplicationKey, Option<KeyId>),
}

/// Gives others their turn.
#[derive(Default)]
struct Turn(usize);

impl Turn {
    async fn worked_through(&mut self, bytes: usize) {
        self.0 += bytes;
        if self.0 >= TURN {
            self.0 = 0;
            tokio::task::yield_now().await;
        }
    }
}

impl Vault {
    /// Seals values under the org's key, one ciphertext each, in the order given.
    ///
    /// # Errors
    /// The door's; `invalid_request`, `too_large`, `not_found` (the org). One that is refused refuses all.
    pub async fn encrypt(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        plaintexts: &[Plaintext],
    ) -> Result<Vec<String>, Refusal> {
        let ask = Ask::new(&request, Action::CryptEncrypt).of(org);
        self.refuse_early(caller, ask)?;
        let judged = judge_count(plaintexts.len())
            .and_then(|()| plaintexts.iter().try_for_each(judge_plaintext))
            .and_then(|()| self.org(org));
        let org = judged.map_err(|refusal| self.refuse(caller, ask, refusal))?;
        self.take_allowance(caller, &ask)?;
        let place = ciphertext_place(self.vault_id, org.blind);
        let mut ciphertexts = Vec::with_capacity(plaintexts.len());
        let mut turn = Turn::default();
        for plaintext in plaintexts {
            let permit = self.admit_in_batch(caller, ask)?;
            let ciphertext = seal(&org.key, &place, 1, plaintext.expose());
            let target = fingerprint::of_ciphertext(ciphertext.as_bytes());
            ciphertexts.push(permit.on(&target).settle_in_batch(Ok(ciphertext), |_| None)??);
            turn.worked_through(plaintext.expose().len()).await;
        }
        self.end_batch().await?;
        Ok(ciphertexts)
    }

    /// Opens ciphertexts, one result each, in the order given.
    ///
    /// # Errors
    /// Of the request as a whole: the door's; `invalid_request`, `not_found` (the org, the application key),
    /// `cross_org` (an application key that is not for this org).
    pub async fn decrypt(
        &self,
        caller: &Caller,
        request: RequestId,
        org: &OrgId,
        asked: &DecryptRequest,
    ) -> Result<Vec<Result<Plaintext, Refusal>>, Refusal> {
        let key = asked.key.as_ref();
        let ask = Ask::new(&request, Action::CryptDecrypt).of(org);
        let ask = key.map_or(ask, |name| ask.on(name.as_str()));
        self.refuse_early(caller, ask)?;
        let judged = judge_count(asked.ciphertexts.len()).and_then(|()| self.opener(org, key));
        let mut opener = judged.map_err(|refusal| self.refuse(caller, ask, refusal))?;
        self.take_allowance(caller, &ask)?;
        let mut results = Vec::with_capacity(asked.ciphertexts.len());
        let mut turn = Turn::default();
        for ciphertext in &asked.ciphertexts {
            let target = target(key, ciphertext);
            let permit = self.admit_in_batch(caller, ask.on(&target))?;
            let opened = self.open_ciphertext(&mut opener, ciphertext)?.map_err(refuse_ciphertext);
            results.push(permit.settle_in_batch(opened, |_| None)?);
            turn.worked_through(ciphertext.len()).await;
        }
        self.end_batch().await?;
        Ok(results)
    }

    fn opener(&self, org: &OrgId, key: Option<&KeyName>) -> Result<Opener<'_>, Refusal> {
        match key {
            None => self.org(org).map(|org| Opener::Org(org, None)),
            Some(name) => self.application_keys.find(name, org).map(|key| Opener::Retired(key, None)),
        }
    }

    fn open_ciphertext(
        &self,
        opener: &mut Opener<'_>,
        ciphertext: &str,
    ) -> Result<Result<Plaintext, SealError>, Refusal> {
        let (org, all) = match opener {
            Opener::Org(org, all) => (org, all),
            Opener::Retired(key, last) => return Ok(key.open(&self.vault_id, ciphertext.as_bytes(), last)),
        };
        let place = ciphertext_place(self.vault_id, org.blind);
        let opened = |key| {
            let opened = open(key, &place, ciphertext.as_bytes())?;
            Ok(Plaintext::new(opened.expose().to_vec()))
        };
        let mut found = opened(&org.key);
        if matches!(found, Err(SealError::Shut)) {
            let keys = match all {
                Some(keys) => keys,
                None => all.insert(self.keys_for_ciphertexts(org.blind)?),
            };
            let others = keys.iter().filter(|key| key.id() != org.key.id());
            found = others.map(opened).find(|found| !matches!(found, Err(SealError::Shut))).unwrap_or(found);
        }
        Ok(found)
    }
}

/// Which ciphertext, and under which key if not the org's: `django/ba7816bf…`.
fn target(key: Option<&KeyName>, ciphertext: &str) -> String {
    let fingerprint = fingerprint::of_ciphertext(ciphertext.as_bytes());
    key.map_or(fingerprint.clone(), |name| format!("{name}/{fingerprint}"))
}

fn judge_count(count: usize) -> Result<(), Refusal> {
    if count <= CRYPT_ITEMS { Ok(()) } else { Err(Refusal::invalid("a batch has at most 1000 items")) }
}

fn judge_plaintext(plaintext: &Plaintext) -> Result<(), Refusal> {
    if plaintext.expose().len() <= VALUE_LIMIT {
        return Ok(());
    }
    Err(Refusal::new(Code::TooLarge, format!("a plaintext has at most {VALUE_LIMIT} bytes")))
}

/// A ciphertext is the caller's, not ours: that it does not open is no damage.
fn refuse_ciphertext(why: SealError) -> Refusal {
    let (code, reason, detail): (_, _, Cow<'static, str>) = match why {
        SealError::Misplaced => {
            tracing::warn!("a ciphertext was handed in that was sealed for another place");
            (Code::Forbidden, "ciphertext_misplaced", "it was sealed for another place than this one".into())
        }
        SealError::Frame | SealError::Shut | SealError::Twice => {
            let detail = format!(
                "it is no Fernet token under this key, or has more than {TOKEN_LIMIT} characters; name the \
                 application key it was made with, if it was"
            );
            (Code::InvalidRequest, "ciphertext_invalid", detail.into())
        }
    };
    Refusal { reason: Some(reason), ..Refusal::new(code, detail) }
}
