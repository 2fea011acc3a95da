//! `[[provider]]`: who issues tokens, what they may do, and which client of ours refreshes them.
//!
//! Without `client_id` a provider holds tokens and refreshes none; whatever else would be written for a client then
//! is refused, for it would do nothing.
//!
//! Never two providers of one id.

use tokenkeep_client::ids::ProviderId;

use super::super::{ConfigError, written};
use super::{Reading, Text};
use crate::domain::provider::Provider;
use crate::domain::provider::catalogue::{PRESETS, Preset};

impl Reading<'_> {
    pub(super) fn providers(
        &self,
        written: &[written::Provider],
        environment: &Text,
    ) -> Result<Vec<Provider>, ConfigError> {
        let mut providers: Vec<Provider> = Vec::with_capacity(written.len());
        for one in written {
            let provider = self.provider(one, environment)?;
            if providers.iter().any(|other| other.id == provider.id) {
                return Err(self.refuse(&one.id, "there are two providers of this id", "remove one"));
            }
            providers.push(provider);
        }
        Ok(providers)
    }

    fn provider(&self, written: &written::Provider, environment: &Text) -> Result<Provider, ConfigError> {
        let preset = written.preset.as_ref().map(|name| self.preset(name)).transpose()?;
        let client = match &written.client_id {
            Some(id) => Some(self.client_of(written, id, preset, environment)?),
            None => {
                self.nothing_of_a_client(written)?;
                None
            }
        };
        Ok(Provider {
            id: self.identifier(&written.id, ProviderId::parse)?,
            allowed_scopes: written
                .allowed_scopes
                .iter()
                .map(|scope| self.scope(scope))
                .collect::<Result<_, _>>()?,
            requires_consent: written.requires_consent.as_ref().is_some_and(|required| *required.get_ref()),
            preset: preset.map(|preset| preset.id),
            by_hand: written.settings().map(|(name, _)| name).collect(),
            client,
        })
    }

    fn preset(&self, name: &Text) -> Result<&'static Preset, ConfigError> {
        Preset::find(name.get_ref()).ok_or_else(|| {
            let names: Vec<&str> = PRESETS.iter().map(|preset| preset.id).collect();
            self.refuse(name, "no such preset", format!("use one of {}", names.join(", ")))
        })
    }

    fn nothing_of_a_client(&self, written: &written::Provider) -> Result<(), ConfigError> {
        let Some((name, span)) = written.settings().next() else { return Ok(()) };
        let what = format!("{name} does nothing without client_id: tokens are then held and never refreshed");
        Err(self.source.fault(&span, what, "add client_id = \"…\", or remove it"))
    }
}
