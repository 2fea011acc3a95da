//! The chain of credentials, in the order of AWS's own SDKs: environment, profile, web identity, container, instance.
//!
//! The hard problem: a host that has credentials in one place and broken ones in an earlier place must not quietly
//! act as somebody else. The answer: a place that says anything is the one that counts; only one that says nothing
//! is passed over. If none says anything, the error names them all.
//!
//! Never mixes credentials of two places, never shows one.

use zeroize::Zeroizing;

use super::profile::Profile;
use super::settled::{Host, ProfileText};
use super::{container, instance, web_identity};
use crate::crypto::root_key::SourceError;

/// Credentials, and where they came from.
pub(super) struct Credentials {
    /// In memory that AWS's own type wipes.
    pub(super) keys: aws_credential_types::Credentials,
    /// In words.
    pub(super) place: &'static str,
}

impl Credentials {
    pub(super) fn new(
        id: &str,
        secret: &Zeroizing<String>,
        session: Option<&str>,
        place: &'static str,
    ) -> Self {
        let session = session.map(str::to_owned);
        let keys = aws_credential_types::Credentials::new(id, secret.as_str(), session, None, "tokenkeepd");
        Self { keys, place }
    }
}

/// What a place says.
pub(super) enum Found {
    /// These.
    Credentials(Credentials),
    /// Nothing, and why not.
    Nothing(String),
}

/// Credentials of the first place that has any.
pub(super) fn find(host: &Host<'_>, region: &str) -> Result<Credentials, SourceError> {
    let mut looked = Vec::new();
    let steps: [&dyn Fn() -> Result<Found, SourceError>; 4] = [
        &|| of_environment(host),
        &|| of_profile(host, region),
        &|| web_identity::of_environment(host, region),
        &|| container::of_environment(host),
    ];
    for step in steps {
        match step()? {
            Found::Credentials(credentials) => return Ok(credentials),
            Found::Nothing(why) => looked.push(why),
        }
    }
    let (why, may_come) = match instance::of_metadata(host)? {
        instance::Metadata::Credentials(credentials) => return Ok(credentials),
        instance::Metadata::Off(why) => (why, false),
        instance::Metadata::Silent(why) => (why, true),
    };
    looked.push(why);
    let what = format!("no AWS credentials on this host: {}", looked.join("; "));
    let mend = "give the host a role (docs/root-key.md)";
    Err(if may_come { SourceError::retryable(what, mend) } else { SourceError::unusable(what, mend) })
}

fn of_environment(host: &Host<'_>) -> Result<Found, SourceError> {
    let (id, secret) = (host.variable("AWS_ACCESS_KEY_ID"), host.variable("AWS_SECRET_ACCESS_KEY"));
    let session = host.variable("AWS_SESSION_TOKEN");
    match (id, secret) {
        (Some(id), Some(secret)) => {
            let session = session.as_ref().map(|token| token.as_str());
            Ok(Found::Credentials(Credentials::new(&id, &secret, session, "environment")))
        }
        (None, None) => Ok(Found::Nothing("AWS_ACCESS_KEY_ID is not set".into())),
        _ => Err(SourceError::unusable(
            "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set",
            "set both, or none",
        )),
    }
}

fn of_profile(host: &Host<'_>, region: &str) -> Result<Found, SourceError> {
    let name = host.profile_name();
    let texts = host.profile_texts()?;
    let mut any = false;
    for text in &texts {
        let Some(profile) = text.profile(&name)? else { continue };
        any = true;
        if let Some(credentials) = of_section(host, region, text, &profile)? {
            return Ok(Found::Credentials(credentials));
        }
    }
    let places: Vec<String> = texts.iter().map(|text| text.path.display().to_string()).collect();
    let places = if places.is_empty() { "no profile file".to_owned() } else { places.join(", ") };
    if host.named_profile().is_none() {
        return Ok(Found::Nothing(format!("no credentials in the default profile ({places})")));
    }
    let what = if any { "has no credentials" } else { "is not there" };
    Err(SourceError::unusable(
        format!("the profile that AWS_PROFILE names {what} ({places})"),
        "correct AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE or AWS_CONFIG_FILE",
    ))
}

/// What takes another program or a person to have credentials is not for a daemon.
const UNSUPPORTED: [&str; 6] = [
    "credential_process",
    "credential_source",
    "login_session",
    "source_profile",
    "sso_session",
    "sso_start_url",
];

fn of_section(
    host: &Host<'_>,
    region: &str,
    text: &ProfileText,
    profile: &Profile<'_>,
) -> Result<Option<Credentials>, SourceError> {
    let path = text.path.display();
    let web = (profile.value("role_arn"), profile.value("web_identity_token_file"));
    if let (Some(role), Some(token_file)) = web {
        let session = profile.value("role_session_name");
        return web_identity::assume(host, region, role, token_file, session).map(Some);
    }
    if let Some(key) = UNSUPPORTED.iter().find(|key| profile.value(key).is_some()) {
        return Err(SourceError::unusable(
            format!("the profile in {path} needs {key}, which tokenkeep does not support"),
            "use a role of the host, web identity, or source = \"exec\" with the AWS command line",
        ));
    }
    match (profile.value("aws_access_key_id"), profile.secret("aws_secret_access_key")) {
        (Some(id), Some(secret)) => {
            text.is_private()?;
            Ok(Some(Credentials::new(id, &secret, profile.value("aws_session_token"), "profile")))
        }
        (None, None) => Ok(None),
        _ => Err(SourceError::unusable(
            format!("the profile in {path} has only one of aws_access_key_id and aws_secret_access_key"),
            "set both, or none",
        )),
    }
}
