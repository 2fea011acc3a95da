//! The world of the simulation: what the nodes do with the rules, and what happens to them.
//!
//! Times are milliseconds since the beginning; only the nodes have clocks that are wrong.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::time::Duration;

use tokenkeep_client::moment::Moment;

use crate::domain::refresh::{
    ANSWER_DEADLINE, Custody, Ended, Fingerprint, Grounds, Holder, Intent, LEASE, Landing, Move, Node, Terms,
    landing, may_still_send,
};

const EPOCH: u64 = 1_800_000_000;
/// Things go wrong until then; from then on the world is quiet, and everything comes to its end.
const QUIET_AT: u64 = 300_000;
const OVER_AT: u64 = 900_000;
/// How long an access token lives.
const LIFE: u64 = 120;

type Token = u32;

/// The rules that are walked: the real ones, or one of them broken.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    next: fn(&Custody, &Terms, Moment, Option<Moment>, Holder) -> Move,
    settle: fn(&Intent, Ended, Moment) -> Custody,
    landing: fn(&Intent, Option<&Fingerprint>, &Custody) -> Landing,
    may_still_send: fn(Duration) -> bool,
    still_stands: fn(&Intent, &Custody) -> bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            next: Custody::next,
            settle: Intent::settle,
            landing,
            may_still_send,
            still_stands: Intent::still_stands,
        }
    }
}

impl Rules {
    /// Each of them broken in one way.
    pub(super) fn broken() -> Vec<(&'static str, Self)> {
        let real = Self::default();
        let rules = |change: fn(&mut Self)| {
            let mut rules = real;
            change(&mut rules);
            rules
        };
        vec![
            ("an intent that was left open is forgotten", rules(|r| r.next = forgets_intents)),
            ("an intent is taken over while its holder may live", rules(|r| r.next = takes_over)),
            ("the access token is not waited for", rules(|r| r.next = does_not_wait)),
            ("a lost answer counts as none", rules(|r| r.settle = takes_lost_for_unprocessed)),
            ("a late answer is dropped", rules(|r| r.landing = drops_late_answers)),
            ("a late answer overwrites what is stored", rules(|r| r.landing = |_, _, _| Landing::Whole)),
            ("an intent is not looked at again before it is sent", rules(|r| r.still_stands = |_, _| true)),
            ("a request is sent however late", rules(|r| r.may_still_send = |_| true)),
        ]
    }
}

fn forgets_intents(
    custody: &Custody,
    terms: &Terms,
    now: Moment,
    ends: Option<Moment>,
    holder: Holder,
) -> Move {
    match custody {
        Custody::Refreshing { .. } if holder == Holder::Gone => Move::Send(Grounds::First),
        other => other.next(terms, now, ends, holder),
    }
}

fn takes_over(custody: &Custody, terms: &Terms, now: Moment, ends: Option<Moment>, _: Holder) -> Move {
    custody.next(terms, now, ends, Holder::Gone)
}

fn does_not_wait(custody: &Custody, terms: &Terms, now: Moment, _: Option<Moment>, holder: Holder) -> Move {
    custody.next(terms, now, Some(now), holder)
}

fn takes_lost_for_unprocessed(intent: &Intent, ended: Ended, now: Moment) -> Custody {
    intent.settle(if ended == Ended::Lost { Ended::NotProcessed } else { ended }, now)
}

fn drops_late_answers(intent: &Intent, stored: Option<&Fingerprint>, custody: &Custody) -> Landing {
    match landing(intent, stored, custody) {
        Landing::IfAnswered if custody.intent().is_some() => Landing::Beside,
        other => other,
    }
}

/// What a schedule came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    sent: u64,
    kept: u64,
    lost: u64,
    crashes: u64,
    jumps: u64,
    late: u64,
    again: u64,
    probes: u64,
    beside: u64,
    dead: u64,
}

impl Told {
    pub(super) fn counts(&self) -> [(&'static str, u64); 10] {
        [
            ("requests", self.sent),
            ("answers kept", self.kept),
            ("answers lost", self.lost),
            ("crashes", self.crashes),
            ("clocks set", self.jumps),
            ("answers kept after their intent had run out", self.late),
            ("sent again inside a leeway", self.again),
            ("probes", self.probes),
            ("late answers kept beside", self.beside),
            ("connections dead", self.dead),
        ]
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.kept += other.kept;
        self.lost += other.lost;
        self.crashes += other.crashes;
        self.jumps += other.jumps;
        self.late += other.late;
        self.again += other.again;
        self.probes += other.probes;
        self.beside += other.beside;
        self.dead += other.dead;
    }
}

/// splitmix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

struct Store {
    revision: u64,
    generation: u64,
    token: Token,
    spare: Option<Token>,
    ends: Moment,
    custody: Custody,
}

struct Provider {
    /// Tokens that work, each with the consent that it comes from.
    live: HashMap<Token, Token>,
    /// When each was spent, and its consent.
    spent: HashMap<Token, (u64, Token)>,
    last: Token,
}

impl Provider {
    /// A token of a new consent.
    fn consent(&mut self) -> Token {
        self.last += 1;
        self.live.insert(self.last, self.last);
        self.last
    }

