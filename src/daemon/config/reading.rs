//! From the file as written to the truth: every rule of the configuration, each with its mend.
//!
//! Never looks at the host, except for the ids of users, which are handed in.

mod alerts;
mod application_keys;
mod backup;
mod clients;
mod egress;
mod mtls;
mod provider_client;
mod providers;
mod refresh;
mod root_key;

use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use tokenkeep_client::ids::InvalidId;
use toml::Spanned;

use super::error::{ConfigError, Source};
use super::{
    Audit, AuditSync, Config, Demand, Limits, Listen, Log, LogFormat, LogLevel, Memory, Sandbox,
    WrittenSockets, written,
};
use crate::os::user::UserError;
use crate::vault::open_orgs::Bounds;

type Text = Spanned<String>;
type Resolve<'a> = &'a dyn Fn(&str) -> Result<u32, UserError>;

/// Longest path of a socket in bytes (unix(7): 108 with the NUL).
const LONGEST_SOCKET: usize = 107;

/// Half of what the key room has places for: the other half is for those in use that gave way to others.
const MOST_ORG_KEYS: usize = 262_144;

/// An entry about a read may be late by this much at most: a crash loses what is younger.
const LONGEST_SYNC: Duration = Duration::from_secs(1);

pub(super) fn read(bytes: &[u8], file: &Path, resolve: Resolve<'_>) -> Result<Config, ConfigError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let sound = error.valid_up_to();
            let text = std::str::from_utf8(&bytes[..sound]).unwrap_or_default();
            let source = Source { file, text };
            return Err(source.fault(&(sound..sound), "not UTF-8", "save the file as UTF-8"));
        }
    };
    let source = Source { file, text };
    let written: written::Written = toml::from_str(text).map_err(|error| source.unreadable(&error))?;
    Reading { source, resolve }.config(&written)
}

pub(super) struct Reading<'a> {
    source: Source<'a>,
    resolve: Resolve<'a>,
}

