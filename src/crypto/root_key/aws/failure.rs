//! What AWS's refusals mean: each its own line, its mend, and whether waiting helps.
//!
//! The hard problem: which refusals are final. Rights, keys and secrets that were just made are seen everywhere only
//! after a while (IAM user guide, "Changes that I make are not always immediately visible"), and a host may boot
//! before they are made at all: these are waited for. A signature that does not match, a secret that is being
//! deleted, a name that cannot be one stay what they are.
//!
//! Never repeats what the service said: its text may hold anything. Its code is shown where it is a plain word.

use serde::Deserialize;

use super::web_identity::element;
use crate::crypto::root_key::SourceError;

/// Who asked, where.
pub(super) struct Asked<'a> {
    /// Where the credentials came from.
    pub(super) credentials: &'a str,
    /// The region.
    pub(super) region: &'a str,
}

/// `__type` may have a namespace before a `#`; the text has had two names.
#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type", default)]
    kind: String,
    #[serde(alias = "Message", default)]
    message: String,
}

impl Refusal {
    /// Empty where it cannot be read. What stands before a service may refuse in the XML of older ones.
    fn read(body: &[u8]) -> Self {
        let of_xml = || {
            let text = std::str::from_utf8(body).unwrap_or_default();
            Self { kind: element(text, "Code").unwrap_or_default().to_owned(), message: String::new() }
        };
        serde_json::from_slice(body).unwrap_or_else(|_| of_xml())
    }
}

/// A refusal of Secrets Manager.
pub(super) fn of_secrets_manager(asked: &Asked<'_>, status: u16, body: &[u8]) -> SourceError {
    let Refusal { kind, message } = Refusal::read(body);
    let code = kind.rsplit('#').next().unwrap_or_default();
    let Asked { credentials, region } = asked;
    match code {
        "AccessDeniedException" | "AccessDenied" => SourceError::retryable(
            format!("AWS Secrets Manager: permission denied for the credentials of the {credentials}"),
            "allow their role secretsmanager:GetSecretValue on the secret, and kms:Decrypt on its key",
        ),
        "DecryptionFailure" => SourceError::retryable(
            "AWS Secrets Manager: the secret's KMS key cannot be used",
            "allow kms:Decrypt on it, and see that it is enabled",
        ),
        "ResourceNotFoundException" => SourceError::retryable(
            format!("AWS Secrets Manager: there is no such secret in {region}, or it has no value yet"),
            "see secret_id, region and the account of the credentials",
        ),
        "InvalidRequestException" => SourceError::unusable(
            "AWS Secrets Manager: the secret is marked for deletion",
            "aws secretsmanager restore-secret --secret-id …, at once",
        ),
        "InvalidParameterException" | "ValidationException" => SourceError::unusable(
            "AWS Secrets Manager does not take this secret_id",
            "use the name or the ARN of the secret",
        ),
        _ => of_any("AWS Secrets Manager", credentials, code, &message, status),
    }
}

/// A refusal of the Security Token Service, in XML.
pub(super) fn of_sts(status: u16, body: &[u8]) -> SourceError {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let code = element(text, "Code").unwrap_or_default();
    match code {
        "AccessDenied" => SourceError::retryable(
            "AWS STS: the role cannot be assumed with this web identity",
            "see the trust policy of the role: provider, audience and subject of the token",
        ),
        "ExpiredTokenException" | "ExpiredToken" => SourceError::retryable(
            "AWS STS: the web identity token has expired",
            "see that the cluster renews AWS_WEB_IDENTITY_TOKEN_FILE, and that the clock is right",
        ),
        "IDPCommunicationError" => SourceError::retryable(
            "AWS STS cannot reach the issuer of the web identity token",
            "see that the issuer's keys can be had from the internet",
        ),
        "IDPRejectedClaim" | "InvalidIdentityToken" => SourceError::unusable(
            "AWS STS does not take the web identity token",
            "see that its issuer is an identity provider of the role's account, and its audience",
        ),
        _ => of_any("AWS STS", "web identity", code, "", status),
    }
}

