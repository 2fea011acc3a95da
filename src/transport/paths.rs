//! The API as a table: each path, what can be done there, and what that takes and gives.
//!
//! The hard problem: an endpoint must not be served undescribed, nor described unserved. The answer: requests are
//! looked up here, a route without a row does not compile, and `docs/openapi.json` is printed from these rows.
//!
//! To add an operation, add a row; see CONTRIBUTING.md.

use hyper::StatusCode;
use tokenkeep_client::problem::Code;

use super::body;
use super::operation::{Kind, Operation, Parameter, Path, Shape, Success};
use super::route::Route;
use crate::domain::action::Action;

macro_rules! paths {
    ($($name:ident = $route:pat, $template:literal, [$($operation:expr),* $(,)?];)*) => {
        $(static $name: Path = Path { template: $template, operations: &[$($operation),*] };)*

        /// Every path there is.
        pub static PATHS: &[&Path] = &[$(&$name),*];

        impl Route {
            /// Its row.
            #[must_use]
            pub fn path(&self) -> &'static Path {
                match self { $($route => &$name,)* }
            }
        }
    };
}

const fn parameter(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter { name, kind, about }
}

/// Where a page goes on.
pub const AFTER: Parameter = parameter("after", Kind::Cursor, "The `next` of an earlier page.");
/// How long a page is.
pub const LIMIT: Parameter = parameter("limit", Kind::Limit, "Items of a page at the most.");
/// How long a token must live.
pub const MIN_TTL: Parameter =
    parameter("min_ttl", Kind::MinTtl, "Seconds that the token must live at least.");
/// Which issuer.
pub const PROVIDER: Parameter = parameter("provider", Kind::Provider, "Only connections of this issuer.");
const OF_ORG: Parameter =
    parameter("org", Kind::Org, "Only the keys of this org, its current one among them.");
const REVOKE: Parameter =
    parameter("revoke", Kind::Flag, "`false`: its tokens live on at the provider. `true` where left out.");
const STATE: Parameter = parameter("state", Kind::State, "Only connections in this state.");
const VERSION: Parameter = parameter(
    "version",
    Kind::Version,
    "An older version; the last 16 are kept. The current one where left out.",
);
const ENTRIES: &[Parameter] = &[
    parameter("last", Kind::Limit, "So many of the newest entries; the other parameters do not count then."),
    parameter("org", Kind::Text, "Only entries of this org."),
    parameter("action", Kind::Action, "Only entries that asked this."),
    parameter("principal", Kind::Text, "Only entries of this caller."),
    parameter("outcome", Kind::Text, "Only entries with this outcome: `ok` or the code of a problem."),
    parameter("since", Kind::Moment, "Only entries of this moment or later."),
    parameter("until", Kind::Moment, "Only entries before this moment."),
    parameter("after", Kind::Number, "The `next` of an earlier page."),
    LIMIT,
];

const EXPIRING_SOON: &[Parameter] = &[
    parameter("within", Kind::Within, "Only connections that end within so many seconds from now."),
    PROVIDER,
    parameter("after", Kind::Place, "The `next` of an earlier page."),
    LIMIT,
];

/// What a token that has to be renewed first may meet.
const RENEWAL: &[Code] = &[
    Code::ClientMisconfigured,
    Code::ConsentRequired,
    Code::NeedsReauth,
    Code::OutcomeUnknown,
    Code::ProviderError,
    Code::ProviderTimeout,
    Code::Quarantined,
    Code::RefreshInProgress,
    Code::ScopeNotAllowed,
    Code::StorageFull,
];

/// What the exchange of a code may meet.
const EXCHANGE: &[Code] = &[
    Code::ClientMisconfigured,
    Code::OutcomeUnknown,
    Code::ProviderError,
    Code::ProviderTimeout,
    Code::ScopeNotAllowed,
    Code::UnknownProvider,
];

