//! The shapes of the contract, as they stand in request and response bodies.
//!
//! Shapes that come in refuse unknown fields: a misspelt `refresh_token` must not be a lost one. Shapes
//! that go out may grow, so a reader takes fields it does not know.
//!
//! Secrets are read into their own types here and written nowhere but in [`TokenSet::body`] and
//! [`SecretIn::body`].

use crate::ids::{ConnectionId, ConnectionName, OrgId, ProviderId, SecretName};
use crate::moment::Moment;
use crate::problem::Problem;
use crate::secret::{AccessToken, IdToken, RefreshToken, SecretValue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Small texts that the application keeps beside a connection or a secret.
pub type Labels = BTreeMap<String, String>;

/// PUT of a connection: the token set that the provider issued.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::one_form_each))]
pub struct TokenSet {
    /// RFC 6749, section 5.1.
    pub access_token: AccessToken,
    /// Left out: the one that is stored stays.
    #[serde(default)]
    pub refresh_token: Option<RefreshToken>,
    /// RFC 6749, section 7.1; `Bearer` where left out.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = crate::schema::PRINTABLE), length(min = 1, max = crate::limits::TOKEN_TYPE)))]
    pub token_type: Option<String>,
    /// Seconds from now; a number, or a string of digits as some providers write it.
    #[serde(default, deserialize_with = "seconds")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::seconds"))]
    pub expires_in: Option<u64>,
    /// The end of the access token; not together with `expires_in`.
    #[serde(default)]
    pub expires_at: Option<Moment>,
    /// Space-separated scopes (RFC 6749, section 3.3); not together with `scopes`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = crate::schema::scopes())))]
    pub scope: Option<String>,
    /// The scopes, one by one.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = crate::limits::SCOPES), inner(regex(pattern = crate::schema::UNSPACED), length(min = 1, max = crate::limits::SCOPE))))]
    pub scopes: Option<Vec<String>>,
    /// Kept sealed beside the tokens.
    #[serde(default)]
    pub id_token: Option<IdToken>,
    /// Left out: the ones that are stored stay.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Labels>"))]
    pub labels: Option<Labels>,
}

impl TokenSet {
    /// A token set of an access token alone; the other fields are public.
    #[must_use]
    pub fn new(access_token: AccessToken) -> Self {
        Self {
            access_token,
            refresh_token: None,
            token_type: None,
            expires_in: None,
            expires_at: None,
            scope: None,
            scopes: None,
            id_token: None,
            labels: None,
        }
    }

    /// The JSON body of the PUT, in a buffer that is wiped when it goes.
    #[must_use]
    pub fn body(&self) -> Zeroizing<Vec<u8>> {
        #[derive(Serialize)]
        struct Exposed<'a> {
            access_token: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            refresh_token: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            token_type: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            expires_in: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            expires_at: Option<Moment>,
            #[serde(skip_serializing_if = "Option::is_none")]
            scope: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            scopes: Option<&'a [String]>,
            #[serde(skip_serializing_if = "Option::is_none")]
            id_token: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            labels: Option<&'a Labels>,
        }
        to_body(&Exposed {
            access_token: self.access_token.expose(),
            refresh_token: self.refresh_token.as_ref().map(RefreshToken::expose),
            token_type: self.token_type.as_deref(),
            expires_in: self.expires_in,
            expires_at: self.expires_at,
            scope: self.scope.as_deref(),
            scopes: self.scopes.as_deref(),
            id_token: self.id_token.as_ref().map(IdToken::expose),
            labels: self.labels.as_ref(),
        })
    }
}

/// GET of a token.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Token {
    /// Valid for at least the `min_ttl` that was asked for.
    pub access_token: AccessToken,
    /// RFC 6749, section 7.1.
    pub token_type: String,
    /// None where the provider gave no end.
    pub expires_at: Option<Moment>,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// Counts the token sets of the connection; also the `ETag`.
    pub generation: u64,
}

/// GET of a refresh token, for applications that still refresh themselves.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefreshTokenOut {
    /// The current one.
    pub refresh_token: RefreshToken,
    /// The generation it belongs to.
    pub generation: u64,
}

/// POST `.../refresh`: a caller got a 401 with this generation.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// Refresh only if this is still the current generation.
    pub if_generation: u64,
}

