//! Where books are kept: Xero, QuickBooks.
//!
//! Never a value without what it rests on.

use super::{Preset, UNKNOWN, days, hours, minutes, read, source, unverified};
use crate::domain::provider::client::{AuthMethod, RevocationWay, Rotation};

pub(super) const XERO: Preset = Preset {
    id: "xero",
    name: "Xero",
    notes: &["A refresh whose answer was lost may be repeated with the same refresh token for 30 minutes."],
    sources: &[
        source("Xero Developer: OAuth 2.0 FAQ", "https://developer.xero.com/faq/oauth2"),
        source(
            "Xero Developer Community: Help with refreshing expired access token in OAuth 2.0",
            "https://community.xero.com/developer/discussion/105714701/",
        ),
        source(
            "Nango: Xero OAuth refresh token invalid_grant",
            "https://www.nango.dev/blog/xero-oauth-refresh-token-invalid-grant",
        ),
    ],
    token_endpoint: read(3, Some("https://identity.xero.com/connect/token")),
    authorization_endpoint: unverified(Some("https://login.xero.com/identity/connect/authorize")),
    revocation: unverified(Some((RevocationWay::Form, "https://identity.xero.com/connect/revocation"))),
    client_auth: read(2, AuthMethod::BasicRaw),
    rotation: read(1, Rotation::Rotates),
    leeway: read(1, minutes(30)),
    idle_limit: read(1, Some(days(60))),
    access_token_lifetime: read(1, Some(minutes(30))),
    ..UNKNOWN
};

pub(super) const QUICKBOOKS: Preset = Preset {
    id: "quickbooks",
    name: "QuickBooks Online (Intuit)",
    notes: &[
        "The refresh token changes about once in 24 hours; in between, a refresh gives the same one.",
        "Intuit's pages disagree on how long the one before still works: it is taken not to.",
    ],
    sources: &[
        source(
            "Intuit Developer: Important changes to refresh token policy",
            "https://blogs.intuit.com/2025/11/12/important-changes-to-refresh-token-policy/",
        ),
        source(
            "Intuit Developer: OAuth token management done the right way",
            "https://blogs.intuit.com/2024/06/03/oauth-token-management-done-the-right-way/",
        ),
        source(
            "intuit/oauth-jsclient#74: refresh token expiration time",
            "https://github.com/intuit/oauth-jsclient/issues/74",
        ),
        source(
            "intuit/oauth-jsclient#128: Invalid_Grant Error",
            "https://github.com/intuit/oauth-jsclient/issues/128",
        ),
    ],
    token_endpoint: read(4, Some("https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer")),
    authorization_endpoint: unverified(Some("https://appcenter.intuit.com/connect/oauth2")),
    revocation: unverified(Some((
        RevocationWay::Json,
        "https://developer.api.intuit.com/v2/oauth2/tokens/revoke",
    ))),
    client_auth: unverified(AuthMethod::BasicRaw),
    rotation: read(3, Rotation::Rotates),
    idle_limit: read(2, Some(days(100))),
    absolute_limit: read(1, Some(days(5 * 365))),
    access_token_lifetime: read(2, Some(hours(1))),
    ..UNKNOWN
};
