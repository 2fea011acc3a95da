//! The page: what is counted and what is read at the moment, as OpenMetrics text.
//!
//! Publishes only what stands in the table; a figure without a row there cannot be written.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::table::{self, Kind, Metric};
use super::{BOUNDS, Door, Histogram, Meters, outcomes};
use crate::domain::action::Action;

/// Every name begins with it.
const PREFIX: &str = "tokenkeep";

/// What is read at the moment the page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readings {
    /// Of the program.
    pub version: &'static str,
    /// By the clock of the vault.
    pub unix_seconds: u64,
    /// Whether it may serve.
    pub ready: bool,
    /// Since the vault was opened.
    pub uptime_seconds: u64,
    /// The states that the store can be in, and whether it is.
    pub store_states: [(&'static str, bool); 3],
    /// Records in the store.
    pub store_records: u64,
    /// The last change in the journal.
    pub store_sequence: u64,
    /// How the files of the store stand.
    pub store_files: StoreFiles,
    /// Records that the scrub has opened, and those of them that did not open.
    pub scrubbed: (u64, u64),
    /// The states that the audit log can be in, and whether it is.
    pub audit_states: [(&'static str, bool); 3],
    /// The last entry of the audit log.
    pub audit_sequence: u64,
    /// Configured providers, by name, and whether the brake is on.
    pub braked: Vec<(String, bool)>,
    /// Connections by the states that are counted.
    pub unwell: Vec<(&'static str, u64)>,
    /// Events that wait to be delivered.
    pub events_waiting: u64,
    /// Deleted connections that are still to be revoked.
    pub revocations: u64,
    /// Orgs that there are.
    pub orgs: u64,
    /// Id, whether it is the primary one, and how many keys it wraps.
    pub root_keys: Vec<(String, bool, u64)>,
    /// Keys that the primary root key does not wrap yet.
    pub keys_left: u64,
}

/// How the files of the store stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreFiles {
    /// Snapshots that are whole.
    pub snapshots: u64,
    /// The last change in the newest one, when it was made in Unix seconds, and the length of the file.
    pub newest: (u64, u64, u64),
    /// Whether the last one could not be made, or one is damaged.
    pub failed: bool,
    /// Segments of the journal, and their bytes.
    pub journal: (u64, u64),
}

/// Writes the page (OpenMetrics 1.0).
///
/// # Errors
/// None that a string gives.
pub fn render(meters: &Arc<Meters>, readings: Readings) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Page { meters: Arc::clone(meters), readings }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Page {
    meters: Arc<Meters>,
    readings: Readings,
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut encoder;
        let now = &self.readings;
        self.program(out)?;
        self.requests(out)?;
        self.doors(out)?;
        states(out, &table::STORE_STATE, &now.store_states)?;
        gauge(out, &table::STORE_RECORDS, now.store_records)?;
        gauge(out, &table::STORE_SEQUENCE, now.store_sequence)?;
        self.files(out)?;
        states(out, &table::AUDIT_STATE, &now.audit_states)?;
        gauge(out, &table::AUDIT_SEQUENCE, now.audit_sequence)?;
        gauge(out, &table::REVOCATIONS, now.revocations)?;
        gauge(out, &table::ORGS, now.orgs)?;
        self.keys(out)?;
        self.meters.alerting.encode(out, now)?;
        self.meters.backup.encode(out, now.unix_seconds)
    }
}

impl Page {
    fn program(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let now = &self.readings;
        family(out, &table::BUILD)?.encode_family(&[("version", now.version)])?.encode_gauge(&1_u32)?;
        gauge(out, &table::READY, u64::from(now.ready))?;
        gauge(out, &table::UPTIME, now.uptime_seconds)
    }

    fn requests(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut requests = family(out, &table::REQUESTS)?;
        for (&action, row) in Action::ALL.iter().zip(self.meters.requests.chunks(outcomes().count())) {
            for (outcome, counter) in outcomes().zip(row) {
                let count = counter.load(Ordering::Relaxed);
                // What never happened is left out, but for success: a rate needs a series to start from.
                if count > 0 || outcome == "ok" {
                    let labels = [("action", action.as_str()), ("outcome", outcome)];
                    requests.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
                }
            }
        }
        let mut durations = family(out, &table::DURATION)?;
        for (&action, histogram) in Action::ALL.iter().zip(&self.meters.durations) {
            write_histogram(&mut durations, action, histogram)?;
        }
        Ok(())
    }

    fn doors(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let meter = |door: Door| &self.meters.doors[door as usize];
        let mut open = family(out, &table::OPEN_CONNECTIONS)?;
        for door in Door::ALL {
            let count = meter(door).open.load(Ordering::Relaxed);
            open.encode_family(&[("door", door.as_str())])?.encode_gauge(&count)?;
        }
        let mut turned_away = family(out, &table::TURNED_AWAY)?;
        for door in Door::ALL {
            let count = meter(door).turned_away.load(Ordering::Relaxed);
            let labels = [("door", door.as_str())];
            turned_away.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    fn files(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let now = &self.readings.store_files;
        let (sequence, written_at, bytes) = now.newest;
        gauge(out, &table::SNAPSHOTS, now.snapshots)?;
        gauge(out, &table::SNAPSHOT_SEQUENCE, sequence)?;
        gauge(out, &table::SNAPSHOT_TIMESTAMP, written_at)?;
        gauge(out, &table::SNAPSHOT_BYTES, bytes)?;
        gauge(out, &table::SNAPSHOT_FAILED, u64::from(now.failed))?;
        gauge(out, &table::JOURNAL_SEGMENTS, now.journal.0)?;
        gauge(out, &table::JOURNAL_BYTES, now.journal.1)?;
        let (opened, bad) = self.readings.scrubbed;
        family(out, &table::SCRUBBED)?.encode_counter::<NoLabelSet, _, u64>(&opened, None)?;
        gauge(out, &table::SCRUB_BAD, bad)
    }

    fn keys(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let now = &self.readings;
        gauge(out, &table::ROOT_KEYS, now.root_keys.len() as u64)?;
        let mut wraps = family(out, &table::KEYS_WRAPPED)?;
        for (id, primary, count) in &now.root_keys {
            let labels = [("key_id", id.as_str()), ("primary", if *primary { "true" } else { "false" })];
            wraps.encode_family(&labels)?.encode_gauge(count)?;
        }
        gauge(out, &table::KEYS_LEFT, now.keys_left)
    }
}

pub(super) fn family<'a>(
    out: &'a mut DescriptorEncoder<'_>,
    metric: &'static Metric,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    let kind = match metric.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    };
    out.encode_descriptor(metric.name, metric.help, None, kind)
}

pub(super) fn gauge(out: &mut DescriptorEncoder<'_>, metric: &'static Metric, value: u64) -> fmt::Result {
    family(out, metric)?.encode_gauge(&value)
}

fn states(
    out: &mut DescriptorEncoder<'_>,
    metric: &'static Metric,
    states: &[(&'static str, bool)],
) -> fmt::Result {
    let mut family = family(out, metric)?;
    for (state, is) in states {
        family.encode_family(&[("state", *state)])?.encode_gauge(&u32::from(*is))?;
    }
    Ok(())
}

fn write_histogram(out: &mut MetricEncoder<'_>, action: Action, histogram: &Histogram) -> fmt::Result {
    let counts = histogram.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    let total = counts.iter().sum();
    if total == 0 {
        return Ok(());
    }
    #[expect(clippy::cast_precision_loss, reason = "bounds are small, and a sum is rounded anyway")]
    let seconds = |count: u64, parts: f64| count as f64 / parts;
    let bounds = BOUNDS.iter().map(|bound| seconds(*bound, 1e6)).chain([f64::MAX]);
    let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
    let sum = seconds(histogram.nanoseconds.load(Ordering::Relaxed), 1e9);
    let labels = [("action", action.as_str())];
    out.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, total, &buckets, None)
}
