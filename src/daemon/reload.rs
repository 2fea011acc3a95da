//! SIGHUP: the configuration is read again, and what can change while the daemon runs is changed: who may do what,
//! with which providers, with which certificates, and what is logged.
//!
//! The hard problem: half of a new configuration beside half of the old one is neither. The answer: the whole file is
//! read and judged first, by the rules of a start; whatever cannot be taken (a fault in it, a setting that needs a
//! restart) refuses all of it with one line, and the old one stands.
//!
//! Never stops the daemon.

use std::path::PathBuf;
use std::sync::Arc;

use super::config::{Config, ConfigError};
use super::logging::Levels;
use super::{alerts, providers};
use crate::crypto::root_key::Reach;
use crate::domain::provider::Providers;
use crate::net::server::TlsServer;
use crate::os::user::{UserError, Users};
use crate::service::alerts::Alerts;
use crate::vault::Vault;

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// `--dev DIR`.
    Development(PathBuf),
    /// `--config FILE`.
    File(PathBuf),
}

/// The configuration's place, and the users that it named at start.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) place: Place,
    pub(super) users: Arc<Users>,
}

impl Origin {
    /// At start: names of users are asked for.
    pub(super) fn load(&self) -> Result<Config, ConfigError> {
        self.load_with(&|name| self.users.learn(name))
    }

    /// Later: nobody can be asked any more.
    fn load_again(&self) -> Result<Config, ConfigError> {
        self.load_with(&|name| self.users.recall(name))
    }

    fn load_with(&self, resolve: &dyn Fn(&str) -> Result<u32, UserError>) -> Result<Config, ConfigError> {
        match &self.place {
            Place::Development(directory) => Config::development(directory, resolve),
            Place::File(file) => Config::load(file, resolve),
        }
    }

    /// The directory in which the file lies: what takes its place does so there.
    pub(super) fn directory(&self) -> PathBuf {
        match &self.place {
            Place::Development(directory) => directory.clone(),
            Place::File(file) => match file.parent() {
                Some(directory) if !directory.as_os_str().is_empty() => directory.to_owned(),
                _ => PathBuf::from("."),
            },
        }
    }

    pub(super) fn is_development(&self) -> bool {
        matches!(self.place, Place::Development(_))
    }
}

/// What can be reloaded, and from where.
pub(super) struct Reload {
    pub(super) origin: Origin,
    /// As it stands now.
    pub(super) config: Config,
    pub(super) vault: Arc<Vault>,
    /// Of the mTLS listener: its files are read again too.
    pub(super) tls: Option<Arc<TlsServer>>,
    pub(super) levels: Levels,
    pub(super) alerts: Arc<Alerts>,
    pub(super) own_uid: u32,
}

impl Reload {
    /// Takes the configuration as it is written now, or leaves all as it was and says why.
    ///
    /// # Errors
    /// One line that says what to do.
    pub(super) async fn run(&mut self) -> Result<(), String> {
        let origin = self.origin.clone();
        let loaded = tokio::task::spawn_blocking(move || origin.load_again()).await;
        let new = loaded.map_err(|_| "reading it did not end".to_owned())?.map_err(|why| why.to_string())?;
        new.judge_user(self.own_uid).map_err(|why| why.to_string())?;
        let fixed = needs_restart(&self.config, &new);
        if !fixed.is_empty() {
            return Err(format!("{} cannot change while the daemon runs; restart it", fixed.join(", ")));
        }
        let (judged, read) = (new.clone(), tokio::task::spawn_blocking);
        let examined = read(move || {
            alerts::examine(&judged).map_err(|why| alerts::line(&why))?;
            providers::examine(&judged).map_err(|why| why.to_string())
        });
        let examined = examined.await;
        examined.map_err(|_| "reading the secrets of the clients did not end".to_owned())??;
        if let Some(tls) = self.tls.clone() {
            let read = tokio::task::spawn_blocking(move || tls.reload()).await;
            let read = read.map_err(|_| "reading the certificates did not end".to_owned())?;
            read.map_err(|why| format!("[listen.mtls]: {why}"))?;
        }
        let recorded = self.vault.replace_rules(new.policy.clone(), new.who_may_hold_tokens()).await;
        recorded.map_err(|why| why.to_string())?;
        self.levels.set(&new.log);
        self.alerts.tell_to(new.alerts.webhook.clone(), new.alerts.waiting);
        self.config = new;
        Ok(())
    }
}

impl Config {
    /// The providers, as the vault takes them.
    pub(super) fn who_may_hold_tokens(&self) -> Providers {
        let configured = self.providers.iter().cloned().map(Arc::new).collect();
        if self.any_provider { Providers::Any(configured) } else { Providers::Named(configured) }
    }
}

/// What was opened at start for whoever is asked or told.
fn reach(config: &Config) -> Reach {
    providers::reach(config).and(alerts::reach(config))
}

/// What differs and is settled at start. A new setting does not compile until it is decided here.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let Config {
        environment,
        state_directory,
        listen,
        root_key,
        root_key_wait,
        policy: _,
        providers: _,
        any_provider,
        application_keys,
        audit,
        limits,
        log,
        memory,
        door,
        sandbox,
        backup,
        alerts: _,
        refresh,
        store,
    } = new;
    let settled = [
        ("environment", *environment == old.environment),
        ("state_directory", *state_directory == old.state_directory),
        ("[listen]", *listen == old.listen),
        ("[root_key]", *root_key == old.root_key && *root_key_wait == old.root_key_wait),
        ("[[application_key]]", *application_keys == old.application_keys),
        ("--dev", *any_provider == old.any_provider),
        ("[audit]", *audit == old.audit),
        ("[limits]", *limits == old.limits),
        ("[log] format", log.format == old.log.format),
        ("[memory]", *memory == old.memory),
        ("[egress]", *door == old.door),
        ("[sandbox]", *sandbox == old.sandbox),
        ("[backup]", *backup == old.backup),
        ("[refresh]", *refresh == old.refresh),
        ("[store]", *store == old.store),
        (
            "[[provider]] that asks at another port, or with files of another directory,",
            providers::reach(old).covers(&providers::reach(new)),
        ),
        (
            "[alerts] that tells at another port, or with files of another directory,",
            reach(old).covers(&alerts::reach(new)),
        ),
    ];
    settled.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}
