//! Paths of the contract, parsed: no text of a path goes further than this module.

use std::borrow::Cow;

use tokenkeep_client::ids::{
    AuthorizationState, ConnectionId, ConnectionName, InvalidId, OrgId, ProviderId, SecretName,
};

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/admin/v1/alerts`
    Alerts,
    /// `/admin/v1/alerts/test`
    AlertsTest,
    /// `/admin/v1/audit`
    AuditEntries,
    /// `/admin/v1/audit/verify`
    AuditVerify,
    /// `/v1/orgs/{org}/authorizations/{state}/complete`
    AuthorizationComplete(OrgId, AuthorizationState),
    /// `/v1/orgs/{org}/authorizations`
    Authorizations(OrgId),
    /// `/admin/v1/backups`
    Backups,
    /// `/admin/v1/backups/drill`
    BackupsDrill,
    /// `/admin/v1/backups/verify`
    BackupsVerify,
    /// `/v1/orgs/{org}/connections/{provider}/{name}`
    Connection(OrgId, ConnectionId),
    /// `/v1/orgs/{org}/connections`
    Connections(OrgId),
    /// `/admin/v1/orgs/{org}/consents/{provider}/{name}`
    Consent(OrgId, ConnectionId),
    /// `/admin/v1/orgs/{org}/consents`
    Consents(OrgId),
    /// `/v1/orgs/{org}/decrypt`
    Decrypt(OrgId),
    /// `/admin/v1/doctor`
    Doctor,
    /// `/v1/orgs/{org}/encrypt`
    Encrypt(OrgId),
    /// `/admin/v1/expiring`
    Expiring,
    /// `/healthz`
    Health,
    /// `/admin/v1/import`
    Import,
    /// `/admin/v1/keys`
    Keys,
    /// `/admin/v1/keys/orgs`
    KeysOfOrgs,
    /// `/admin/v1/keys/orgs/rotate`
    KeysOfOrgsRotate,
    /// `/admin/v1/keys/reload`
    KeysReload,
    /// `/admin/v1/keys/retire`
    KeysRetire,
    /// `/admin/v1/keys/rotate`
    KeysRotate,
    /// `/v1/orgs/{org}`
    Org(OrgId),
    /// `/metrics`
    Metrics,
    /// `/admin/v1/orgs`
    Orgs,
    /// `/v1/orgs/{org}/passes`
    Passes(OrgId),
    /// `/admin/v1/providers/{provider}`
    Provider(ProviderId),
    /// `/admin/v1/providers/{provider}/check`
    ProviderCheck(ProviderId),
    /// `/admin/v1/providers`
    Providers,
    /// `/admin/v1/connections/release`
    Release,
    /// `/readyz`
    Ready,
    /// `.../refresh`
    Refresh(OrgId, ConnectionId),
    /// `.../refresh-token`
    RefreshToken(OrgId, ConnectionId),
    /// `/admin/v1/revocations`
    Revocations,
    /// `/v1/orgs/{org}/secrets/{name}`
    Secret(OrgId, SecretName),
    /// `/v1/orgs/{org}/secrets`
    Secrets(OrgId),
    /// `/v1/status`
    Status,
    /// `.../token`
    Token(OrgId, ConnectionId),
    /// `/v1/orgs/{org}/tokens`
    Tokens(OrgId),
}

/// Why a path names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteError {
    /// A part of it breaks the rule of its identifier.
    Invalid(&'static str),
    /// The contract has no such path.
    Unknown,
}

impl From<InvalidId> for RouteError {
    fn from(invalid: InvalidId) -> Self {
        Self::Invalid(invalid.rule)
    }
}

impl Route {
    /// Parses the path of a request, as it stands in its target.
    ///
    /// # Errors
    /// See [`RouteError`].
    pub fn parse(path: &str) -> Result<Self, RouteError> {
        match path {
            "/healthz" => return Ok(Self::Health),
            "/metrics" => return Ok(Self::Metrics),
            "/readyz" => return Ok(Self::Ready),
            "/v1/status" => return Ok(Self::Status),
            _ => {}
        }
        if let Some(admin) = path.strip_prefix("/admin/v1/") {
            return Self::parse_admin(admin);
        }
        let rest = path.strip_prefix("/v1/orgs/").ok_or(RouteError::Unknown)?;
        let mut parts = Parts::of(rest);
        let org = OrgId::parse(&parts.decoded()?)?;
        match parts.next() {
            None => Ok(Self::Org(org)),
            Some("connections") => Self::parse_connection(org, parts),
            Some("authorizations") => match (parts.next(), parts.next(), parts.next()) {
                (None, ..) => Ok(Self::Authorizations(org)),
                (Some(state), Some("complete"), None) => {
                    Ok(Self::AuthorizationComplete(org, AuthorizationState::parse(&parts.decode(state)?)?))
                }
                _ => Err(RouteError::Unknown),
            },
            Some("secrets") => match (parts.next(), parts.next()) {
                (None, _) => Ok(Self::Secrets(org)),
                (Some(name), None) => Ok(Self::Secret(org, SecretName::parse(&parts.decode(name)?)?)),
                _ => Err(RouteError::Unknown),
            },
            Some("decrypt") if parts.next().is_none() => Ok(Self::Decrypt(org)),
            Some("encrypt") if parts.next().is_none() => Ok(Self::Encrypt(org)),
            Some("passes") if parts.next().is_none() => Ok(Self::Passes(org)),
            Some("tokens") if parts.next().is_none() => Ok(Self::Tokens(org)),
            _ => Err(RouteError::Unknown),
        }
    }

    fn parse_admin(path: &str) -> Result<Self, RouteError> {
        match path {
            "alerts" => Ok(Self::Alerts),
            "alerts/test" => Ok(Self::AlertsTest),
            "audit" => Ok(Self::AuditEntries),
            "backups" => Ok(Self::Backups),
            "backups/drill" => Ok(Self::BackupsDrill),
            "backups/verify" => Ok(Self::BackupsVerify),
            "connections/release" => Ok(Self::Release),
            "audit/verify" => Ok(Self::AuditVerify),
            "doctor" => Ok(Self::Doctor),
            "expiring" => Ok(Self::Expiring),
            "import" => Ok(Self::Import),
            "keys" => Ok(Self::Keys),
            "keys/orgs" => Ok(Self::KeysOfOrgs),
            "keys/orgs/rotate" => Ok(Self::KeysOfOrgsRotate),
            "keys/reload" => Ok(Self::KeysReload),
            "keys/retire" => Ok(Self::KeysRetire),
            "keys/rotate" => Ok(Self::KeysRotate),
            "orgs" => Ok(Self::Orgs),
            "revocations" => Ok(Self::Revocations),
            "providers" => Ok(Self::Providers),
            _ if path.starts_with("orgs/") => Self::parse_consent(&path["orgs/".len()..]),
            _ => Self::parse_provider(path.strip_prefix("providers/").ok_or(RouteError::Unknown)?),
        }
    }

    fn parse_consent(rest: &str) -> Result<Self, RouteError> {
        let mut parts = Parts::of(rest);
        let org = OrgId::parse(&parts.decoded()?)?;
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("consents"), None, ..) => Ok(Self::Consents(org)),
            (Some("consents"), Some(provider), Some(name), None) => {
                let provider = ProviderId::parse(&parts.decode(provider)?)?;
                let name = ConnectionName::parse(&parts.decode(name)?)?;
                Ok(Self::Consent(org, ConnectionId { provider, name }))
            }
            _ => Err(RouteError::Unknown),
        }
    }

    fn parse_provider(rest: &str) -> Result<Self, RouteError> {
        let mut parts = Parts::of(rest);
        let provider = ProviderId::parse(&parts.decoded()?)?;
        match (parts.next(), parts.next()) {
            (None, _) => Ok(Self::Provider(provider)),
            (Some("check"), None) => Ok(Self::ProviderCheck(provider)),
            _ => Err(RouteError::Unknown),
        }
    }

    fn parse_connection(org: OrgId, mut parts: Parts<'_>) -> Result<Self, RouteError> {
        let Some(provider) = parts.next() else { return Ok(Self::Connections(org)) };
        let provider = ProviderId::parse(&parts.decode(provider)?)?;
        let name = ConnectionName::parse(&parts.decoded()?)?;
        let id = ConnectionId { provider, name };
        match (parts.next(), parts.next()) {
            (None, _) => Ok(Self::Connection(org, id)),
            (Some("token"), None) => Ok(Self::Token(org, id)),
            (Some("refresh"), None) => Ok(Self::Refresh(org, id)),
            (Some("refresh-token"), None) => Ok(Self::RefreshToken(org, id)),
            _ => Err(RouteError::Unknown),
        }
    }
}

/// The parts of a path. They are short: a plain loop finds their ends sooner than `str::split` sets out to.
struct Parts<'a> {
    rest: Option<&'a str>,
    /// Whether any of them is percent-encoded: they seldom are, and one look at all of them tells.
    is_encoded: bool,
}

impl<'a> Parts<'a> {
    fn of(path: &'a str) -> Self {
        Self { rest: Some(path), is_encoded: has_percent(path) }
    }

    /// The next part, percent-decoded.
    fn decoded(&mut self) -> Result<Cow<'a, str>, RouteError> {
        let part = self.next().ok_or(RouteError::Unknown)?;
        self.decode(part)
    }

    /// A part, percent-decoded (RFC 3986, section 2.1).
    fn decode(&self, part: &'a str) -> Result<Cow<'a, str>, RouteError> {
        if !self.is_encoded {
            return Ok(Cow::Borrowed(part));
        }
        percent_decode(part).ok_or(RouteError::Invalid("a part of the path is not percent-encoded UTF-8"))
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let Some((part, tail)) = rest.bytes().position(|byte| byte == b'/').map(|at| rest.split_at(at))
        else {
            return self.rest.take();
        };
        self.rest = tail.get(1..);
        Some(part)
    }
}

/// Without an early end, which makes it a matter of a few instructions.
fn has_percent(text: &str) -> bool {
    text.bytes().fold(false, |any, byte| any | (byte == b'%'))
}

/// Decodes percent-encoding; none where it is broken or not UTF-8.
pub(super) fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !has_percent(text) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let (pair, tail) = tail.split_at_checked(2)?;
            let hex = |digit: u8| char::from(digit).to_digit(16);
            bytes.push(u8::try_from(hex(pair[0])? * 16 + hex(pair[1])?).ok()?);
            rest = tail;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_contract_are_known() {
        let token = Route::parse("/v1/orgs/acme/connections/github/jane%40x/token").expect("a route");
        let Route::Token(org, id) = &token else { panic!("not a token route") };
        assert_eq!((org.as_str(), id.to_string().as_str()), ("acme", "github/jane@x"));
        for path in
            ["/healthz", "/v1/orgs/a", "/v1/orgs/a/connections", "/v1/orgs/a/secrets/b", "/admin/v1/keys"]
        {
            assert!(Route::parse(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn other_paths_are_not() {
        for path in [
            "/",
            "",
            "/v1/orgs",
            "/v1/orgs/a/",
            "/v1/orgs/a/tokens/x",
            "/v1/orgs/a/connections/github",
            "/v1/orgs/a/connections/github/n/token/x",
            "/admin/v1/",
            "/admin/v1/providers/github/other",
            "/admin/v1/providers/github/check/x",
        ] {
            assert_eq!(Route::parse(path), Err(RouteError::Unknown), "{path}");
        }
        for path in ["/v1/orgs/%2e%2e", "/v1/orgs/a%", "/v1/orgs/a/connections/github/a%2fb", "/v1/orgs/%ff"]
        {
            assert!(matches!(Route::parse(path), Err(RouteError::Invalid(_))), "{path}");
        }
    }
}
