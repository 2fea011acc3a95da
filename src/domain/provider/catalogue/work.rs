//! Where people work together: Slack, Atlassian, Linear, Notion, Asana, Zoom.
//!
//! Never a value without what it rests on.

use std::time::Duration;

use super::{Preset, UNKNOWN, days, hours, minutes, read, source, unverified};
use crate::domain::provider::client::{
    AuthMethod, BodyForm, RefreshEarly, RevocationWay, Rotation, ScopeSeparator,
};

pub(super) const SLACK: Preset = Preset {
    id: "slack",
    name: "Slack (token rotation on)",
    notes: &[
        "An error comes with status 200 and \"ok\": false.",
        "Without token rotation an access token does not expire and comes without a refresh token.",
    ],
    sources: &[
        source(
            "Slack Developer Docs: Using token rotation",
            "https://docs.slack.dev/authentication/using-token-rotation",
        ),
        source(
            "slackapi/node-slack-sdk#1244: Add Support for Token Rotation",
            "https://github.com/slackapi/node-slack-sdk/pull/1244",
        ),
        source("Slack API: tooling.tokens.rotate", "https://api.slack.com/methods/tooling.tokens.rotate"),
    ],
    token_endpoint: read(1, Some("https://slack.com/api/oauth.v2.access")),
    authorization_endpoint: unverified(Some("https://slack.com/oauth/v2/authorize")),
    revocation: unverified(Some((RevocationWay::Bearer, "https://slack.com/api/auth.revoke"))),
    client_auth: unverified(AuthMethod::Post),
    rotation: read(1, Rotation::Rotates),
    leeway: read(1, Duration::ZERO),
    idle_limit: read(2, None),
    access_token_lifetime: read(1, Some(hours(12))),
    refresh_early: read(2, RefreshEarly::Allowed),
    errors_in_200: read(3, true),
    grant_errors: read(3, &["invalid_refresh_token"]),
    client_errors: unverified(&["bad_client_secret", "invalid_client_id"]),
    scope_separator: unverified(ScopeSeparator::Comma),
    ..UNKNOWN
};

pub(super) const ATLASSIAN: Preset = Preset {
    id: "atlassian",
    name: "Atlassian (3LO)",
    notes: &[
        "A refusal may come with status 403; a wrong client secret is said to be answered with access_denied.",
        "The absolute limit holds for the whole family of a consent, however often it is refreshed.",
        "No way to revoke a token is documented.",
    ],
    sources: &[
        source(
            "Atlassian: Implementing the Refresh Token Flow",
            "https://developer.atlassian.com/cloud/oauth/getting-started/refresh-tokens/",
        ),
        source(
            "Refresh token expire after 36000 seconds",
            "https://community.developer.atlassian.com/t/refresh-token-expire-after-36000-seconds/60806",
        ),
        source(
            "Action required: Deprecating persistent refresh tokens",
            "https://community.developer.atlassian.com/t/superseded-31-january-2022-action-required-deprecating-persistent-refresh-tokens/50348",
        ),
    ],
    token_endpoint: read(2, Some("https://auth.atlassian.com/oauth/token")),
    authorization_endpoint: unverified(Some("https://auth.atlassian.com/authorize")),
    client_auth: read(1, AuthMethod::Post),
    rotation: read(1, Rotation::Rotates),
    leeway: read(3, minutes(10)),
    reuse_revokes_family: read(1, true),
    idle_limit: read(2, Some(days(90))),
    absolute_limit: read(2, Some(days(365))),
    access_token_lifetime: read(2, Some(hours(1))),
    client_errors: unverified(&["access_denied"]),
    ..UNKNOWN
};

pub(super) const LINEAR: Preset = Preset {
    id: "linear",
    name: "Linear",
    notes: &[
        "Every application has refresh tokens since 1 April 2026. Scopes are asked for with commas between.",
    ],
    sources: &[
        source("Linear: OAuth 2.0 authentication", "https://linear.app/developers/oauth-2-0-authentication"),
        source(
            "Nango: Linear OAuth refresh token invalid_grant",
            "https://nango.dev/blog/linear-oauth-refresh-token-invalid-grant",
        ),
    ],
    token_endpoint: read(2, Some("https://api.linear.app/oauth/token")),
    authorization_endpoint: read(1, Some("https://linear.app/oauth/authorize")),
    revocation: unverified(Some((RevocationWay::Form, "https://api.linear.app/oauth/revoke"))),
    client_auth: unverified(AuthMethod::Post),
    rotation: read(2, Rotation::Rotates),
    access_token_lifetime: unverified(Some(hours(24))),
    scope_separator: read(1, ScopeSeparator::Comma),
    ..UNKNOWN
};

pub(super) const NOTION: Preset = Preset {
    id: "notion",
    name: "Notion",
    notes: &["Token requests are JSON and name the version of the API."],
    sources: &[
        source("Notion: Refresh a token", "https://developers.notion.com/reference/refresh-a-token"),
        source("Notion: Revoke a token", "https://developers.notion.com/reference/revoke-token"),
    ],
    token_endpoint: read(1, Some("https://api.notion.com/v1/oauth/token")),
    authorization_endpoint: unverified(Some("https://api.notion.com/v1/oauth/authorize")),
    revocation: read(2, Some((RevocationWay::Json, "https://api.notion.com/v1/oauth/revoke"))),
    client_auth: read(1, AuthMethod::BasicRaw),
    token_request: read(1, BodyForm::Json),
    headers: &[("notion-version", "2025-09-03")],
    rotation: read(1, Rotation::Rotates),
    ..UNKNOWN
};

pub(super) const ASANA: Preset = Preset {
    id: "asana",
    name: "Asana",
    notes: &["Whether the refresh token stays is commonly said and nowhere promised: it is taken to rotate."],
    sources: &[
        source("Asana: OAuth", "https://developers.asana.com/docs/oauth"),
        source(
            "oauth-io/oauthd#178: Issues in getting access token using the providers refresh token",
            "https://github.com/oauth-io/oauthd/issues/178",
        ),
    ],
    token_endpoint: read(1, Some("https://app.asana.com/-/oauth_token")),
    authorization_endpoint: read(1, Some("https://app.asana.com/-/oauth_authorize")),
    revocation: read(1, Some((RevocationWay::Form, "https://app.asana.com/-/oauth_revoke"))),
    client_auth: unverified(AuthMethod::Post),
    access_token_lifetime: read(2, Some(hours(1))),
    ..UNKNOWN
};

pub(super) const ZOOM: Preset = Preset {
    id: "zoom",
    name: "Zoom",
    notes: &[
        "Only the latest refresh token works: a lost answer ends the connection.",
        "Zoom's own pages name 15 years for a refresh token, others 90 days: the shorter is taken for its idle limit.",
    ],
    sources: &[source(
        "Zoom Developer Support: Extending the expiration for an OAuth access token",
        "https://devsupport.zoom.us/hc/en-us/articles/360060332931-Extending-the-expiration-for-an-OAuth-access-token",
    )],
    token_endpoint: read(1, Some("https://zoom.us/oauth/token")),
    authorization_endpoint: unverified(Some("https://zoom.us/oauth/authorize")),
    revocation: unverified(Some((RevocationWay::Form, "https://zoom.us/oauth/revoke"))),
    client_auth: read(1, AuthMethod::BasicRaw),
    rotation: read(1, Rotation::Rotates),
    leeway: read(1, Duration::ZERO),
    idle_limit: unverified(Some(days(90))),
    access_token_lifetime: read(1, Some(hours(1))),
    ..UNKNOWN
};