impl Reading<'_> {
    fn config(&self, written: &written::Written) -> Result<Config, ConfigError> {
        self.available(written.later())?;
        let state_directory = self.absolute(&written.state_directory)?;
        let providers = self.providers(&written.provider, &written.environment)?;
        Ok(Config {
            environment: self.environment(&written.environment)?,
            listen: self.listen(&written.listen)?,
            root_key: self.root_key(&written.root_key, &written.environment)?,
            root_key_wait: self.span_within(
                written.root_key.wait.as_ref(),
                Duration::from_secs(240),
                0..=3600,
            )?,
            policy: self.policy(written, &providers)?,
            providers,
            any_provider: false,
            application_keys: self.application_keys(&written.application_key)?,
            audit: self.audit(&written.audit, &state_directory)?,
            limits: self.limits(&written.limits)?,
            store: self.store(&written.store)?,
            log: self.log(&written.log)?,
            memory: self.memory(&written.memory)?,
            door: self.door(written)?,
            refresh: self.refresh(&written.refresh)?,
            sandbox: Sandbox { landlock: self.demand(written.sandbox.landlock.as_ref())? },
            backup: written.backup.as_ref().map(|backup| self.backup(backup, written)).transpose()?,
            alerts: self.alerts(written.alerts.as_ref(), &written.environment)?,
            state_directory,
        })
    }

    fn environment(&self, written: &Text) -> Result<String, ConfigError> {
        let name = written.get_ref();
        let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=63).contains(&name.len()) && name.bytes().all(valid) {
            return Ok(name.clone());
        }
        Err(self.refuse(written, "not a name of an environment", "use 1 to 63 characters of a-z 0-9 -"))
    }

    fn listen(&self, written: &written::Listen) -> Result<Listen, ConfigError> {
        let socket = |text: Option<&Text>, default: &str| match text {
            None => Ok(PathBuf::from(default)),
            Some(text) if text.get_ref().len() > LONGEST_SOCKET => Err(self.refuse(
                text,
                "longer than the 107 bytes that a socket path may have",
                "choose a shorter path",
            )),
            Some(text) => self.absolute(text),
        };
        let unix = socket(written.unix.as_ref(), "/run/tokenkeep/tokenkeep.sock")?;
        let admin = socket(written.admin.as_ref(), "/run/tokenkeep/admin.sock")?;
        match written.admin.as_ref().or(written.unix.as_ref()) {
            Some(text) if unix == admin => Err(self.refuse(
                text,
                "applications and admins have the same socket",
                "give each a path of its own",
            )),
            _ => Ok(Listen {
                unix,
                admin,
                mtls: self.mtls(written.mtls.as_ref())?,
                written: WrittenSockets { unix: written.unix.is_some(), admin: written.admin.is_some() },
            }),
        }
    }

    /// RFC 6749, section 3.3: `scope-token`.
    fn scope(&self, written: &Text) -> Result<String, ConfigError> {
        let scope = written.get_ref();
        let valid = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if !scope.is_empty() && scope.bytes().all(valid) {
            return Ok(scope.clone());
        }
        Err(self.refuse(written, "not a scope", "write each scope as a text of its own, without blanks"))
    }

    fn audit(&self, written: &written::Audit, state_directory: &Path) -> Result<Audit, ConfigError> {
        self.available(written.later())?;
        let directory = match &written.directory {
            Some(directory) => self.absolute(directory)?,
            None => state_directory.join("audit"),
        };
        let sync = match &written.sync {
            None => AuditSync::Interval(Duration::from_millis(50)),
            Some(text) if text.get_ref() == "always" => AuditSync::Always,
            Some(text) => {
                let span = text.get_ref().strip_prefix("interval ").and_then(parse_span);
                let is_fine = |span: &Duration| (Duration::from_millis(1)..=LONGEST_SYNC).contains(span);
                AuditSync::Interval(span.filter(is_fine).ok_or_else(|| {
                    self.refuse(
                        text,
                        "not a way to sync",
                        "use \"always\", or \"interval 50ms\" with 1ms to 1s",
                    )
                })?)
            }
        };
        Ok(Audit { directory, sync })
    }

    fn limits(&self, written: &written::Limits) -> Result<Limits, ConfigError> {
        let usual = Limits::default();
        let connections = self.count_within(written.connections.as_ref(), usual.connections, 65_536)?;
        let per_user = usual.connections_per_user.min(connections);
        Ok(Limits {
            connections,
            connections_per_user: self.count_within(
                written.connections_per_user.as_ref(),
                per_user,
                connections,
            )?,
            header_deadline: self.span_within(
                written.header_deadline.as_ref(),
                usual.header_deadline,
                1..=60,
            )?,
            body_deadline: self.span_within(written.body_deadline.as_ref(), usual.body_deadline, 1..=300)?,
            idle_deadline: self.span_within(written.idle_deadline.as_ref(), usual.idle_deadline, 1..=3600)?,
            org_keys: Bounds {
                most: self.count_within(written.org_keys.as_ref(), usual.org_keys.most, MOST_ORG_KEYS)?,
                idle: self.span_within(written.org_key_idle.as_ref(), usual.org_keys.idle, 10..=86_400)?,
            },
        })
    }

    fn log(&self, written: &written::Log) -> Result<Log, ConfigError> {
        let level = match &written.level {
            None => LogLevel::default(),
            Some(text) => self.level(text)?,
        };
        let levels = written.levels.written().map(|(area, text)| Ok((area, self.level(text)?)));
        let levels = levels.collect::<Result<_, ConfigError>>()?;
        let format = match &written.format {
            None => None,
            Some(text) => Some(match text.get_ref().as_str() {
                "journald" => LogFormat::Journald,
                "json" => LogFormat::Json,
                "text" => LogFormat::Text,
                _ => return Err(self.refuse(text, "no such format", "use text, json or journald")),
            }),
        };
        Ok(Log { level, levels, format })
    }

    fn level(&self, written: &Text) -> Result<LogLevel, ConfigError> {
        Ok(match written.get_ref().as_str() {
            "debug" => LogLevel::Debug,
            "error" => LogLevel::Error,
            "info" => LogLevel::Info,
            "trace" => LogLevel::Trace,
            "warn" => LogLevel::Warn,
            _ => return Err(self.refuse(written, "no such level", "use error, warn, info, debug or trace")),
        })
    }

    fn memory(&self, written: &written::Memory) -> Result<Memory, ConfigError> {
        Ok(Memory {
            lock: self.demand(written.lock.as_ref())?,
            secret_pages: self.demand(written.secret_pages.as_ref())?,
        })
    }

    fn demand(&self, written: Option<&Text>) -> Result<Demand, ConfigError> {
        let Some(text) = written else {
            return Ok(Demand::default());
        };
        match text.get_ref().as_str() {
            "preferred" => Ok(Demand::Preferred),
            "required" => Ok(Demand::Required),
            _ => Err(self.refuse(text, "not a demand", "use \"required\" or \"preferred\"")),
        }
    }

    fn absolute(&self, written: &Text) -> Result<PathBuf, ConfigError> {
        if is_absolute(written.get_ref()) {
            return Ok(PathBuf::from(written.get_ref()));
        }
        Err(self.refuse(written, "not an absolute path", "write it from the root directory on, without '..'"))
    }

    fn identifier<T>(
        &self,
        written: &Text,
        parse: fn(&str) -> Result<T, InvalidId>,
    ) -> Result<T, ConfigError> {
        parse(written.get_ref()).map_err(|error| self.refuse(written, error.rule, "rename it"))
    }

    pub(super) fn count_within(
        &self,
        written: Option<&Spanned<usize>>,
        usual: usize,
        most: usize,
    ) -> Result<usize, ConfigError> {
        match written {
            None => Ok(usual),
            Some(count) if (1..=most).contains(count.get_ref()) => Ok(*count.get_ref()),
            Some(count) => Err(self.refuse(count, "out of range", format!("use 1 to {most}"))),
        }
    }

    fn span_within(
        &self,
        written: Option<&Text>,
        usual: Duration,
        seconds: std::ops::RangeInclusive<u64>,
    ) -> Result<Duration, ConfigError> {
        let Some(text) = written else {
            return Ok(usual);
        };
        let (least, most) = (Duration::from_secs(*seconds.start()), Duration::from_secs(*seconds.end()));
        parse_span(text.get_ref()).filter(|span| (least..=most).contains(span)).ok_or_else(|| {
            let mend = format!("use \"{}s\" to \"{}s\"", seconds.start(), seconds.end());
            self.refuse(text, "not a span of time, or out of range", mend)
        })
    }

    fn available(&self, later: Option<(&'static str, Range<usize>)>) -> Result<(), ConfigError> {
        match later {
            None => Ok(()),
            Some((name, span)) => Err(self.not_available(&span, name)),
        }
    }

    fn not_available(&self, span: &Range<usize>, name: &str) -> ConfigError {
        self.source.fault(span, format!("{name} is not available in this version"), "remove it")
    }

    fn refuse<T>(&self, at: &Spanned<T>, what: impl Into<String>, mend: impl Into<String>) -> ConfigError {
        self.source.fault(&at.span(), what, mend)
    }
}

fn is_absolute(path: &str) -> bool {
    let climbs = |component: Component<'_>| matches!(component, Component::ParentDir);
    !path.contains('\0') && Path::new(path).is_absolute() && !Path::new(path).components().any(climbs)
}

fn parse_span(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}