    /// The next token, none where it stays; or a refusal.
    fn refresh(&mut self, token: Token, terms: &Terms, now: u64) -> Result<Option<Token>, ()> {
        if !terms.rotates {
            return if self.live.contains_key(&token) { Ok(None) } else { Err(()) };
        }
        let consent = if let Some(consent) = self.live.remove(&token) {
            self.spent.insert(token, (now, consent));
            consent
        } else {
            let Some(&(at, consent)) = self.spent.get(&token) else { return Err(()) };
            if u128::from(now - at) > terms.leeway.as_millis() {
                if terms.reuse_revokes_family {
                    self.live.retain(|_, of| *of != consent);
                }
                return Err(());
            }
            consent
        };
        self.last += 1;
        self.live.insert(self.last, consent);
        Ok(Some(self.last))
    }
}

struct Machine {
    is_up: bool,
    boot: u64,
    /// How wrong its clock is, in seconds.
    offset: i64,
    /// The open intent that it sees, and since when.
    seen: Option<(u64, u64)>,
    flight: Option<Flight>,
}

#[derive(Clone)]
struct Flight {
    intent: Intent,
    token: Token,
    written_at: u64,
    is_waiting: bool,
}

/// What came of a request: how it ended, and the next token.
type Reply = (Ended, Option<Token>);

/// Whose step it is: a machine, and in which of its lives.
type Who = (usize, u64);

#[derive(Clone)]
enum Event {
    Arrive(Who, u64, Token),
    Commit(Who, Reply, u64),
    Crash,
    Jump,
    Keep(Who, Reply),
    Put,
    Reply(Who, u64, Reply),
    Send(Who),
    Start(usize),
    Timeout(Who, u64),
    Wake(Who),
    WriteIntent(Who, u64),
}

pub(super) struct World {
    chance: Chance,
    rules: Rules,
    terms: Terms,
    now: u64,
    order: u64,
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Event>,
    store: Store,
    provider: Provider,
    machines: [Machine; 2],
    /// Tokens whose answer, with another token in it, is in the store.
    known_spent: HashSet<Token>,
    /// When a token was first sent without an answer by now.
    unanswered: HashMap<Token, u64>,
    probed: HashSet<Token>,
    told: Told,
}

fn name(token: Token) -> Fingerprint {
    Fingerprint(token.to_string())
}

impl World {
    /// Walks one schedule to its end.
    pub(super) fn walk(seed: u64, rules: Rules) -> Result<Told, String> {
        let mut chance = Chance(seed);
        let leeway = [0, 0, 60, 600][chance.below(4) as usize];
        let terms = Terms {
            rotates: !chance.one_in(8),
            leeway: Duration::from_secs(leeway),
            reuse_revokes_family: !chance.one_in(4),
            kills_access_token: false,
        };
        let machine = || Machine { is_up: true, boot: 0, offset: 0, seen: None, flight: None };
        let ends = Moment::from_unix(EPOCH + 20).unwrap_or_else(|| unreachable!());
        let mut world = Self {
            rules,
            terms,
            now: 0,
            order: 0,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            store: Store {
                revision: 1,
                generation: 1,
                token: 1,
                spare: None,
                ends,
                custody: Custody::Settled,
            },
            provider: Provider { live: HashMap::from([(1, 1)]), spent: HashMap::new(), last: 1 },
            machines: [machine(), machine()],
            known_spent: HashSet::new(),
            unanswered: HashMap::new(),
            probed: HashSet::new(),
            told: Told::default(),
            chance,
        };
        world.run()?;
        Ok(world.told)
    }

    fn run(&mut self) -> Result<(), String> {
        self.plan();
        while let Some(Reverse((at, _, event))) = self.queue.pop() {
            self.now = at;
            self.step(self.events[event].clone())?;
        }
        self.judge_end()
    }

