//! Plaintext that is planted: each a name of its own, so that a hit tells which request left it.

use std::sync::{Mutex, PoisonError};

use tokenkeep_scanner::{Needles, fresh_text};

/// Everything that was planted.
#[derive(Default)]
pub(crate) struct Canaries(Mutex<Vec<(String, Vec<u8>)>>);

impl Canaries {
    /// A new one.
    pub(crate) fn plant(&self, name: &str) -> String {
        let text = fresh_text().expect("randomness");
        self.note(name, &text);
        text
    }

    /// One that somebody else has made: what it is, and a part of it that nothing else has.
    pub(crate) fn note(&self, name: &str, text: &str) {
        self.note_bytes(name, text.as_bytes());
    }

    /// As [`Canaries::note`], of what is no text.
    pub(crate) fn note_bytes(&self, name: &str, bytes: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{name} {}", all.len());
        all.push((name, bytes.to_owned()));
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Adds them to what is looked for.
    pub(crate) fn add_to(&self, needles: &mut Needles) {
        for (name, bytes) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            needles.canary(name, bytes);
        }
    }
}
