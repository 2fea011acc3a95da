//! The client of a `[[provider]]`: what the preset says, and what is written by hand over it.
//!
//! The hard problem: a preset hides what it sets, and a setting that is left out by mistake is as wrong as one that is
//! set by mistake. The answer: what no preset says must be written where a token could be lost by it, what belongs
//! to another way of proving oneself is refused, and where a client asks is judged like the address of the root key.
//!
//! Never a secret: only where one is held.

use std::time::Duration;

use toml::Spanned;

use super::super::{ConfigError, DEVELOPMENT, written};
use super::{Reading, Text};
use crate::domain::provider::Address;
use crate::domain::provider::catalogue::Preset;
use crate::domain::provider::client::{
    AssertionKey, AuthMethod, BodyForm, ClientAuth, ClientCertificate, OAuthClient, RefreshEarly, Revocation,
    RevocationWay, Rotation, ScopeSeparator,
};

/// Far beyond every provider's.
const LONGEST_CLIENT_ID: usize = 512;

/// A spent refresh token that works for longer than a day is one that stays.
const LONGEST_LEEWAY: u64 = 24 * 3600;

/// Ten years.
const LONGEST_LIFE: u64 = 10 * 365 * 24 * 3600;

/// What a `[[provider]]` is read with.
struct Client<'a> {
    written: &'a written::Provider,
    id: &'a Text,
    preset: Option<&'static Preset>,
    environment: &'a Text,
}

