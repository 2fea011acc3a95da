//! What OpenBao's refusals mean: each its own line, its mend, and whether waiting helps.
//!
//! A sealed server is unsealed in the end, a secret may be put there after the host has booted, an agent may bring a
//! new token, a policy may be mended while the daemon waits. A secret id that is none, a version that was deleted
//! and a wrapping that somebody opened stay what they are.
//!
//! Never repeats what the server said.

use serde::Deserialize;

use super::{Envelope, object};
use crate::crypto::root_key::SourceError;

/// What comes with every refusal.
#[derive(Deserialize, Default)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

fn says(body: &[u8], words: &str) -> bool {
    let errors: Errors = serde_json::from_slice(body).unwrap_or_default();
    errors.errors.iter().any(|error| error.to_ascii_lowercase().contains(words))
}

const NO_TOKEN: &str = "OpenBao: permission denied, for the token is not valid or has expired";

/// The token is none.
pub(super) fn no_token() -> SourceError {
    SourceError::retryable(
        NO_TOKEN,
        "put a new token there; a periodic one lives for as long as it is renewed",
    )
}

/// Whether it is the token that is to blame.
pub(super) fn is_of_token(why: &SourceError) -> bool {
    matches!(why, SourceError::Retryable { what, .. } if what == NO_TOKEN)
}

/// The token is one, and may not.
pub(super) fn denied() -> SourceError {
    SourceError::retryable(
        "OpenBao: permission denied, for the token's policies do not let it read the secret",
        "allow \"read\" on MOUNT/data/PATH (docs/root-key.md); see mount, path and namespace in [root_key]",
    )
}

/// There is no such secret, or its newest version is gone.
pub(super) fn absent(body: &[u8]) -> SourceError {
    let data = Envelope::read(body).and_then(|envelope| object(envelope.data?));
    if data.is_some_and(|data| data.contains_key("metadata")) {
        return SourceError::unusable(
            "OpenBao: the newest version of the secret is deleted",
            "undelete it (bao kv undelete), or put the key list there again",
        );
    }
    if says(body, "no handler for route") {
        return SourceError::unusable(
            "OpenBao: no secrets engine is mounted there",
            "see mount and namespace in [root_key]",
        );
    }
    SourceError::retryable(
        "OpenBao: there is no such secret",
        "put it there (bao kv put); see mount and path in [root_key]: the engine must be KV version 2",
    )
}

/// A refusal to log in.
pub(super) fn of_login(status: u16, body: &[u8]) -> SourceError {
    match status {
        // OpenBao tells neither which of them it is nor whether the role exists.
        400 => SourceError::unusable(
            "OpenBao: AppRole does not take the role id with this secret id",
            "see role_id; a secret id may have expired or be used up: give a new one",
        ),
        403 | 404 => SourceError::retryable(
            "OpenBao: permission denied at the AppRole login",
            "see that AppRole is enabled at app_role.mount, and the addresses that the role is bound to",
        ),
        _ => of(status, body),
    }
}

/// A refusal to look up or to unwrap.
pub(super) fn of_wrapping(status: u16, body: &[u8]) -> SourceError {
    match status {
        400 | 403 | 404 => SourceError::refused(
            "OpenBao: the wrapped secret id was opened before, or has expired",
            "if no start of this daemon opened it, somebody else did: destroy the secret ids of the role and find \
             out who; else give a new one",
        ),
        _ => of(status, body),
    }
}

/// What it holds is not from where secret ids are made.
pub(super) fn wrapped_elsewhere() -> SourceError {
    SourceError::refused(
        "OpenBao: what came wrapped was not wrapped where secret ids are made, so somebody may have opened it",
        "destroy the secret ids of the role and find out who handed it over; see app_role.mount",
    )
}

/// Any other.
pub(super) fn of(status: u16, body: &[u8]) -> SourceError {
    let unclear = |mend: &str| SourceError::retryable(format!("OpenBao answered status {status}"), mend);
    match status {
        300..400 => {
            let mend =
                "it redirects, which is not followed: use the address of the cluster, or of its leader";
            unclear(mend).because("outbound_redirect")
        }
        429 => SourceError::retryable("OpenBao is throttling", "see its rate limit quotas"),
        503 if says(body, "sealed") => {
            SourceError::retryable("OpenBao is sealed", "unseal it (bao operator unseal)")
        }
        501 | 503 if says(body, "not initialized") => {
            SourceError::retryable("OpenBao is not initialized", "initialize it (bao operator init)")
        }
        _ => unclear("see its log and bao status; see address in [root_key]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_line_and_is_waited_for_or_not() {
        let sealed = br#"{"errors":["Vault is sealed"]}"#;
        let deleted = br#"{"data":{"data":null,"metadata":{"deletion_time":"2026-01-01T00:00:00Z"}}}"#;
        let no_mount = br#"{"errors":["no handler for route \"x/data/canary\""]}"#;
        for (error, words, waits) in [
            (of(503, sealed), "is sealed", true),
            (of(503, b"<html>canary"), "status 503", true),
            (of(429, b""), "throttling", true),
            (of(307, b""), "redirects", true),
            (absent(br#"{"errors":[]}"#), "no such secret", true),
            (absent(deleted), "deleted", false),
            (absent(no_mount), "no secrets engine", false),
            (of_login(400, b"canary"), "AppRole does not take", false),
            (of_login(403, b""), "permission denied", true),
            (of_login(503, sealed), "is sealed", true),
            (denied(), "policies", true),
            (no_token(), "expired", true),
        ] {
            assert!(error.to_string().contains(words), "{error}");
            assert!(!error.to_string().contains("canary"), "{error}");
            assert_eq!(error.is_retryable(), waits, "{error}");
        }
        assert!(is_of_token(&no_token()) && !is_of_token(&denied()));
    }

    #[test]
    fn what_was_opened_on_the_way_is_refused_for_safety() {
        assert!(of_wrapping(400, b"").is_unsafe() && wrapped_elsewhere().is_unsafe());
        assert!(of_wrapping(503, b"").is_retryable());
    }
}
