//! Requests: paths, queries and bodies.
//!
//! Never lets two readings of one request differ.

use tokenkeep::domain::pass::{LONGEST, PassAsked};
use tokenkeep::domain::provider::client::ScopeSeparator;
use tokenkeep::domain::token_set::accept;
use tokenkeep::transport::operation::Parameter;
use tokenkeep::transport::paths::{AFTER, LIMIT, MIN_TTL, PROVIDER};
use tokenkeep::transport::query::Query;
use tokenkeep::transport::route::Route;
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::moment::Moment;
use tokenkeep_client::wire::{
    BatchRequest, DecryptRequest, EncryptRequest, PassRequest, RefreshRequest, SecretIn, TokenSet,
};

/// A path names one thing: written plainly, it names the same.
pub fn route(data: &[u8]) {
    let Ok(path) = std::str::from_utf8(data) else { return };
    let Ok(route) = Route::parse(path) else { return };
    let written = write(&route);
    assert_eq!(Route::parse(&written), Ok(route.clone()));
    assert!(!written.contains('%') && written.split('/').all(|part| part != "." && part != ".."));
    let row = route.path();
    assert_eq!(row.is_admin(), path.starts_with("/admin/") || path == "/metrics");
    let parts = |path: &str| path.split('/').count();
    assert_eq!(parts(&written), parts(row.template));
}

fn write(route: &Route) -> String {
    let of = |org: &OrgId, id: &ConnectionId| format!("/v1/orgs/{org}/connections/{id}");
    match route {
        Route::AuditEntries => "/admin/v1/audit".into(),
        Route::AuditVerify => "/admin/v1/audit/verify".into(),
        Route::AuthorizationComplete(org, state) => format!("/v1/orgs/{org}/authorizations/{state}/complete"),
        Route::Authorizations(org) => format!("/v1/orgs/{org}/authorizations"),
        Route::Backups => "/admin/v1/backups".into(),
        Route::BackupsDrill => "/admin/v1/backups/drill".into(),
        Route::BackupsVerify => "/admin/v1/backups/verify".into(),
        Route::Connection(org, id) => of(org, id),
        Route::Connections(org) => format!("/v1/orgs/{org}/connections"),
        Route::Consent(org, id) => format!("/admin/v1/orgs/{org}/consents/{id}"),
        Route::Consents(org) => format!("/admin/v1/orgs/{org}/consents"),
        Route::Decrypt(org) => format!("/v1/orgs/{org}/decrypt"),
        Route::Doctor => "/admin/v1/doctor".into(),
        Route::Encrypt(org) => format!("/v1/orgs/{org}/encrypt"),
        Route::Expiring => "/admin/v1/expiring".into(),
        Route::Health => "/healthz".into(),
        Route::Import => "/admin/v1/import".into(),
        Route::Keys => "/admin/v1/keys".into(),
        Route::KeysOfOrgs => "/admin/v1/keys/orgs".into(),
        Route::KeysOfOrgsRotate => "/admin/v1/keys/orgs/rotate".into(),
        Route::KeysReload => "/admin/v1/keys/reload".into(),
        Route::KeysRetire => "/admin/v1/keys/retire".into(),
        Route::KeysRotate => "/admin/v1/keys/rotate".into(),
        Route::Metrics => "/metrics".into(),
        Route::Org(org) => format!("/v1/orgs/{org}"),
        Route::Orgs => "/admin/v1/orgs".into(),
        Route::Passes(org) => format!("/v1/orgs/{org}/passes"),
        Route::Alerts => "/admin/v1/alerts".into(),
        Route::AlertsTest => "/admin/v1/alerts/test".into(),
        Route::Provider(provider) => format!("/admin/v1/providers/{provider}"),
        Route::ProviderCheck(provider) => format!("/admin/v1/providers/{provider}/check"),
        Route::Providers => "/admin/v1/providers".into(),
        Route::Ready => "/readyz".into(),
        Route::Refresh(org, id) => of(org, id) + "/refresh",
        Route::RefreshToken(org, id) => of(org, id) + "/refresh-token",
        Route::Release => "/admin/v1/connections/release".into(),
        Route::Revocations => "/admin/v1/revocations".into(),
        Route::Secret(org, name) => format!("/v1/orgs/{org}/secrets/{name}"),
        Route::Secrets(org) => format!("/v1/orgs/{org}/secrets"),
        Route::Status => "/v1/status".into(),
        Route::Token(org, id) => of(org, id) + "/token",
        Route::Tokens(org) => format!("/v1/orgs/{org}/tokens"),
    }
}