/// POST `.../tokens`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// At most 1,000.
    #[cfg_attr(feature = "schema", schemars(length(max = crate::limits::BATCH)))]
    pub connections: Vec<ConnectionId>,
    /// Seconds; 60 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = crate::limits::MIN_TTL)))]
    pub min_ttl: Option<u64>,
}

/// One answer of a batch, in the order asked.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::token_or_problem))]
pub struct BatchResult {
    /// As asked.
    pub provider: ProviderId,
    /// As asked.
    pub name: ConnectionName,
    /// The token, or the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Why there is no token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// The answer of a batch.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatchOut {
    /// One a connection asked for.
    pub results: Vec<BatchResult>,
}

/// What the last exchange proved of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// The access token has not ended, or has no known end.
    Active,
    /// The access token has ended and nothing renews it.
    NeedsReauth,
}

impl ConnectionState {
    /// Every state there is.
    pub const ALL: &'static [Self] = &[Self::Active, Self::NeedsReauth];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::NeedsReauth => "needs_reauth",
        }
    }
}

/// A connection without its tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConnectionOut {
    /// The configured issuer.
    pub provider: ProviderId,
    /// The name that the application chose.
    pub name: ConnectionName,
    /// What the last exchange proved.
    pub state: ConnectionState,
    /// Why, where the state is not `active`.
    pub reason: Option<String>,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// Counts the token sets; also the `ETag`.
    pub generation: u64,
    /// End of the access token.
    pub expires_at: Option<Moment>,
    /// Whether a refresh token is kept.
    pub has_refresh_token: bool,
    /// When the first token set came.
    pub created_at: Moment,
    /// When the current token set came.
    pub refreshed_at: Moment,
    /// Last read since the daemon started.
    pub last_read_at: Option<Moment>,
    /// As the application set them.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Labels"))]
    pub labels: Labels,
}

/// What a DELETE of a connection did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Deleted {
    /// Always true.
    pub deleted: bool,
    /// Whether the provider was told.
    pub revoked: bool,
}

/// An org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OrgOut {
    /// Its name.
    pub org: OrgId,
    /// When it was created.
    pub created_at: Moment,
    /// The root key that wraps its key.
    pub root_key_id: String,
}

/// PUT of a secret.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SecretIn {
    /// 1 byte to 64 KiB of UTF-8.
    pub value: SecretValue,
    /// Left out: the ones that are stored stay.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Labels>"))]
    pub labels: Option<Labels>,
}

impl SecretIn {
    /// The JSON body of the PUT, in a buffer that is wiped when it goes.
    #[must_use]
    pub fn body(&self) -> Zeroizing<Vec<u8>> {
        #[derive(Serialize)]
        struct Exposed<'a> {
            value: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            labels: Option<&'a Labels>,
        }
        to_body(&Exposed { value: self.value.expose(), labels: self.labels.as_ref() })
    }
}

/// GET of a secret.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretOut {
    /// The value of that version.
    pub value: SecretValue,
    /// Counts up from 1.
    pub version: u64,
    /// When this version came.
    pub created_at: Moment,
}

/// A version of a secret that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretVersion {
    /// Counts up from 1.
    pub version: u64,
    /// When it came.
    pub created_at: Moment,
}

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretInfo {
    /// Its name.
    pub name: SecretName,
    /// The current version.
    pub version: u64,
    /// When the current version came.
    pub created_at: Moment,
    /// The versions that are kept, oldest first.
    pub versions: Vec<SecretVersion>,
    /// As the application set them.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Labels"))]
    pub labels: Labels,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "PageOf{T}"))]
pub struct Page<T> {
    /// What there is.
    pub items: Vec<T>,
    /// Pass as `after` to read on; none at the end.
    pub next: Option<String>,
}

/// The caller, as the vault sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PrincipalOut {
    /// The configured client, or `admin`.
    pub name: String,
    /// How it was proved: `unix` or `admin`.
    pub proof: String,
    /// From the kernel.
    pub uid: u32,
    /// From the kernel.
    pub gid: u32,
    /// From the kernel.
    pub pid: u32,
    /// The systemd unit of the process, where it runs in one.
    pub unit: Option<String>,
}

/// GET `/v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// Of the daemon.
    pub version: String,
    /// Of the store.
    pub vault_id: String,
    /// Stamped into the store.
    pub environment: String,
    /// The caller, as seen.
    pub principal: PrincipalOut,
    /// Whether it may serve.
    pub ready: bool,
    /// `ok`, `full` or `failed`, with what is known.
    pub store: StoreStatus,
    /// `ok` or `failed`, with what is known.
    pub audit: AuditStatus,
}

