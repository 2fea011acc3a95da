//! The webhook: its secret is looked at before anybody depends on it, and what telling it touches is named here.
//!
//! Never keeps the secret: what is read here is read again for each event.

use super::config::Config;
use super::exit::Exit;
use super::failure::Failure;
use crate::crypto::root_key::Reach;
use crate::service::alerts::{self, UnsignedError};

/// Reads the secret, and tells nobody anything.
///
/// # Errors
/// Nothing could be signed.
pub(super) fn examine(config: &Config) -> Result<(), UnsignedError> {
    config.alerts.webhook.as_ref().map_or(Ok(()), alerts::examine)
}

pub(super) fn failure(why: &UnsignedError) -> Failure {
    let exit = if why.is_unsafe() { Exit::Unsafe } else { Exit::Configuration };
    Failure::new(exit, &line(why))
}

pub(super) fn line(why: &UnsignedError) -> String {
    format!("[alerts] webhook: {why}")
}

/// What telling it touches.
#[must_use]
pub(super) fn reach(config: &Config) -> Reach {
    let Some(webhook) = &config.alerts.webhook else { return Reach::default() };
    Reach::files(webhook.secret.place()).and_asks([webhook.address.host()], &webhook.roots)
}
