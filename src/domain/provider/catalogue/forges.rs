//! Where code is kept: GitHub, GitLab, Bitbucket.
//!
//! Never a value without what it rests on.

use std::time::Duration;

use super::{Preset, UNKNOWN, days, hours, read, source, unverified};
use crate::domain::provider::client::{AuthMethod, RefreshEarly, RevocationWay, Rotation, ScopeSeparator};

pub(super) const GITHUB: Preset = Preset {
    id: "github",
    name: "GitHub App",
    notes: &[
        "For user access tokens that expire. A refresh ends the old access token too: never early.",
        "Six months are counted as the shortest six: 181 days.",
        "For GitHub Enterprise Server write the addresses by hand.",
    ],
    sources: &[
        source(
            "GitHub Docs: Refreshing user access tokens",
            "https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens",
        ),
        source(
            "GitHub Docs: REST API endpoints for OAuth authorizations",
            "https://docs.github.com/en/rest/apps/oauth-applications",
        ),
        source(
            "GitHub Docs: Troubleshooting OAuth app access token request errors",
            "https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors",
        ),
    ],
    token_endpoint: read(1, Some("https://github.com/login/oauth/access_token")),
    authorization_endpoint: unverified(Some("https://github.com/login/oauth/authorize")),
    revocation: read(2, Some((RevocationWay::GitHub, "https://api.github.com/applications"))),
    client_auth: read(1, AuthMethod::Post),
    rotation: read(1, Rotation::Rotates),
    leeway: read(1, Duration::ZERO),
    idle_limit: read(1, Some(days(181))),
    access_token_lifetime: read(1, Some(hours(8))),
    refresh_early: read(1, RefreshEarly::KillsAccessToken),
    errors_in_200: unverified(true),
    grant_errors: unverified(&["bad_refresh_token"]),
    client_errors: read(3, &["incorrect_client_credentials"]),
    scope_separator: unverified(ScopeSeparator::Comma),
    ..UNKNOWN
};

pub(super) const GITHUB_OAUTH_APP: Preset = Preset {
    id: "github-oauth-app",
    name: "GitHub OAuth App",
    notes: &["Its access tokens do not expire and come without a refresh token."],
    sources: &[
        source(
            "GitHub Docs: REST API endpoints for OAuth authorizations",
            "https://docs.github.com/en/rest/apps/oauth-applications",
        ),
        source(
            "GitHub Docs: Troubleshooting OAuth app access token request errors",
            "https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors",
        ),
    ],
    token_endpoint: unverified(Some("https://github.com/login/oauth/access_token")),
    authorization_endpoint: unverified(Some("https://github.com/login/oauth/authorize")),
    revocation: read(1, Some((RevocationWay::GitHub, "https://api.github.com/applications"))),
    client_auth: unverified(AuthMethod::Post),
    errors_in_200: unverified(true),
    client_errors: read(2, &["incorrect_client_credentials"]),
    scope_separator: unverified(ScopeSeparator::Comma),
    ..UNKNOWN
};

pub(super) const GITLAB: Preset = Preset {
    id: "gitlab",
    name: "GitLab",
    notes: &[
        "A refresh ends the old access token too: never early.",
        "For a GitLab of one's own write the addresses by hand, and ca where its certificate needs it.",
    ],
    sources: &[
        source("GitLab Docs: OAuth 2.0 identity provider API", "https://docs.gitlab.com/api/oauth2/"),
        source(
            "gitlab-org/gitlab#372358: oauth2 refreshing of tokens, default behaviour",
            "https://gitlab.com/gitlab-org/gitlab/-/issues/372358",
        ),
    ],
    token_endpoint: read(1, Some("https://gitlab.com/oauth/token")),
    authorization_endpoint: unverified(Some("https://gitlab.com/oauth/authorize")),
    revocation: unverified(Some((RevocationWay::Form, "https://gitlab.com/oauth/revoke"))),
    client_auth: read(1, AuthMethod::Post),
    rotation: read(1, Rotation::Rotates),
    leeway: read(1, Duration::ZERO),
    access_token_lifetime: read(1, Some(hours(2))),
    refresh_early: read(2, RefreshEarly::KillsAccessToken),
    ..UNKNOWN
};

pub(super) const BITBUCKET: Preset = Preset {
    id: "bitbucket",
    name: "Bitbucket Cloud",
    notes: &[
        "Refresh tokens rotate since 4 May 2026; three months are counted as the shortest three: 89 days.",
        "No way to revoke a token is documented.",
    ],
    sources: &[
        source("Bitbucket Cloud: OAuth 2.0", "https://developer.atlassian.com/cloud/bitbucket/oauth-2/"),
        source(
            "OAuth 2.0 and API authentication changes for Bitbucket Cloud",
            "https://community.developer.atlassian.com/t/oauth-2-0-and-api-authentication-changes-for-bitbucket-cloud/99003",
        ),
        source(
            "OAuth2 token lifetime/expiration clarification",
            "https://community.developer.atlassian.com/t/oauth2-token-lifetime-expiration-clarification/22136",
        ),
    ],
    token_endpoint: read(1, Some("https://bitbucket.org/site/oauth2/access_token")),
    authorization_endpoint: read(1, Some("https://bitbucket.org/site/oauth2/authorize")),
    client_auth: read(1, AuthMethod::BasicRaw),
    rotation: read(2, Rotation::Rotates),
    idle_limit: read(2, Some(days(89))),
    access_token_lifetime: read(3, Some(hours(2))),
    ..UNKNOWN
};
