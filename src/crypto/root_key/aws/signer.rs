//! Signs requests to S3, with the credentials that the host has: the same chain as for the key list.
//!
//! The hard problem: a backup is many requests, and to look for credentials may be several more. The answer: what was found
//! is used for a few minutes, in the type of AWS's own that wipes it, and looked for again then: roles end.
//!
//! Never signs what is not sent.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::credentials::{self, Credentials};
use super::settled::Host;
use super::{Settings, reach, signing};
use crate::crypto::root_key::remote::Variables;
use crate::crypto::root_key::{Reach, SourceError};
use crate::net::destination::Destination;
use crate::net::outbound::{Door, Endpoint, Request, Roots};

/// Credentials of a role live for an hour, and are renewed well before.
const FOR_SO_LONG: Duration = Duration::from_secs(300);

/// Signs.
pub struct Signer {
    settings: Settings,
    region: String,
    door: Door,
    variables: Box<Variables>,
    found: Mutex<Option<(Instant, Credentials)>>,
}

impl Signer {
    /// For this region, with what these variables lead to.
    #[must_use]
    pub fn new(
        region: &str,
        sts_endpoint: Option<Endpoint>,
        roots: Roots,
        door: Door,
        variables: Box<Variables>,
    ) -> Self {
        let settings = settings(region, sts_endpoint, roots);
        Self { settings, region: region.to_owned(), door, variables, found: Mutex::new(None) }
    }

    /// The request, signed.
    ///
    /// # Errors
    /// There are no credentials, or none that sign.
    pub fn sign(&self, request: Request, endpoint: &Endpoint) -> Result<Request, SourceError> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.as_ref().is_none_or(|(since, _)| since.elapsed() >= FOR_SO_LONG) {
            let host = Host { settings: &self.settings, door: &self.door, variables: &*self.variables };
            *found = Some((Instant::now(), credentials::find(&host, &self.region)?));
        }
        match found.as_ref() {
            Some((_, credentials)) => {
                signing::signed_for_s3(request, endpoint, credentials, &self.region, SystemTime::now())
            }
            None => Err(SourceError::unusable("there are no credentials", "see docs/backup.md")),
        }
    }

    /// They are refused: they are looked for again.
    pub fn forget(&self) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What looking for them touches.
    #[must_use]
    pub fn reach(&self) -> Reach {
        reach::of(&Host { settings: &self.settings, door: &self.door, variables: &*self.variables })
    }
}

fn settings(region: &str, sts_endpoint: Option<Endpoint>, roots: Roots) -> Settings {
    Settings {
        secret_id: String::new(),
        region: Some(region.to_owned()),
        endpoint: None,
        sts_endpoint,
        roots,
    }
}

/// Where looking for credentials may lead.
#[must_use]
pub fn destinations(region: &str, sts_endpoint: Option<Endpoint>) -> Vec<Destination> {
    let all = settings(region, sts_endpoint, Roots::Host).destinations();
    // Of the two services, the one that has credentials.
    all.into_iter().filter(|one| !one.host().starts_with("secretsmanager.")).collect()
}
