//! The configuration: everything that can run code, open a door or hand out a right is set in this one file.
//!
//! The hard problem: a setting that is misread is worse than a daemon that does not start. The answer: the file
//! as written (`written`) is turned into the truth (here) in one pass (`reading`) that refuses, with line and
//! mend, whatever it does not understand: unknown keys, users that do not resolve, parts of the contract that
//! this version lacks, a file that others can change.
//!
//! Never warns and goes on; never repeats a value of the file in an error.

mod alerts;
mod development;
mod egress;
mod error;
mod reading;
mod store;
mod written;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokenkeep_client::ids::KeyName;

use crate::crypto::root_key::aws::{self, AwsSecretsManager};
use crate::crypto::root_key::credential::CredentialSource;
use crate::crypto::root_key::exec::ExecSource;
use crate::crypto::root_key::file::FileSource;
use crate::crypto::root_key::openbao::{self, OpenBao};
use crate::crypto::root_key::{RootKeySource, SourceError, remote};
use crate::domain::policy::{OrgSet, Policy};
use crate::domain::provider::Provider;
use crate::net::outbound::Door;
use crate::net::server::{Key, Sources, Version};
use crate::os::private_file;
use crate::os::user::UserError;
use crate::service::backup;
use crate::service::refresh::Settings;
use crate::store::embedded::Sizes;
use crate::vault::open_orgs::Bounds;

pub use alerts::Alerts;
pub use error::{ConfigError, Fault};

/// Where the file is unless the command line says otherwise.
pub const DEFAULT_FILE: &str = "/etc/tokenkeep/tokenkeep.toml";

/// The environment in which root may run the daemon.
pub const DEVELOPMENT: &str = "development";

/// Most that a configuration file may have: far beyond what a person writes.
const LONGEST_FILE: usize = 1 << 20;

/// What the daemon is told, judged and whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Stamped into the store: `[a-z0-9-]{1,63}`.
    pub environment: String,
    /// Below it: journal, index, audit log. Absolute.
    pub state_directory: PathBuf,
    /// Where it listens.
    pub listen: Listen,
    /// Where the root keys come from.
    pub root_key: RootKey,
    /// How long to wait for them at boot.
    pub root_key_wait: Duration,
    /// Who may do what.
    pub policy: Policy,
    /// The configured issuers, in the order of the file.
    pub providers: Vec<Provider>,
    /// Whether a provider that is not configured may hold tokens too: with `--dev` alone.
    pub any_provider: bool,
    /// What applications have sealed by themselves is opened with these, in the order of the file.
    pub application_keys: Vec<ApplicationKey>,
    /// The audit log.
    pub audit: Audit,
    /// What one caller, and all of them, may take up.
    pub limits: Limits,
    /// How the files of the store are kept.
    pub store: Store,
    /// The server log.
    pub log: Log,
    /// What is asked of the kernel for memory that holds secrets.
    pub memory: Memory,
    /// How connections to other hosts leave.
    pub door: Door,
    /// What is asked of the kernel to keep the daemon in.
    pub sandbox: Sandbox,
    /// Where backups go, and when; none: there are none.
    pub backup: Option<backup::Settings>,
    /// Who is told when something breaks.
    pub alerts: Alerts,
    /// When refresh tokens are exchanged, and how many at once.
    pub refresh: Settings,
}

/// How the files of the store are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store {
    /// Length of segments, and when a snapshot is due.
    pub sizes: Sizes,
    /// Records whose sealed values are opened in a second to see that they open.
    pub scrub_per_second: usize,
}

/// Where the daemon listens. Absolute paths, each short enough for a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The socket of applications.
    pub unix: PathBuf,
    /// The socket of admins.
    pub admin: PathBuf,
    /// For callers with certificates.
    pub mtls: Option<Mtls>,
    /// Whether the file says so, socket by socket. One that it leaves out may be handed over from elsewhere.
    pub written: WrittenSockets,
}