const CREATED: Success = Success { status: StatusCode::CREATED, about: "Created." };
const FOUND: Success = Success { status: StatusCode::OK, about: "It was there already." };
const REPLACED: Success = Success { status: StatusCode::OK, about: "What was there is replaced." };
const BEGUN: Success = Success { status: StatusCode::ACCEPTED, about: "Begun; it goes on by itself." };

paths! {
    ALERTS = Self::Alerts, "/admin/v1/alerts", [
        Operation::get("listAlerts", "Events that wait to be delivered to the webhook.", Shape::AlertsOut)
            .needs(Action::AlertRead),
    ];
    ALERTS_TEST = Self::AlertsTest, "/admin/v1/alerts/test", [
        Operation::post(
            "testAlerts",
            "Sends the webhook an event that tells nothing, and says what came back.",
            Shape::AlertTestOut,
        )
        .needs(Action::AlertTest)
        .refuses(&[Code::NotFound]),
    ];
    AUDIT_ENTRIES = Self::AuditEntries, "/admin/v1/audit", [
        Operation::get("listAuditEntries", "Entries of the audit log, oldest first.", Shape::AuditEntries)
            .needs(Action::AuditRead)
            .query(ENTRIES),
    ];
    AUDIT_VERIFY = Self::AuditVerify, "/admin/v1/audit/verify", [
        Operation::post("verifyAudit", "Verifies the whole audit log. A break is a result.", Shape::AuditVerifyOut)
            .needs(Action::AuditRead),
    ];
    AUTHORIZATION_COMPLETE = Self::AuthorizationComplete(..), "/v1/orgs/{org}/authorizations/{state}/complete", [
        Operation::post(
            "completeAuthorization",
            "Exchanges the code that the browser came back with. The token set goes into the connection, and nowhere else.",
            Shape::ConnectionOut,
        )
        .needs(Action::ConnectionWrite)
        .takes(Shape::CompleteRequest)
        .changes()
        .tagged()
        .refuses(EXCHANGE),
    ];
    AUTHORIZATIONS = Self::Authorizations(..), "/v1/orgs/{org}/authorizations", [
        Operation::post(
            "beginAuthorization",
            "Begins an authorization-code flow with PKCE: where to send the person's browser.",
            Shape::AuthorizationOut,
        )
        .needs(Action::ConnectionWrite)
        .takes(Shape::AuthorizationRequest)
        .changes()
        .succeeds(&[CREATED])
        .refuses(&[Code::ScopeNotAllowed, Code::UnknownProvider]),
    ];
    BACKUPS = Self::Backups, "/admin/v1/backups", [
        Operation::get("listBackups", "The backups there are, and how the next goes.", Shape::BackupsOut)
            .needs(Action::BackupRead)
            .refuses(&[Code::NotFound]),
        Operation::post("createBackup", "Begins a new set of backups.", Shape::BackupsOut)
            .needs(Action::BackupMake)
            .succeeds(&[BEGUN])
            .refuses(&[Code::NotFound]),
    ];
    BACKUPS_DRILL = Self::BackupsDrill, "/admin/v1/backups/drill", [
        Operation::post(
            "drillBackup",
            "Restores the newest set beside the state, opens every record of it, and compares it with the live store.",
            Shape::BackupsOut,
        )
        .needs(Action::BackupMake)
        .succeeds(&[BEGUN])
        .refuses(&[Code::NotFound]),
    ];
    BACKUPS_VERIFY = Self::BackupsVerify, "/admin/v1/backups/verify", [
        Operation::post(
            "verifyBackups",
            "Reads every object of every set, and holds it against the manifests.",
            Shape::BackupsOut,
        )
        .needs(Action::BackupMake)
        .succeeds(&[BEGUN])
        .refuses(&[Code::NotFound]),
    ];
    CONNECTION = Self::Connection(..), "/v1/orgs/{org}/connections/{provider}/{name}", [
        Operation::delete("deleteConnection", "Deletes a connection, and revokes its tokens at the provider.", Shape::Deleted)
            .needs(Action::ConnectionDelete)
            .query(&[REVOKE])
            .conditional()
            .refuses(&[Code::Quarantined]),
        Operation::get("showConnection", "Shows a connection, never a token.", Shape::ConnectionOut)
            .needs(Action::ConnectionRead)
            .tagged(),
        Operation::put(
            "putConnection",
            "Stores a token set. Left out, `refresh_token` and `labels` stay as stored.",
            Shape::ConnectionOut,
        )
        .needs(Action::ConnectionWrite)
        .conditional()
        .takes(Shape::TokenSet)
        .succeeds(&[REPLACED, CREATED])
        .tagged()
        .refuses(&[Code::ScopeNotAllowed, Code::UnknownProvider]),
    ];
    CONNECTIONS = Self::Connections(..), "/v1/orgs/{org}/connections", [
        Operation::get("listConnections", "A page of connections, in an order that is stable.", Shape::Connections)
            .needs(Action::ConnectionList)
            .query(&[PROVIDER, STATE, AFTER, LIMIT]),
    ];
    CONSENT = Self::Consent(..), "/admin/v1/orgs/{org}/consents/{provider}/{name}", [
        Operation::delete(
            "withdrawConsent",
            "Withdraws a consent: the connection is served no more, deleted, and revoked at its provider.",
            Shape::ConsentOut,
        )
        .needs(Action::ConsentWithdraw),
        Operation::put("recordConsent", "Records that an org consents to a connection.", Shape::ConsentOut)
            .needs(Action::ConsentRecord)
            .takes(Shape::ConsentIn),
    ];
    CONSENTS = Self::Consents(..), "/admin/v1/orgs/{org}/consents", [
        Operation::get("listConsents", "A page of consents, those that were withdrawn among them.", Shape::Consents)
            .needs(Action::ConsentList)
            .query(&[AFTER, LIMIT]),
    ];
    DECRYPT = Self::Decrypt(..), "/v1/orgs/{org}/decrypt", [
        Operation::post(
            "decrypt",
            "Opens ciphertexts: one plaintext or problem each, in the order given.",
            Shape::DecryptOut,
        )
        .needs(Action::CryptDecrypt)
        .takes_up_to(Shape::DecryptRequest, body::BATCH_LIMIT),
    ];
    DOCTOR = Self::Doctor, "/admin/v1/doctor", [
        Operation::get("examineHost", "What is wrong with the host and how to mend it.", Shape::DoctorOut)
            .needs(Action::StatusRead),
    ];
    ENCRYPT = Self::Encrypt(..), "/v1/orgs/{org}/encrypt", [
        Operation::post("encrypt", "Seals plaintexts under the org's key, in the order given.", Shape::EncryptOut)
            .needs(Action::CryptEncrypt)
            .takes_up_to(Shape::EncryptRequest, body::BATCH_LIMIT),
    ];
    EXPIRING = Self::Expiring, "/admin/v1/expiring", [
        Operation::get(
            "listExpiring",
            "A page of the connections of all orgs that will end by themselves, in an order that is stable.",
            Shape::Expiring,
        )
        .needs(Action::ConnectionList)
        .query(EXPIRING_SOON),
    ];
    HEALTH = Self::Health, "/healthz", [
        Operation::get("health", "Whether the process serves.", Shape::Nothing).open_to_all(),
    ];
    IMPORT = Self::Import, "/admin/v1/import", [
        Operation::post(
            "importTokenSets",
            "Token sets of any orgs, each stored or refused by itself. A request may be sent again.",
            Shape::ImportOut,
        )
        .needs(Action::ConnectionWrite)
        .takes_up_to(Shape::ImportIn, body::BATCH_LIMIT)
        .changes(),
    ];
    KEYS = Self::Keys, "/admin/v1/keys", [
        Operation::get("showKeys", "The root keys by id, and what each still wraps.", Shape::KeysOut)
            .needs(Action::KeyRead),
    ];
    KEYS_OF_ORGS = Self::KeysOfOrgs, "/admin/v1/keys/orgs", [
        Operation::get(
            "showOrgKeys",
            "The keys that orgs had before their current ones, and the records under each; of one org, its current key too.",
            Shape::OrgKeysOut,
        )
        .needs(Action::KeyRead)
        .query(&[OF_ORG])
        .refuses(&[Code::NotFound]),
    ];
    KEYS_OF_ORGS_ROTATE = Self::KeysOfOrgsRotate, "/admin/v1/keys/orgs/rotate", [
        Operation::post(
            "rotateOrgKeys",
            "Makes a new key for one org or for all, and seals everything under it anew.",
            Shape::OrgRotationOut,
        )
        .needs(Action::KeyRotate)
        .takes(Shape::OrgRotationIn)
        .changes()
        .succeeds(&[BEGUN])
        .refuses(&[Code::NotFound]),
    ];
    KEYS_RETIRE = Self::KeysRetire, "/admin/v1/keys/retire", [
        Operation::post("retireKey", "Retires a key that nothing needs.", Shape::RetireOut)
            .needs(Action::KeyRetire)
            .takes(Shape::RetireIn)
            .changes()
            .refuses(&[Code::NotFound]),
    ];
    KEYS_RELOAD = Self::KeysReload, "/admin/v1/keys/reload", [
        Operation::post("reloadKeys", "Reads the root keys from their source again.", Shape::KeysOut)
            .needs(Action::KeyReload)
            .changes(),
    ];
    KEYS_ROTATE = Self::KeysRotate, "/admin/v1/keys/rotate", [
        Operation::post("rotateKeys", "Wraps everything under the first root key.", Shape::KeysOut)
            .needs(Action::KeyRotate)
            .changes()
            .succeeds(&[BEGUN]),
    ];
    METRICS = Self::Metrics, "/metrics", [
        Operation::get("metrics", "What there is to measure, as OpenMetrics.", Shape::Metrics)
            .needs(Action::MetricsRead),
    ];
    ORG = Self::Org(..), "/v1/orgs/{org}", [
        Operation::get("showOrg", "Shows an org.", Shape::OrgOut).needs(Action::OrgRead),
        Operation::put("createOrg", "Creates an org, or shows the one there is.", Shape::OrgOut)
            .needs(Action::OrgCreate)
            .of_any_org()
            .succeeds(&[FOUND, CREATED]),
    ];
    ORGS = Self::Orgs, "/admin/v1/orgs", [
        Operation::get("listOrgs", "A page of all orgs, in an order that is stable.", Shape::Orgs)
            .needs(Action::OrgList)
            .query(&[AFTER, LIMIT]),
    ];
    PASSES = Self::Passes(..), "/v1/orgs/{org}/passes", [
        Operation::post("issuePass", "A pass for this org, with some of the actions of its caller.", Shape::PassOut)
            .needs(Action::PassIssue)
            .of_any_org()
            .takes(Shape::PassRequest),
    ];
    CONFIGURED_PROVIDER = Self::Provider(..), "/admin/v1/providers/{provider}", [
        Operation::get("showProvider", "Shows a configured provider, never a secret.", Shape::ProviderOut)
            .needs(Action::ProviderRead)
            .refuses(&[Code::NotFound]),
    ];
    PROVIDER_CHECK = Self::ProviderCheck(..), "/admin/v1/providers/{provider}/check", [
        Operation::post(
            "checkProvider",
            "Asks a provider whether it knows our client, with a token that nobody issued.",
            Shape::ProviderCheckOut,
        )
        .needs(Action::ProviderCheck)
        .refuses(&[Code::NotFound]),
    ];
    PROVIDERS = Self::Providers, "/admin/v1/providers", [
        Operation::get("listProviders", "Every configured provider, never a secret.", Shape::Providers)
            .needs(Action::ProviderList),
    ];
    READY = Self::Ready, "/readyz", [
        Operation::get("ready", "Whether it may serve.", Shape::Nothing).open_to_all().refuses(&[Code::NotReady]),
    ];
    REFRESH = Self::Refresh(..), "/v1/orgs/{org}/connections/{provider}/{name}/refresh", [
        Operation::post(
            "readNewerToken",
            "For a caller that got a 401 with this generation: refreshes it if it is still the current one, then the current access token.",
            Shape::Token,
        )
        .needs(Action::TokenRead)
        .takes(Shape::RefreshRequest)
        .or_bare()
        .refuses(RENEWAL),
    ];
    REFRESH_TOKEN = Self::RefreshToken(..), "/v1/orgs/{org}/connections/{provider}/{name}/refresh-token", [
        Operation::get(
            "readRefreshToken",
            "The refresh token, for applications that still refresh themselves.",
            Shape::RefreshTokenOut,
        )
        .needs(Action::RefreshTokenRead)
        .or_bare()
        .refuses(&[Code::ConsentRequired, Code::Quarantined, Code::ScopeNotAllowed]),
    ];
    RELEASE = Self::Release, "/admin/v1/connections/release", [
        Operation::post(
            "releaseConnections",
            "Lets connections go that a store which may be a copy holds back.",
            Shape::ReleaseOut,
        )
        .needs(Action::ConnectionRelease)
        .takes(Shape::ReleaseIn)
        .changes()
        .refuses(&[Code::NotFound]),
    ];
    REVOCATIONS = Self::Revocations, "/admin/v1/revocations", [
        Operation::get(
            "listRevocations",
            "Deleted connections whose tokens still live at their provider, never a token.",
            Shape::RevocationsOut,
        )
        .needs(Action::RevocationList),
    ];
    SECRET = Self::Secret(..), "/v1/orgs/{org}/secrets/{name}", [
        Operation::delete("deleteSecret", "Deletes a secret with all its versions.", Shape::Deleted)
            .needs(Action::SecretDelete),
        Operation::get("readSecret", "The value of a secret.", Shape::SecretOut)
            .needs(Action::SecretRead)
            .query(&[VERSION])
            .or_bare(),
        Operation::put("putSecret", "Stores a new version of a secret.", Shape::SecretInfo)
            .needs(Action::SecretWrite)
            .takes_up_to(Shape::SecretIn, body::SECRET_LIMIT)
            .succeeds(&[REPLACED, CREATED])
            .tagged(),
    ];
    SECRETS = Self::Secrets(..), "/v1/orgs/{org}/secrets", [
        Operation::get("listSecrets", "A page of secrets, without values.", Shape::Secrets)
            .needs(Action::SecretList)
            .query(&[AFTER, LIMIT]),
    ];
    STATUS = Self::Status, "/v1/status", [
        Operation::get("status", "The daemon, the vault, and the caller as seen.", Shape::Status),
    ];
    TOKEN = Self::Token(..), "/v1/orgs/{org}/connections/{provider}/{name}/token", [
        Operation::get("readToken", "The access token, refreshed first if it does not live long enough.", Shape::Token)
            .needs(Action::TokenRead)
            .query(&[MIN_TTL])
            .or_bare()
            .refuses(RENEWAL),
    ];
    TOKENS = Self::Tokens(..), "/v1/orgs/{org}/tokens", [
        Operation::post(
            "readTokens",
            "Many access tokens: one result or problem each, in the order asked.",
            Shape::BatchOut,
        )
        .needs(Action::TokenRead)
        .of_any_org()
        .takes_up_to(Shape::BatchRequest, body::BATCH_LIMIT),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_template_is_parsed_to_its_own_row() {
        for path in PATHS {
            let target: Vec<&str> =
                path.template.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
            let route = Route::parse(&target.join("/")).expect("a route");
            assert_eq!(route.path().template, path.template);
        }
    }

    #[test]
    fn names_of_operations_are_their_own() {
        let operations = PATHS.iter().flat_map(|path| path.operations);
        let mut ids: Vec<&str> = operations.map(|operation| operation.id).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }

    #[test]
    fn allow_names_the_methods_of_a_path() {
        assert_eq!(CONNECTION.allow(), "DELETE, GET, PUT");
        assert!(TOKEN.operation(&hyper::Method::GET).is_some());
        assert!(TOKEN.operation(&hyper::Method::PUT).is_none());
        assert!(KEYS.is_admin() && !TOKEN.is_admin());
    }
}
