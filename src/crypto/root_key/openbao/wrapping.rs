//! A wrapped secret id: a token that gives it out once, and says where it was wrapped.
//!
//! The hard problem: whoever carries the token could open it, take the secret id, and wrap it again. The answer
//! ("Response wrapping", Vault's documentation): before it is opened it is looked up. What was wrapped anew says so by
//! its creation path, and what was opened is no more. Both are refused for safety, never tried again.
//!
//! Never opens a token that was not made where secret ids are made.

use zeroize::Zeroizing;

use super::login::body;
use super::{Envelope, OpenBao, failure, object, text};
use crate::crypto::root_key::SourceError;
use crate::net::outbound::Request;

impl OpenBao {
    pub(super) fn unwrap(
        &self,
        mount: &str,
        token: &Zeroizing<String>,
    ) -> Result<Zeroizing<String>, SourceError> {
        let request = Request::new("POST", "/v1/sys/wrapping/lookup");
        let looked = self.ask(request.with_body("application/json", body(&[("token", token)])), None)?;
        if looked.status != 200 {
            return Err(failure::of_wrapping(looked.status, &looked.body));
        }
        let data = Envelope::read(&looked.body).and_then(|envelope| object(envelope.data?));
        let path = data.and_then(|data| text(&data, "creation_path"));
        if !path.is_some_and(|path| makes_secret_ids(mount, &path)) {
            return Err(failure::wrapped_elsewhere());
        }
        let opened = self.ask(Request::new("POST", "/v1/sys/wrapping/unwrap"), Some(token))?;
        if opened.status != 200 {
            return Err(failure::of_wrapping(opened.status, &opened.body));
        }
        let data = Envelope::read(&opened.body).and_then(|envelope| object(envelope.data?));
        data.and_then(|data| text(&data, "secret_id")).ok_or_else(failure::wrapped_elsewhere)
    }
}

/// `auth/MOUNT/role/NAME/secret-id`, as the server writes it.
fn makes_secret_ids(mount: &str, path: &str) -> bool {
    let start = format!("auth/{mount}/role/");
    let rest = path.strip_prefix(&start).and_then(|rest| rest.strip_suffix("/secret-id"));
    rest.is_some_and(|role| !role.is_empty() && !role.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_secret_ids_are_made() {
        assert!(makes_secret_ids("approle", "auth/approle/role/tokenkeep/secret-id"));
        for other in [
            "sys/wrapping/wrap",
            "auth/other/role/tokenkeep/secret-id",
            "auth/approle/role//secret-id",
            "auth/approle/role/a/b/secret-id",
            "auth/approle/role/tokenkeep/secret-id/lookup",
            "cubbyhole/auth/approle/role/tokenkeep/secret-id",
        ] {
            assert!(!makes_secret_ids("approle", other), "{other}");
        }
    }
}
