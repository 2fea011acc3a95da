//! An operation of the API: what it takes, what it answers, what it may refuse. Requests are judged by it, and the
//! description of the API (`docs/openapi.json`) is printed from it.
//!
//! The hard problem: a description beside the code drifts from it. The answer: methods, query parameters, conditions,
//! body limits and forms of an answer are looked up here when a request comes, and a development build stops at an
//! answer that does not stand here.
//!
//! Knows no vault.

mod making;

use hyper::{Method, StatusCode};
use tokenkeep_client::problem::Code;

use super::answer::Answer;
use crate::domain::action::Action;
use crate::vault::refusal::Refusal;

/// A path of the contract and what can be done there.
#[derive(Debug)]
pub struct Path {
    /// As the contract writes it, parameters in braces.
    pub template: &'static str,
    /// One a method, by method.
    pub operations: &'static [Operation],
}

impl Path {
    /// The operation of a method.
    #[must_use]
    pub fn operation(&self, method: &Method) -> Option<&'static Operation> {
        self.operations.iter().find(|operation| operation.method.as_str() == method.as_str())
    }

    /// The methods it takes, as an `Allow` field (RFC 9110, section 10.2.1).
    #[must_use]
    pub fn allow(&self) -> String {
        let methods: Vec<&str> = self.operations.iter().map(|operation| operation.method.as_str()).collect();
        methods.join(", ")
    }

    /// Whether only the admin socket has it.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.template.starts_with("/admin/") || self.template == "/metrics"
    }

    /// Its parameters, in their order.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.template.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// A method of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// DELETE
    Delete,
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
}

impl Verb {
    /// As it stands in a request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// What a caller must be to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// One who may do this.
    Action(Action),
    /// Any configured client.
    AnyClient,
    /// Nobody in particular: a question about the daemon, none to the vault.
    Nothing,
}

/// A query parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it does.
    pub about: &'static str,
}

/// What a query parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A word of the audit log for what was asked.
    Action,
    /// Where a page of connections, orgs or secrets ended.
    Cursor,
    /// `true` or `false`.
    Flag,
    /// 1 to the items of a page.
    Limit,
    /// Seconds that a token must live.
    MinTtl,
    /// RFC 3339 in UTC.
    Moment,
    /// A number from 0.
    Number,
    /// The id of an org.
    Org,
    /// Where a page over all orgs ended.
    Place,
    /// The id of a provider.
    Provider,
    /// The state of a connection.
    State,
    /// Text that is compared.
    Text,
    /// A number from 1.
    Version,
    /// Seconds from now.
    Within,
}

/// A shape of the contract that stands in a body (`tokenkeep_client::wire`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the shape of that name")]
pub enum Shape {
    AlertTestOut,
    AlertsOut,
    AuditEntries,
    AuditVerifyOut,
    AuthorizationOut,
    AuthorizationRequest,
    BackupsOut,
    BatchOut,
    BatchRequest,
    CompleteRequest,
    ConnectionOut,
    Connections,
    ConsentIn,
    ConsentOut,
    Consents,
    DecryptOut,
    DecryptRequest,
    Deleted,
    DoctorOut,
    EncryptOut,
    EncryptRequest,
    Expiring,
    ImportIn,
    ImportOut,
    KeysOut,
    Metrics,
    Nothing,
    OrgKeysOut,
    OrgOut,
    OrgRotationIn,
    OrgRotationOut,
    Orgs,
    PassOut,
    PassRequest,
    ProviderCheckOut,
    ProviderOut,
    Providers,
    RefreshRequest,
    RefreshTokenOut,
    ReleaseIn,
    ReleaseOut,
    RetireIn,
    RetireOut,
    RevocationsOut,
    SecretIn,
    SecretInfo,
    SecretOut,
    Secrets,
    Status,
    Token,
    TokenSet,
}

/// A JSON body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Its shape.
    pub shape: Shape,
    /// Bytes at the most.
    pub limit: usize,
}

/// A success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Success {
    /// The HTTP status.
    pub status: StatusCode,
    /// What it means.
    pub about: &'static str,
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    /// Its name in clients that are generated.
    pub id: &'static str,
    /// Its method.
    pub method: Verb,
    /// What it does.
    pub about: &'static str,
    /// What its caller must be.
    pub needs: Needs,
    /// Its query parameters: others are refused.
    pub query: &'static [Parameter],
    /// Whether it heeds `If-Match` and `If-None-Match`.
    pub heeds: Heeds,
    /// Its body.
    pub takes: Option<Content>,
    /// How it succeeds.
    pub succeeds: &'static [Success],
    /// The shape of each success.
    pub gives: Shape,
    /// What else a success carries.
    pub carries: Carries,
    /// What it refuses beside what every operation of its kind may: see [`Operation::refusals`].
    pub refuses: &'static [Code],
    /// What it does to what is stored.
    pub effect: Effect,
    /// Which org its path may name.
    pub org: Org,
}

/// Which org a path may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Org {
    /// One that need not be there.
    Any,
    /// One that is there.
    Known,
}

/// What an operation does to what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Changes it, durably.
    Change,
    /// Leaves it as it is.
    Read,
}

/// Conditions of a request (RFC 9110, section 13.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heeds {
    /// `If-Match` with one generation, `If-None-Match: *`.
    Conditions,
    /// None.
    Nothing,
}

/// What a success carries beside its JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// `ETag`, and with `Accept: text/plain` the bare value instead of the JSON.
    BareForm,
    /// Nothing.
    Nothing,
    /// `ETag`.
    Tag,
}

/// Before a request is known to be an operation.
pub(super) const UNPARSED: &Operation = &Operation::new(Verb::Get, "unparsed", "", Shape::Nothing);

/// What any request may meet, whatever it asks.
pub const EVERYWHERE: &[Code] = &[
    Code::AuditUnavailable,
    Code::ForwardedRequest,
    Code::HeadersTooLarge,
    Code::RateLimited,
    Code::Unauthenticated,
];

/// What any request to the vault may meet.
const OF_THE_VAULT: &[Code] = &[
    Code::Forbidden,
    Code::Integrity,
    Code::Internal,
    Code::InvalidRequest,
    Code::NotAcceptable,
    Code::NotReady,
];

impl Operation {
    /// All that it may refuse, at this path: by what kind of operation it is, and its own.
    #[must_use]
    pub fn refusals(&self, path: &Path) -> Vec<Code> {
        let mut codes = EVERYWHERE.to_vec();
        if self.needs != Needs::Nothing {
            codes.extend(OF_THE_VAULT);
        }
        if path.parameters().any(|name| name == "org") {
            codes.push(Code::CrossOrg);
            if self.org == Org::Known {
                codes.push(Code::NotFound);
            }
        }
        if self.takes.is_some() {
            codes.extend([Code::TooLarge, Code::UnsupportedMediaType]);
        }
        if self.effect == Effect::Change {
            codes.extend([Code::Conflict, Code::StorageFull]);
        }
        if self.heeds == Heeds::Conditions {
            codes.push(Code::PreconditionFailed);
        }
        codes.extend(self.refuses);
        codes.sort_unstable_by_key(|code| (code.status(), code.as_str()));
        codes.dedup();
        codes
    }

    /// Whether this answer stands here: what is served and what is described are one thing.
    pub(super) fn may_give(&self, path: &Path, served: &Result<Answer, Refusal>) -> bool {
        match served {
            Ok(answer) => self.succeeds.iter().any(|success| success.status == answer.status()),
            Err(refusal) => self.refusals(path).contains(&refusal.code),
        }
    }
}
