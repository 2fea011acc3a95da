//! The judge of a storm: reads the provider's own account of every request, and says what the daemon did wrong.
//!
//! What is counted, and from what:
//!
//! * An answer is **lost** that never reached the daemon: thrown away, kept back, or still owed when the daemon was killed.
//!   It is **cut off** where it was written less than [`ARRIVAL`] before a kill that struck anywhere, and the token that it
//!   gave was never seen again. Every other answer **arrived**; before a kill of a daemon that had nothing in hand, to the last.
//! * A token is **known to be spent** once the answer to its rotation has arrived.
//! * A request leaves its token's outcome **unknown** where its answer is lost or cut off, or where it was cut off or answered by
//!   500; a 429 that was cut off leaves nothing open that could be judged. What is sent of that token afterwards is the probe:
//!   one, unless the provider said that it did nothing with it.
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

/// An end of the daemon.
pub(super) struct Kill {
    pub(super) at: u64,
    /// What the provider came upon before this was sent by the one that was killed.
    pub(super) gone_until: u64,
    /// It waited for answers that were kept back, and for nothing else.
    pub(super) has_nothing_in_hand: bool,
}

/// What the storm knows beside the account.
pub(super) struct Story {
    pub(super) kills: Vec<Kill>,
    pub(super) deaths: Vec<Death>,
}

/// The requests that showed each token.
type Shown<'a> = HashMap<&'a str, Vec<&'a Call>>;

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Answered, and the answer arrived.
    Arrived,
    /// Answered so shortly before a kill that nobody knows.
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
    /// Of which nobody knows whether they were used up.
    unsure_probes: usize,
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
    /// All of them, and those of a daemon that had nothing in hand.
    kills: (usize, usize),
    results: BTreeMap<String, usize>,
}

/// Half of an access token's life, in milliseconds, less the second that is cut off its moments and their way.
const DUE: u64 = ACCESS_TTL as u64 * 1000 / 2 - 800;

impl Story {
    pub(super) fn judge(&self, log: &[Call]) -> Findings {
        let strict = self.kills.iter().filter(|kill| kill.has_nothing_in_hand).count();
        let kills = (self.kills.len(), strict);
        let mut findings = Findings { calls: log.len(), kills, ..Findings::default() };
        let mut log: Vec<&Call> = log.iter().collect();
        log.sort_by_key(|call| call.at);
        for call in &log {
            *findings.results.entry(call.result.clone()).or_default() += 1;
        }
        // The call that gave each token, and the calls that showed it.
        let born: HashMap<&str, &Call> =
            log.iter().filter_map(|call| Some((call.next.as_deref()?, *call))).collect();
        let mut shown: Shown<'_> = HashMap::new();
        for call in &log {
            match call.token.as_deref() {
                Some(token) => shown.entry(token).or_default().push(call),
                // Half a request: the daemon was killed while it wrote. Of any other, nobody knows what it is.
                None if self.fate(call, &shown) == Fate::Lost => findings.halves += 1,
                None => findings.unnecessary.push(format!("{call:?}, without a token")),
            }
        }
        for (token, calls) in &shown {
            self.judge_token(born.get(token).copied(), calls, &shown, &mut findings);
        }
        self.judge_deaths(&born, &shown, &mut findings);
        findings
    }

    fn fate(&self, call: &Call, shown: &Shown<'_>) -> Fate {
        let Some(answered) = call.answered_at.filter(|_| !call.lost) else {
            return Fate::Lost;
        };
        // What was given was kept: it came again.
        if call.next.as_deref().is_some_and(|next| shown.contains_key(next)) {
            return Fate::Arrived;
        }
        // Sent by a daemon that was dead when the provider came upon it.
        if self.kills.iter().any(|kill| kill.at <= call.at && call.at <= kill.gone_until) {
            return Fate::Lost;
        }
        let window = u64::try_from(ARRIVAL.as_millis()).unwrap_or(0);
        match self.kills.iter().find(|kill| kill.at >= call.at) {
            Some(kill) if answered >= kill.at => Fate::Lost,
            Some(kill) if !kill.has_nothing_in_hand && kill.at - answered < window => Fate::CutOff,
            Some(_) | None => Fate::Arrived,
        }
    }

