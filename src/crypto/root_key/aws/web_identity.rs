//! Credentials for a token of the cluster: `AssumeRoleWithWebIdentity` of the Security Token Service.
//!
//! The one call of AWS here that is not signed: the token itself says who asks. The answer is XML; of it, three
//! elements are read, whose content is letters, digits and a few marks.
//!
//! Never sends the token anywhere but to the Security Token Service.

use std::path::Path;
use zeroize::Zeroizing;

use super::credentials::{Credentials, Found};
use super::failure;
use super::settled::Host;
use crate::crypto::root_key::{SourceError, remote};
use crate::net::outbound::{Deadlines, Request};

const PLACE: &str = "web identity";

/// The shortest that the service gives (STS API reference): one reading takes a second.
const SECONDS: &str = "900";

pub(super) fn of_environment(host: &Host<'_>, region: &str) -> Result<Found, SourceError> {
    let token_file = host.variable("AWS_WEB_IDENTITY_TOKEN_FILE");
    let role = host.variable("AWS_ROLE_ARN");
    match (token_file, role) {
        (Some(token_file), Some(role)) => {
            let session = host.variable("AWS_ROLE_SESSION_NAME");
            let session = session.as_ref().map(|name| name.as_str());
            assume(host, region, &role, &token_file, session).map(Found::Credentials)
        }
        (None, _) => Ok(Found::Nothing("AWS_WEB_IDENTITY_TOKEN_FILE is not set".into())),
        (Some(_), None) => Err(SourceError::unusable(
            "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not",
            "set both, or none",
        )),
    }
}

pub(super) fn assume(
    host: &Host<'_>,
    region: &str,
    role: &str,
    token_file: &str,
    session: Option<&str>,
) -> Result<Credentials, SourceError> {
    let token = remote::projected_token(Path::new(token_file))?;
    let endpoint = host.endpoint(host.settings.sts_endpoint.as_ref(), "sts", region)?;
    let fields = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("DurationSeconds", SECONDS),
        ("RoleArn", role),
        ("RoleSessionName", session.unwrap_or("tokenkeepd")),
        ("WebIdentityToken", &token),
    ];
    let request = Request::new("POST", "/").with_body("application/x-www-form-urlencoded", form(&fields));
    let answer = remote::ask(host.door, &endpoint, &host.settings.roots, request, Deadlines::REMOTE)?;
    if answer.status != 200 {
        return Err(failure::of_sts(answer.status, &answer.body));
    }
    read(&answer.body).ok_or_else(|| {
        SourceError::unusable(
            format!("{endpoint} answered without credentials: it is not the Security Token Service"),
            "see the setting sts_endpoint",
        )
    })
}

fn read(body: &[u8]) -> Option<Credentials> {
    let text = std::str::from_utf8(body).ok()?;
    let id = element(text, "AccessKeyId")?;
    let secret = Zeroizing::new(element(text, "SecretAccessKey")?.to_owned());
    Some(Credentials::new(id, &secret, Some(element(text, "SessionToken")?), PLACE))
}

/// What stands between the tags of the first element of this name; no markup, nothing escaped.
pub(super) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (content, _) = rest.split_once(&format!("</{name}>"))?;
    let content = content.trim();
    let is_plain = |b: u8| b.is_ascii_graphic() && !b"<>&\"'".contains(&b);
    (!content.is_empty() && content.bytes().all(is_plain)).then_some(content)
}

/// `application/x-www-form-urlencoded`. The room is enough for everything escaped: it does not grow.
fn form(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let room = fields.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum();
    let mut form = Zeroizing::new(Vec::with_capacity(room));
    for (name, value) in fields {
        if !form.is_empty() {
            form.push(b'&');
        }
        form.extend_from_slice(name.as_bytes());
        form.push(b'=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                form.push(byte);
            } else {
                let digit = |half: u8| b"0123456789ABCDEF"[usize::from(half)];
                form.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_escaped_and_does_not_grow() {
        let form = form(&[("A", "a b/=+&~"), ("B", "é")]);
        assert_eq!(std::str::from_utf8(&form).unwrap(), "A=a%20b%2F%3D%2B%26~&B=%C3%A9");
        assert!(form.len() <= form.capacity());
    }

    #[test]
    fn elements_are_plain_or_not_there() {
        let text = "<R><AccessKeyId> AKIA1 </AccessKeyId><X>a&amp;b</X><Y><Z>1</Z></Y><W></W></R>";
        assert_eq!(element(text, "AccessKeyId"), Some("AKIA1"));
        assert_eq!(element(text, "Z"), Some("1"));
        for none in ["X", "Y", "W", "V"] {
            assert_eq!(element(text, none), None, "{none}");
        }
    }
}
