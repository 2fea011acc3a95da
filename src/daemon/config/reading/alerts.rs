//! `[alerts]`: who is told when something breaks.
//!
//! Never the secret: only where it is held.

use super::super::alerts::Alerts;
use super::super::{ConfigError, DEVELOPMENT, written};
use super::{Reading, Text};
use crate::domain::event::webhook::Webhook;
use crate::domain::provider::Address;

/// Each takes less than a kilobyte of the store.
const MOST_WAITING: usize = 100_000;

impl Reading<'_> {
    pub(super) fn alerts(
        &self,
        written: Option<&written::Alerts>,
        environment: &Text,
    ) -> Result<Alerts, ConfigError> {
        let usual = Alerts::default();
        let Some(written) = written else { return Ok(usual) };
        self.available(written.later())?;
        let webhook =
            written.webhook.as_ref().map(|webhook| self.webhook(webhook, environment)).transpose()?;
        let waiting = self.count_within(written.waiting.as_ref(), usual.waiting, MOST_WAITING)?;
        Ok(Alerts { webhook, waiting })
    }

    fn webhook(&self, written: &written::Webhook, environment: &Text) -> Result<Webhook, ConfigError> {
        Ok(Webhook {
            address: self.webhook_address(written, environment)?,
            secret: self.held(&written.secret)?,
            roots: self.roots(written.ca.as_ref())?,
        })
    }

    /// It names customers: in plain text only where nobody can read along, and where it is asked for by name.
    fn webhook_address(
        &self,
        written: &written::Webhook,
        environment: &Text,
    ) -> Result<Address, ConfigError> {
        let Some(address) = Address::parse(written.url.get_ref()) else {
            let mend = "write https://HOST/PATH, with :PORT and a query if need be, and nothing else";
            return Err(self.refuse(&written.url, "not an address", mend));
        };
        let development = environment.get_ref() == DEVELOPMENT;
        let may_be_plain = written.http_loopback && development && address.host().is_loopback();
        if address.host().is_tls() || may_be_plain {
            return Ok(address);
        }
        let mend = "use https; plain http goes to a loopback address alone, with http_loopback = true, where \
                    environment = \"development\"";
        Err(self.refuse(&written.url, "events would go in plain text", mend))
    }
}
