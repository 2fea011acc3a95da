//! The judge of a storm: reads the provider's own account of every request, and says what the daemon did wrong.
//!
//! What is counted, and from what:
//!
//! * A rotation is **lost** whose answer never reached the daemon: thrown away, kept back, still owed when the daemon was
//!   killed, or written less than [`ARRIVAL`] before that. Every other answer **arrived**.
//! * A token is **known to be spent** once the answer to its rotation has arrived.
//! * A request leaves its token's outcome **unknown** where its rotation is lost, or where it was cut off or answered by
//!   500. What is sent of that token afterwards is the probe: one, unless the provider said that it did nothing with it.
//! * A call is **necessary** where the access token that goes with it has at most half of its life left (what a read asks
//!   for that names no `min_ttl`; less what whole seconds cut off), and the token shown is neither known to be spent nor
//!   known to be refused. A repeat after a fault is necessary, once for each fault, and not before a `Retry-After`.
//!
//! Knows nothing of what the daemon says, but for the reasons of its deaths.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use super::{ACCESS_TTL, ARRIVAL, HashMap};
use crate::refresh::provider::Call;

/// A connection that the daemon gave up.
pub(super) struct Death {
    /// The refresh token that its owner's last consent gave.
    pub(super) family: String,
    /// In the daemon's words.
    pub(super) reason: String,
}

/// What the storm knows beside the account.
pub(super) struct Story {
    /// When the daemon was killed.
    pub(super) kills: Vec<u64>,
    pub(super) deaths: Vec<Death>,
}

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Answered, and the answer arrived.
    Arrived,
    /// Answered less than [`ARRIVAL`] before a kill.
    CutOff,
    /// No answer reached anybody.
    Lost,
}

/// What was found; the first five must be empty, and the ratio small.
#[derive(Default)]
pub(super) struct Findings {
    lost_though_arrived: Vec<String>,
    sent_though_spent: Vec<String>,
    probed_twice: Vec<String>,
    probed_early: Vec<String>,
    dead_without_cause: Vec<String>,
    unnecessary: Vec<String>,
    calls: usize,
    granted: usize,
    lost: usize,
    cut_off: usize,
    /// Requests that came without their end.
    halves: usize,
    deaths: BTreeMap<String, usize>,
    kills: usize,
    results: BTreeMap<String, usize>,
}

/// Half of an access token's life, in milliseconds, less the second that is cut off its moments and their way.
const DUE: u64 = ACCESS_TTL as u64 * 1000 / 2 - 800;

impl Story {
    pub(super) fn judge(&self, log: &[Call]) -> Findings {
        let mut findings = Findings { calls: log.len(), kills: self.kills.len(), ..Findings::default() };
        let mut log: Vec<&Call> = log.iter().collect();
        log.sort_by_key(|call| call.at);
        for call in &log {
            *findings.results.entry(call.result.clone()).or_default() += 1;
        }
        // The call that gave each token, and the calls that showed it.
        let born: HashMap<&str, &Call> =
            log.iter().filter_map(|call| Some((call.next.as_deref()?, *call))).collect();
        let mut shown: HashMap<&str, Vec<&Call>> = HashMap::new();
        for call in &log {
            match call.token.as_deref() {
                Some(token) => shown.entry(token).or_default().push(call),
                // Half a request: the daemon was killed while it wrote. Of any other, nobody knows what it is.
                None if self.fate(call) == Fate::Lost => findings.halves += 1,
                None => findings.unnecessary.push(format!("{call:?}, without a token")),
            }
        }
        for (token, calls) in &shown {
            self.judge_token(born.get(token).copied(), calls, &mut findings);
        }
        self.judge_deaths(&shown, &mut findings);
        findings
    }

    fn fate(&self, call: &Call) -> Fate {
        let Some(answered) = call.answered_at.filter(|_| !call.lost) else {
            return Fate::Lost;
        };
        let next_kill = self.kills.iter().find(|kill| **kill >= call.at);
        match next_kill {
            Some(kill) if answered >= *kill => Fate::Lost,
            Some(kill) if kill - answered < u64::try_from(ARRIVAL.as_millis()).unwrap_or(0) => Fate::CutOff,
            Some(_) | None => Fate::Arrived,
        }
    }

