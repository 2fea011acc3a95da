//! Encrypt and decrypt, in batches.

use hyper::StatusCode;
use hyper::body::Incoming;
use tokenkeep_client::ids::OrgId;
use tokenkeep_client::secret::WipedBytes;
use tokenkeep_client::wire::{DecryptOut, DecryptRequest, EncryptOut, EncryptRequest};

use super::answer::{self, Answer};
use super::exchange::Exchange;
use crate::domain::action::Action;
use crate::vault::refusal::Refusal;

impl Exchange<'_> {
    pub(super) async fn encrypt(&self, org: &OrgId, body: Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.query()?;
        let ask = self.ask(Action::CryptEncrypt).of(org);
        let asked: EncryptRequest = self.body(ask, body).await?;
        let ciphertexts = self.vault().encrypt(self.caller, self.request, org, &asked.plaintexts).await?;
        Ok(answer::json(StatusCode::OK, &EncryptOut { ciphertexts }))
    }

    pub(super) async fn decrypt(&self, org: &OrgId, body: Incoming) -> Result<Answer, Refusal> {
        self.accepts_json()?;
        self.query()?;
        let ask = self.ask(Action::CryptDecrypt).of(org);
        let asked: DecryptRequest = self.body(ask, body).await?;
        let results = self.vault().decrypt(self.caller, self.request, org, &asked).await?;
        let problem = |refusal| answer::document(&refusal, self.request);
        let results = results.into_iter().map(|result| result.map_err(problem).into()).collect();
        let mut out = DecryptOut { results }.body();
        Ok(answer::json_bytes(WipedBytes::from(std::mem::take(&mut *out))))
    }
}
