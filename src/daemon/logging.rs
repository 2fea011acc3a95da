//! The server log: what the daemon itself does, on stderr. No org data, no request data.
//!
//! Only lines of this program are written below `warn`: libraries print what they work on.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::config::{Log, LogFormat, LogLevel};

/// Begins to log. A second call changes nothing.
pub(super) fn begin(log: &Log) {
    let level = match log.level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Warn => LevelFilter::WARN,
    };
    let targets = Targets::new().with_default(LevelFilter::WARN.min(level)).with_target("tokenkeep", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = match log.format {
        LogFormat::Json => lines.json().boxed(),
        LogFormat::Text => lines.boxed(),
    };
    drop(tracing_subscriber::registry().with(lines.with_filter(targets)).try_init());
}