impl Reading<'_> {
    pub(super) fn client_of(
        &self,
        written: &written::Provider,
        id: &Text,
        preset: Option<&'static Preset>,
        environment: &Text,
    ) -> Result<OAuthClient, ConfigError> {
        let client = Client { written, id, preset, environment };
        // What an RFC leaves open has the value that loses nothing; see the preset `generic`.
        let known = preset.unwrap_or(Preset::UNKNOWN);
        Ok(OAuthClient {
            id: self.client_id(id)?,
            auth: self.client_auth(&client)?,
            token_endpoint: self.token_endpoint(&client)?,
            authorization_endpoint: self.address_or(
                &client,
                written.authorization_endpoint.as_ref(),
                known.authorization_endpoint.value,
            )?,
            issuer: self.issuer(written.issuer.as_ref())?,
            revocation: self.revocation(&client, known)?,
            roots: self.roots(written.ca.as_ref())?,
            token_request: self.word_or(
                written.token_request.as_ref(),
                BodyForm::parse,
                &["form", "json"],
                || Ok(known.token_request.value),
            )?,
            headers: known.headers,
            rotation: self.rotation(&client)?,
            leeway: self.span_within(written.leeway.as_ref(), known.leeway.value, 0..=LONGEST_LEEWAY)?,
            reuse_revokes_family: flag(
                written.reuse_revokes_family.as_ref(),
                known.reuse_revokes_family.value,
            ),
            idle_limit: self.life(written.idle_limit.as_ref(), known.idle_limit.value)?,
            absolute_limit: self.life(written.absolute_limit.as_ref(), known.absolute_limit.value)?,
            access_token_lifetime: self
                .life(written.access_token_lifetime.as_ref(), known.access_token_lifetime.value)?,
            refresh_early: self.word_or(
                written.refresh_early.as_ref(),
                RefreshEarly::parse,
                &["allowed", "kills_access_token"],
                || Ok(known.refresh_early.value),
            )?,
            errors_in_200: flag(written.errors_in_200.as_ref(), known.errors_in_200.value),
            grant_errors: self.errors(written.grant_errors.as_ref(), known.grant_errors.value)?,
            client_errors: self.errors(written.client_errors.as_ref(), known.client_errors.value)?,
            scope_separator: self.word_or(
                written.scope_separator.as_ref(),
                ScopeSeparator::parse,
                &[" ", ","],
                || Ok(known.scope_separator.value),
            )?,
        })
    }

    /// RFC 6749, appendix A.1: visible characters and spaces.
    fn client_id(&self, written: &Text) -> Result<String, ConfigError> {
        let id = written.get_ref();
        if (1..=LONGEST_CLIENT_ID).contains(&id.len()) && id.bytes().all(|b| matches!(b, 0x20..=0x7e)) {
            return Ok(id.clone());
        }
        Err(self.refuse(written, "not a client id", "write it as the provider shows it"))
    }

    fn token_endpoint(&self, client: &Client<'_>) -> Result<Address, ConfigError> {
        let known = client.preset.and_then(|preset| preset.token_endpoint.value);
        let found = self.address_or(client, client.written.token_endpoint.as_ref(), known)?;
        found.ok_or_else(|| self.lacks(client, "token_endpoint", "token_endpoint = \"https://…\""))
    }

    fn rotation(&self, client: &Client<'_>) -> Result<Rotation, ConfigError> {
        self.word_or(client.written.rotation.as_ref(), Rotation::parse, &["rotates", "stays"], || {
            let known = client.preset.map(|preset| preset.rotation.value);
            known.ok_or_else(|| self.lacks(client, "rotation", "rotation = \"rotates\" or \"stays\""))
        })
    }

    fn client_auth(&self, client: &Client<'_>) -> Result<ClientAuth, ConfigError> {
        let words: Vec<&str> = AuthMethod::ALL.iter().map(|method| method.as_str()).collect();
        let method = self.word_or(client.written.client_auth.as_ref(), AuthMethod::parse, &words, || {
            let known = client.preset.map(|preset| preset.client_auth.value);
            known.ok_or_else(|| {
                self.lacks(client, "client_auth", &format!("client_auth = {}", words.join(" | ")))
            })
        })?;
        self.nothing_of_another_method(client, method)?;
        let written = client.written;
        let needed = |name: &'static str, held: Option<&Spanned<written::Held>>| match held {
            Some(held) => self.held(held),
            None => Err(self.lacks(
                client,
                name,
                &format!("{name} = {{ file = \"/…\" }} or {{ credential = \"…\" }}"),
            )),
        };
        let secret = || needed("client_secret", written.client_secret.as_ref());
        let key = || needed("client_key", written.client_key.as_ref());
        Ok(match method {
            AuthMethod::Basic => ClientAuth::Basic(secret()?),
            AuthMethod::BasicRaw => ClientAuth::BasicRaw(secret()?),
            AuthMethod::Mtls => ClientAuth::Mtls(ClientCertificate {
                certificate: needed("client_certificate", written.client_certificate.as_ref())?,
                key: key()?,
            }),
            AuthMethod::None => ClientAuth::None,
            AuthMethod::Post => ClientAuth::Post(secret()?),
            AuthMethod::PrivateKeyJwt => ClientAuth::PrivateKeyJwt(AssertionKey {
                key: key()?,
                id: written.client_key_id.as_ref().map(|id| self.client_id(id)).transpose()?,
                audience: self.audience(written.assertion_audience.as_ref())?,
            }),
        })
    }

    /// What proves a client in another way would lie there unused, and its owner would think it used.
    fn nothing_of_another_method(&self, client: &Client<'_>, method: AuthMethod) -> Result<(), ConfigError> {
        let takes: &[&str] = match method {
            AuthMethod::Basic | AuthMethod::BasicRaw | AuthMethod::Post => &["client_secret"],
            AuthMethod::Mtls => &["client_certificate", "client_key"],
            AuthMethod::None => &[],
            AuthMethod::PrivateKeyJwt => &["client_key", "client_key_id", "assertion_audience"],
        };
        let of_a_method =
            ["assertion_audience", "client_certificate", "client_key", "client_key_id", "client_secret"];
        let other =
            client.written.settings().find(|(name, _)| of_a_method.contains(name) && !takes.contains(name));
        let Some((name, span)) = other else { return Ok(()) };
        let what = format!("{name} does not belong to client_auth = \"{}\"", method.as_str());
        let mend = match takes {
            [] => "remove it, or set client_auth".to_owned(),
            takes => format!("it takes {}; remove it, or set client_auth", takes.join(", ")),
        };
        Err(self.source.fault(&span, what, mend))
    }

    fn audience(&self, written: Option<&Text>) -> Result<Option<String>, ConfigError> {
        match written {
            None => Ok(None),
            Some(text) if Address::parse(text.get_ref()).is_some() => Ok(Some(text.get_ref().clone())),
            Some(text) => {
                Err(self.refuse(text, "not an address", "write the issuer as the provider names it"))
            }
        }
    }

    /// RFC 9207, section 2: an https address, compared as it is written.
    fn issuer(&self, written: Option<&Text>) -> Result<Option<String>, ConfigError> {
        match written {
            None => Ok(None),
            Some(text) if Address::parse(text.get_ref()).is_some() => Ok(Some(text.get_ref().clone())),
            Some(text) => {
                let mend = "write it to the letter as the provider's metadata has it (issuer)";
                Err(self.refuse(text, "not an issuer", mend))
            }
        }
    }

    fn revocation(&self, client: &Client<'_>, known: &Preset) -> Result<Option<Revocation>, ConfigError> {
        let written = client.written;
        let way = known.revocation.value.map(|(way, _)| way);
        let words: Vec<&str> = RevocationWay::ALL.iter().map(|way| way.as_str()).collect();
        let way = self.word_or(written.revocation.as_ref(), RevocationWay::parse, &words, || {
            Ok(way.unwrap_or(RevocationWay::Form))
        })?;
        let address = known.revocation.value.map(|(_, address)| address);
        let endpoint = self.address_or(client, written.revocation_endpoint.as_ref(), address)?;
        match (&written.revocation, endpoint) {
            (_, Some(endpoint)) => Ok(Some(Revocation { endpoint, way })),
            (Some(way), None) => {
                let what = "a way to revoke, and no place where";
                Err(self.refuse(way, what, "add revocation_endpoint = \"https://…\""))
            }
            (None, None) => Ok(None),
        }
    }

    fn address_or(
        &self,
        client: &Client<'_>,
        written: Option<&Text>,
        known: Option<&'static str>,
    ) -> Result<Option<Address>, ConfigError> {
        match written {
            Some(text) => self.address(client, text).map(Some),
            None => Ok(known.and_then(Address::parse)),
        }
    }

    /// Tokens and secrets go there: in plain text only where nobody can read along, there is nothing to guard, and
    /// it is asked for by name.
    fn address(&self, client: &Client<'_>, written: &Text) -> Result<Address, ConfigError> {
        let Some(address) = Address::parse(written.get_ref()) else {
            let mend = "write https://HOST/PATH, with :PORT and a query if need be, and nothing else";
            return Err(self.refuse(written, "not an address", mend));
        };
        if address.host().is_tls() {
            return Ok(address);
        }
        let asked = client.written.http_loopback.as_ref().is_some_and(|asked| *asked.get_ref());
        let development = client.environment.get_ref() == DEVELOPMENT;
        if asked && development && address.host().is_loopback() {
            return Ok(address);
        }
        let mend = "use https; plain http goes to a loopback address alone, with http_loopback = true, where \
                    environment = \"development\"";
        Err(self.refuse(written, "tokens and the client's secret would go in plain text", mend))
    }

    fn life(&self, written: Option<&Text>, known: Option<Duration>) -> Result<Option<Duration>, ConfigError> {
        match written {
            None => Ok(known),
            Some(text) if text.get_ref() == "none" => Ok(None),
            Some(_) => self.span_within(written, Duration::ZERO, 1..=LONGEST_LIFE).map(Some),
        }
    }

    /// RFC 6749, section 5.2: visible characters but quote and backslash; Zoho has a space in one.
    fn errors(
        &self,
        written: Option<&Spanned<Vec<Text>>>,
        known: &[&str],
    ) -> Result<Vec<String>, ConfigError> {
        let Some(written) = written else {
            return Ok(known.iter().map(|error| (*error).to_owned()).collect());
        };
        let valid = |b: u8| matches!(b, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let read = |text: &Text| match text.get_ref() {
            error if (1..=100).contains(&error.len()) && error.bytes().all(valid) => Ok(error.clone()),
            _ => Err(self.refuse(
                text,
                "not an error code",
                "write it as it stands after \"error\" in the answer",
            )),
        };
        written.get_ref().iter().map(read).collect()
    }

    fn word_or<T>(
        &self,
        written: Option<&Text>,
        parse: fn(&str) -> Option<T>,
        words: &[&str],
        known: impl FnOnce() -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        let Some(text) = written else { return known() };
        parse(text.get_ref()).ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            self.refuse(text, "not one of the words for it", format!("use {}", words.join(" or ")))
        })
    }

    fn lacks(&self, client: &Client<'_>, name: &str, add: &str) -> ConfigError {
        let what = match client.preset {
            Some(preset) => format!("{name} is missing, and the preset {} does not know it", preset.id),
            None => format!("{name} is missing, and there is no preset that knows it"),
        };
        self.refuse(client.id, what, format!("add {add} to this [[provider]]"))
    }
}

fn flag(written: Option<&Spanned<bool>>, known: bool) -> bool {
    written.map_or(known, |flag| *flag.get_ref())
}
