//! The file as it is written: the shapes of `docs/configuration.md`, nothing judged yet.
//!
//! What the contract knows and this version does not is read too, so that it can be refused by name.
//!
//! Never a default that could weaken anything; unknown keys are refused.

use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

type Text = Spanned<String>;

/// Of the contract, but not of this version: whatever stands there is refused.
type Later = Option<Spanned<IgnoredAny>>;

/// Gives each `Later` field of a struct with its name and place.
macro_rules! later {
    ($written:ty: $($field:ident),+) => {
        impl $written {
            /// What stands there and is not available in this version.
            pub(super) fn later(&self) -> Option<(&'static str, Range<usize>)> {
                [$((stringify!($field), &self.$field)),+]
                    .into_iter()
                    .find_map(|(name, field)| field.as_ref().map(|field| (name, field.span())))
            }
        }
    };
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Written {
    pub(super) environment: Text,
    pub(super) state_directory: Text,
    #[serde(default)]
    pub(super) listen: Listen,
    pub(super) root_key: RootKey,
    #[serde(default)]
    pub(super) client: Vec<Spanned<Client>>,
    #[serde(default)]
    pub(super) provider: Vec<Provider>,
    #[serde(default)]
    pub(super) application_key: Vec<Spanned<ApplicationKey>>,
    #[serde(default)]
    pub(super) audit: Audit,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) store: Store,
    #[serde(default)]
    pub(super) log: Log,
    #[serde(default)]
    pub(super) memory: Memory,
    pub(super) egress: Option<Spanned<Egress>>,
    #[serde(default)]
    pub(super) sandbox: Sandbox,
    #[serde(default)]
    pub(super) refresh: Refresh,
    pub(super) alerts: Option<Alerts>,
    pub(super) backup: Option<Spanned<Backup>>,
    retention: Later,
}

