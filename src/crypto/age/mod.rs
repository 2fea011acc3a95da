//! age, version 1 (age-encryption.org/v1): files that open with a key that is elsewhere.
//!
//! The hard problem: a backup must open without this program and without this machine, so its format is somebody
//! else's; and the crate for it (`age` 0.12) brings 94 others, a pre-release among them, into a process that holds
//! root keys. The answer: the one kind of recipient that is needed (X25519), on the primitives of AWS-LC that are here
//! already, held against the test vectors of the format and against two other implementations.
//!
//! Never a scrypt or plugin recipient, and never an armour: what has one is refused by name.

mod bech32;
mod header;
mod stream;

use std::fmt;
use std::io::{self, Read, Write};

use aws_lc_rs::agreement::{PrivateKey, X25519};
use zeroize::Zeroizing;

use super::random;

pub use stream::{Opener, Sealer};

/// What the text of a recipient begins with.
const RECIPIENT: &str = "age";
/// What the text of an identity begins with.
const IDENTITY: &str = "age-secret-key-";

/// A public key: who can open what is sealed for it is elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient([u8; 32]);

/// The private key of a recipient. Wiped on drop.
pub struct Identity {
    secret: Zeroizing<[u8; 32]>,
    recipient: Recipient,
}

/// Why a file does not open.
#[derive(Debug)]
pub enum AgeError {
    /// None of the identities is one of its recipients.
    NotForUs,
    /// It is not what was sealed.
    Damaged(&'static str),
    /// It cannot be read or written.
    Io(io::Error),
    /// The kernel or the library gave no key.
    NoKey,
}

impl fmt::Display for AgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotForUs => f.write_str("it is sealed for other recipients than this identity's"),
            Self::Damaged(why) => write!(f, "it is not what was sealed: {why}"),
            Self::Io(why) => why.fmt(f),
            Self::NoKey => f.write_str("no key could be made"),
        }
    }
}

impl std::error::Error for AgeError {}

impl From<io::Error> for AgeError {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}

impl Recipient {
    /// Reads `age1...`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = bech32::decode(RECIPIENT, text)?;
        bytes.as_slice().try_into().ok().map(Self)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bech32::encode(RECIPIENT, &self.0))
    }
}

impl Identity {
    /// A new one.
    ///
    /// # Errors
    /// `NoKey`.
    pub fn generate() -> Result<Self, AgeError> {
        Self::of(Zeroizing::new(random::bytes()))
    }

    /// Of the 32 bytes of its private key.
    ///
    /// # Errors
    /// `NoKey`.
    pub fn of(secret: Zeroizing<[u8; 32]>) -> Result<Self, AgeError> {
        let public = private(&secret)?.compute_public_key().map_err(|_| AgeError::NoKey)?;
        let recipient = public.as_ref().try_into().map(Recipient).map_err(|_| AgeError::NoKey)?;
        Ok(Self { secret, recipient })
    }

    /// Reads the identities in a file of `age-keygen`: one a line, beside comments. None where a line is neither.
    #[must_use]
    pub fn parse_all(text: &str) -> Option<Vec<Self>> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let found: Vec<Self> = lines.map(Self::parse).collect::<Option<_>>()?;
        (!found.is_empty()).then_some(found)
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = bech32::decode(IDENTITY, text)?;
        Self::of(Zeroizing::new(bytes.as_slice().try_into().ok()?)).ok()
    }

    /// Its public half.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        self.recipient
    }

    /// The private key itself, to be sealed. Whoever calls this owns the leak.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.secret
    }

    fn private(&self) -> Result<PrivateKey, AgeError> {
        private(&self.secret)
    }
}

fn private(secret: &[u8; 32]) -> Result<PrivateKey, AgeError> {
    PrivateKey::from_private_key(&X25519, secret).map_err(|_| AgeError::NoKey)
}

/// Begins a file for these recipients. What is written to the sealer is sealed; [`Sealer::end`] ends it.
///
/// # Errors
/// See [`AgeError`].
pub fn seal<W: Write>(recipients: &[Recipient], mut output: W) -> Result<Sealer<W>, AgeError> {
    let file_key: Zeroizing<[u8; 16]> = Zeroizing::new(random::bytes());
    output.write_all(&header::encode(recipients, &file_key)?)?;
    Sealer::new(&file_key, output)
}

/// Opens a file with the one of these identities that it is sealed for.
///
/// # Errors
/// See [`AgeError`]. Damage further on is an error of reading.
pub fn open<R: Read>(identities: &[&Identity], mut input: R) -> Result<Opener<R>, AgeError> {
    let file_key = header::open(&mut input, identities)?;
    Opener::new(&file_key, input)
}

#[cfg(test)]
mod tests;
