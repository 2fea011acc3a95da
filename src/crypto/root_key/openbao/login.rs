//! AppRole: from a role and its secret id to a token, and the end of that token.
//!
//! Never keeps a token that has done its work.

use zeroize::Zeroizing;

use super::{Envelope, OpenBao, Reached, Wrapping, failure, identity, object, text};
use crate::crypto::root_key::SourceError;
use crate::net::outbound::Request;
use crate::os::held::Held;

impl OpenBao {
    /// The secret id. One that came wrapped is kept for the next attempt: it cannot be unwrapped again.
    pub(super) fn secret_id(
        &self,
        reached: &mut Reached,
        mount: &str,
        held: &Held,
        wrapping: Wrapping,
    ) -> Result<Zeroizing<String>, SourceError> {
        match (wrapping, &reached.secret_id) {
            (Wrapping::Bare, _) => identity::read(held),
            (Wrapping::Wrapped, Some(secret_id)) => Ok(secret_id.clone()),
            (Wrapping::Wrapped, None) => {
                let secret_id = self.unwrap(mount, &identity::read(held)?)?;
                Ok(reached.secret_id.insert(secret_id).clone())
            }
        }
    }

    pub(super) fn log_in(
        &self,
        mount: &str,
        role_id: &str,
        secret_id: &Zeroizing<String>,
    ) -> Result<Zeroizing<String>, SourceError> {
        let body = body(&[("role_id", role_id), ("secret_id", secret_id)]);
        let request = Request::new("POST", format!("/v1/auth/{mount}/login"));
        let answer = self.ask(request.with_body("application/json", body), None)?;
        if answer.status != 200 {
            return Err(failure::of_login(answer.status, &answer.body));
        }
        let auth = Envelope::read(&answer.body).and_then(|envelope| object(envelope.auth?));
        auth.and_then(|auth| text(&auth, "client_token")).ok_or_else(|| {
            SourceError::unusable("OpenBao: the login gave no token", "see app_role.mount in [root_key]")
        })
    }

    /// Whether it succeeds is of no matter to the key: the token ends by itself in time.
    pub(super) fn revoke(&self, token: &Zeroizing<String>) {
        drop(self.ask(Request::new("POST", "/v1/auth/token/revoke-self"), Some(token)));
    }
}

/// A JSON object of texts. The values are visible characters (`remote::as_header`) or plain by configuration: a
/// quote and a backslash are all that has to be escaped. The room is enough for everything escaped.
pub(super) fn body(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let room = fields.iter().map(|(name, value)| name.len() + 2 * value.len() + 6).sum::<usize>() + 2;
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    for (name, value) in fields {
        let opening: &[u8] = if body.is_empty() { b"{\"" } else { b",\"" };
        body.extend_from_slice(opening);
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(b"\":\"");
        for byte in value.bytes() {
            if matches!(byte, b'"' | b'\\') {
                body.push(b'\\');
            }
            body.push(byte);
        }
        body.push(b'"');
    }
    body.push(b'}');
    body
}

#[cfg(test)]
mod tests {
    use super::super::{Identity, Settings};
    use super::*;
    use crate::net::outbound::{Door, Endpoint, Roots};

    /// Nobody listens there: whoever asked would fail.
    #[test]
    fn what_was_unwrapped_is_not_unwrapped_again() {
        let held = Held::File("/nonexistent/secret-id".into());
        let identity = Identity::Token(held.clone());
        let settings = Settings {
            address: Endpoint::parse("http://127.0.0.1:9").unwrap(),
            namespace: None,
            mount: "secret".into(),
            path: "a".into(),
            field: "keys".into(),
            identity,
            roots: Roots::Host,
        };
        let source = OpenBao::new(settings, Door::Direct);
        let mut reached = Reached { secret_id: Some(Zeroizing::new("kept".into())), token: None };
        let kept = source.secret_id(&mut reached, "approle", &held, Wrapping::Wrapped);
        assert_eq!(kept.unwrap().as_str(), "kept");
        assert!(source.secret_id(&mut reached, "approle", &held, Wrapping::Bare).is_err(), "read anew");
    }

    #[test]
    fn a_body_is_json_and_does_not_grow() {
        let hard = "\\\"\\\\\"";
        let written = body(&[("role_id", "a"), ("secret_id", hard)]);
        let read: serde_json::Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(read, serde_json::json!({"role_id": "a", "secret_id": hard}));
        let room = body(&[("t", &"\\".repeat(100))]);
        assert!(room.len() <= 1 + 200 + 6 + 2, "{}", room.len());
    }
}