/// What every service of AWS may say (AWS SDK reference guide, "Retry behavior"; IAM, "Common errors").
fn of_any(service: &str, credentials: &str, code: &str, message: &str, status: u16) -> SourceError {
    let skewed =
        ["Signature expired", "Signature not yet current"].iter().any(|start| message.starts_with(start));
    match code {
        "RequestExpired" | "RequestTimeTooSkewed" => clock(service),
        "InvalidSignatureException" if skewed => clock(service),
        "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch" => SourceError::unusable(
            format!("{service}: the signature is wrong, so the secret key of the {credentials} is"),
            "correct the secret access key; see that nothing between changes the request",
        ),
        "InvalidAccessKeyId" | "InvalidClientTokenId" | "UnrecognizedClientException" => {
            SourceError::retryable(
                format!("{service} does not know the access key of the {credentials}"),
                "see that it was not deleted or disabled, and that it is of this partition of AWS",
            )
        }
        "ExpiredToken" | "ExpiredTokenException" => SourceError::retryable(
            format!("{service}: the session token of the {credentials} has expired"),
            "renew it",
        ),
        "LimitExceededException"
        | "RequestLimitExceeded"
        | "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException" => throttled(service),
        _ if status == 429 => throttled(service),
        _ => unexpected(service, code, status),
    }
}

fn clock(service: &str) -> SourceError {
    let what = format!("{service}: the clock of this host is off by minutes");
    SourceError::retryable(what, "see timedatectl; the daemon should start After=time-sync.target")
}

fn throttled(service: &str) -> SourceError {
    SourceError::retryable(format!("{service} is throttling"), "see who else asks it so often")
}

fn unexpected(service: &str, code: &str, status: u16) -> SourceError {
    let is_plain = !code.is_empty() && code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric());
    let code = if is_plain { format!(", {code}") } else { String::new() };
    let what = format!("{service} answered status {status}{code}");
    match status {
        300..400 => SourceError::unusable(what, "a redirect is not followed; see the setting endpoint")
            .because("outbound_redirect"),
        _ => SourceError::retryable(what, "see the health page of AWS, and the setting endpoint"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> SourceError {
        of_secrets_manager(
            &Asked { credentials: "environment", region: "eu-west-1" },
            status,
            body.as_bytes(),
        )
    }

    #[test]
    fn every_refusal_has_its_line_and_is_waited_for_or_not() {
        for (code, words, waits) in [
            ("AccessDeniedException", "permission denied", true),
            ("DecryptionFailure", "KMS", true),
            ("ExpiredTokenException", "has expired", true),
            ("InternalServiceError", "status 400, InternalServiceError", true),
            ("InvalidRequestException", "marked for deletion", false),
            ("InvalidSignatureException", "signature is wrong", false),
            ("RequestTimeTooSkewed", "clock", true),
            ("ResourceNotFoundException", "no such secret in eu-west-1", true),
            ("SignatureDoesNotMatch", "signature is wrong", false),
            ("ThrottlingException", "throttling", true),
            ("UnrecognizedClientException", "does not know the access key", true),
            ("ValidationException", "secret_id", false),
            ("com.amazonaws.secretsmanager#ResourceNotFoundException", "no such secret", true),
        ] {
            let error = judged(400, &format!(r#"{{"__type":"{code}","message":"ghs_canary"}}"#));
            assert!(error.to_string().contains(words), "{code}: {error}");
            assert_eq!(error.is_retryable(), waits, "{code}: {error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    #[test]
    fn what_only_the_status_says() {
        assert!(judged(503, "<html>ghs canary").to_string().contains("status 503"));
        assert!(judged(429, "").to_string().contains("throttling"));
        assert!(!judged(302, "").is_retryable());
        let odd = judged(400, r#"{"__type":"ghs_canary !"}"#);
        assert!(!odd.to_string().contains("canary"), "{odd}");
    }

    #[test]
    fn a_clock_that_is_off_is_not_taken_for_a_wrong_key() {
        let error =
            judged(400, r#"{"__type":"InvalidSignatureException","Message":"Signature expired: 2026…"}"#);
        assert!(error.is_retryable() && error.to_string().contains("clock"), "{error}");
    }

    #[test]
    fn xml_is_understood_too() {
        let error = judged(403, "<E><Code>SignatureDoesNotMatch</Code><Message>ghs_canary</Message></E>");
        assert!(error.to_string().contains("signature is wrong"), "{error}");
    }

    #[test]
    fn sts_speaks_xml() {
        let body = |code: &str| format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>");
        let denied = of_sts(403, body("AccessDenied").as_bytes());
        assert!(denied.is_retryable() && denied.to_string().contains("trust policy"), "{denied}");
        let invalid = of_sts(400, body("InvalidIdentityToken").as_bytes());
        assert!(!invalid.is_retryable(), "{invalid}");
        assert!(of_sts(500, b"").is_retryable());
    }
}
