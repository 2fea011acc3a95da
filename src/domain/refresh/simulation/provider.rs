//! The provider: what it does with a refresh token, by its terms.
//!
//! Never fails: what goes wrong on the way is the world's.

use std::collections::HashMap;

use super::world::Token;
use crate::domain::refresh::Terms;

pub(super) struct Provider {
    /// Tokens that work, each with the consent that it comes from.
    pub(super) live: HashMap<Token, Token>,
    /// When each was spent, and its consent.
    pub(super) spent: HashMap<Token, (u64, Token)>,
    pub(super) last: Token,
}

impl Provider {
    /// A token of a new consent.
    pub(super) fn consent(&mut self) -> Token {
        self.last += 1;
        self.live.insert(self.last, self.last);
        self.last
    }

    /// The next token, none where it stays; or a refusal.
    pub(super) fn refresh(&mut self, token: Token, terms: &Terms, now: u64) -> Result<Option<Token>, ()> {
        if !terms.rotates {
            return if self.live.contains_key(&token) { Ok(None) } else { Err(()) };
        }
        let consent = if let Some(consent) = self.live.remove(&token) {
            self.spent.insert(token, (now, consent));
            consent
        } else {
            let Some(&(at, consent)) = self.spent.get(&token) else { return Err(()) };
            if u128::from(now - at) > terms.leeway.as_millis() {
                if terms.reuse_revokes_family {
                    self.live.retain(|_, of| *of != consent);
                }
                return Err(());
            }
            consent
        };
        self.last += 1;
        self.live.insert(self.last, consent);
        Ok(Some(self.last))
    }
}
