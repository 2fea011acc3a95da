//! Encrypt and decrypt, for ciphertexts that stay in the application's own database.
//!
//! However many there are: what does not fit into one request is asked for in several, and comes back in
//! the order given.
//!
//! Never asks twice for what has come.

use crate::error::{Error, Transport};
use crate::ids::KeyName;
use crate::org::{Org, json};
use crate::request::Request;
use crate::secret::Plaintext;
use crate::wire::{CRYPT_ITEMS, DecryptOut, DecryptRequest, DecryptResult, EncryptOut, encrypt_body};

/// Bytes of base64 that are put into one request: the daemon takes bodies of 8 MiB, and ciphertexts are
/// larger than what was encrypted.
const BODY: usize = 4 << 20;

/// Largest answer: a body of that size encrypted and encoded twice, or a problem for each of the items.
const ANSWER: usize = 16 << 20;

impl Org<'_> {
    /// Encrypts under the org's key: a Fernet token for each plaintext, in the order given.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn encrypt(&self, plaintexts: &[Plaintext]) -> Result<Vec<String>, Error> {
        let mut ciphertexts = Vec::with_capacity(plaintexts.len());
        for some in portions(plaintexts, |plaintext| plaintext.expose().len() * 4 / 3 + 8) {
            let request = Request::post(self.path("/encrypt"), encrypt_body(some));
            let request = request.repeatable().with_answer_up_to(ANSWER);
            let answer: EncryptOut = self.send(request).await?.read()?;
            if answer.ciphertexts.len() != some.len() {
                return Err(Transport::Protocol("more or fewer ciphertexts than plaintexts").into());
            }
            ciphertexts.extend(answer.ciphertexts);
        }
        Ok(ciphertexts)
    }

    /// Decrypts what was encrypted under the org's key, in the order given; one that fails fails alone.
    ///
    /// # Errors
    /// Whose fault it is, where a request as a whole fails.
    pub async fn decrypt(
        &self,
        ciphertexts: &[impl AsRef<str>],
    ) -> Result<Vec<Result<Plaintext, Error>>, Error> {
        self.open(ciphertexts, None).await
    }

    /// Decrypts what the application encrypted itself, under a key that it has since handed to the daemon.
    ///
    /// # Errors
    /// Whose fault it is, where a request as a whole fails.
    pub async fn decrypt_under(
        &self,
        key: &KeyName,
        ciphertexts: &[impl AsRef<str>],
    ) -> Result<Vec<Result<Plaintext, Error>>, Error> {
        self.open(ciphertexts, Some(key)).await
    }

    async fn open(
        &self,
        ciphertexts: &[impl AsRef<str>],
        key: Option<&KeyName>,
    ) -> Result<Vec<Result<Plaintext, Error>>, Error> {
        let mut opened = Vec::with_capacity(ciphertexts.len());
        for some in portions(ciphertexts, |ciphertext| ciphertext.as_ref().len() + 4) {
            let ciphertexts = some.iter().map(|ciphertext| ciphertext.as_ref().to_owned()).collect();
            let body = json(&DecryptRequest { ciphertexts, key: key.cloned() })?;
            let request = Request::post(self.path("/decrypt"), body);
            let request = request.repeatable().with_answer_up_to(ANSWER);
            let answer: DecryptOut = self.send(request).await?.read()?;
            if answer.results.len() != some.len() {
                return Err(Transport::Protocol("more or fewer plaintexts than ciphertexts").into());
            }
            for result in answer.results {
                opened.push(one(result)?);
            }
        }
        Ok(opened)
    }
}

fn one(result: DecryptResult) -> Result<Result<Plaintext, Error>, Error> {
    match (result.plaintext, result.problem) {
        (Some(plaintext), None) => Ok(Ok(plaintext)),
        (None, Some(problem)) => Ok(Err(problem.into())),
        _ => Err(Transport::Protocol("a result of decrypt is a plaintext or a problem").into()),
    }
}

/// Slices that fit into one request each. An item too large for any goes alone: the daemon says so.
fn portions<T>(items: &[T], size: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(CRYPT_ITEMS).take_while(|item| {
            bytes += size(item);
            bytes <= BODY
        });
        let (some, more) = rest.split_at(fits.count().max(1).min(rest.len()));
        rest = more;
        (!some.is_empty()).then_some(some)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_hold_everything_in_order_and_fit() {
        let lengths = |sizes: &[usize]| portions(sizes, |size| *size).map(<[usize]>::len).collect::<Vec<_>>();
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&[1; 2001]), [1000, 1000, 1]);
        assert_eq!(lengths(&[BODY, 1, BODY + 1, BODY / 2, BODY / 2]), [1, 1, 1, 2]);
    }
}
