//! The mTLS listener of the file, and the names that clients come in by.
//!
//! Never opens a file: whether what lies there is any good is found out when the listener is made.

use std::path::PathBuf;

use toml::Spanned;

use super::super::{ConfigError, Mtls, TlsKey, written};
use super::{Reading, Text, is_absolute};
use crate::crypto::root_key::credential::is_credential_name;
use crate::domain::san::San;
use crate::net::server::Version;

impl Reading<'_> {
    pub(super) fn mtls(&self, written: Option<&Spanned<written::Mtls>>) -> Result<Option<Mtls>, ConfigError> {
        let Some(written) = written.map(Spanned::get_ref) else { return Ok(None) };
        let address = written.address.get_ref().parse().map_err(|_| {
            let mend = "write an address and a port: \"127.0.0.1:8443\", \"[::1]:8443\"";
            self.refuse(&written.address, "not an address", mend)
        })?;
        Ok(Some(Mtls {
            address,
            certificate: self.absolute(&written.certificate)?,
            key: self.private_key(&written.key)?,
            client_ca: self.absolute(&written.client_ca)?,
            crl: written.crl.as_ref().map(|crl| self.absolute(crl)).transpose()?,
            minimum: match &written.minimum_version {
                None => Version::default(),
                Some(text) => match text.get_ref().as_str() {
                    "1.2" => Version::Tls12,
                    "1.3" => Version::Tls13,
                    _ => return Err(self.refuse(text, "no such version", "use \"1.3\" or \"1.2\"")),
                },
            },
        }))
    }

    fn private_key(&self, written: &Spanned<written::Private>) -> Result<TlsKey, ConfigError> {
        match written.get_ref() {
            written::Private::Path(path) if is_absolute(path) => Ok(TlsKey::File(PathBuf::from(path))),
            written::Private::Path(_) => {
                let mend = "write it from the root directory on, without '..'";
                Err(self.refuse(written, "not an absolute path", mend))
            }
            written::Private::Credential(named) if is_credential_name(&named.credential) => {
                Ok(TlsKey::Credential(named.credential.clone()))
            }
            written::Private::Credential(_) => {
                let mend = "use the name in LoadCredential=: letters, digits, '.', '_' and '-'";
                Err(self.refuse(written, "not a name of a credential", mend))
            }
        }
    }

    pub(super) fn san(&self, written: &Text) -> Result<San, ConfigError> {
        San::parse(written.get_ref()).ok_or_else(|| {
            let mend =
                "write a URI (spiffe://domain/path) or a DNS name, in lower case and without wildcards";
            self.refuse(written, "not a name that a client certificate can be known by", mend)
        })
    }
}
