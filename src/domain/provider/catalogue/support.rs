//! Where customers call: Zendesk, Intercom, Aircall.
//!
//! Never a value without what it rests on.

use std::time::Duration;

use super::{Preset, UNKNOWN, read, source, unverified};
use crate::domain::provider::client::{AuthMethod, BodyForm, RefreshEarly, Rotation};

pub(super) const ZENDESK: Preset = Preset {
    id: "zendesk",
    name: "Zendesk",
    notes: &[
        "Each account has its own addresses: write token_endpoint = \"https://ACCOUNT.zendesk.com/oauth/tokens\", and a \
         provider for each account.",
        "A refresh ends the old access token too: never early.",
    ],
    sources: &[
        source(
            "Zendesk: OAuth Tokens for Grant Types",
            "https://developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens/",
        ),
        source(
            "Announcing support for OAuth refresh token grant type",
            "https://support.zendesk.com/hc/en-us/articles/9182123625370",
        ),
    ],
    client_auth: unverified(AuthMethod::Post),
    token_request: unverified(BodyForm::Json),
    rotation: read(1, Rotation::Rotates),
    leeway: read(1, Duration::ZERO),
    refresh_early: read(2, RefreshEarly::KillsAccessToken),
    ..UNKNOWN
};

pub(super) const INTERCOM: Preset = Preset {
    id: "intercom",
    name: "Intercom",
    notes: &["Its access tokens do not expire and come without a refresh token."],
    sources: &[source(
        "Intercom: Using OAuth",
        "https://intercom-developer-hub.readme.io/reference/using-oauth",
    )],
    token_endpoint: read(1, Some("https://api.intercom.io/auth/eagle/token")),
    authorization_endpoint: unverified(Some("https://app.intercom.com/oauth")),
    client_auth: read(1, AuthMethod::Post),
    ..UNKNOWN
};

pub(super) const AIRCALL: Preset = Preset {
    id: "aircall",
    name: "Aircall",
    notes: &["Its access tokens do not expire and come without a refresh token."],
    sources: &[source(
        "Aircall: Get started with Aircall OAuth",
        "https://developer.aircall.io/tutorials/how-aircall-oauth-flow-works",
    )],
    token_endpoint: unverified(Some("https://api.aircall.io/v1/oauth/token")),
    authorization_endpoint: read(1, Some("https://dashboard.aircall.io/oauth/authorize")),
    client_auth: unverified(AuthMethod::Post),
    ..UNKNOWN
};