    fn plan(&mut self) {
        for machine in 0..2 {
            self.after(0, 2_000, Event::Wake((machine, 0)));
        }
        for (most, event) in [(8, Event::Crash), (3, Event::Jump), (3, Event::Put)] {
            for _ in 0..self.chance.below(most) {
                self.after(0, QUIET_AT, event.clone());
            }
        }
    }

    /// Some time from now on, at least and at most.
    fn after(&mut self, least: u64, most: u64, event: Event) {
        let at = self.now + least + self.chance.below(most - least);
        self.order += 1;
        self.events.push(event);
        self.queue.push(Reverse((at, self.order, self.events.len() - 1)));
    }

    /// A step of a program, or of the network: short, and now and then long.
    fn soon(&mut self, event: Event) {
        let most = if self.goes_wrong(12) { 22_000 } else { 50 };
        self.after(0, most, event);
    }

    fn goes_wrong(&mut self, one_in: u64) -> bool {
        self.now < QUIET_AT && self.chance.one_in(one_in)
    }

    fn clock(&self, machine: usize) -> Moment {
        let seconds = (EPOCH + self.now / 1000).saturating_add_signed(self.machines[machine].offset);
        Moment::from_unix(seconds).unwrap_or_else(|| unreachable!())
    }

    fn is_alive(&self, (machine, boot): Who) -> bool {
        self.machines[machine].is_up && self.machines[machine].boot == boot
    }

    fn step(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Wake(who) if self.is_alive(who) => self.wake(who),
            Event::WriteIntent(who, revision) if self.is_alive(who) => self.write_intent(who, revision),
            Event::Send(who) if self.is_alive(who) => self.send(who)?,
            Event::Arrive(who, fence, token) => self.arrive(who, fence, token),
            Event::Reply(who, fence, reply) if self.is_alive(who) => self.end_waiting(who, fence, reply),
            Event::Reply(_, _, reply) => self.lose(&reply),
            Event::Timeout(who, fence) if self.is_alive(who) => {
                self.end_waiting(who, fence, (Ended::Lost, None));
            }
            Event::Keep(who, reply) if self.is_alive(who) => {
                let revision = self.store.revision;
                self.soon(Event::Commit(who, reply, revision));
            }
            Event::Commit(who, reply, revision) if self.is_alive(who) => self.commit(who, reply, revision)?,
            Event::Crash => self.crash(),
            Event::Start(machine) => {
                self.machines[machine].is_up = true;
                let who = (machine, self.machines[machine].boot);
                self.after(0, 2_000, Event::Wake(who));
            }
            Event::Jump => {
                let machine = self.chance.below(2) as usize;
                self.told.jumps += 1;
                self.machines[machine].offset = self.chance.below(1200) as i64 - 600;
            }
            Event::Put => self.put(),
            // Of a life that has ended.
            Event::Wake(_) | Event::WriteIntent(..) | Event::Send(_) | Event::Keep(..) => {}
            Event::Timeout(..) | Event::Commit(..) => {}
        }
        Ok(())
    }

    fn node(&self, (machine, boot): Who) -> Node {
        Node(format!("{machine}.{boot}"))
    }

    fn wake(&mut self, who: Who) {
        // What is begun is brought to its end.
        if self.now > OVER_AT {
            return;
        }
        self.after(500, 4_000, Event::Wake(who));
        // A caller that got a 401 asks, too, however long the access token has to live.
        let is_needed =
            self.store.ends <= self.clock(who.0).after(Duration::from_secs(10)) || self.chance.one_in(20);
        if self.machines[who.0].flight.is_some() || !is_needed && self.store.custody == Custody::Settled {
            return;
        }
        if self.grounds(who).is_some() {
            let revision = self.store.revision;
            self.soon(Event::WriteIntent(who, revision));
        }
    }

    fn grounds(&mut self, who: Who) -> Option<Grounds> {
        let holder = self.holder(who);
        let (now, ends) = (self.clock(who.0), Some(self.store.ends));
        match (self.rules.next)(&self.store.custody, &self.terms, now, ends, holder) {
            Move::Send(grounds) => Some(grounds),
            _ => None,
        }
    }

    /// Gone only once it was seen to stand for longer than a lease, by a clock that does not jump.
    fn holder(&mut self, who: Who) -> Holder {
        let Some(fence) = self.store.custody.intent().map(|intent| intent.fence) else { return Holder::Gone };
        let now = self.now;
        let machine = &mut self.machines[who.0];
        match machine.seen {
            Some((seen, since)) if seen == fence => {
                if Duration::from_millis(now - since) > LEASE {
                    Holder::Gone
                } else {
                    Holder::MayLive
                }
            }
            _ => {
                machine.seen = Some((fence, now));
                Holder::MayLive
            }
        }
    }

