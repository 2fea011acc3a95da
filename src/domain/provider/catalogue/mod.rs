//! What is known of providers: presets, each field with what it rests on.
//!
//! The hard problem: what a provider does with a refresh token is written in a sentence somewhere, in no sentence, or
//! in two that disagree, and a wrong figure here costs customers their connections. The answer: each field says which
//! document it was read in, or that it is unverified; and what is unverified has the value that loses nothing: no
//! leeway, rotation, reuse revokes, no early refresh.
//!
//! `docs/providers.md` is printed from here; a test compares them.
//!
//! Never a figure from memory that is not marked as unverified.

mod books;
mod forges;
mod suites;
mod support;
mod work;

use std::time::Duration;

use super::client::{AuthMethod, BodyForm, RefreshEarly, RevocationWay, Rotation, ScopeSeparator};

/// What is known of one provider.
#[derive(Debug)]
pub struct Preset {
    /// As the configuration names it.
    pub id: &'static str,
    /// As people name it.
    pub name: &'static str,
    /// What else to know, a sentence each.
    pub notes: &'static [&'static str],
    /// What was read.
    pub sources: &'static [Source],
    /// None where each account has its own.
    pub token_endpoint: Fact<Option<&'static str>>,
    /// Where a person consents.
    pub authorization_endpoint: Fact<Option<&'static str>>,
    /// How and where a token is revoked.
    pub revocation: Fact<Option<(RevocationWay, &'static str)>>,
    /// How the client proves itself.
    pub client_auth: Fact<AuthMethod>,
    /// How the token request is written.
    pub token_request: Fact<BodyForm>,
    /// Headers that it wants beside.
    pub headers: &'static [(&'static str, &'static str)],
    /// What becomes of the refresh token.
    pub rotation: Fact<Rotation>,
    /// How long a spent one works.
    pub leeway: Fact<Duration>,
    /// Whether reuse revokes all.
    pub reuse_revokes_family: Fact<bool>,
    /// When a refresh token ends unused.
    pub idle_limit: Fact<Option<Duration>>,
    /// When it ends in any case.
    pub absolute_limit: Fact<Option<Duration>>,
    /// How long an access token lives whose answer does not say.
    pub access_token_lifetime: Fact<Option<Duration>>,
    /// Whether one that works may be refreshed.
    pub refresh_early: Fact<RefreshEarly>,
    /// Whether errors come with status 200.
    pub errors_in_200: Fact<bool>,
    /// What it says for `invalid_grant`.
    pub grant_errors: Fact<&'static [&'static str]>,
    /// What it says for `invalid_client`.
    pub client_errors: Fact<&'static [&'static str]>,
    /// What stands between scopes.
    pub scope_separator: Fact<ScopeSeparator>,
}

/// A document that was read.
#[derive(Debug)]
pub struct Source {
    /// Its title.
    pub title: &'static str,
    /// Its address.
    pub address: &'static str,
    /// When a copy of it was read: year, month, day.
    pub read: &'static str,
}

/// A value, and what it rests on.
#[derive(Debug, Clone, Copy)]
pub struct Fact<T> {
    /// The value.
    pub value: T,
    /// What it rests on.
    pub basis: Basis,
}

/// What a value rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The source with this number, from 1.
    Source(usize),
    /// Nothing that was read: the value that loses nothing, or what is commonly said.
    Unverified,
}

impl Preset {
    /// A provider of which nothing is known.
    pub const UNKNOWN: &'static Self = &UNKNOWN;

    /// The preset of this name.
    #[must_use]
    pub fn find(id: &str) -> Option<&'static Self> {
        PRESETS.iter().copied().find(|preset| preset.id == id)
    }
}

/// Every preset, by name.
pub static PRESETS: &[&Preset] = &[
    &support::AIRCALL,
    &work::ASANA,
    &work::ATLASSIAN,
    &forges::BITBUCKET,
    &GENERIC,
    &forges::GITHUB,
    &forges::GITHUB_OAUTH_APP,
    &forges::GITLAB,
    &suites::GOOGLE,
    &suites::HUBSPOT,
    &support::INTERCOM,
    &work::LINEAR,
    &suites::MICROSOFT,
    &work::NOTION,
    &books::QUICKBOOKS,
    &suites::SALESFORCE,
    &work::SLACK,
    &books::XERO,
    &support::ZENDESK,
    &suites::ZOHO,
    &work::ZOOM,
];

/// Read in the source with this number, from 1.
const fn read<T>(number: usize, value: T) -> Fact<T> {
    Fact { value, basis: Basis::Source(number) }
}

