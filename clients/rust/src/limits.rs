//! The numbers of the contract, each once: the daemon refuses by them, and its description for machines names them.
//!
//! Lengths are in bytes where nothing else is said.

/// Of an access, refresh or ID token.
pub const TOKEN: usize = 16 * 1024;
/// Of a token type.
pub const TOKEN_TYPE: usize = 64;
/// Scopes of a token set.
pub const SCOPES: usize = 256;
/// Of one scope.
pub const SCOPE: usize = 512;
/// Seconds until a token ends: ten years, longer than any provider's. More is a moment mistaken for a span.
pub const EXPIRES_IN: u64 = 10 * 365 * 24 * 3600;
/// Labels of a connection or a secret: a handful of notes, not a database.
pub const LABELS: usize = 32;
/// Of the name or the value of a label.
pub const LABEL: usize = 256;
/// Of the value of a secret.
pub const SECRET: usize = 64 * 1024;
/// Connections of a batch.
pub const BATCH: usize = 1000;
/// Seconds that a token can be asked to live: nobody can promise more than a day.
pub const MIN_TTL: u64 = 24 * 3600;
/// Seconds that a token lives at least, where the caller does not say: it should outlive the call it is made for.
pub const MIN_TTL_UNSAID: u64 = 60;
/// Items of a page.
pub const PAGE: usize = 1000;
/// Items of a page where the caller does not say.
pub const PAGE_UNSAID: usize = 100;
/// Bytes of an authorization code.
pub const CODE: usize = 4096;
/// Bytes of an address to which a browser is sent back.
pub const REDIRECT_URI: usize = 2048;
/// Of what a provider calls an account.
pub const ACCOUNT: usize = 512;
/// Of what attests a consent.
pub const CONSENT: usize = 512;
/// Seconds ahead in which connections end that are asked for, where a request does not say: two weeks, in which an owner
/// can be found.
pub const EXPIRING_WITHIN_UNSAID: u64 = 14 * 86_400;
