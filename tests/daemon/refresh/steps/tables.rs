//! Where the daemon dies in a refresh, and what comes of it: a row for each step.
//!
//! Never a loss where the answer is in the journal.

/// Where it dies: at the end of a way of fault points, or when the provider has the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// The provider has done nothing yet.
    AskedProvider,
    /// The provider has done its part and answers nobody.
    ProviderDone,
    Way(&'static str),
}
use Death::{AskedProvider, ProviderDone, Way};

/// What a row comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    /// As recovery finds the connection.
    pub(super) found: &'static str,
    /// What recovery makes of it.
    pub(super) recovered: &'static str,
    /// What is served in the end, or why nothing is.
    pub(super) ended: &'static str,
    /// Each request, in the words of the provider.
    pub(super) provider: &'static str,
}

const fn fate(
    found: &'static str,
    recovered: &'static str,
    ended: &'static str,
    provider: &'static str,
) -> Fate {
    Fate { found, recovered, ended, provider }
}

/// Nothing was written yet: as if nobody had asked.
const UNTOUCHED: Fate = fate("active", "-", "refreshed", "granted");
/// The intent stands and nothing was sent: recovery cannot know that, so the token is tried when there is nothing to lose.
const UNSENT: Fate = fate("refreshing", "outcome_unknown", "refreshed", "granted");
/// As before, and the request had arrived.
const UNDONE: Fate = fate("refreshing", "outcome_unknown", "refreshed", "dropped granted");
/// The one loss there is: the provider has rotated, and the answer died with the daemon.
const LOST: Fate = fate("refreshing", "outcome_unknown", "answer_lost", "granted invalid_grant");
/// The answer is in the journal.
const KEPT: Fate = fate("active", "-", "refreshed", "granted");

/// A refresh of a token that rotates, whose reuse ends the connection, while its access token lives.
pub(super) const FIRST: &[(Death, Fate)] = &[
    (Way("flight/begun"), UNTOUCHED),
    (Way("flight/judged"), UNTOUCHED),
    (Way("intent/admitted"), UNTOUCHED),
    (Way("intent/sealed"), UNTOUCHED),
    (Way("intent/sealed,journal/due"), UNTOUCHED),
    (Way("intent/sealed,journal/written"), UNSENT),
    (Way("intent/sealed,journal/synced"), UNSENT),
    (Way("intent/sealed,journal/published"), UNSENT),
    (Way("intent/committed"), UNSENT),
    (Way("intent/audited"), UNSENT),
    (Way("intent/confirmed"), UNSENT),
    (Way("request/made"), UNSENT),
    (Way("request/connected"), UNSENT),
    (Way("request/due"), UNSENT),
    (AskedProvider, UNDONE),
    (ProviderDone, LOST),
    (Way("answer/begun"), LOST),
    (Way("answer/whole"), LOST),
    (Way("answer/understood"), LOST),
    (Way("answer/admitted"), LOST),
    (Way("answer/sealed"), LOST),
    (Way("answer/sealed,journal/due"), LOST),
    (Way("answer/sealed,journal/written"), KEPT),
    (Way("answer/sealed,journal/synced"), KEPT),
    (Way("answer/sealed,journal/published"), KEPT),
    (Way("answer/committed"), KEPT),
    (Way("answer/audited"), KEPT),
    (Way("flight/over"), KEPT),
    (Way("flight/told"), KEPT),
];

/// The same token, while recovery says of it that its outcome is unknown.
const UNKNOWN: Fate = fate("outcome_unknown", "outcome_unknown", "refreshed", "granted");
pub(super) const RECOVERY: &[(Death, Fate)] = &[
    (Way("recovery/begun"), UNSENT),
    (Way("recovery/found"), UNSENT),
    (Way("recovery/found,flight/begun"), UNSENT),
    (Way("recovery/found,flight/given-up"), UNSENT),
    (Way("recovery/found,answer/admitted"), UNSENT),
    (Way("recovery/found,answer/sealed"), UNSENT),
    (Way("recovery/found,answer/sealed,journal/due"), UNSENT),
    (Way("recovery/found,answer/sealed,journal/written"), UNKNOWN),
    (Way("recovery/found,answer/sealed,journal/synced"), UNKNOWN),
    (Way("recovery/found,answer/sealed,journal/published"), UNKNOWN),
    (Way("recovery/found,answer/committed"), UNKNOWN),
    (Way("recovery/found,answer/audited"), UNKNOWN),
    (Way("recovery/found,flight/over"), UNKNOWN),
    (Way("recovery/found,flight/told"), UNKNOWN),
    (Way("recovery/over"), UNKNOWN),
];

/// A token that does not rotate, while recovery sends it again.
const AGAIN: Fate = fate("refreshing", "ok", "refreshed", "granted");
const TWICE: Fate = fate("refreshing", "ok", "refreshed", "granted granted");
pub(super) const REPEAT: &[(Death, Fate)] = &[
    (Way("recovery/found,flight/judged"), AGAIN),
    (Way("recovery/found,intent/admitted"), AGAIN),
    (Way("recovery/found,intent/sealed,journal/due"), AGAIN),
    (Way("recovery/found,intent/sealed,journal/written"), AGAIN),
    (Way("recovery/found,intent/committed"), AGAIN),
    (Way("recovery/found,intent/confirmed"), AGAIN),
    (Way("recovery/found,request/due"), AGAIN),
    (Way("recovery/found,answer/begun"), TWICE),
    (Way("recovery/found,answer/understood"), TWICE),
    (Way("recovery/found,answer/sealed,journal/due"), TWICE),
    (Way("recovery/found,answer/sealed,journal/written"), KEPT),
    (Way("recovery/found,answer/committed"), KEPT),
    (Way("recovery/over"), KEPT),
];

/// The one probe of a token that may be spent, once its access token has ended.
pub(super) const PROBED_LATER: Fate = fate("refreshing", "ok", "refreshed", "granted");
/// A probe whose outcome nobody knows is not repeated, even where it never left.
const UNSENT_PROBE: Fate = fate("refreshing", "outcome_unknown", "probe_lost", "");
const LOST_PROBE: Fate = fate("refreshing", "outcome_unknown", "probe_lost", "granted");
pub(super) const PROBE: &[(Death, Fate)] = &[
    (Way("recovery/found,flight/judged"), PROBED_LATER),
    (Way("recovery/found,intent/sealed,journal/due"), PROBED_LATER),
    (Way("recovery/found,intent/sealed,journal/written"), UNSENT_PROBE),
    (Way("recovery/found,intent/confirmed"), UNSENT_PROBE),
    (Way("recovery/found,request/due"), UNSENT_PROBE),
    (Way("recovery/found,answer/begun"), LOST_PROBE),
    (Way("recovery/found,answer/sealed,journal/due"), LOST_PROBE),
    (Way("recovery/found,answer/sealed,journal/written"), KEPT),
    (Way("recovery/found,answer/committed"), KEPT),
];

pub(super) const TABLES: [&[(Death, Fate)]; 4] = [FIRST, RECOVERY, REPEAT, PROBE];