const KNOWN: [Parameter; 4] = [AFTER, LIMIT, MIN_TTL, PROVIDER];

/// A query is its parameters, each known and each once: written with every byte escaped, it is the same.
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(query) = Query::parse(Some(text), &KNOWN) else { return };
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let pairs = KNOWN.iter().filter_map(|known| Some((known.name, query.text(known.name)?)));
    let written: Vec<String> =
        pairs.map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    let written = written.join("&");
    let again = Query::parse(Some(&written), &KNOWN).expect("the same parameters");
    assert!(KNOWN.iter().all(|known| query.text(known.name) == again.text(known.name)));
    assert!(query.limit().is_ok_and(|limit| (1..=1000).contains(&limit)) || query.limit().is_err());
    assert_eq!(query.page().is_ok(), again.page().is_ok());
}

/// A body that was read and written again reads the same; what is accepted follows the rules.
pub fn request_body(data: &[u8]) {
    if let Ok(set) = serde_json::from_slice::<TokenSet>(data) {
        let written = set.body();
        let again: TokenSet = serde_json::from_slice(&written).expect("a token set");
        assert_eq!(*again.body(), *written);
        assert_eq!(set.access_token, again.access_token);
        token_set(again);
    }
    if let Ok(secret) = serde_json::from_slice::<SecretIn>(data) {
        let written = secret.body();
        let again: SecretIn = serde_json::from_slice(&written).expect("a secret");
        assert_eq!((&again.value, &again.labels), (&secret.value, &secret.labels));
    }
    if let Ok(batch) = serde_json::from_slice::<BatchRequest>(data) {
        let written = serde_json::to_vec(&batch).expect("plain");
        let again: BatchRequest = serde_json::from_slice(&written).expect("a batch");
        assert_eq!((again.connections, again.min_ttl), (batch.connections, batch.min_ttl));
    }
    if let Ok(asked) = serde_json::from_slice::<PassRequest>(data) {
        let written = serde_json::to_vec(&asked).expect("plain");
        assert_eq!(serde_json::from_slice::<PassRequest>(&written).expect("a request"), asked);
        if let Ok(judged) = PassAsked::judge(&asked.actions, asked.ttl) {
            assert!((1..=LONGEST).contains(&judged.ttl) && judged.actions.iter().next().is_some());
            assert!(judged.actions.iter().all(|action| asked.actions.contains(&action.to_string())));
        }
    }
    if let Ok(asked) = serde_json::from_slice::<EncryptRequest>(data) {
        let again: EncryptRequest = serde_json::from_slice(&asked.body()).expect("a request");
        assert_eq!(again.plaintexts, asked.plaintexts);
    }
    if let Ok(asked) = serde_json::from_slice::<DecryptRequest>(data) {
        let written = serde_json::to_vec(&asked).expect("plain");
        assert_eq!(serde_json::from_slice::<DecryptRequest>(&written).expect("a request"), asked);
    }
    if let Ok(asked) = serde_json::from_slice::<RefreshRequest>(data) {
        let written = serde_json::to_vec(&asked).expect("plain");
        let again: RefreshRequest = serde_json::from_slice(&written).expect("a request");
        assert_eq!(again.if_generation, asked.if_generation);
    }
}

fn token_set(set: TokenSet) {
    let now = Moment::from_unix(1_700_000_000).expect("in range");
    let Ok(accepted) = accept(set, now, ScopeSeparator::Comma) else { return };
    let printable = |text: &str| text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    let token = accepted.access_token.expose();
    assert!(printable(token) && !token.is_empty() && printable(&accepted.token_type));
    assert!(accepted.refresh_token.is_none_or(|token| printable(token.expose())));
    assert!(
        accepted.scopes.iter().all(|scope| printable(scope) && !scope.is_empty() && !scope.contains(' '))
    );
}
