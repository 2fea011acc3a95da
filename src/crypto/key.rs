//! The text of a Fernet key.
//!
//! Never shown in `Debug`.

use secrecy::{ExposeSecret, SecretString};

/// A Fernet key as text: 44 characters, URL-safe base64 with padding.
pub struct KeyText(SecretString);

impl KeyText {
    /// A fresh key.
    #[must_use]
    pub fn generate() -> Self {
        Self(SecretString::from(fernet::Fernet::generate_key()))
    }

    /// The one way out. Whoever calls this owns the leak.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}
