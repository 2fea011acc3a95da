//! Sets of actions: what the words of a policy grant.
//!
//! Never holds what cannot be granted, where it was made from a word.

use super::is_grantable;
use crate::domain::action::Action;

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ActionSet(pub(super) u64);

// One bit an action.
const _: () = assert!(Action::ALL.len() <= 64);

/// Why a word of a policy grants nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionError {
    /// It names actions that only admins have, or the daemon itself.
    AdminOnly,
    /// No action has this name.
    Unknown,
}

impl ActionSet {
    /// Every action that a client can be granted.
    #[must_use]
    pub fn every() -> Self {
        Self::of(Action::ALL.iter().copied().filter(|&action| is_grantable(action)))
    }

    /// The actions that a word of a policy grants: `token:read`, `connection:*` or `*`. A wildcard grants what
    /// can be granted at all; one that would grant nothing is refused.
    ///
    /// # Errors
    /// See [`ActionError`].
    pub fn parse(word: &str) -> Result<Self, ActionError> {
        if word == "*" {
            return Ok(Self::every());
        }
        let named: Vec<Action> = match word.strip_suffix(":*") {
            Some(subject) => {
                let is_of =
                    |action: &Action| action.as_str().split_once(':').is_some_and(|(s, _)| s == subject);
                Action::ALL.iter().copied().filter(is_of).collect()
            }
            None => Action::parse(word).into_iter().collect(),
        };
        if named.is_empty() {
            return Err(ActionError::Unknown);
        }
        let granted = Self::of(named.into_iter().filter(|&action| is_grantable(action)));
        if granted == Self::default() { Err(ActionError::AdminOnly) } else { Ok(granted) }
    }

    /// Whether the action is one of them.
    #[must_use]
    pub fn contains(self, action: Action) -> bool {
        self.0 & bit(action) != 0
    }

    /// Those of both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The actions of these words, each named in full; none where one is not an action.
    #[must_use]
    pub fn named(words: &[String]) -> Option<Self> {
        let actions: Option<Vec<Action>> = words.iter().map(|word| Action::parse(word)).collect();
        actions.map(|actions| Self::of(actions.into_iter()))
    }

    /// One by one, alphabetical.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.iter().copied().filter(move |&action| self.contains(action))
    }

    fn of(actions: impl Iterator<Item = Action>) -> Self {
        Self(actions.fold(0, |bits, action| bits | bit(action)))
    }
}

fn bit(action: Action) -> u64 {
    1 << action as u32
}
