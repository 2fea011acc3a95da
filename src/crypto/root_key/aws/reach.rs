//! What asking AWS once more touches: the files and ports that the ways to credentials may lead to.
//!
//! Never asks anybody to find out.

use std::path::PathBuf;

use super::settled::Host;
use crate::crypto::root_key::Reach;
use crate::net::outbound::Endpoint;

/// Variables that name a file.
const FILES: [&str; 4] = [
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// Variables that name an endpoint.
const ENDPOINTS: [&str; 2] = ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_SERVICE_ENDPOINT"];

/// Of the services themselves, and of what answers on link-local addresses.
const USUAL: [u16; 2] = [443, 80];

pub(super) fn of(host: &Host<'_>) -> Reach {
    let named = |name: &&str| host.variable(name).map(|path| PathBuf::from(path.as_str()));
    let home = host.variable("HOME").map(|home| PathBuf::from(home.as_str()).join(".aws/config"));
    let files = FILES.iter().filter_map(named).chain(home).chain(token_file(host));
    let of_variable = |name: &&str| {
        let address = host.variable(name)?;
        let authority = address.find("://").map_or(0, |at| at + 3);
        let end = address[authority..].find('/').map_or(address.len(), |at| authority + at);
        Endpoint::parse(&address[..end])
    };
    let elsewhere: Vec<Endpoint> = ENDPOINTS.iter().filter_map(of_variable).collect();
    let set = host.settings.endpoint.iter().chain(&host.settings.sts_endpoint).chain(&elsewhere);
    let mut reach = Reach::files(files.filter(|file| file.is_absolute())).and_asks(set, &host.settings.roots);
    reach.ports.extend(USUAL);
    reach
}

/// The one that the profile names.
fn token_file(host: &Host<'_>) -> Option<PathBuf> {
    let texts = host.profile_texts().ok()?;
    texts.iter().find_map(|text| {
        let profile = text.profile(&host.profile_name()).ok()??;
        profile.value("web_identity_token_file").map(PathBuf::from)
    })
}