/// Not read anywhere.
const fn unverified<T>(value: T) -> Fact<T> {
    Fact { value, basis: Basis::Unverified }
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

const fn hours(count: u64) -> Duration {
    minutes(count * 60)
}

const fn days(count: u64) -> Duration {
    hours(count * 24)
}

/// When the copies were read.
const DAY: &str = "2026-11-22";

const fn source(title: &'static str, address: &'static str) -> Source {
    Source { title, address, read: DAY }
}

/// A provider of which nothing is known: what loses nothing, whatever it turns out to be.
const UNKNOWN: Preset = Preset {
    id: "",
    name: "",
    notes: &[],
    sources: &[],
    token_endpoint: unverified(None),
    authorization_endpoint: unverified(None),
    revocation: unverified(None),
    client_auth: unverified(AuthMethod::Basic),
    token_request: unverified(BodyForm::Form),
    headers: &[],
    rotation: unverified(Rotation::Rotates),
    leeway: unverified(Duration::ZERO),
    reuse_revokes_family: unverified(true),
    idle_limit: unverified(None),
    absolute_limit: unverified(None),
    access_token_lifetime: unverified(None),
    refresh_early: unverified(RefreshEarly::KillsAccessToken),
    errors_in_200: unverified(false),
    grant_errors: unverified(&[]),
    client_errors: unverified(&[]),
    scope_separator: unverified(ScopeSeparator::Space),
};

const GENERIC: Preset = Preset {
    id: "generic",
    name: "Any provider that keeps to RFC 6749",
    notes: &[
        "Names no address: token_endpoint must be written.",
        "What the RFC leaves open has the value that loses nothing, whatever the provider does.",
    ],
    sources: &[source(
        "RFC 6749: The OAuth 2.0 Authorization Framework",
        "https://www.rfc-editor.org/rfc/rfc6749",
    )],
    client_auth: read(1, AuthMethod::Basic),
    token_request: read(1, BodyForm::Form),
    errors_in_200: read(1, false),
    grant_errors: read(1, &[]),
    client_errors: read(1, &[]),
    scope_separator: read(1, ScopeSeparator::Space),
    ..UNKNOWN
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::provider::Address;

    fn bases(preset: &Preset) -> [Basis; 16] {
        [
            preset.token_endpoint.basis,
            preset.authorization_endpoint.basis,
            preset.revocation.basis,
            preset.client_auth.basis,
            preset.token_request.basis,
            preset.rotation.basis,
            preset.leeway.basis,
            preset.reuse_revokes_family.basis,
            preset.idle_limit.basis,
            preset.absolute_limit.basis,
            preset.access_token_lifetime.basis,
            preset.refresh_early.basis,
            preset.errors_in_200.basis,
            preset.grant_errors.basis,
            preset.client_errors.basis,
            preset.scope_separator.basis,
        ]
    }

    #[test]
    fn names_are_in_order_and_their_own() {
        assert!(PRESETS.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert!(PRESETS.iter().all(|preset| Preset::find(preset.id).is_some() && !preset.name.is_empty()));
        assert!(Preset::find("").is_none());
    }

    #[test]
    fn addresses_are_sound_and_encrypted() {
        for preset in PRESETS {
            let revocation = preset.revocation.value.map(|(_, address)| address);
            for text in [preset.token_endpoint.value, preset.authorization_endpoint.value, revocation] {
                let Some(text) = text else { continue };
                let address = Address::parse(text).unwrap_or_else(|| panic!("{}: {text}", preset.id));
                assert!(address.host().is_tls() && address.to_string() == text, "{}: {text}", preset.id);
            }
        }
    }

    #[test]
    fn every_figure_that_was_read_names_a_document_and_every_document_is_named() {
        for preset in PRESETS {
            for (at, source) in preset.sources.iter().enumerate() {
                assert!(source.address.starts_with("https://") && !source.title.is_empty(), "{}", preset.id);
                assert!(bases(preset).contains(&Basis::Source(at + 1)), "{}: nobody names {at}", preset.id);
            }
            for basis in bases(preset) {
                let Basis::Source(number) = basis else { continue };
                assert!((1..=preset.sources.len()).contains(&number), "{}: source {number}", preset.id);
            }
        }
    }

    #[test]
    fn what_is_unverified_loses_nothing() {
        for preset in PRESETS {
            let Preset { leeway, rotation, reuse_revokes_family, refresh_early, .. } = preset;
            assert!(leeway.basis != Basis::Unverified || leeway.value.is_zero(), "{}", preset.id);
            assert!(
                rotation.basis != Basis::Unverified || rotation.value == Rotation::Rotates,
                "{}",
                preset.id
            );
            assert!(
                reuse_revokes_family.basis != Basis::Unverified || reuse_revokes_family.value,
                "{}",
                preset.id
            );
            let kills = refresh_early.value == RefreshEarly::KillsAccessToken;
            assert!(refresh_early.basis != Basis::Unverified || kills, "{}", preset.id);
        }
    }
}
