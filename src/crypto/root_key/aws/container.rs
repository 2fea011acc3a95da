//! Credentials of a container: what ECS and EKS Pod Identity answer on a link-local address.
//!
//! The hard problem: the address comes from the environment, and with it goes a token. The answer: plain HTTP only to
//! this host and to the addresses that AWS gave to these services (SDK reference guide, "Container credential
//! provider"); names are not resolved to find out.
//!
//! Never sends the token elsewhere.

use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::credentials::{Credentials, Found};
use super::settled::Host;
use crate::crypto::root_key::{SourceError, json, remote};
use crate::net::outbound::{Deadlines, Endpoint, Request, Roots};

const PLACE: &str = "container";

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

/// ECS; then EKS, by IPv4 and IPv6.
const HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// Where they are asked.
pub(super) fn endpoints() -> impl Iterator<Item = Endpoint> {
    let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    HOSTS.into_iter().filter_map(move |host| Endpoint::parse(&format!("http://{}", bracketed(host))))
}

pub(super) fn of_environment(host: &Host<'_>) -> Result<Found, SourceError> {
    let address = match (host.variable(RELATIVE), host.variable(FULL)) {
        (Some(path), _) => format!("http://{}{}", HOSTS[0], path.as_str()),
        (None, Some(address)) => address.to_string(),
        (None, None) => return Ok(Found::Nothing(format!("{RELATIVE} and {FULL} are not set"))),
    };
    let (endpoint, path) = split(&address)?;
    let mut request = Request::new("GET", path);
    if let Some(token) = token(host)? {
        request = request.with_header("authorization", token);
    }
    let answer = remote::ask(host.door, &endpoint, &Roots::Host, request, Deadlines::LINK_LOCAL)?;
    if answer.status != 200 {
        let what = format!("the container's credentials at {endpoint}: status {}", answer.status);
        return Err(SourceError::retryable(what, "see the task role, or the agent of the node"));
    }
    read(&answer.body, PLACE).map(Found::Credentials).ok_or_else(|| {
        SourceError::unusable(format!("{endpoint} answered without credentials"), "see what answers there")
    })
}

/// The endpoint, and the path with its query.
fn split(address: &str) -> Result<(Endpoint, String), SourceError> {
    let start = address.find("://").map_or(0, |at| at + 3);
    let path = address[start..].find('/').map_or(address.len(), |at| start + at);
    let is_visible = address[path..].bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    let endpoint = Endpoint::parse(&address[..path]).filter(|_| is_visible);
    let endpoint = endpoint.ok_or_else(|| {
        SourceError::unusable(
            "what names the container's credentials is no address",
            format!("correct {FULL}"),
        )
    })?;
    if !endpoint.is_tls() && !is_allowed(&endpoint) {
        let what =
            format!("{FULL} leads to {endpoint} without TLS, which is neither this host nor ECS or EKS");
        return Err(SourceError::refused(what, "use https, or find out who set it"));
    }
    Ok((endpoint, if path == address.len() { "/".to_owned() } else { address[path..].to_owned() }))
}

fn is_allowed(endpoint: &Endpoint) -> bool {
    let is_listed = |address: IpAddr| HOSTS.iter().any(|host| host.parse() == Ok(address));
    endpoint.is_loopback() || endpoint.address().is_some_and(is_listed)
}

fn token(host: &Host<'_>) -> Result<Option<Zeroizing<String>>, SourceError> {
    if let Some(path) = host.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        return remote::projected_token(Path::new(path.as_str())).map(Some);
    }
    let Some(token) = host.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN") else { return Ok(None) };
    remote::as_header(token.as_bytes()).map(Some).ok_or_else(|| {
        SourceError::unusable("AWS_CONTAINER_AUTHORIZATION_TOKEN is no token", "correct the variable")
    })
}

/// What containers and instances are answered.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answered<'a> {
    #[serde(borrow)]
    access_key_id: &'a RawValue,
    #[serde(borrow)]
    secret_access_key: &'a RawValue,
    #[serde(borrow)]
    token: Option<&'a RawValue>,
}

pub(super) fn read(body: &[u8], place: &'static str) -> Option<Credentials> {
    let answered: Answered<'_> = serde_json::from_slice(body).ok()?;
    let id = json::text(answered.access_key_id)?;
    let secret = json::text(answered.secret_access_key)?;
    let session = answered.token.and_then(json::text);
    Some(Credentials::new(&id, &secret, session.as_ref().map(|token| token.as_str()), place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_to_this_host_and_to_what_aws_named() {
        for fine in [
            "http://169.254.170.2/v2/x?y=1",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1",
            "http://localhost:8080/x",
            "http://127.0.0.1:1",
            "https://anywhere.example/x",
        ] {
            assert!(split(fine).is_ok(), "{fine}");
        }
        for evil in [
            "http://169.254.170.3/x",
            "http://anywhere.example/x",
            "http://localhost.example/",
            "http://10.0.0.1/",
            "http://127.0.0.1.example/",
        ] {
            assert!(split(evil).unwrap_err().is_unsafe(), "{evil}");
        }
        for wrong in
            ["", "/v2", "http://169.254.170.2@evil.example/", "http://127.0.0.1/a b", "ftp://127.0.0.1/"]
        {
            assert!(!split(wrong).unwrap_err().is_retryable(), "{wrong}");
        }
        let (endpoint, path) = split("http://127.0.0.1:81/a?b=c").unwrap();
        assert_eq!((endpoint.to_string().as_str(), path.as_str()), ("http://127.0.0.1:81", "/a?b=c"));
    }

    #[test]
    fn credentials_are_read_whole_or_not_at_all() {
        let whole = br#"{"AccessKeyId":"id","SecretAccessKey":"a\/b","Token":"t","Expiration":"x"}"#;
        let read_whole = read(whole, PLACE).unwrap();
        assert_eq!((read_whole.keys.access_key_id(), read_whole.keys.secret_access_key()), ("id", "a/b"));
        assert_eq!(read_whole.keys.session_token(), Some("t"));
        assert!(!format!("{:?}", read_whole.keys).contains("a/b"));
        for part in
            [&br#"{"AccessKeyId":"id"}"#[..], b"{}", b"no", br#"{"AccessKeyId":1,"SecretAccessKey":2}"#]
        {
            assert!(read(part, PLACE).is_none());
        }
    }
}
