//! The MAC over the whole header: what is not sealed in it, such as the incarnation, is vouched for too.
//!
//! The hard problem: the key that could vouch for the file stands in the file, sealed. The answer: the keys are opened
//! first, each of which says by itself whether it is whole, and then the rest is held against the tag. Over the values, not
//! the text: what is read is what counts, and the text may be laid out anew.
//!
//! Never stands in for what the sealed keys say of themselves, and is no secret.

use crate::crypto::hex;
use crate::crypto::mac::MacKey;
use crate::room::RoomError;

/// Makes and checks tags of headers.
pub(super) struct Tagger(MacKey);

impl Tagger {
    /// # Errors
    /// There is no room for its key.
    pub(super) fn new(index_key: &MacKey) -> Result<Self, RoomError> {
        index_key.derive(b"vault header").map(Self)
    }

    /// The tag, in hex, of a header without one, as JSON without white space.
    pub(super) fn tag(&self, body: &[u8]) -> String {
        hex::encode(&self.0.tag(&[b"header\0", body]))
    }

    pub(super) fn verifies(&self, body: &[u8], tag: &str) -> bool {
        hex::decode(tag.as_bytes()).is_some_and(|tag| self.0.verifies(&[b"header\0", body], &tag))
    }
}
