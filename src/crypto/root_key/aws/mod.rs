//! Root keys from AWS Secrets Manager: `GetSecretValue`, signed with whatever credentials the host has.
//!
//! The hard problem: the same call fails for a dozen reasons, and a person at three in the morning must know
//! which. The answer: each has its line and its mend (`failure`), and says whether waiting helps. Rights in AWS are
//! consistent in the end, not at once, and hosts boot before their roles are there: what AWS may yet let through is
//! tried again as long as the configuration says.
//!
//! Never asks anything but the one secret, never follows a redirect, never keeps credentials after the reading.

mod container;
mod credentials;
mod failure;
mod instance;
pub mod profile;
mod reach;
mod settled;
pub mod signer;
mod signing;
mod web_identity;

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::remote::{self, Variables};
use super::{LONGEST_LIST, Reach, RootKeySource, SourceError, json};
use crate::net::destination::Destination;
use crate::net::outbound::{Deadlines, Door, Endpoint, Request, Roots};

/// Where the secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name or ARN.
    pub secret_id: String,
    /// The region; else that of the environment or the profile.
    pub region: Option<String>,
    /// Where Secrets Manager is, unless at the usual place of the region.
    pub endpoint: Option<Endpoint>,
    /// Where the Security Token Service is, likewise.
    pub sts_endpoint: Option<Endpoint>,
    /// Whom to trust.
    pub roots: Roots,
}

/// The secret.
pub struct AwsSecretsManager {
    settings: Settings,
    door: Door,
    variables: Box<Variables>,
}

impl AwsSecretsManager {
    /// The secret, asked for with the credentials that these variables, and the files that they name, lead to.
    #[must_use]
    pub fn new(settings: Settings, door: Door, variables: Box<Variables>) -> Self {
        Self { settings, door, variables }
    }
}

impl Settings {
    /// Where a reading may lead, by these settings alone and the usual places of AWS: the two services, and those that
    /// have credentials for containers and instances.
    #[must_use]
    pub fn destinations(&self) -> Vec<Destination> {
        let region = self.region.as_deref();
        let usual = |service| region.and_then(|region| settled::usual(service, region));
        let services = [(&self.endpoint, "secretsmanager"), (&self.sts_endpoint, "sts")]
            .map(|(set, service)| set.clone().or_else(|| usual(service)));
        let services = services.into_iter().flatten();
        services
            .chain(container::endpoints())
            .chain(instance::endpoints())
            .map(|one| one.destination().clone())
            .collect()
    }
}

/// Whether it can be the name of a region: it becomes part of a host's name.
#[must_use]
pub fn is_region(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=32).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Whether it can be the name or ARN of a secret (Secrets Manager API reference, `CreateSecret`: `Name`).
#[must_use]
pub fn is_secret_id(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@-:".contains(&b);
    (1..=2048).contains(&id.len()) && id.bytes().all(plain)
}

impl RootKeySource for AwsSecretsManager {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, SourceError> {
        let host = settled::Host { settings: &self.settings, door: &self.door, variables: &*self.variables };
        let region = host.region()?;
        let endpoint = host.endpoint(self.settings.endpoint.as_ref(), "secretsmanager", &region)?;
        let credentials = credentials::find(&host, &region)?;
        let body = serde_json::json!({ "SecretId": self.settings.secret_id }).to_string();
        let request = Request::new("POST", "/")
            .with_body("application/x-amz-json-1.1", Zeroizing::new(body.into_bytes()))
            .with_header("x-amz-target", Zeroizing::new("secretsmanager.GetSecretValue".into()));
        let request =
            signing::signed(request, &endpoint, &credentials, &region, "secretsmanager", SystemTime::now())?;
        let answer = remote::ask(&self.door, &endpoint, &self.settings.roots, request, Deadlines::REMOTE)?;
        if answer.status != 200 {
            let asked = failure::Asked { credentials: credentials.place, region: &region };
            return Err(failure::of_secrets_manager(&asked, answer.status, &answer.body));
        }
        key_list(&answer.body)
    }

    fn reach(&self) -> Reach {
        let host = settled::Host { settings: &self.settings, door: &self.door, variables: &*self.variables };
        reach::of(&host)
    }

    fn describe(&self) -> String {
        let Settings { secret_id, region, .. } = &self.settings;
        match region {
            Some(region) => format!("AWS Secrets Manager, secret {secret_id} in {region}"),
            None => format!("AWS Secrets Manager, secret {secret_id}"),
        }
    }
}

/// One of the two stands there (Secrets Manager API reference, `GetSecretValue`).
#[derive(Deserialize)]
struct SecretValue<'a> {
    #[serde(borrow, rename = "SecretString")]
    string: Option<&'a RawValue>,
    #[serde(borrow, rename = "SecretBinary")]
    binary: Option<&'a RawValue>,
}

fn key_list(body: &[u8]) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let unread = || {
        SourceError::unusable(
            "what answered is not AWS Secrets Manager: the answer has no secret in it",
            "see the setting endpoint",
        )
    };
    let value: SecretValue<'_> = serde_json::from_slice(body).map_err(|_| unread())?;
    let list = match (value.string.and_then(json::text), value.binary.and_then(json::text)) {
        (Some(text), _) => Zeroizing::new(text.as_bytes().to_vec()),
        (None, Some(binary)) => json::base64(&binary).ok_or_else(unread)?,
        (None, None) => return Err(unread()),
    };
    if list.len() > LONGEST_LIST {
        let mend = "a key list is one Fernet key a line and nothing else";
        return Err(SourceError::unusable("the secret is far too large for a key list", mend));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_a_text_or_bytes() {
        let read = |body: &str| key_list(body.as_bytes()).ok().map(|list| list.to_vec());
        assert_eq!(read(r##"{"Name":"x","SecretString":"# a\nb\n"}"##), Some(b"# a\nb\n".to_vec()));
        assert_eq!(read(r#"{"SecretBinary":"YQpi"}"#), Some(b"a\nb".to_vec()));
        assert_eq!(read(r#"{"SecretString":null,"SecretBinary":"YQpi"}"#), Some(b"a\nb".to_vec()));
        for none in
            ["", "{}", "[]", r#"{"SecretString":1}"#, r#"{"SecretBinary":"a"}"#, r#"{"SecretBinary":"!!!!"}"#]
        {
            assert_eq!(read(none), None, "{none}");
        }
        let huge = format!(r#"{{"SecretString":"{}"}}"#, "a".repeat(LONGEST_LIST + 1));
        assert!(key_list(huge.as_bytes()).unwrap_err().to_string().contains("too large"));
    }

    #[test]
    fn what_becomes_part_of_a_name_is_plain() {
        assert!(
            is_region("us-gov-east-1") && is_secret_id("arn:aws:secretsmanager:eu-west-1:1:secret:a/b-x@y")
        );
        assert!(["", "EU", "eu.evil", "eu/1", "-eu", "eu-", "eu west"].iter().all(|wrong| !is_region(wrong)));
        assert!(["", "a b", "a\"b", "ä"].iter().all(|wrong| !is_secret_id(wrong)));
    }
}
