//! Problems of the contract: RFC 9457 `application/problem+json`, with one short public list of codes.
//!
//! Never carries bytes of the input.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal, $title:literal;)*) => {
        /// The public list of what can go wrong, alphabetical.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            /// The code with this text; none for one of a newer daemon.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
            }

            /// The code as it stands in the document.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text),* }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Code::$variant => $status),* }
            }

            /// RFC 9457, section 3.1.3: the same for every occurrence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title),* }
            }
        }
    };
}

codes! {
    /// It exists already.
    AlreadyExists = "already_exists", 409, "It exists already";
    /// The audit log cannot be written, so nothing is released.
    AuditUnavailable = "audit_unavailable", 503, "The audit log cannot be written";
    /// The provider refuses the client that the daemon is there: its id or its secret.
    ClientMisconfigured = "client_misconfigured", 503, "The provider refuses our client";
    /// Another writer was there first.
    Conflict = "conflict", 409, "Another change came first";
    /// The provider requires a consent, and none stands.
    ConsentRequired = "consent_required", 403, "A consent is required";
    /// The org is not one that the caller may act for.
    CrossOrg = "cross_org", 403, "Not for this org";
    /// The caller may not do this.
    Forbidden = "forbidden", 403, "Not allowed";
    /// The request came through a browser or a proxy.
    ForwardedRequest = "forwarded_request", 403, "Browsers and proxies are not callers";
    /// The header fields are too large.
    HeadersTooLarge = "headers_too_large", 431, "Header fields too large";
    /// A stored value does not open, or is not where it belongs.
    Integrity = "integrity", 500, "A stored value is damaged";
    /// A fault of ours.
    Internal = "internal", 500, "Internal error";
    /// The request is not what the contract says.
    InvalidRequest = "invalid_request", 400, "Invalid request";
    /// The path does not offer this method.
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed";
    /// The owner of the connection must connect again.
    NeedsReauth = "needs_reauth", 424, "The connection needs to be authorised again";
    /// Nothing acceptable to the caller can be sent.
    NotAcceptable = "not_acceptable", 406, "Not acceptable";
    /// There is no such thing.
    NotFound = "not_found", 404, "Not found";
    /// The vault does not serve now.
    NotReady = "not_ready", 503, "Not ready";
    /// A refresh token was sent, may have been spent, and no answer came.
    OutcomeUnknown = "outcome_unknown", 424, "The outcome of a refresh is not known";
    /// A condition of the request does not hold.
    PreconditionFailed = "precondition_failed", 412, "Precondition failed";
    /// The provider did not give a token set, and the connection is no worse for it.
    ProviderError = "provider_error", 502, "The provider failed";
    /// The provider did not answer in time.
    ProviderTimeout = "provider_timeout", 504, "The provider did not answer in time";
    /// The store may be a copy: what it had is not refreshed until it is released.
    Quarantined = "quarantined", 503, "The connection is in quarantine";
    /// Too many requests of this caller.
    RateLimited = "rate_limited", 429, "Too many requests";
    /// A refresh is under way and takes longer than a caller is kept waiting.
    RefreshInProgress = "refresh_in_progress", 503, "A refresh is under way";
    /// The token has scopes beyond what the provider may have.
    ScopeNotAllowed = "scope_not_allowed", 403, "A scope is not allowed";
    /// There is no room to keep the change.
    StorageFull = "storage_full", 507, "No room left";
    /// The body is too large.
    TooLarge = "too_large", 413, "Body too large";
    /// The kernel's word on who calls matches no configured client.
    Unauthenticated = "unauthenticated", 401, "Unknown caller";
    /// The provider is not configured.
    UnknownProvider = "unknown_provider", 400, "Unknown provider";
    /// The body is not JSON.
    UnsupportedMediaType = "unsupported_media_type", 415, "Unsupported media type";
}

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// `urn:tokenkeep:problem:CODE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A sentence for the code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// One of the public list of codes; text, so that an older client reads a newer daemon.
    pub code: String,
    /// What happened here and what to do.
    pub detail: String,
    /// Also in `X-Request-Id` and in the audit log.
    pub request_id: String,
    /// Seconds to wait before asking again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The reason behind the code, where one helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<crate::moment::Moment>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_as_they_are_written() {
        for &code in Code::ALL {
            let text = serde_json::to_string(&code).expect("serialises");
            assert_eq!(text, format!("\"{}\"", code.as_str()));
            assert_eq!(Code::parse(code.as_str()), Some(code));
            assert!((400..600).contains(&code.status()));
        }
    }
}