    /// All that was ever done with one refresh token, in the order of time.
    fn judge_token(&self, born: Option<&Call>, calls: &[&Call], findings: &mut Findings) {
        let ended = born.map_or(0, |born| born.at + u64::from(ACCESS_TTL) * 1000);
        let due = born.map_or(0, |born| born.at + DUE);
        let (mut spent, mut refused, mut unknown, mut probes) = (false, false, false, 0);
        let mut not_before = due;
        for call in calls {
            let fate = self.fate(call);
            if spent {
                findings.sent_though_spent.push(format!("{call:?}"));
            }
            if unknown && call.at < ended {
                findings.probed_early.push(format!("{call:?}, its access token ended at {ended}"));
            }
            if spent || refused || call.at < not_before {
                findings.unnecessary.push(format!("{call:?}, not before {not_before}"));
            }
            // A provider that says it is busy, or down, has not used the probe up.
            let says_no = fate == Fate::Arrived && call.result.starts_with("status");
            if unknown && !says_no {
                probes += 1;
                if probes == 2 {
                    findings.probed_twice.push(format!("{calls:?}"));
                }
            }
            match (call.result.as_str(), fate) {
                ("granted", Fate::Arrived) => {
                    findings.granted += 1;
                    spent = true;
                }
                ("granted", fate) => {
                    findings.granted += 1;
                    *(if fate == Fate::Lost { &mut findings.lost } else { &mut findings.cut_off }) += 1;
                    unknown = true;
                }
                ("invalid_grant", Fate::Arrived) => refused = true,
                ("status 429", Fate::Arrived) => not_before = call.at + 1000,
                _ => unknown = true,
            }
        }
    }

    /// Each death has a rotation behind it whose answer did not arrive.
    fn judge_deaths(&self, shown: &HashMap<&str, Vec<&Call>>, findings: &mut Findings) {
        let mut dead = HashSet::new();
        for death in &self.deaths {
            *findings.deaths.entry(death.reason.clone()).or_default() += 1;
            let mut last = death.family.as_str();
            let mut seen = HashSet::new();
            while seen.insert(last) {
                let calls = shown.get(last).map_or(&[][..], Vec::as_slice);
                let next = calls.iter().find(|call| call.next.is_some() && self.fate(call) == Fate::Arrived);
                let kept = calls
                    .iter()
                    .filter_map(|call| call.next.as_deref())
                    .find(|next| shown.contains_key(next));
                match kept.or_else(|| next.and_then(|call| call.next.as_deref())) {
                    Some(next) => last = next,
                    None => break,
                }
            }
            dead.insert(last);
            let calls = shown.get(last).map_or(&[][..], Vec::as_slice);
            let rotation_lost =
                calls.iter().any(|call| call.result == "granted" && self.fate(call) != Fate::Arrived);
            let line = format!("{}: {calls:?}", death.reason);
            match death.reason.as_str() {
                "answer_lost" if rotation_lost => {}
                // Both the request and its probe were cut off: nobody knows, and nothing more is sent.
                "probe_lost" => {}
                "answer_lost" | "invalid_grant" if calls.is_empty() => {
                    findings.lost_though_arrived.push(line)
                }
                _ => findings.dead_without_cause.push(line),
            }
        }
        // Whatever the provider refused is a death that was noticed, and said so.
        let refused = shown.iter().filter(|(_, calls)| {
            calls.iter().any(|call| call.result == "invalid_grant" && self.fate(call) == Fate::Arrived)
        });
        for (token, calls) in refused.filter(|(token, _)| !dead.contains(*token)) {
            findings.lost_though_arrived.push(format!("{token} was refused: {calls:?}"));
        }
    }
}

impl Findings {
    /// All calls, for each that was necessary.
    fn ratio(&self) -> f64 {
        self.calls as f64 / (self.calls - self.unnecessary.len()) as f64
    }

    pub(super) fn hold(&self) {
        for (what, found) in [
            ("connections lost whose answer arrived", &self.lost_though_arrived),
            ("tokens sent known to be spent", &self.sent_though_spent),
            ("unknown outcomes probed twice", &self.probed_twice),
            ("unknown outcomes probed while the access token lived", &self.probed_early),
            ("connections dead without a lost answer", &self.dead_without_cause),
        ] {
            assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
        }
        assert!(self.ratio() <= 1.05, "unnecessary:\n{}", self.unnecessary.join("\n"));
        assert!(self.granted > 0 && self.kills > 0);
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} kills; the provider saw {} requests: {:?}", self.kills, self.calls, self.results)?;
        writeln!(
            f,
            "{} rotations; {} answers never reached the daemon, {} more were cut off by a kill",
            self.granted, self.lost, self.cut_off
        )?;
        writeln!(f, "connections given up, by reason: {:?}", self.deaths)?;
        for (count, what) in [
            (self.lost_though_arrived.len(), "connections lost whose answer arrived"),
            (self.sent_though_spent.len(), "tokens sent that were known to be spent"),
            (self.probed_twice.len(), "unknown outcomes probed more than once"),
            (self.probed_early.len(), "unknown outcomes probed before the access token ended"),
            (self.dead_without_cause.len(), "connections dead without a lost answer, or that did not say so"),
        ] {
            writeln!(f, "{count:6} {what}")?;
        }
        write!(
            f,
            "{:6.3} calls for each necessary one ({} unnecessary)",
            self.ratio(),
            self.unnecessary.len()
        )
    }
}