    fn write_intent(&mut self, who: Who, revision: u64) {
        if self.store.revision != revision || self.machines[who.0].flight.is_some() {
            return;
        }
        // Judged by the moment that stands in the intent, not by an earlier one.
        let Some(grounds) = self.grounds(who) else { return };
        let begun_at = self.clock(who.0);
        let intent = Intent {
            generation: self.store.generation,
            token: name(self.store.token),
            node: self.node(who),
            fence: revision,
            begun_at,
            deadline: begun_at.after(LEASE),
            grounds,
        };
        self.store.revision += 1;
        self.store.custody = Custody::Refreshing { intent: intent.clone() };
        let token = self.store.token;
        self.machines[who.0].flight = Some(Flight { intent, token, written_at: self.now, is_waiting: false });
        self.soon(Event::Send(who));
    }

    fn send(&mut self, who: Who) -> Result<(), String> {
        let Some(flight) = self.machines[who.0].flight.clone() else { return Ok(()) };
        let fence = flight.intent.fence;
        if !(self.rules.may_still_send)(Duration::from_millis(self.now - flight.written_at)) {
            self.soon(Event::Keep(who, (Ended::NotProcessed, None)));
            return Ok(());
        }
        if !(self.rules.still_stands)(&flight.intent, &self.store.custody) {
            self.machines[who.0].flight = None;
            return Ok(());
        }
        self.judge_sending(who, &flight)?;
        self.told.sent += 1;
        match flight.intent.grounds {
            Grounds::Again { .. } => self.told.again += 1,
            Grounds::First => {}
            Grounds::Probe { .. } => self.told.probes += 1,
        }
        self.unanswered.entry(flight.token).or_insert(self.now);
        if let Some(flight) = &mut self.machines[who.0].flight {
            flight.is_waiting = true;
        }
        let deadline = ANSWER_DEADLINE.as_millis() as u64;
        self.after(deadline, deadline + 1, Event::Timeout(who, fence));
        if !self.goes_wrong(15) {
            // As long as the sender waits for it, and no longer: what is late by more is taken to be thrown away.
            let most = if self.goes_wrong(12) { deadline } else { 50 };
            self.after(0, most, Event::Arrive(who, fence, flight.token));
        }
        Ok(())
    }

    fn judge_sending(&self, who: Who, flight: &Flight) -> Result<(), String> {
        let token = flight.token;
        if self.known_spent.contains(&token) {
            return Err(format!("token {token} is known to be spent, and is sent"));
        }
        let other = &self.machines[1 - who.0];
        let waits = |flight: &Flight| flight.is_waiting && flight.token == token;
        if self.terms.rotates && other.is_up && other.flight.as_ref().is_some_and(waits) {
            return Err(format!("token {token} is sent while somebody waits for its answer"));
        }
        let is_strict = self.terms.rotates && self.terms.reuse_revokes_family;
        let Some(first) = self.unanswered.get(&token).filter(|_| is_strict) else { return Ok(()) };
        // Clocks that jump may misjudge a leeway by as much as they jump, and by no more.
        let inside = self.now - first
            < self.terms.leeway.as_millis() as u64 + 1_200_000 * u64::from(!self.terms.leeway.is_zero());
        // By the clock that it was decided by.
        let ended = flight.intent.begun_at >= self.store.ends;
        if !inside && !ended {
            return Err(format!("token {token} may be spent, and is sent while the access token lives"));
        }
        if matches!(flight.intent.grounds, Grounds::Probe { .. }) && self.probed.contains(&token) {
            return Err(format!("token {token} is probed twice"));
        }
        Ok(())
    }

    fn arrive(&mut self, who: Who, fence: u64, token: Token) {
        if self.goes_wrong(8) {
            return self.soon(Event::Reply(who, fence, (Ended::NotProcessed, None)));
        }
        if self.goes_wrong(20) {
            return self.soon(Event::Reply(who, fence, (Ended::Broken, None)));
        }
        let reply = match self.provider.refresh(token, &self.terms, self.now) {
            Ok(next) => (Ended::Answered, next),
            Err(()) => (Ended::Refused, None),
        };
        if reply.0 == Ended::Answered && self.goes_wrong(20) {
            // It broke after the rotation.
            self.told.lost += 1;
            return self.soon(Event::Reply(who, fence, (Ended::Broken, None)));
        }
        if reply.0 == Ended::Answered && (!self.is_alive(who) || self.goes_wrong(8)) {
            self.told.lost += 1;
            return;
        }
        self.soon(Event::Reply(who, fence, reply));
    }