/// Which sockets the file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WrittenSockets {
    /// That of applications.
    pub unix: bool,
    /// That of admins.
    pub admin: bool,
}

/// The mTLS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mtls {
    /// Where it listens; port 0 is any free one.
    pub address: SocketAddr,
    /// Its own certificate. Absolute.
    pub certificate: PathBuf,
    /// The key of it.
    pub key: TlsKey,
    /// The CAs of the clients. Absolute.
    pub client_ca: PathBuf,
    /// Their revocation lists. Absolute.
    pub crl: Option<PathBuf>,
    /// The oldest version that is spoken.
    pub minimum: Version,
}

/// Where the key of a certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsKey {
    /// A systemd credential of this name.
    Credential(String),
    /// A file of the daemon's own. Absolute.
    File(PathBuf),
}

impl Mtls {
    /// Its files. `credentials` is the value of `$CREDENTIALS_DIRECTORY`. None where the key is a credential and
    /// systemd gave none.
    #[must_use]
    pub fn sources(&self, credentials: Option<PathBuf>) -> Option<Sources> {
        Some(Sources {
            certificate: self.certificate.clone(),
            key: match &self.key {
                TlsKey::Credential(name) => {
                    Key::Credential(credentials.filter(|directory| directory.is_absolute())?.join(name))
                }
                TlsKey::File(path) => Key::File(path.clone()),
            },
            client_ca: self.client_ca.clone(),
            crl: self.crl.clone(),
            minimum: self.minimum,
        })
    }
}

/// Where the root keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootKey {
    /// A secret of AWS Secrets Manager.
    AwsSecretsManager(aws::Settings),
    /// The output of a program.
    Exec {
        /// Its absolute path.
        program: PathBuf,
        /// What it is given.
        arguments: Vec<String>,
        /// When it is killed.
        deadline: Duration,
    },
    /// A file of the daemon's own.
    File {
        /// Absolute.
        path: PathBuf,
    },
    /// A secret of OpenBao.
    OpenBao(openbao::Settings),
    /// A systemd credential.
    SystemdCredential {
        /// A plain file name.
        name: String,
    },
}

impl RootKey {
    /// The source, ready to be read, through this door where it is on another host. `credentials` is the value of `$CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    /// `Refused`, where what was configured cannot be a source.
    pub fn source(
        &self,
        door: &Door,
        credentials: Option<PathBuf>,
    ) -> Result<Box<dyn RootKeySource>, SourceError> {
        Ok(match self.clone() {
            Self::AwsSecretsManager(settings) => {
                Box::new(AwsSecretsManager::new(settings, door.clone(), Box::new(remote::environment)))
            }
            Self::Exec { program, arguments, deadline } => {
                Box::new(ExecSource::new(program, arguments, deadline)?)
            }
            Self::File { path } => Box::new(FileSource::new(path)?),
            Self::OpenBao(settings) => Box::new(OpenBao::new(settings, door.clone())),
            Self::SystemdCredential { name } => Box::new(CredentialSource::new(credentials, name)?),
        })
    }
}

/// A key list that an application kept before it had a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationKey {
    /// As requests name it.
    pub name: KeyName,
    /// Where the list is.
    pub place: KeyPlace,
    /// Whose ciphertexts were made with it.
    pub orgs: OrgSet,
}

/// Where a list of retired keys is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a systemd credential.
    Credential {
        /// A plain file name.
        name: String,
    },
    /// In a file of the daemon's own.
    File {
        /// Absolute.
        path: PathBuf,
    },
}

/// The audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Where it is. Absolute.
    pub directory: PathBuf,
    /// When entries about reads reach the disk; changes always do before the answer.
    pub sync: AuditSync,
}

/// When entries about reads reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditSync {
    /// Before the answer.
    Always,
    /// This long after the answer at the latest.
    Interval(Duration),
}

