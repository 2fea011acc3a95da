//! The one table of metrics: docs/metrics.md shows it, the page publishes it, tests hold the three together.
//!
//! Names follow prometheus.io/docs/practices/naming and OpenMetrics 1.0: a counter gets `_total` where it is
//! written, a unit stands in the name.

/// What kind of figure it is (OpenMetrics 1.0, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from the start of the daemon.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Spans, counted by upper bounds.
    Histogram,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Without the prefix of the program.
    pub name: &'static str,
    /// What kind of figure it is.
    pub kind: Kind,
    /// What it is told apart by.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence without its full stop.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric =
                Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*

        /// Every metric, in the order of the page.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    BUILD = Gauge "build" ["version"] "1, with the version that runs";
    READY = Gauge "ready" [] "1 while it may serve, else 0, as /readyz says";
    UPTIME = Gauge "uptime_seconds" [] "Seconds since the vault was opened, by a clock that does not jump";
    REQUESTS = Counter "requests" ["action", "outcome"] "Requests and items of batches by what was asked and what became of it, in the words of the audit log";
    DURATION = Histogram "request_duration_seconds" ["action"] "From the admission of an operation until its outcome was known, commit included, without the time on the socket";
    OPEN_CONNECTIONS = Gauge "open_connections" ["door"] "Connections of callers that are open now";
    TURNED_AWAY = Counter "connections_turned_away" ["door"] "Connections of callers that were closed at once because no place was left";
    STORE_STATE = Gauge "store_state" ["state"] "1 for the state that the store is in, 0 for the others";
    STORE_RECORDS = Gauge "store_records" [] "Records in the store: orgs, connections, secrets and their versions";
    STORE_SEQUENCE = Gauge "store_sequence" [] "Sequence of the last change in the journal";
    SNAPSHOTS = Gauge "store_snapshots" [] "Snapshots that were read whole in this life, two at most";
    SNAPSHOT_SEQUENCE = Gauge "store_snapshot_sequence" [] "Sequence of the last change in the newest of them";
    SNAPSHOT_TIMESTAMP = Gauge "store_snapshot_timestamp_seconds" [] "When that change was made, in Unix seconds";
    SNAPSHOT_BYTES = Gauge "store_snapshot_bytes" [] "Length of the newest of them";
    SNAPSHOT_FAILED = Gauge "store_snapshot_failed" [] "1 where the last snapshot could not be made or one was found damaged, until the next is made, else 0";
    JOURNAL_SEGMENTS = Gauge "store_journal_segments" [] "Segments of the journal";
    JOURNAL_BYTES = Gauge "store_journal_bytes" [] "What they take";
    SCRUBBED = Counter "scrubbed_records" [] "Records whose sealed values were opened in their places by the scrub";
    SCRUB_BAD = Gauge "scrub_bad_records" [] "Records that hold a sealed value that does not open in its place";
    AUDIT_STATE = Gauge "audit_state" ["state"] "1 for the state that the audit log is in, 0 for the others";
    AUDIT_SEQUENCE = Gauge "audit_sequence" [] "Sequence of the last entry of the audit log";
    REVOCATIONS = Gauge "revocations_pending" [] "Deleted connections whose tokens are still to be ended at their provider";
    ORGS = Gauge "orgs" [] "Orgs that there are";
    ROOT_KEYS = Gauge "root_keys" [] "Root keys in the list";
    KEYS_WRAPPED = Gauge "root_key_wraps" ["key_id", "primary"] "Keys that each root key wraps: of orgs, and the system key";
    KEYS_LEFT = Gauge "keys_left_to_rotate" [] "Keys that are not yet wrapped by the primary root key";
    REFRESHES = Counter "refreshes" ["provider", "outcome"] "Refreshes by what came of them: success, joined (a caller found one under way), needs_reauth, outcome_unknown, provider_error, braked (not asked, or refused, for our client is), persist_failed (what came could not be kept at once)";
    BRAKED = Gauge "braked" ["provider"] "1 while nothing is refreshed with a provider because it refuses us, else 0";
    CONNECTIONS = Gauge "connections" ["state"] "Connections that are not well, by state; those that ended by the clock alone are not counted";
    EVENTS_WAITING = Gauge "events_waiting" [] "Events that wait to be delivered to the webhook";
    DELIVERIES = Counter "webhook_deliveries" ["outcome"] "Events by what came of them: delivered, failed (to be tried again), dropped (too old, or the outbox was full)";
    BACKUP_CONFIGURED = Gauge "backup_configured" [] "1 where backups are configured, else 0";
    BACKUP_SHIPPED = Gauge "backup_shipped_timestamp_seconds" [] "Unix time before which everything that was acknowledged is in a backup; 0 where there is none yet";
    BACKUP_BEHIND = Gauge "backup_behind_seconds" [] "Seconds of changes that would be lost with this machine now: the recovery point as it is, not as it should be";
    BACKUP_RUNS = Counter "backup_runs" ["task", "outcome"] "What was done with backups, by what came of it: create (a set is begun), ship, verify, drill, retain (old sets are removed)";
    BACKUP_BYTES = Counter "backup_bytes" [] "Bytes that were shipped, sealed";
    DRILL_AT = Gauge "backup_drill_timestamp_seconds" [] "Unix time of the last drill that succeeded; 0 where there was none since the start";
    DRILL_TOOK = Gauge "backup_drill_duration_milliseconds" [] "What it took until everything was back and proved: the recovery time";
    DRILL_AGE = Gauge "backup_drill_age_seconds" [] "How old the newest change in it was";
}
