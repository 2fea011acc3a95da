//! The clients of the file: who each is, and what it may do.
//!
//! Never grants by leaving out: orgs, providers and actions are all written.

use std::collections::BTreeSet;

use tokenkeep_client::ids::{InvalidId, OrgId, ProviderId};
use toml::Spanned;

use super::super::{ConfigError, written};
use super::{Reading, Text};
use crate::domain::policy::{ActionError, ActionSet, Among, Client, Policy, PolicyError, UnixMatch};
use crate::domain::provider::Provider;
use crate::domain::rate::Rate;
use crate::os::peer::is_unit_name;
use crate::os::user::UserError;

impl Reading<'_> {
    pub(super) fn policy(
        &self,
        written: &written::Written,
        providers: &[Provider],
    ) -> Result<Policy, ConfigError> {
        let (written, listens) = (&written.client, written.listen.mtls.is_some());
        let named = written.iter().find_map(|one| one.get_ref().mtls.as_ref());
        if let Some(one) = named.filter(|_| !listens) {
            let what = "there is no mTLS listener, so nobody comes in by this name";
            return Err(self.refuse(&one.san, what, "add [listen.mtls], or remove this"));
        }
        let clients =
            written.iter().map(|one| self.client(one.get_ref(), providers)).collect::<Result<_, _>>()?;
        Policy::new(clients).map_err(|error| self.no_policy(written, &error))
    }

    fn no_policy(&self, written: &[Spanned<written::Client>], error: &PolicyError) -> ConfigError {
        let (name, turn) = match error {
            PolicyError::NoProof(name)
            | PolicyError::ReservedName(name)
            | PolicyError::SameProof(_, name)
            | PolicyError::SameSan(_, name) => (name, 0),
            PolicyError::SameName(name) => (name, 1),
        };
        let (what, mend) = match error {
            PolicyError::NoProof(_) => (
                "nothing says who is this client".to_owned(),
                "give it unix = { user = \"…\" } or mtls = { san = \"…\" }",
            ),
            PolicyError::ReservedName(_) => (
                "not a name of a client".to_owned(),
                "use 1 to 63 characters of a-z 0-9 -, and neither admin nor unknown",
            ),
            PolicyError::SameName(_) => {
                ("two clients have this name".to_owned(), "give each a name of its own")
            }
            PolicyError::SameProof(other, _) => (
                format!("the client {other} has the same user and unit, so nothing tells them apart"),
                "give each a user or a unit of its own",
            ),
            PolicyError::SameSan(other, _) => (
                format!("the client {other} has the same san, so nothing tells them apart"),
                "give each a san of its own",
            ),
        };
        let mut named = written.iter().map(|one| &one.get_ref().name).filter(|one| one.get_ref() == name);
        let span = named.nth(turn).map_or(0..0, Spanned::span);
        self.source.fault(&span, what, mend)
    }

    fn client(&self, written: &written::Client, providers: &[Provider]) -> Result<Client, ConfigError> {
        if written.orgs.get_ref().is_empty() {
            let mend = "write [\"*\"] for every org, or the orgs";
            return Err(self.refuse(&written.orgs, "a client without an org can do nothing", mend));
        }
        let named = self.among(&written.providers, ProviderId::parse)?;
        if named != Among::Every {
            let is_configured = |id: &str| providers.iter().any(|provider| provider.id.as_str() == id);
            if let Some(text) = written.providers.get_ref().iter().find(|text| !is_configured(text.get_ref()))
            {
                let mend = "add a [[provider]] of this id, or remove it here";
                return Err(self.refuse(text, "this provider is not configured", mend));
            }
        }
        Ok(Client {
            name: written.name.get_ref().clone(),
            unix: written.unix.as_ref().map(|unix| self.unix(unix)).transpose()?,
            san: written.mtls.as_ref().map(|mtls| self.san(&mtls.san)).transpose()?,
            orgs: self.among(&written.orgs, OrgId::parse)?,
            providers: named,
            allow: self.actions(&written.allow)?,
            require_pass: written.require_pass,
            rate: written.rate.as_ref().map(|rate| self.rate(rate)).transpose()?,
        })
    }

    fn unix(&self, written: &written::Unix) -> Result<UnixMatch, ConfigError> {
        let user = &written.user;
        let uid = (self.resolve)(&user.get_ref().0).map_err(|error| {
            let mend = match error {
                UserError::Invalid => "write the name of a user, or a user id as a number",
                UserError::TooLate => {
                    "write the user id as a number, or restart the daemon: it asks for names at start alone"
                }
                UserError::Unknown => "create the user first, or write a user id as a number",
                UserError::Unreadable(_) => "see to the user database (getent passwd)",
            };
            self.source.fault(&user.span(), error.to_string(), mend)
        })?;
        match &written.unit {
            Some(unit) if !is_unit_name(unit.get_ref()) => {
                let mend = "write it in full as systemctl shows it: web.service";
                Err(self.refuse(unit, "not a name of a service or scope", mend))
            }
            unit => Ok(UnixMatch { uid, unit: unit.as_ref().map(|unit| unit.get_ref().clone()) }),
        }
    }

    pub(super) fn among<T: Ord>(
        &self,
        written: &Spanned<Vec<Text>>,
        parse: fn(&str) -> Result<T, InvalidId>,
    ) -> Result<Among<T>, ConfigError> {
        let words = written.get_ref();
        match words.iter().find(|word| word.get_ref() == "*") {
            Some(_) if words.len() == 1 => Ok(Among::Every),
            Some(star) => Err(self.refuse(star, "\"*\" is every one already", "remove it, or the others")),
            None => {
                let named = words.iter().map(|word| self.identifier(word, parse));
                Ok(Among::Only(named.collect::<Result<BTreeSet<T>, _>>()?))
            }
        }
    }

    fn actions(&self, written: &Spanned<Vec<Text>>) -> Result<ActionSet, ConfigError> {
        let mut granted = ActionSet::default();
        for word in written.get_ref() {
            let more = ActionSet::parse(word.get_ref()).map_err(|error| match error {
                ActionError::AdminOnly => self.refuse(
                    word,
                    "only admins have these actions, never a client",
                    "remove it; admins work through the admin socket",
                ),
                ActionError::Unknown => {
                    self.refuse(word, "no such action", "docs/configuration.md lists them")
                }
            })?;
            granted = granted.union(more);
        }
        if granted == ActionSet::default() {
            let mend = "list its actions, or remove the client";
            return Err(self.refuse(written, "a client without an action can do nothing", mend));
        }
        Ok(granted)
    }

    fn rate(&self, written: &Spanned<written::Rate>) -> Result<Rate, ConfigError> {
        let rate = written.get_ref();
        Rate::new(rate.per_second, rate.burst)
            .ok_or_else(|| self.refuse(written, "not a rate", "use 1 to 1000000 for each of the two"))
    }
}