    /// How long before the next kill an answer was written, for who reads of a failure.
    fn before_a_kill(&self, call: Option<&&Call>) -> String {
        let answered = call.and_then(|call| call.answered_at);
        let kill = answered
            .and_then(|answered| Some(self.kills.iter().find(|kill| kill.at >= answered)?.at - answered));
        kill.map_or("no kill after it".to_owned(), |before| format!("answered {before} ms before a kill"))
    }

    /// All that was ever done with one refresh token, in the order of time.
    fn judge_token(&self, born: Option<&Call>, calls: &[&Call], shown: &Shown<'_>, findings: &mut Findings) {
        let ended = born.map_or(0, |born| born.at + u64::from(ACCESS_TTL) * 1000);
        let due = born.map_or(0, |born| born.at + DUE);
        let (mut spent, mut refused, mut unknown, mut probes) = (false, false, false, 0);
        let mut not_before = due;
        for call in calls {
            let fate = self.fate(call, shown);
            if spent {
                findings.sent_though_spent.push(format!("{call:?}"));
            }
            if unknown && call.at < ended {
                findings.probed_early.push(format!("{call:?}, its access token ended at {ended}: {calls:?}"));
            }
            if spent || refused || call.at < not_before {
                findings.unnecessary.push(format!("{call:?}, not before {not_before}"));
            }
            // A provider that says it is busy, or down, has not used the probe up. Where that was cut off, nobody knows
            // whether the daemon was told; where it is lost, it was not, and must not ask again.
            let says_no = fate != Fate::Lost && call.result.starts_with("status");
            findings.unsure_probes += usize::from(unknown && says_no && fate == Fate::CutOff);
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
                // Nothing was done with the token, and nobody knows whether the daemon knew that.
                ("status 429", Fate::CutOff) => {}
                _ => unknown = true,
            }
        }
    }

    /// Each death has a rotation behind it whose answer did not arrive.
    fn judge_deaths(&self, born: &HashMap<&str, &Call>, shown: &Shown<'_>, findings: &mut Findings) {
        let mut dead = HashSet::new();
        for death in &self.deaths {
            *findings.deaths.entry(death.reason.clone()).or_default() += 1;
            let mut last = death.family.as_str();
            let mut seen = HashSet::new();
            while seen.insert(last) {
                let calls = shown.get(last).map_or(&[][..], Vec::as_slice);
                let next =
                    calls.iter().find(|call| call.next.is_some() && self.fate(call, shown) == Fate::Arrived);
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
                calls.iter().any(|call| call.result == "granted" && self.fate(call, shown) != Fate::Arrived);
            let line = format!("{}: {calls:?}, {}", death.reason, self.before_a_kill(born.get(last)));
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
            calls.iter().any(|call| call.result == "invalid_grant" && self.fate(call, shown) == Fate::Arrived)
        });
        for (token, calls) in refused.filter(|(token, _)| !dead.contains(*token)) {
            let before = self.before_a_kill(calls.first());
            findings.lost_though_arrived.push(format!("{token} was refused: {calls:?}, {before}"));
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
        assert!(self.granted > 0 && self.kills.1 > 0, "{self}");
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kills, strict) = self.kills;
        writeln!(f, "{kills} kills, {strict} of them with nothing in hand")?;
        writeln!(
            f,
            "the provider saw {} requests, {} of them in half: {:?}",
            self.calls, self.halves, self.results
        )?;
        writeln!(
            f,
            "{} rotations; {} answers never reached the daemon, of {} more nobody knows",
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
        let unsure = self.unsure_probes;
        writeln!(
            f,
            "{unsure:6} probes that were told to come again just before a kill: nobody knows whether that arrived"
        )?;
        write!(
            f,
            "{:6.3} calls for each necessary one ({} unnecessary)",
            self.ratio(),
            self.unnecessary.len()
        )
    }
}
