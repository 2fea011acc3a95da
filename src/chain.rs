//! A mark: a position in one of the two logs and the chain value there.
//!
//! The journal and the audit log witness each other with these (STORAGE in `docs/`): each carries marks
//! of the other, so neither can lose its tail unnoticed.

/// A position in a chained log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Counts from 1; 0 is before the first record.
    pub sequence: u64,
    /// The chain value at that record; zeros before the first.
    pub chain: [u8; 32],
}

impl Mark {
    /// Before the first record.
    pub const START: Self = Self { sequence: 0, chain: [0; 32] };
}
