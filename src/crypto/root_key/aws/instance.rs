//! Credentials of the instance's role, by version 2 of the metadata service (IMDSv2) alone.
//!
//! The hard problem: version 1 gives credentials to whoever can make the host send a GET. The answer: it is never
//! spoken. A token is asked for first, by PUT, which no redirect or forwarded request comes by (EC2 user guide,
//! "Use the Instance Metadata Service"); where that is refused, there are no credentials.
//!
//! Never asks a host that is not link-local or this one.

use std::net::IpAddr;

use zeroize::Zeroizing;

use super::container;
use super::credentials::Credentials;
use super::settled::Host;
use crate::crypto::root_key::{SourceError, remote};
use crate::net::outbound::{Answer, Deadlines, Endpoint, Request, Roots};

const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const USUAL: &str = "http://169.254.169.254";
const USUAL_IPV6: &str = "http://[fd00:ec2::254]";
const ROLE: &str = "/latest/meta-data/iam/security-credentials/";

/// Where it is asked.
pub(super) fn endpoints() -> impl Iterator<Item = Endpoint> {
    [USUAL, USUAL_IPV6].into_iter().filter_map(Endpoint::parse)
}

/// What the metadata service says.
pub(super) enum Metadata {
    /// These.
    Credentials(Credentials),
    /// It is not to be asked.
    Off(String),
    /// Nothing yet: there is none, it cannot be reached, or the instance has no role.
    Silent(String),
}

pub(super) fn of_metadata(host: &Host<'_>) -> Result<Metadata, SourceError> {
    let is_off = |value: Zeroizing<String>| value.eq_ignore_ascii_case("true");
    if host.variable("AWS_EC2_METADATA_DISABLED").is_some_and(is_off) {
        return Ok(Metadata::Off(
            "AWS_EC2_METADATA_DISABLED keeps the instance metadata from being asked".into(),
        ));
    }
    let endpoint = endpoint(host)?;
    let silent = |why: String| Metadata::Silent(format!("instance metadata (IMDSv2): {why}"));
    let ask = |request| remote::ask(host.door, &endpoint, &Roots::Host, request, Deadlines::LINK_LOCAL);
    let put = Request::new("PUT", "/latest/api/token")
        .with_header("x-aws-ec2-metadata-token-ttl-seconds", Zeroizing::new("60".into()));
    let token = match ask(put) {
        Ok(Answer { status: 200, body, .. }) => remote::as_header(&body),
        Ok(Answer { status, .. }) => return Ok(silent(format!("no token, status {status}"))),
        Err(SourceError::Retryable { what, .. }) => return Ok(silent(what)),
        Err(why) => return Err(why),
    };
    let Some(token) = token else { return Ok(silent("no token".into())) };
    let with_token =
        |path: &str| Request::new("GET", path).with_header("x-aws-ec2-metadata-token", token.clone());
    let roles = ask(with_token(ROLE))?;
    let role = role(&roles.body).filter(|_| roles.status == 200);
    let Some(role) = role else {
        return Ok(silent(format!("the instance has no role (status {})", roles.status)));
    };
    let answer = ask(with_token(&format!("{ROLE}{role}")))?;
    let credentials = container::read(&answer.body, "instance role").filter(|_| answer.status == 200);
    Ok(credentials.map_or_else(
        || silent(format!("no credentials for the role (status {})", answer.status)),
        Metadata::Credentials,
    ))
}

fn endpoint(host: &Host<'_>) -> Result<Endpoint, SourceError> {
    let mode = host.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    let usual = if mode.is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6")) { USUAL_IPV6 } else { USUAL };
    let set = host.variable(ENDPOINT);
    let is_near = |address: IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback() || Some(address) == "fd00:ec2::254".parse().ok(),
    };
    let endpoint = Endpoint::parse(set.as_ref().map_or(usual, |set| set.as_str())).filter(|endpoint| {
        endpoint.is_tls() || endpoint.is_loopback() || endpoint.address().is_some_and(is_near)
    });
    endpoint.ok_or_else(|| {
        SourceError::refused(
            format!("{ENDPOINT} names what is neither link-local nor this host"),
            "unset it, or find out who set it",
        )
    })
}

/// The first line names it (IAM: `[\w+=,.@-]+`).
fn role(body: &[u8]) -> Option<String> {
    let line = body.split(|&b| b == b'\n').next().unwrap_or_default().trim_ascii();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(b);
    let name = std::str::from_utf8(line).ok()?;
    ((1..=128).contains(&line.len()) && line.iter().all(plain)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_one_plain_line() {
        assert_eq!(role(b"my-role\nother").as_deref(), Some("my-role"));
        for none in [&b""[..], b"\n", b"a/b", b"../x", b"a b", b"<html>", b"\xff"] {
            assert_eq!(role(none), None);
        }
    }
}
