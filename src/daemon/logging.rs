//! The server log: what the daemon itself does, to the journal or on stderr. No org data, no request data.
//!
//! Only lines of this program are written below `warn`: libraries print what they work on.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use super::config::{Log, LogFormat, LogLevel};
use crate::os::journal;

/// There is no journal here.
#[derive(Debug)]
pub(super) struct NoJournal(io::Error);

impl fmt::Display for NoJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[log] format is journald and the journal does not answer: {}; use text or json", self.0)
    }
}

/// The levels, for as long as the daemon runs.
#[derive(Clone)]
pub(super) struct Levels(reload::Handle<Targets, Registry>);

impl Levels {
    /// From now on, these.
    pub(super) fn set(&self, log: &Log) {
        if let Err(why) = self.0.reload(targets(log)) {
            tracing::error!(%why, "the levels of the log stay as they were");
        }
    }
}

/// Begins to log. A second call changes nothing.
///
/// # Errors
/// The journal is asked for by name, and is not there.
pub(super) fn begin(log: &Log) -> Result<Levels, NoJournal> {
    let (filter, levels) = reload::Layer::new(targets(log));
    let lines = match (log.format, to_journal(log.format)) {
        (Some(LogFormat::Journald), Err(why)) => return Err(NoJournal(why)),
        (_, Ok(Some(journal))) => journal.boxed(),
        (Some(LogFormat::Json), _) => on_stderr().json().boxed(),
        _ => on_stderr().boxed(),
    };
    drop(tracing_subscriber::registry().with(lines.with_filter(filter)).try_init());
    Ok(Levels(levels))
}

fn on_stderr() -> tracing_subscriber::fmt::Layer<
    Registry,
    tracing_subscriber::fmt::format::DefaultFields,
    tracing_subscriber::fmt::format::Format,
    fn() -> io::Stderr,
> {
    tracing_subscriber::fmt::layer().with_writer(io::stderr as fn() -> io::Stderr).with_ansi(false)
}

/// The journal, where it is asked for, or where nothing is and stderr leads there anyway.
fn to_journal(format: Option<LogFormat>) -> io::Result<Option<tracing_journald::Layer>> {
    let wanted = match format {
        Some(format) => format == LogFormat::Journald,
        None => journal::is_at(io::stderr().as_fd()),
    };
    if !wanted {
        return Ok(None);
    }
    tracing_journald::layer().map(|journal| Some(journal.with_syslog_identifier("tokenkeepd".to_owned())))
}

fn targets(log: &Log) -> Targets {
    let level = level(log.level);
    let areas = log.levels.iter().map(|(area, own)| (format!("tokenkeep::{area}"), self::level(*own)));
    Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("tokenkeep", level)
        .with_targets(areas)
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Warn => LevelFilter::WARN,
    }
}
