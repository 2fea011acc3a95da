//! An authorization: begun with what a person is to be asked, completed with what their browser brought back.
//!
//! Never written anywhere but by [`CompleteRequest::body`], into a buffer that is wiped, where it has a code.

use super::to_body;
use crate::ids::{AuthorizationState, ConnectionName, ProviderId};
use crate::moment::Moment;
use crate::secret::AuthorizationCode;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// POST `/v1/orgs/{org}/authorizations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AuthorizationRequest {
    /// The configured issuer.
    pub provider: ProviderId,
    /// The connection that is to hold the token set.
    pub name: ConnectionName,
    /// Where the provider sends the browser back to, as it is registered there (RFC 6749, section 3.1.2).
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = crate::limits::REDIRECT_URI), regex(pattern = crate::schema::UNSPACED)))]
    pub redirect_uri: String,
    /// What is asked for; the provider's own choice where left out.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = crate::limits::SCOPES), inner(regex(pattern = crate::schema::UNSPACED), length(min = 1, max = crate::limits::SCOPE))))]
    pub scopes: Vec<String>,
}

/// An authorization that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuthorizationOut {
    /// Where the person's browser is to be sent.
    pub url: String,
    /// What comes back with the code, and completes it: once, by the same caller. Bind it to the person's session.
    pub state: AuthorizationState,
    /// It cannot be completed from this moment on.
    pub expires_at: Moment,
}

/// POST `/v1/orgs/{org}/authorizations/{state}/complete`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CompleteRequest {
    /// `code` of the query that the browser came back with.
    pub code: AuthorizationCode,
    /// `iss` of that query, where there was one (RFC 9207).
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = crate::limits::REDIRECT_URI), regex(pattern = crate::schema::UNSPACED)))]
    pub iss: Option<String>,
}

impl CompleteRequest {
    /// The JSON body of the POST, in a buffer that is wiped when it goes.
    #[must_use]
    pub fn body(&self) -> Zeroizing<Vec<u8>> {
        #[derive(Serialize)]
        struct Exposed<'a> {
            code: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            iss: Option<&'a str>,
        }
        to_body(&Exposed { code: self.code.expose(), iss: self.iss.as_deref() })
    }
}