/// What callers may take up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once of one user.
    pub connections_per_user: usize,
    /// From the first byte of a request to the end of its header.
    pub header_deadline: Duration,
    /// From the end of the header to the end of the body.
    pub body_deadline: Duration,
    /// Between two requests on a connection.
    pub idle_deadline: Duration,
    /// Org keys that are kept open.
    pub org_keys: Bounds,
}

impl Default for Limits {
    /// Callers are processes on the same host: what takes seconds is stuck. A connection that is kept for the
    /// next request is worth keeping for a minute.
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_user: 256,
            header_deadline: Duration::from_secs(5),
            body_deadline: Duration::from_secs(10),
            idle_deadline: Duration::from_secs(60),
            org_keys: Bounds::default(),
        }
    }
}

/// The server log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// The least important that is written.
    pub level: LogLevel,
    /// The same for one area each: a layer of this program, by its name.
    pub levels: Vec<(&'static str, LogLevel)>,
    /// How it is written; none: to the journal where stderr leads there, else as text.
    pub format: Option<LogFormat>,
}

/// How important a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Everything, for developers.
    Debug,
    /// Something failed.
    Error,
    /// What an operator wants to know.
    #[default]
    Info,
    /// Every step, for developers.
    Trace,
    /// Something is about to fail.
    Warn,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// To systemd's journal, with its fields.
    Journald,
    /// A JSON document a line, on stderr.
    Json,
    /// For people, on stderr.
    Text,
}

/// What is asked of the kernel for memory that holds secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// That no page of the daemon goes to the swap (mlockall(2)).
    pub lock: Demand,
    /// That keys lie in pages that nobody else can read, root included (memfd_secret(2)).
    pub secret_pages: Demand,
}

/// What is asked of the kernel to keep the daemon in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sandbox {
    /// That it reaches its own files alone (landlock(7)).
    pub landlock: Demand,
}

/// How much a protection is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Demand {
    /// Taken where the kernel gives it; `tokenkeep doctor` says where it does not.
    Preferred,
    /// Without it the daemon does not start.
    #[default]
    Required,
}

impl Config {
    /// Reads the file. `resolve` gives the ids of users.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path, resolve: &dyn Fn(&str) -> Result<u32, UserError>) -> Result<Self, ConfigError> {
        let bytes = private_file::read_configuration(path, LONGEST_FILE)?;
        Self::parse(&bytes, path, resolve)
    }

    /// Reads the text of the file. `path` is only named in errors; `resolve` gives the ids of users.
    ///
    /// # Errors
    /// `Text`, with the first fault found.
    pub fn parse(
        bytes: &[u8],
        path: &Path,
        resolve: &dyn Fn(&str) -> Result<u32, UserError>,
    ) -> Result<Self, ConfigError> {
        reading::read(bytes, path, resolve)
    }

    /// What is in `directory`, which is made, with a new root key and a configuration, where there is nothing
    /// yet. Its user may do everything in every org, and any provider may hold tokens.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn development(
        directory: &Path,
        resolve: &dyn Fn(&str) -> Result<u32, UserError>,
    ) -> Result<Self, ConfigError> {
        development::find_or_make(directory, resolve)
    }

    /// Whether a build that lacks these parts may run it: only for development.
    ///
    /// # Errors
    /// `LackingBuild`.
    pub fn judge_build(&self, lacking: Vec<&'static str>) -> Result<(), ConfigError> {
        let may = lacking.is_empty() || self.environment == DEVELOPMENT;
        if may { Ok(()) } else { Err(ConfigError::LackingBuild(lacking)) }
    }

    /// Whether this user may run the daemon: root only for development.
    ///
    /// # Errors
    /// `RootUser`.
    pub fn judge_user(&self, uid: u32) -> Result<(), ConfigError> {
        if uid == 0 && self.environment != DEVELOPMENT { Err(ConfigError::RootUser) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