    fn end_waiting(&mut self, who: Who, fence: u64, reply: Reply) {
        let Some(flight) = self.machines[who.0].flight.as_mut() else { return self.lose(&reply) };
        if flight.intent.fence != fence || !flight.is_waiting {
            return self.lose(&reply);
        }
        flight.is_waiting = false;
        let (token, is_probe) = (flight.token, matches!(flight.intent.grounds, Grounds::Probe { .. }));
        match reply.0 {
            Ended::Lost if is_probe => {
                self.probed.insert(token);
            }
            Ended::NotProcessed if matches!(flight.intent.grounds, Grounds::First) => {
                self.unanswered.remove(&token);
            }
            _ => {}
        }
        self.soon(Event::Keep(who, reply));
    }

    fn lose(&mut self, reply: &Reply) {
        self.told.lost += u64::from(reply.0 == Ended::Answered);
    }

    fn commit(&mut self, who: Who, reply: Reply, revision: u64) -> Result<(), String> {
        if self.store.revision != revision {
            self.soon(Event::Keep(who, reply));
            return Ok(());
        }
        let Some(Flight { intent, token, written_at, .. }) = self.machines[who.0].flight.take() else {
            return Ok(());
        };
        let (ended, next) = reply;
        if ended == Ended::Answered && Duration::from_millis(self.now - written_at) > LEASE {
            self.told.late += 1;
        }
        let stored = name(self.store.token);
        let landing = (self.rules.landing)(&intent, Some(&stored), &self.store.custody);
        match (landing, ended) {
            (Landing::Whole | Landing::IfAnswered, Ended::Answered) => {
                if self.known_spent.contains(&token) {
                    return Err(format!("token {token} is exchanged twice"));
                }
                self.told.kept += 1;
                self.store.generation += 1;
                self.store.ends = intent.begun_at.after(Duration::from_secs(LIFE));
                self.store.custody = Custody::Settled;
                self.unanswered.remove(&token);
                if let Some(next) = next {
                    self.known_spent.insert(token);
                    self.store.spare = Some(self.store.token);
                    self.store.token = next;
                }
            }
            (Landing::Beside, Ended::Answered) => {
                self.told.beside += 1;
                self.store.spare = next.or(self.store.spare);
                if stored == intent.token && next.is_some() {
                    return Err(format!("the answer for token {token}, which is still stored, is put aside"));
                }
            }
            (Landing::Whole, ended) => {
                self.store.custody = (self.rules.settle)(&intent, ended, self.clock(who.0))
            }
            (Landing::Beside | Landing::IfAnswered, _) => {}
        }
        self.store.revision += 1;
        match next {
            Some(next) if self.store.token != next && self.store.spare != Some(next) => {
                Err(format!("token {next} arrived and is not in the store"))
            }
            _ => Ok(()),
        }
    }

    fn crash(&mut self) {
        let machine = self.chance.below(2) as usize;
        if !self.machines[machine].is_up {
            return;
        }
        self.told.crashes += 1;
        let died = &mut self.machines[machine];
        (died.is_up, died.boot, died.seen) = (false, died.boot + 1, None);
        // What it held in its hand is gone, an answer that had arrived included.
        if let Some(flight) = died.flight.take() {
            self.told.lost += 1;
            if matches!(flight.intent.grounds, Grounds::Probe { .. }) {
                self.probed.insert(flight.token);
            }
        }
        self.after(100, 40_000, Event::Start(machine));
    }

    /// A write that has nothing to do with refreshing; or a new consent.
    fn put(&mut self) {
        self.store.revision += 1;
        self.store.generation += 1;
        if self.chance.one_in(3) {
            self.store.spare = Some(self.store.token);
            self.store.token = self.provider.consent();
            self.store.custody = Custody::Settled;
        }
    }

    fn judge_end(&mut self) -> Result<(), String> {
        let works = self.provider.live.contains_key(&self.store.token);
        if works {
            return match self.store.custody {
                Custody::NeedsReauth { .. } => Err("a connection that works is called dead".into()),
                _ => Ok(()),
            };
        }
        self.told.dead += 1;
        // How long ago something was, only a clock says that may be wrong; and who stands still with an answer in its
        // hand for longer than its intent stands is taken for dead.
        if self.told.lost == 0 && self.told.jumps == 0 && self.told.late == 0 {
            return Err("a connection is dead, and there is no excuse".into());
        }
        Ok(())
    }
}
