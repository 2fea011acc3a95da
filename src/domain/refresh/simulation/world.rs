//! The world of the simulation: what the nodes do with the rules, and what happens to them.
//!
//! Times are milliseconds since the beginning; only the nodes have clocks that are wrong.

mod judgement;
mod network;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::time::Duration;

use tokenkeep_client::moment::Moment;

use super::chance::Chance;
use super::provider::Provider;
use super::rules::Rules;
use super::told::Told;
use crate::domain::refresh::{
    ANSWER_DEADLINE, Custody, Ended, Fingerprint, Grounds, Holder, Intent, LEASE, Landing, Move, Node, Terms,
};

const EPOCH: u64 = 1_800_000_000;
/// Things go wrong until then; from then on the world is quiet, and everything comes to its end.
const QUIET_AT: u64 = 300_000;
const OVER_AT: u64 = 900_000;
/// How long an access token lives.
const LIFE: u64 = 120;

pub(super) type Token = u32;

struct Store {
    revision: u64,
    generation: u64,
    token: Token,
    spare: Option<Token>,
    ends: Moment,
    custody: Custody,
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
}
