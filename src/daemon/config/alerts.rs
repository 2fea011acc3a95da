//! Who is told when something breaks.
//!
//! Never holds the secret: only the place where it is kept.

use crate::domain::event::webhook::Webhook;
use crate::vault::outbox::USUAL_BOUND;

/// Who is told when something breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerts {
    /// Where events are sent; none: nobody is told.
    pub webhook: Option<Webhook>,
    /// How many events wait at the most.
    pub waiting: usize,
}

impl Default for Alerts {
    fn default() -> Self {
        Self { webhook: None, waiting: USUAL_BOUND }
    }
}
