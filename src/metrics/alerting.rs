//! What is counted of refreshes and of the webhook.
//!
//! Labels are the ids of configured providers and words of this program: as many as the configuration has, never as many as
//! there are connections.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};

use super::page::{family, gauge};
use super::{Meters, Readings, table};

/// What came of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// The provider was not asked, or refused, because it refuses our client.
    Braked,
    /// A caller found one under way.
    Joined,
    /// The owner must connect again.
    NeedsReauth,
    /// The refresh token may be spent.
    OutcomeUnknown,
    /// What came, or the intent before it, could not be kept at once.
    PersistFailed,
    /// The provider did not give a token set, and nothing is lost.
    ProviderError,
    /// A token set came and was kept.
    Success,
}

impl Refreshed {
    const ALL: [Self; 7] = [
        Self::Success,
        Self::Joined,
        Self::NeedsReauth,
        Self::ProviderError,
        Self::OutcomeUnknown,
        Self::PersistFailed,
        Self::Braked,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Braked => "braked",
            Self::Joined => "joined",
            Self::NeedsReauth => "needs_reauth",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::PersistFailed => "persist_failed",
            Self::ProviderError => "provider_error",
            Self::Success => "success",
        }
    }
}

/// What came of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver has taken it.
    Delivered,
    /// It is given up.
    Dropped,
    /// It is tried again.
    Failed,
}

impl Delivery {
    const ALL: [Self; 3] = [Self::Delivered, Self::Dropped, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Alerting {
    /// A refresh asks a provider: a lock costs nothing beside that.
    refreshes: Mutex<BTreeMap<String, [u64; Refreshed::ALL.len()]>>,
    deliveries: [AtomicU64; Delivery::ALL.len()],
}

impl Meters {
    /// Counts a refresh with a configured provider.
    pub fn refreshed(&self, provider: &str, became: Refreshed) {
        let mut refreshes = self.alerting.refreshes();
        if !refreshes.contains_key(provider) {
            refreshes.insert(provider.to_owned(), Default::default());
        }
        if let Some(counts) = refreshes.get_mut(provider) {
            counts[became as usize] += 1;
        }
    }

    /// Counts what came of an event.
    pub fn delivery(&self, became: Delivery) {
        self.alerting.deliveries[became as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Alerting {
    fn refreshes(&self) -> MutexGuard<'_, BTreeMap<String, [u64; Refreshed::ALL.len()]>> {
        self.refreshes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn encode(&self, out: &mut DescriptorEncoder<'_>, now: &Readings) -> fmt::Result {
        let mut refreshes = family(out, &table::REFRESHES)?;
        for (provider, counts) in self.refreshes().iter() {
            for outcome in Refreshed::ALL {
                let labels = [("provider", provider.as_str()), ("outcome", outcome.as_str())];
                let count = counts[outcome as usize];
                refreshes.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        let mut braked = family(out, &table::BRAKED)?;
        for (provider, is_on) in &now.braked {
            let labels = [("provider", provider.as_str())];
            braked.encode_family(&labels)?.encode_gauge(&u32::from(*is_on))?;
        }
        let mut connections = family(out, &table::CONNECTIONS)?;
        for (state, count) in &now.unwell {
            connections.encode_family(&[("state", *state)])?.encode_gauge(count)?;
        }
        gauge(out, &table::EVENTS_WAITING, now.events_waiting)?;
        let mut deliveries = family(out, &table::DELIVERIES)?;
        for outcome in Delivery::ALL {
            let count = self.deliveries[outcome as usize].load(Ordering::Relaxed);
            let labels = [("outcome", outcome.as_str())];
            deliveries.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }
}
