//! The settings of a provider as text, each with where it comes from: what `provider show` and `docs/providers.md` say.
//!
//! Never a secret: of one, only where it is held.

use std::time::Duration;

use super::Provider;
use super::catalogue::{Basis, Preset};
use super::client::OAuthClient;

/// One setting, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// As the configuration names it.
    pub name: &'static str,
    /// Its value, as the configuration writes it; none where there is none.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is written in the configuration.
    ByHand,
    /// Nothing says it: the value that loses nothing.
    Default,
    /// The preset.
    Preset(Basis),
}

impl Provider {
    /// Every setting of its client; none without a client.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let Some(client) = &self.client else { return Vec::new() };
        let preset = self.preset.and_then(Preset::find).map(of_preset).unwrap_or_default();
        let mut settings = of_client(client);
        for setting in &mut settings {
            let known = preset.iter().find(|(name, ..)| *name == setting.name);
            setting.origin = match known {
                _ if self.by_hand.contains(&setting.name) => Origin::ByHand,
                Some((_, _, basis)) => Origin::Preset(*basis),
                None => Origin::Default,
            };
        }
        settings
    }
}

fn of_client(client: &OAuthClient) -> Vec<Setting> {
    let revocation = client.revocation.as_ref();
    let list = |errors: &[String]| Some(errors.join(" ")).filter(|errors| !errors.is_empty());
    let mut rows: Vec<(&'static str, Option<String>)> = vec![
        ("client_id", Some(client.id.clone())),
        ("client_auth", Some(client.auth.method().as_str().into())),
    ];
    rows.extend(client.auth.places().into_iter().map(|(name, held)| (name, Some(held.to_string()))));
    rows.extend([
        ("token_endpoint", Some(client.token_endpoint.to_string())),
        ("authorization_endpoint", client.authorization_endpoint.as_ref().map(ToString::to_string)),
        ("issuer", client.issuer.clone()),
        ("revocation_endpoint", revocation.map(|one| one.endpoint.to_string())),
        ("revocation", revocation.map(|one| one.way.as_str().into())),
        ("token_request", Some(client.token_request.as_str().into())),
        ("rotation", Some(client.rotation.as_str().into())),
        ("leeway", Some(span(client.leeway))),
        ("reuse_revokes_family", Some(client.reuse_revokes_family.to_string())),
        ("idle_limit", client.idle_limit.map(span)),
        ("absolute_limit", client.absolute_limit.map(span)),
        ("access_token_lifetime", client.access_token_lifetime.map(span)),
        ("refresh_early", Some(client.refresh_early.as_str().into())),
        ("errors_in_200", Some(client.errors_in_200.to_string())),
        ("grant_errors", list(&client.grant_errors)),
        ("client_errors", list(&client.client_errors)),
        ("scope_separator", Some(format!("\"{}\"", client.scope_separator.as_str()))),
    ]);
    rows.into_iter().map(|(name, value)| Setting { name, value, origin: Origin::Default }).collect()
}

/// Every field of a preset, as text, with what it rests on.
#[must_use]
pub fn of_preset(preset: &Preset) -> Vec<(&'static str, Option<String>, Basis)> {
    let text = |text: &&str| (*text).to_owned();
    let list = |errors: &[&str]| Some(errors.join(" ")).filter(|errors| !errors.is_empty());
    let revocation = preset.revocation;
    vec![
        ("client_auth", Some(preset.client_auth.value.as_str().into()), preset.client_auth.basis),
        ("token_endpoint", preset.token_endpoint.value.as_ref().map(text), preset.token_endpoint.basis),
        (
            "authorization_endpoint",
            preset.authorization_endpoint.value.as_ref().map(text),
            preset.authorization_endpoint.basis,
        ),
        ("revocation_endpoint", revocation.value.map(|(_, address)| address.to_owned()), revocation.basis),
        ("revocation", revocation.value.map(|(way, _)| way.as_str().to_owned()), revocation.basis),
        ("token_request", Some(preset.token_request.value.as_str().into()), preset.token_request.basis),
        ("rotation", Some(preset.rotation.value.as_str().into()), preset.rotation.basis),
        ("leeway", Some(span(preset.leeway.value)), preset.leeway.basis),
        (
            "reuse_revokes_family",
            Some(preset.reuse_revokes_family.value.to_string()),
            preset.reuse_revokes_family.basis,
        ),
        ("idle_limit", preset.idle_limit.value.map(span), preset.idle_limit.basis),
        ("absolute_limit", preset.absolute_limit.value.map(span), preset.absolute_limit.basis),
        (
            "access_token_lifetime",
            preset.access_token_lifetime.value.map(span),
            preset.access_token_lifetime.basis,
        ),
        ("refresh_early", Some(preset.refresh_early.value.as_str().into()), preset.refresh_early.basis),
        ("errors_in_200", Some(preset.errors_in_200.value.to_string()), preset.errors_in_200.basis),
        ("grant_errors", list(preset.grant_errors.value), preset.grant_errors.basis),
        ("client_errors", list(preset.client_errors.value), preset.client_errors.basis),
        (
            "scope_separator",
            Some(format!("\"{}\"", preset.scope_separator.value.as_str())),
            preset.scope_separator.basis,
        ),
    ]
}

/// In the largest unit that is whole: a year is not one, and a month neither.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let unit = units.into_iter().find(|(length, _)| seconds > 0 && seconds.is_multiple_of(*length));
    unit.map_or_else(|| format!("{seconds}s"), |(length, unit)| format!("{}{unit}", seconds / length))
}
