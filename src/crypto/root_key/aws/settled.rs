//! What a host says about itself in the ways of AWS: variables, profile, region, endpoints.
//!
//! Never looks further than these; who has credentials is for `credentials`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::profile::{self, Profile, ProfileFile};
use super::{Settings, is_region};
use crate::crypto::root_key::SourceError;
use crate::crypto::root_key::remote::{self, Variables};
use crate::net::outbound::{Door, Endpoint};
use crate::os::private_file::{self, PrivateFileError};

/// Far more than anybody has profiles.
const LONGEST_FILE: usize = 1 << 20;

/// The settings, and what they leave to the host.
#[derive(Clone, Copy)]
pub(super) struct Host<'a> {
    pub(super) settings: &'a Settings,
    pub(super) door: &'a Door,
    pub(super) variables: &'a Variables,
}

/// A profile file as it was read.
pub(super) struct ProfileText {
    pub(super) path: PathBuf,
    kind: ProfileFile,
    bytes: Zeroizing<Vec<u8>>,
}

impl Host<'_> {
    pub(super) fn variable(&self, name: &str) -> Option<Zeroizing<String>> {
        (self.variables)(name).filter(|value| !value.is_empty())
    }

    pub(super) fn region(&self) -> Result<String, SourceError> {
        let of_environment =
            || ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| self.variable(name));
        let found =
            match self.settings.region.clone().or_else(|| of_environment().map(|name| name.to_string())) {
                Some(region) => Some(region),
                None => self.region_of_profile()?,
            };
        let Some(region) = found else {
            return Err(SourceError::unusable(
                "no region: neither the configuration nor AWS_REGION, AWS_DEFAULT_REGION or the profile names one",
                "add region = \"…\" to [root_key]",
            ));
        };
        if is_region(&region) {
            return Ok(region);
        }
        let mend = "correct AWS_REGION or the profile, or add region = \"…\" to [root_key]";
        Err(SourceError::unusable("what the environment names is not a region", mend))
    }

    fn region_of_profile(&self) -> Result<Option<String>, SourceError> {
        for text in self.profile_texts()? {
            let found = text.profile(&self.profile_name())?;
            if let Some(region) = found.and_then(|profile| profile.value("region").map(str::to_owned)) {
                return Ok(Some(region));
            }
        }
        Ok(None)
    }

    /// The endpoint that is set, or the usual one.
    pub(super) fn endpoint(
        &self,
        set: Option<&Endpoint>,
        service: &str,
        region: &str,
    ) -> Result<Endpoint, SourceError> {
        set.cloned().or_else(|| usual(service, region)).ok_or_else(|| {
            SourceError::unusable("this region has no endpoint", "add endpoint = \"…\" to [root_key]")
        })
    }

    pub(super) fn profile_name(&self) -> String {
        self.named_profile().unwrap_or_else(|| "default".to_owned())
    }

    pub(super) fn named_profile(&self) -> Option<String> {
        self.variable("AWS_PROFILE").map(|name| name.to_string())
    }

    /// The credentials file before the configuration file, as far as they are there.
    pub(super) fn profile_texts(&self) -> Result<Vec<ProfileText>, SourceError> {
        let files = [
            ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", ProfileFile::Credentials),
            ("AWS_CONFIG_FILE", ".aws/config", ProfileFile::Config),
        ];
        let mut texts = Vec::new();
        for (variable, below_home, kind) in files {
            let text = match self.variable(variable) {
                Some(path) => Some(ProfileText::read_named(variable, PathBuf::from(path.as_str()), kind)?),
                None => self
                    .below_home(below_home)
                    .map(|path| ProfileText::read(path, kind))
                    .transpose()?
                    .flatten(),
            };
            texts.extend(text);
        }
        Ok(texts)
    }

    fn below_home(&self, path: &str) -> Option<PathBuf> {
        let home = self.variable("HOME").map(|home| PathBuf::from(home.as_str()));
        home.filter(|home| home.is_absolute()).map(|home| home.join(path))
    }
}

/// Where a service of a region is (AWS General Reference, "Service endpoints").
pub(super) fn usual(service: &str, region: &str) -> Option<Endpoint> {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Endpoint::parse(&format!("https://{service}.{region}.{domain}"))
}

impl ProfileText {
    /// One that a variable names is one that is meant.
    fn read_named(variable: &str, path: PathBuf, kind: ProfileFile) -> Result<Self, SourceError> {
        if !path.is_absolute() {
            let what = format!("the path in {variable} is relative");
            return Err(SourceError::unusable(what, "write it from the root directory on"));
        }
        let read = Self::open(&path, kind);
        read.map(|bytes| Self { path, kind, bytes }).map_err(|why| match why {
            PrivateFileError::Absent(_) => {
                let mend = format!("see that it is put there before the daemon starts, or unset {variable}");
                SourceError::retryable(why.to_string(), mend)
            }
            why => remote::judged(&why),
        })
    }

    /// One below a home need not be there. A home that the unit hides (ProtectHome=) has none.
    fn read(path: PathBuf, kind: ProfileFile) -> Result<Option<Self>, SourceError> {
        match Self::open(&path, kind) {
            Ok(bytes) => Ok(Some(Self { path, kind, bytes })),
            Err(PrivateFileError::Absent(_)) => Ok(None),
            Err(PrivateFileError::Io(_, why)) if why.kind() == ErrorKind::PermissionDenied => Ok(None),
            Err(why) => Err(remote::judged(&why)),
        }
    }

    /// A file with credentials must be the daemon's alone; one without is only kept from being changed by others.
    fn open(path: &Path, kind: ProfileFile) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
        match kind {
            ProfileFile::Credentials => private_file::read(path, LONGEST_FILE),
            ProfileFile::Config => private_file::read_configuration(path, LONGEST_FILE),
        }
    }

    pub(super) fn profile(&self, name: &str) -> Result<Option<Profile<'_>>, SourceError> {
        let unread = |why: String| {
            SourceError::unusable(format!("{}: {why}", self.path.display()), "correct the file")
        };
        let text = std::str::from_utf8(&self.bytes).map_err(|_| unread("it is not UTF-8".into()))?;
        profile::find(text, self.kind, name).map_err(|why| unread(why.to_string()))
    }

    /// Whether secrets may stand in it.
    pub(super) fn is_private(&self) -> Result<(), SourceError> {
        private_file::read(&self.path, LONGEST_FILE).map(drop).map_err(|why| remote::judged(&why))
    }
}
