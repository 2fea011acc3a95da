//! `[root_key]`: which source, and what it takes.
//!
//! Never a secret: what a source needs to know of one stands elsewhere, and is named here.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::{Reading, Text, is_absolute};
use crate::crypto::root_key::aws;
use crate::crypto::root_key::credential::is_credential_name;
use crate::daemon::config::error::ConfigError;
use crate::daemon::config::{DEVELOPMENT, RootKey, written};
use crate::net::outbound::{Endpoint, Roots};

/// Sources of the contract that this version lacks.
const LATER_SOURCES: [&str; 3] = ["azure-key-vault", "gcp-secret-manager", "onepassword-connect"];

/// Each source with the keys that it takes; the first of them it needs.
const SOURCES: [(&str, &[&str]); 4] = [
    ("aws-secrets-manager", &["secret_id", "region", "endpoint", "sts_endpoint", "ca"]),
    ("exec", &["command", "deadline"]),
    ("file", &["path"]),
    ("systemd-credential", &["name"]),
];

impl Reading<'_> {
    pub(super) fn root_key(
        &self,
        written: &written::RootKey,
        environment: &Text,
    ) -> Result<RootKey, ConfigError> {
        let source = &written.source;
        if LATER_SOURCES.contains(&source.get_ref().as_str()) {
            return Err(self.not_available(&source.span(), "this source"));
        }
        let Some((name, takes)) = SOURCES.iter().find(|(name, _)| name == source.get_ref()) else {
            let names = SOURCES.map(|(name, _)| name).join(", ");
            return Err(self.refuse(source, "no such source", format!("use one of {names}")));
        };
        self.nothing_else(written, takes)?;
        let lacks = || {
            let what = format!("this source lacks {}", takes[0]);
            self.refuse(source, what, format!("add {} = … to [root_key]", takes[0]))
        };
        match *name {
            "aws-secrets-manager" => {
                self.aws(written, written.secret_id.as_ref().ok_or_else(lacks)?, environment)
            }
            "exec" => self.exec(written.command.as_ref().ok_or_else(lacks)?, written.deadline.as_ref()),
            "file" => Ok(RootKey::File { path: self.absolute(written.path.as_ref().ok_or_else(lacks)?)? }),
            _ => self.credential(written.name.as_ref().ok_or_else(lacks)?),
        }
    }

    fn nothing_else(&self, written: &written::RootKey, takes: &[&str]) -> Result<(), ConfigError> {
        let other = written.given().into_iter().find(|(key, _)| !takes.contains(key));
        let Some((key, span)) = other else { return Ok(()) };
        let what = format!("{key} does not belong to this source");
        Err(self.source.fault(&span, what, format!("it takes {}", takes.join(", "))))
    }

    fn aws(
        &self,
        written: &written::RootKey,
        secret_id: &Text,
        environment: &Text,
    ) -> Result<RootKey, ConfigError> {
        if !aws::is_secret_id(secret_id.get_ref()) {
            let mend = "use its name or its ARN";
            return Err(self.refuse(secret_id, "not a secret of AWS Secrets Manager", mend));
        }
        let region = written.region.as_ref();
        if let Some(region) = region.filter(|region| !aws::is_region(region.get_ref())) {
            return Err(self.refuse(region, "not a region", "use its code, like eu-central-1"));
        }
        let endpoint = |text: Option<&Text>| text.map(|text| self.endpoint(text, environment)).transpose();
        Ok(RootKey::AwsSecretsManager(aws::Settings {
            secret_id: secret_id.get_ref().clone(),
            region: region.map(|region| region.get_ref().clone()),
            endpoint: endpoint(written.endpoint.as_ref())?,
            sts_endpoint: endpoint(written.sts_endpoint.as_ref())?,
            roots: self.roots(written.ca.as_ref())?,
        }))
    }

    /// The key list comes over it: in plain text only where nobody can read along, and there is nothing to guard.
    fn endpoint(&self, written: &Text, environment: &Text) -> Result<Endpoint, ConfigError> {
        let Some(endpoint) = Endpoint::parse(written.get_ref()) else {
            let mend = "write https://HOST, with :PORT and a path if need be, and nothing else";
            return Err(self.refuse(written, "not an address", mend));
        };
        if endpoint.is_tls() || (endpoint.is_loopback() && environment.get_ref() == DEVELOPMENT) {
            return Ok(endpoint);
        }
        let mend =
            "use https; plain http goes to a loopback address alone, where environment = \"development\"";
        Err(self.refuse(written, "the root key would come in plain text", mend))
    }

    fn roots(&self, ca: Option<&Text>) -> Result<Roots, ConfigError> {
        ca.map_or(Ok(Roots::Host), |ca| Ok(Roots::File(self.absolute(ca)?)))
    }

    fn credential(&self, name: &Text) -> Result<RootKey, ConfigError> {
        if is_credential_name(name.get_ref()) {
            return Ok(RootKey::SystemdCredential { name: name.get_ref().clone() });
        }
        let mend = "use the name in LoadCredential=: letters, digits, '.', '_' and '-'";
        Err(self.refuse(name, "not a name of a credential", mend))
    }

    fn exec(&self, command: &Spanned<Vec<String>>, deadline: Option<&Text>) -> Result<RootKey, ConfigError> {
        let Some((program, arguments)) = command.get_ref().split_first() else {
            return Err(self.refuse(command, "no program", "write its path and its arguments"));
        };
        if !is_absolute(program) || arguments.iter().any(|argument| argument.contains('\0')) {
            let mend =
                "write the program's path from the root directory on; there is no shell to look for it";
            return Err(self.refuse(command, "not a command", mend));
        }
        let deadline = self.span_within(deadline, Duration::from_secs(30), 1..=300)?;
        Ok(RootKey::Exec { program: PathBuf::from(program), arguments: arguments.to_vec(), deadline })
    }
}

impl written::RootKey {
    /// The keys that are not for every source, as far as they stand there.
    fn given(&self) -> Vec<(&'static str, Range<usize>)> {
        let text = |name, text: &Option<Text>| text.as_ref().map(|text| (name, text.span()));
        let command = self.command.as_ref().map(|command| ("command", command.span()));
        let texts = [
            text("ca", &self.ca),
            text("deadline", &self.deadline),
            text("endpoint", &self.endpoint),
            text("name", &self.name),
            text("path", &self.path),
            text("region", &self.region),
            text("secret_id", &self.secret_id),
            text("sts_endpoint", &self.sts_endpoint),
        ];
        texts.into_iter().flatten().chain(command).collect()
    }
}