/// The store, as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoreStatus {
    /// `ok`, `full` (reads go on) or `failed`.
    pub state: String,
    /// Why, where the state is not `ok`.
    pub reason: Option<String>,
    /// Records in the store.
    pub records: u64,
    /// Last journal sequence.
    pub sequence: u64,
    /// `sled`, or `memory` where sled had to be given up until the next start.
    pub index: String,
}

/// The audit log, as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditStatus {
    /// `ok` or `failed`.
    pub state: String,
    /// Why, where the state is not `ok`.
    pub reason: Option<String>,
    /// Last entry.
    pub sequence: u64,
}

/// What one root key still wraps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RootKeyOut {
    /// Its id; says nothing of the key.
    pub id: String,
    /// Whether it seals what is new.
    pub primary: bool,
    /// Org keys wrapped by it.
    pub org_keys: u64,
    /// Whether it wraps the system key.
    pub system_key: bool,
}

/// GET `/admin/v1/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeysOut {
    /// In the order of the key list.
    pub root_keys: Vec<RootKeyOut>,
    /// Keys not yet wrapped by the primary root key: 0 after a whole rotation.
    pub remaining: u64,
    /// Whether a rotation runs now.
    pub rotating: bool,
    /// Why the last rotation since start ended early, if it did.
    pub rotation_error: Option<String>,
}

/// One finding of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// `ok`, `warn` or `fail`.
    pub level: String,
    /// What was found.
    pub detail: String,
    /// What to do, where something is to be done.
    pub mend: Option<String>,
}

/// GET `/admin/v1/doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DoctorOut {
    /// Every check that was made.
    pub findings: Vec<Finding>,
}

/// POST `/admin/v1/audit/verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditVerifyOut {
    /// Whether every entry is there, in order, unchanged.
    pub intact: bool,
    /// Entries that were found intact, up to the first break.
    pub entries: u64,
    /// Files read.
    pub files: u64,
    /// The first break: file, line, what is wrong.
    #[serde(rename = "break")]
    pub first_break: Option<AuditBreak>,
}

/// Where the audit chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditBreak {
    /// Name of the file in the audit directory.
    pub file: String,
    /// Counts from 1.
    pub line: u64,
    /// `changed`, `missing`, `reordered`, `cut_off`.
    pub kind: String,
    /// In words.
    pub detail: String,
}

/// The JSON of a shape, in one buffer of the right size that is wiped when it goes.
#[must_use]
pub fn to_body<T: Serialize>(shape: &T) -> Zeroizing<Vec<u8>> {
    // The length first, so that the buffer never grows and leaves a copy behind.
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    let counted = serde_json::to_writer(&mut count, shape);
    let mut body = Zeroizing::new(Vec::with_capacity(count.0));
    let written = serde_json::to_writer(&mut *body, shape);
    debug_assert!(counted.is_ok() && written.is_ok(), "plain shapes always serialise");
    body
}

fn seconds<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Option<u64>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("seconds")
        }
        fn visit_u64<E>(self, n: u64) -> Result<Self::Value, E> {
            Ok(Some(n))
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                return Err(E::custom("seconds are digits"));
            }
            text.parse().map(Some).map_err(|_| E::custom("too many seconds"))
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_some<D: serde::Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
            d.deserialize_any(self)
        }
    }
    d.deserialize_option(Visitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_set_reads_back_from_its_body() {
        let mut set = TokenSet::new(AccessToken::new("at \"1\"".into()));
        set.refresh_token = Some(RefreshToken::new("rt".into()));
        set.expires_in = Some(3600);
        let again: TokenSet = serde_json::from_slice(&set.body()).expect("reads");
        assert_eq!(again.access_token, set.access_token);
        assert_eq!(again.refresh_token, set.refresh_token);
        assert_eq!(again.expires_in, Some(3600));
        assert!(again.labels.is_none());
    }

    #[test]
    fn expires_in_may_be_a_string_of_digits_and_a_misspelt_field_is_refused() {
        let read = |text: &str| serde_json::from_str::<TokenSet>(text);
        assert_eq!(read(r#"{"access_token":"a","expires_in":"60"}"#).expect("reads").expires_in, Some(60));
        assert!(read(r#"{"access_token":"a","expires_in":"-1"}"#).is_err());
        assert!(read(r#"{"access_token":"a","refreshToken":"b"}"#).is_err());
    }
}
