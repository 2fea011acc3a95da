//! The retired application keys of the file: where each list is, and which orgs may use it.
//!
//! Never opens one; never lets one be used by an org that is not written.

use tokenkeep_client::ids::{KeyName, OrgId};
use toml::Spanned;

use super::super::{ApplicationKey, ConfigError, KeyPlace, written};
use super::Reading;
use crate::crypto::root_key::credential::is_credential_name;

impl Reading<'_> {
    pub(super) fn application_keys(
        &self,
        written: &[Spanned<written::ApplicationKey>],
    ) -> Result<Vec<ApplicationKey>, ConfigError> {
        let mut keys: Vec<ApplicationKey> = Vec::with_capacity(written.len());
        for one in written {
            let key = self.application_key(one)?;
            if keys.iter().any(|other| other.name == key.name) {
                let what = "two application keys have this name";
                return Err(self.refuse(&one.get_ref().name, what, "give each a name of its own"));
            }
            keys.push(key);
        }
        Ok(keys)
    }

    fn application_key(
        &self,
        written: &Spanned<written::ApplicationKey>,
    ) -> Result<ApplicationKey, ConfigError> {
        let key = written.get_ref();
        if key.orgs.get_ref().is_empty() {
            let mend = "write [\"*\"] for every org, or the orgs whose ciphertexts were made with it";
            return Err(self.refuse(&key.orgs, "an application key without an org opens nothing", mend));
        }
        let place = match (&key.path, &key.credential) {
            (Some(path), None) => KeyPlace::File { path: self.absolute(path)? },
            (None, Some(name)) if is_credential_name(name.get_ref()) => {
                KeyPlace::Credential { name: name.get_ref().clone() }
            }
            (None, Some(name)) => {
                let mend = "use the name in LoadCredential=: letters, digits, '.', '_' and '-'";
                return Err(self.refuse(name, "not a name of a credential", mend));
            }
            (Some(_), Some(_)) | (None, None) => {
                let what = "an application key has one place";
                return Err(self.refuse(&key.name, what, "write either path or credential"));
            }
        };
        Ok(ApplicationKey {
            name: self.identifier(&key.name, KeyName::parse)?,
            place,
            orgs: self.among(&key.orgs, OrgId::parse)?,
        })
    }
}
