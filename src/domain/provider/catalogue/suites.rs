//! Office and customer suites: Google, Microsoft, HubSpot, Salesforce, Zoho.
//!
//! Never a value without what it rests on.

use std::time::Duration;

use super::{Preset, UNKNOWN, days, hours, minutes, read, source, unverified};
use crate::domain::provider::client::{AuthMethod, RefreshEarly, RevocationWay, Rotation, ScopeSeparator};

pub(super) const GOOGLE: Preset = Preset {
    id: "google",
    name: "Google",
    notes: &[
        "A refresh answers without refresh_token: the stored one stays.",
        "100 refresh tokens may live per account and client: one more ends the oldest without a word.",
        "Refresh tokens of a project in publishing status Testing end after 7 days: set absolute_limit = \"7d\".",
        "Six months are counted as the shortest six: 181 days.",
    ],
    sources: &[
        source(
            "Using OAuth 2.0 to Access Google APIs: Refresh token expiration",
            "https://developers.google.com/identity/protocols/oauth2#expiration",
        ),
        source(
            "Using OAuth 2.0 for Web Server Applications: Refreshing an access token",
            "https://developers.google.com/identity/protocols/oauth2/web-server#offline",
        ),
    ],
    token_endpoint: read(2, Some("https://oauth2.googleapis.com/token")),
    authorization_endpoint: unverified(Some("https://accounts.google.com/o/oauth2/v2/auth")),
    revocation: unverified(Some((RevocationWay::Form, "https://oauth2.googleapis.com/revoke"))),
    client_auth: read(2, AuthMethod::Post),
    rotation: read(1, Rotation::Stays),
    reuse_revokes_family: read(1, false),
    idle_limit: read(1, Some(days(181))),
    refresh_early: read(2, RefreshEarly::Allowed),
    ..UNKNOWN
};

pub(super) const MICROSOFT: Preset = Preset {
    id: "microsoft",
    name: "Microsoft identity platform",
    notes: &[
        "Each refresh gives a new refresh token and leaves the old one alive.",
        "The addresses are those of apps for accounts of any directory; for one directory write its id in place of common.",
        "Tokens of a single page application end after 24 hours: set absolute_limit = \"24h\".",
        "No way to revoke a token is documented.",
    ],
    sources: &[source(
        "Refresh tokens in the Microsoft identity platform",
        "https://learn.microsoft.com/en-us/entra/identity-platform/refresh-tokens",
    )],
    token_endpoint: unverified(Some("https://login.microsoftonline.com/common/oauth2/v2.0/token")),
    authorization_endpoint: unverified(Some(
        "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
    )),
    client_auth: unverified(AuthMethod::Post),
    rotation: read(1, Rotation::Stays),
    reuse_revokes_family: read(1, false),
    idle_limit: read(1, Some(days(90))),
    refresh_early: read(1, RefreshEarly::Allowed),
    ..UNKNOWN
};

pub(super) const HUBSPOT: Preset = Preset {
    id: "hubspot",
    name: "HubSpot",
    notes: &[
        "The endpoints of v1 end on 16 February 2027; this is the one that replaces them.",
        "Whether the refresh token stays is commonly said and nowhere promised: it is taken to rotate.",
        "Its revocation puts the refresh token into the address, so there is none here.",
    ],
    sources: &[
        source(
            "Migrate from OAuth v1 to the latest OAuth API",
            "https://developers.hubspot.com/docs/api-reference/legacy/authentication/oauth-tokens/v1/migration-guide",
        ),
        source(
            "Manage OAuth tokens (2026-03)",
            "https://developers.hubspot.com/docs/api-reference/2026-03/authentication/manage-oauth-tokens",
        ),
    ],
    token_endpoint: read(1, Some("https://api.hubapi.com/oauth/2026-03/token")),
    authorization_endpoint: unverified(Some("https://app.hubspot.com/oauth/authorize")),
    client_auth: read(1, AuthMethod::Post),
    access_token_lifetime: read(2, Some(minutes(30))),
    ..UNKNOWN
};

pub(super) const SALESFORCE: Preset = Preset {
    id: "salesforce",
    name: "Salesforce",
    notes: &[
        "An access token is a session: it lives as long as the session timeout of the app, which the answer does not \
         say; set access_token_lifetime to it.",
        "With refresh token rotation, a spent token that is shown again ends the new one and every access token.",
        "For a sandbox or a domain of one's own write the addresses by hand.",
        "Refused where the IP allow list of the app does not have this host.",
    ],
    sources: &[
        source(
            "Salesforce Help: Enable refresh token rotation",
            "https://help.salesforce.com/s/articleView?id=005316711&type=1",
        ),
        source(
            "REST API Developer Guide: Understanding the OAuth refresh token process",
            "https://developer.salesforce.com/docs/atlas.en-us.222.0.api_rest.meta/api/intro_understanding_refresh_token_oauth.htm",
        ),
    ],
    token_endpoint: read(2, Some("https://login.salesforce.com/services/oauth2/token")),
    authorization_endpoint: unverified(Some("https://login.salesforce.com/services/oauth2/authorize")),
    revocation: unverified(Some((
        RevocationWay::Form,
        "https://login.salesforce.com/services/oauth2/revoke",
    ))),
    client_auth: read(2, AuthMethod::Post),
    rotation: read(1, Rotation::Rotates),
    leeway: read(1, Duration::ZERO),
    reuse_revokes_family: read(1, true),
    access_token_lifetime: unverified(Some(hours(2))),
    client_errors: unverified(&["invalid_client_id"]),
    ..UNKNOWN
};

pub(super) const ZOHO: Preset = Preset {
    id: "zoho",
    name: "Zoho",
    notes: &[
        "Each data centre has its own addresses (.eu, .in, .com.au, .jp, .com.cn): write those of the customer's.",
        "20 refresh tokens may live per user and client: one more ends the oldest without a word.",
        "10 access tokens may live per refresh token, and 10 may be asked for in 10 minutes; beyond that the answer \
         is \"Access Denied\".",
    ],
    sources: &[
        source(
            "Zoho Accounts: When will the refresh tokens expire?",
            "https://help.zoho.com/portal/en/kb/accounts/faqs-troubleshooting/faqs/oauth/articles/will-the-refresh-tokens-expire",
        ),
        source(
            "Zoho: Refreshing access tokens",
            "https://www.zoho.com/contracts/api/getting-started/refreshing-access-tokens.html",
        ),
        source(
            "Zoho Accounts: OAuth token limits",
            "https://www.zoho.com/accounts/protocol/oauth/token-limits.html",
        ),
    ],
    token_endpoint: read(2, Some("https://accounts.zoho.com/oauth/v2/token")),
    authorization_endpoint: unverified(Some("https://accounts.zoho.com/oauth/v2/auth")),
    revocation: read(2, Some((RevocationWay::Form, "https://accounts.zoho.com/oauth/v2/token/revoke"))),
    client_auth: read(2, AuthMethod::Post),
    rotation: read(1, Rotation::Stays),
    reuse_revokes_family: read(1, false),
    idle_limit: read(1, None),
    absolute_limit: read(1, None),
    access_token_lifetime: read(2, Some(hours(1))),
    refresh_early: read(3, RefreshEarly::Allowed),
    errors_in_200: unverified(true),
    grant_errors: unverified(&["invalid_code"]),
    client_errors: unverified(&["invalid_client_secret"]),
    scope_separator: unverified(ScopeSeparator::Comma),
    ..UNKNOWN
};
