//! A pass: asked for, and handed out.
//!
//! Never written anywhere but by [`PassOut::body`], into a buffer that is wiped.

use super::to_body;
use crate::moment::Moment;
use crate::secret::Pass;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// POST `/v1/orgs/{org}/passes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PassRequest {
    /// What it hands on: none that the caller does not have itself.
    pub actions: Vec<String>,
    /// Seconds; 300 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
}

/// A pass, good for one org, one principal and these few actions.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PassOut {
    /// Shown in `Authorization: Bearer`.
    pub pass: Pass,
    /// Nothing is let in with it from this moment on.
    pub expires_at: Moment,
}

impl PassOut {
    /// The JSON of the answer, in a buffer that is wiped when it goes.
    #[must_use]
    pub fn body(&self) -> Zeroizing<Vec<u8>> {
        #[derive(Serialize)]
        struct Exposed<'a> {
            pass: &'a str,
            expires_at: Moment,
        }
        to_body(&Exposed { pass: self.pass.expose(), expires_at: self.expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_reads_back_from_its_body_and_shows_nothing() {
        let at = Moment::parse("2026-11-21T18:00:00Z").expect("valid");
        let out = PassOut { pass: Pass::new("canary".into()), expires_at: at };
        let body = out.body();
        assert_eq!(&body[..], br#"{"pass":"canary","expires_at":"2026-11-21T18:00:00Z"}"#);
        let again: PassOut = serde_json::from_slice(&body).expect("reads");
        assert_eq!((&again.pass, again.expires_at), (&out.pass, at));
        assert!(!format!("{again:?}").contains("canary"));
    }

    #[test]
    fn a_request_with_an_unknown_field_is_refused() {
        let read = |text: &str| serde_json::from_str::<PassRequest>(text);
        assert_eq!(read(r#"{"actions":["token:read"],"ttl":60}"#).expect("reads").ttl, Some(60));
        assert_eq!(read(r#"{"actions":[]}"#).expect("reads").ttl, None);
        assert!(read(r#"{"actions":[],"tll":60}"#).is_err());
        assert!(read(r#"{"ttl":60}"#).is_err());
    }
}
