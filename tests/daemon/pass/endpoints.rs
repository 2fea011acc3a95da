//! Every endpoint there is, each with a request that would be served.
//!
//! The list cannot be forgotten: a route that is added does not compile here until it stands in it, and its methods
//! are those that the route itself takes.

use std::iter::successors;

use serde_json::json;
use tokenkeep::transport::route::Route;
use tokenkeep_client::ids::{AuthorizationState, ConnectionId, OrgId, SecretName};

use crate::kit::Request;

pub(super) const ORG: &str = "acme";

/// One method of one route.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) route: Route,
    pub(super) request: Request,
}

impl Endpoint {
    /// Whether it concerns an org of its path.
    pub(super) fn is_of_an_org(&self) -> bool {
        self.request.target.starts_with("/v1/orgs/")
    }

    /// Whether anybody may look.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.route, Route::Health | Route::Ready)
    }
}

/// Every method of every route; what deletes comes after what reads.
pub(super) fn every() -> Vec<Endpoint> {
    let routes = successors(Some(Route::Health), following);
    routes
        .flat_map(|route| {
            let methods = route.path().operations.iter().rev().map(|operation| operation.method.as_str());
            let endpoint = |method| Endpoint { request: request(&route, method), route: route.clone() };
            methods.map(endpoint).collect::<Vec<_>>()
        })
        .collect()
}

/// The route after this one.
fn following(route: &Route) -> Option<Route> {
    let org = || OrgId::parse(ORG).expect("an org");
    let connection = || ConnectionId {
        provider: "github".parse().expect("a provider"),
        name: "main".parse().expect("a name"),
    };
    Some(match route {
        Route::Health => Route::Ready,
        Route::Ready => Route::Status,
        Route::Status => Route::Org(org()),
        Route::Org(_) => Route::Connections(org()),
        Route::Connections(_) => Route::Connection(org(), connection()),
        Route::Connection(..) => Route::Token(org(), connection()),
        Route::Token(..) => Route::Refresh(org(), connection()),
        Route::Refresh(..) => Route::RefreshToken(org(), connection()),
        Route::RefreshToken(..) => Route::Tokens(org()),
        Route::Tokens(_) => Route::Secrets(org()),
        Route::Secrets(_) => Route::Secret(org(), SecretName::parse("key").expect("a name")),
        Route::Secret(..) => Route::Encrypt(org()),
        Route::Encrypt(_) => Route::Decrypt(org()),
        Route::Decrypt(_) => Route::Passes(org()),
        Route::Passes(_) => Route::Orgs,
        Route::Orgs => Route::Expiring,
        Route::Expiring => Route::Providers,
        Route::Providers => Route::Provider(connection().provider),
        Route::Provider(provider) => Route::ProviderCheck(provider.clone()),
        Route::ProviderCheck(_) => Route::Metrics,
        Route::Metrics => Route::Keys,
        Route::Keys => Route::KeysOfOrgs,
        Route::KeysOfOrgs => Route::KeysOfOrgsRotate,
        Route::KeysOfOrgsRotate => Route::KeysRetire,
        Route::KeysRetire => Route::KeysReload,
        Route::KeysReload => Route::KeysRotate,
        Route::KeysRotate => Route::Doctor,
        Route::Doctor => Route::AuditEntries,
        Route::AuditEntries => Route::AuditVerify,
        Route::AuditVerify => Route::Import,
        Route::Import => Route::Alerts,
        Route::Alerts => Route::AlertsTest,
        Route::AlertsTest => Route::Release,
        Route::Release => Route::Revocations,
        Route::Revocations => Route::Backups,
        Route::Backups => Route::BackupsVerify,
        Route::BackupsVerify => Route::BackupsDrill,
        Route::BackupsDrill => Route::Authorizations(org()),
        Route::Authorizations(_) => {
            Route::AuthorizationComplete(org(), AuthorizationState::parse("0").expect("a state"))
        }
        Route::AuthorizationComplete(..) => Route::Consents(org()),
        // Of another connection: an admin needs no pass, and a withdrawal deletes.
        Route::Consents(_) => {
            Route::Consent(org(), ConnectionId { name: "other".parse().expect("a name"), ..connection() })
        }
        Route::Consent(..) => return None,
    })
}

fn path(route: &Route) -> String {
    let of = |org: &OrgId, id: &ConnectionId| format!("/v1/orgs/{org}/connections/{id}");
    match route {
        Route::AuditEntries => "/admin/v1/audit".into(),
        Route::AuditVerify => "/admin/v1/audit/verify".into(),
        Route::Backups => "/admin/v1/backups".into(),
        Route::BackupsDrill => "/admin/v1/backups/drill".into(),
        Route::BackupsVerify => "/admin/v1/backups/verify".into(),
        Route::AuthorizationComplete(org, state) => format!("/v1/orgs/{org}/authorizations/{state}/complete"),
        Route::Authorizations(org) => format!("/v1/orgs/{org}/authorizations"),
        Route::Connection(org, id) => of(org, id),
        Route::Connections(org) => format!("/v1/orgs/{org}/connections"),
        Route::Consent(org, id) => format!("/admin/v1/orgs/{org}/consents/{id}"),
        Route::Consents(org) => format!("/admin/v1/orgs/{org}/consents"),
        Route::Decrypt(org) => format!("/v1/orgs/{org}/decrypt"),
        Route::Doctor => "/admin/v1/doctor".into(),
        Route::Encrypt(org) => format!("/v1/orgs/{org}/encrypt"),
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
        Route::Expiring => "/admin/v1/expiring".into(),
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

fn request(route: &Route, method: &str) -> Request {
    let path = path(route);
    let method = match method {
        "DELETE" => "DELETE",
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        other => panic!("{other}: a method that this list does not know"),
    };
    let body = match (route, method) {
        (Route::AuthorizationComplete(..), _) => json!({"code": "c"}),
        (Route::Authorizations(_), _) => {
            json!({"provider": "github", "name": "main", "redirect_uri": "https://app.example/", "scopes": []})
        }
        (Route::Connection(..), "DELETE") => return Request::delete(path + "?revoke=false"),
        (Route::Connection(..), "PUT") => {
            json!({"access_token": "at", "refresh_token": "rt", "expires_in": 3600})
        }
        (Route::Consent(..), "PUT") => json!({"reference": "agreement"}),
        (Route::Decrypt(_), _) => json!({"ciphertexts": ["gAAAAA"]}),
        (Route::Encrypt(_), _) => json!({"plaintexts": ["Zm9v"]}),
        (Route::KeysOfOrgsRotate, _) => json!({ "org": ORG }),
        (Route::KeysRetire, _) => json!({ "id": "0123456789abcdef" }),
        (Route::Release, _) => json!({ "all": true, "org": ORG }),
        (Route::Import, _) => json!({
            "terms": {"mode": "dry_run", "different": "refuse", "missing_org": "refuse"},
            "items": [{"org": ORG, "provider": "github", "name": "main", "tokens": {"access_token": "at"}}]
        }),
        (Route::Passes(_), _) => json!({"actions": ["token:read"]}),
        (Route::Refresh(..), _) => json!({"if_generation": 0}),
        (Route::Secret(..), "PUT") => json!({"value": "s"}),
        (Route::Tokens(_), _) => json!({"connections": [{"provider": "github", "name": "main"}]}),
        _ => return Request::new(method, path),
    };
    Request::new(method, path).json(body.to_string())
}
