//! What the operator decides of refreshing.
//!
//! Never a secret, and nothing of one provider: that stands with the provider.

use crate::domain::rate::Rate;
use crate::domain::refresh::schedule::Timing;

/// The settings of all refreshing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How far ahead of time.
    pub timing: Timing,
    /// Exchanges at once with one provider. What is done ahead of time takes half of it at the most, so that a read finds
    /// a place.
    pub concurrency: usize,
    /// How fast exchanges with one provider begin ahead of time.
    pub rate: Rate,
}

impl Default for Settings {
    /// Eight at once are few enough that a fault of ours is noticed before it is a storm, and enough for 40 a second
    /// where an answer takes 200 ms. 20 a second are 72,000 connections of a provider whose tokens live for an hour.
    fn default() -> Self {
        Self { timing: Timing::default(), concurrency: 8, rate: Rate::of(20, 20) }
    }
}