later!(Written: retention);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Backup {
    pub(super) directory: Option<Text>,
    pub(super) url: Option<Text>,
    pub(super) region: Option<Text>,
    pub(super) allowed_regions: Option<Spanned<Vec<Text>>>,
    pub(super) endpoint: Option<Text>,
    pub(super) sts_endpoint: Option<Text>,
    pub(super) ca: Option<Text>,
    pub(super) recipients: Option<Spanned<Vec<Text>>>,
    pub(super) every: Option<Text>,
    pub(super) ship: Option<Text>,
    pub(super) keep: Option<Text>,
    pub(super) drill: Option<Text>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Listen {
    pub(super) unix: Option<Text>,
    pub(super) admin: Option<Text>,
    pub(super) mtls: Option<Spanned<Mtls>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Mtls {
    pub(super) address: Text,
    pub(super) certificate: Text,
    pub(super) key: Spanned<Private>,
    pub(super) client_ca: Text,
    pub(super) crl: Option<Text>,
    pub(super) minimum_version: Option<Text>,
}

/// A path, or a credential of the unit.
#[derive(Deserialize)]
#[serde(untagged, expecting = "not what belongs here: expected a path, or { credential = \"…\" }")]
pub(super) enum Private {
    Credential(Credential),
    Path(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Credential {
    pub(super) credential: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RootKey {
    pub(super) source: Text,
    pub(super) path: Option<Text>,
    pub(super) name: Option<Text>,
    pub(super) command: Option<Spanned<Vec<String>>>,
    pub(super) deadline: Option<Text>,
    pub(super) wait: Option<Text>,
    pub(super) address: Option<Text>,
    pub(super) app_role: Option<Spanned<AppRole>>,
    pub(super) ca: Option<Text>,
    pub(super) endpoint: Option<Text>,
    pub(super) field: Option<Text>,
    pub(super) mount: Option<Text>,
    pub(super) namespace: Option<Text>,
    pub(super) region: Option<Text>,
    pub(super) secret_id: Option<Text>,
    pub(super) sts_endpoint: Option<Text>,
    pub(super) token: Option<Spanned<Held>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Egress {
    pub(super) socket: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct AppRole {
    pub(super) role_id: Text,
    pub(super) secret_id: Spanned<Held>,
    pub(super) mount: Option<Text>,
    #[serde(default)]
    pub(super) wrapped: bool,
}

/// Where a secret is held: never the secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with file or credential")]
pub(super) struct Held {
    pub(super) file: Option<Text>,
    pub(super) credential: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Client {
    pub(super) name: Text,
    pub(super) unix: Option<Unix>,
    pub(super) orgs: Spanned<Vec<Text>>,
    pub(super) providers: Spanned<Vec<Text>>,
    pub(super) allow: Spanned<Vec<Text>>,
    pub(super) rate: Option<Spanned<Rate>>,
    pub(super) mtls: Option<San>,
    #[serde(default)]
    pub(super) require_pass: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct San {
    pub(super) san: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Unix {
    pub(super) user: Spanned<User>,
    pub(super) unit: Option<Text>,
}

/// A name, or a number.
pub(super) struct User(pub(super) String);

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = User;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a user name or a user id")
            }
            fn visit_i64<E>(self, uid: i64) -> Result<User, E> {
                Ok(User(uid.to_string()))
            }
            fn visit_str<E>(self, name: &str) -> Result<User, E> {
                Ok(User(name.to_owned()))
            }
        }
        d.deserialize_any(Visitor)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Rate {
    pub(super) per_second: u32,
    pub(super) burst: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Provider {
    pub(super) id: Text,
    #[serde(default)]
    pub(super) allowed_scopes: Vec<Text>,
    pub(super) requires_consent: Option<Spanned<bool>>,
    pub(super) preset: Option<Text>,
    pub(super) absolute_limit: Option<Text>,
    pub(super) access_token_lifetime: Option<Text>,
    pub(super) assertion_audience: Option<Text>,
    pub(super) authorization_endpoint: Option<Text>,
    pub(super) ca: Option<Text>,
    pub(super) client_auth: Option<Text>,
    pub(super) client_certificate: Option<Spanned<Held>>,
    pub(super) client_errors: Option<Spanned<Vec<Text>>>,
    pub(super) client_id: Option<Text>,
    pub(super) client_key: Option<Spanned<Held>>,
    pub(super) client_key_id: Option<Text>,
    pub(super) client_secret: Option<Spanned<Held>>,
    pub(super) errors_in_200: Option<Spanned<bool>>,
    pub(super) grant_errors: Option<Spanned<Vec<Text>>>,
    pub(super) http_loopback: Option<Spanned<bool>>,
    pub(super) idle_limit: Option<Text>,
    pub(super) issuer: Option<Text>,
    pub(super) leeway: Option<Text>,
    pub(super) refresh_early: Option<Text>,
    pub(super) reuse_revokes_family: Option<Spanned<bool>>,
    pub(super) revocation: Option<Text>,
    pub(super) revocation_endpoint: Option<Text>,
    pub(super) rotation: Option<Text>,
    pub(super) scope_separator: Option<Text>,
    pub(super) token_endpoint: Option<Text>,
    pub(super) token_request: Option<Text>,
}

/// Gives each setting of a client that is written, with its name and place.
macro_rules! settings_of_a_client {
    ($($field:ident),+) => {
        impl Provider {
            pub(super) fn settings(&self) -> impl Iterator<Item = (&'static str, Range<usize>)> {
                [$((stringify!($field), self.$field.as_ref().map(Spanned::span))),+]
                    .into_iter()
                    .filter_map(|(name, span)| Some((name, span?)))
            }
        }
    };
}

settings_of_a_client!(
    absolute_limit,
    access_token_lifetime,
    assertion_audience,
    authorization_endpoint,
    ca,
    client_auth,
    client_certificate,
    client_errors,
    client_id,
    client_key,
    client_key_id,
    client_secret,
    errors_in_200,
    grant_errors,
    http_loopback,
    idle_limit,
    issuer,
    leeway,
    refresh_early,
    reuse_revokes_family,
    revocation,
    revocation_endpoint,
    rotation,
    scope_separator,
    token_endpoint,
    token_request
);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ApplicationKey {
    pub(super) name: Text,
    pub(super) path: Option<Text>,
    pub(super) credential: Option<Text>,
    pub(super) orgs: Spanned<Vec<Text>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Audit {
    pub(super) directory: Option<Text>,
    pub(super) sync: Option<Text>,
    retain: Later,
    sinks: Later,
}

later!(Audit: retain, sinks);

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Limits {
    pub(super) connections: Option<Spanned<usize>>,
    pub(super) connections_per_user: Option<Spanned<usize>>,
    pub(super) header_deadline: Option<Text>,
    pub(super) body_deadline: Option<Text>,
    pub(super) idle_deadline: Option<Text>,
    pub(super) org_keys: Option<Spanned<usize>>,
    pub(super) org_key_idle: Option<Text>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Store {
    pub(super) scrub_per_second: Option<Spanned<usize>>,
    pub(super) segment_mib: Option<Spanned<usize>>,
    pub(super) snapshot_after_mib: Option<Spanned<usize>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Log {
    pub(super) level: Option<Text>,
    pub(super) format: Option<Text>,
    #[serde(default)]
    pub(super) levels: Levels,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Memory {
    pub(super) lock: Option<Text>,
    pub(super) secret_pages: Option<Text>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Sandbox {
    pub(super) landlock: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Alerts {
    pub(super) waiting: Option<Spanned<usize>>,
    pub(super) webhook: Option<Webhook>,
    pagerduty: Later,
    slack: Later,
}

later!(Alerts: pagerduty, slack);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Webhook {
    pub(super) url: Text,
    pub(super) secret: Spanned<Held>,
    pub(super) ca: Option<Text>,
    #[serde(default)]
    pub(super) http_loopback: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Refresh {
    pub(super) concurrency: Option<Spanned<usize>>,
    pub(super) early: Option<Text>,
    pub(super) jitter: Option<Text>,
    pub(super) keep_alive: Option<Text>,
    pub(super) rate: Option<Spanned<Rate>>,
    pub(super) unread: Option<Text>,
}

/// Declares the areas of the log, and gives each with what is written of it.
macro_rules! areas {
    ($($area:ident),+) => {
        /// `[log.levels]`: an area is a layer of the program. Another is an unknown key, and refused as such.
        #[derive(Deserialize, Default)]
        #[serde(deny_unknown_fields, expecting = "a table")]
        pub(super) struct Levels {
            $($area: Option<Text>),+
        }

        impl Levels {
            pub(super) fn written(&self) -> impl Iterator<Item = (&'static str, &Text)> {
                [$((stringify!($area), &self.$area)),+]
                    .into_iter()
                    .filter_map(|(area, level)| level.as_ref().map(|level| (area, level)))
            }
        }

        #[cfg(test)]
        pub(super) const AREAS: &[&str] = &[$(stringify!($area)),+];
    };
}

areas!(audit, crypto, daemon, domain, net, os, service, store, transport, vault);
