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
use crate::crypto::root_key::openbao::{self, Identity, Wrapping};
use crate::daemon::config::error::ConfigError;
use crate::daemon::config::{DEVELOPMENT, RootKey, written};
use crate::net::outbound::{Endpoint, Roots};
use crate::os::held::Held;

/// Sources of the contract that this version lacks.
const LATER_SOURCES: [&str; 3] = ["azure-key-vault", "gcp-secret-manager", "onepassword-connect"];

/// Each source with the keys that it takes; the first of them it needs.
const SOURCES: [(&str, &[&str]); 5] = [
    ("aws-secrets-manager", &["secret_id", "region", "endpoint", "sts_endpoint", "ca"]),
    ("exec", &["command", "deadline"]),
    ("file", &["path"]),
    ("openbao", &["address", "path", "mount", "field", "namespace", "token", "app_role", "ca"]),
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
            "openbao" => self.openbao(written, written.address.as_ref().ok_or_else(lacks)?, environment),
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

    fn openbao(
        &self,
        written: &written::RootKey,
        address: &Text,
        environment: &Text,
    ) -> Result<RootKey, ConfigError> {
        let Some(path) = &written.path else {
            return Err(self.refuse(address, "this source lacks path", "add path = … to [root_key]"));
        };
        let field = written.field.as_ref();
        if let Some(field) = field.filter(|field| !is_field(field.get_ref())) {
            return Err(self.refuse(field, "not a field of a secret", "use its name"));
        }
        Ok(RootKey::OpenBao(openbao::Settings {
            address: self.endpoint(address, environment)?,
            namespace: written.namespace.as_ref().map(|text| self.path_there(text)).transpose()?,
            mount: self.path_or(written.mount.as_ref(), "secret")?,
            path: self.path_there(path)?,
            field: field.map_or_else(|| "keys".to_owned(), |field| field.get_ref().clone()),
            identity: self.identity(written, address)?,
            roots: self.roots(written.ca.as_ref())?,
        }))
    }

    fn identity(&self, written: &written::RootKey, address: &Text) -> Result<Identity, ConfigError> {
        match (&written.token, &written.app_role) {
            (Some(token), None) => Ok(Identity::Token(self.held(token)?)),
            (None, Some(role)) => {
                let role = role.get_ref();
                let role_id = role.role_id.get_ref();
                if !openbao::is_path(role_id) || role_id.contains('/') {
                    return Err(self.refuse(&role.role_id, "not the id of a role", "see bao read …/role-id"));
                }
                Ok(Identity::AppRole {
                    mount: self.path_or(role.mount.as_ref(), "approle")?,
                    role_id: role_id.clone(),
                    secret_id: self.held(&role.secret_id)?,
                    wrapping: if role.wrapped { Wrapping::Wrapped } else { Wrapping::Bare },
                })
            }
            (Some(token), Some(_)) => Err(self.refuse(token, "both token and app_role", "remove one")),
            (None, None) => {
                let mend = "add token = { file = … } or app_role = { … } to [root_key]";
                Err(self.refuse(address, "nothing says as whom to ask", mend))
            }
        }
    }

    /// Where a secret of ours is.
    pub(super) fn held(&self, written: &Spanned<written::Held>) -> Result<Held, ConfigError> {
        let held = written.get_ref();
        match (&held.file, &held.credential) {
            (Some(file), None) => Ok(Held::File(self.absolute(file)?)),
            (None, Some(name)) => Ok(Held::Credential(self.credential_name(name)?)),
            _ => {
                let mend = "write { file = \"/…\" } or { credential = \"…\" }";
                Err(self.refuse(written, "not one place where it is held", mend))
            }
        }
    }

    fn path_or(&self, written: Option<&Text>, usual: &str) -> Result<String, ConfigError> {
        written.map_or_else(|| Ok(usual.to_owned()), |text| self.path_there(text))
    }

    fn path_there(&self, written: &Text) -> Result<String, ConfigError> {
        if openbao::is_path(written.get_ref()) {
            return Ok(written.get_ref().clone());
        }
        let mend = "write names separated by '/', none at the ends, with letters, digits and -._~@+=:";
        Err(self.refuse(written, "not a path of OpenBao", mend))
    }

    /// The key list comes over it: in plain text only where nobody can read along, and there is nothing to guard.
    pub(super) fn endpoint(&self, written: &Text, environment: &Text) -> Result<Endpoint, ConfigError> {
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

    pub(super) fn roots(&self, ca: Option<&Text>) -> Result<Roots, ConfigError> {
        ca.map_or(Ok(Roots::Host), |ca| Ok(Roots::File(self.absolute(ca)?)))
    }

    fn credential(&self, name: &Text) -> Result<RootKey, ConfigError> {
        Ok(RootKey::SystemdCredential { name: self.credential_name(name)? })
    }

    pub(super) fn credential_name(&self, name: &Text) -> Result<String, ConfigError> {
        if is_credential_name(name.get_ref()) {
            return Ok(name.get_ref().clone());
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

fn is_field(name: &str) -> bool {
    (1..=255).contains(&name.len()) && !name.chars().any(char::is_control)
}

impl written::RootKey {
    /// The keys that are not for every source, as far as they stand there.
    fn given(&self) -> Vec<(&'static str, Range<usize>)> {
        fn place<T>(key: &'static str, value: Option<&Spanned<T>>) -> Option<(&'static str, Range<usize>)> {
            value.map(|value| (key, value.span()))
        }
        [
            place("address", self.address.as_ref()),
            place("app_role", self.app_role.as_ref()),
            place("ca", self.ca.as_ref()),
            place("command", self.command.as_ref()),
            place("deadline", self.deadline.as_ref()),
            place("endpoint", self.endpoint.as_ref()),
            place("field", self.field.as_ref()),
            place("mount", self.mount.as_ref()),
            place("name", self.name.as_ref()),
            place("namespace", self.namespace.as_ref()),
            place("path", self.path.as_ref()),
            place("region", self.region.as_ref()),
            place("secret_id", self.secret_id.as_ref()),
            place("sts_endpoint", self.sts_endpoint.as_ref()),
            place("token", self.token.as_ref()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
