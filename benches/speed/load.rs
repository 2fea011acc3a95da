//! The callers: a process of its own on a core of its own, one request in flight on each connection.
//!
//! The hard problem: a client that costs more than the server measures itself. The answer: one thread, epoll, one
//! read and one write a request, nothing allocated.
//!
//! Never counts an answer that is not a success; now and then looks whether it is the one that was asked for.

use std::io::ErrorKind;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::address::{Address, Connector, Line};
use super::handshake;
use super::process;
use super::request::{Act, Template};

/// What a load process is told to do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) server_at: Address,
    /// Whose time is looked at.
    pub(crate) server: u32,
    pub(crate) act: Act,
    pub(crate) connections: usize,
    pub(crate) keys: u32,
    pub(crate) until: Until,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// Random keys, for so long.
    Elapsed(Duration),
    /// The keys below this, each once.
    Key(u32),
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Of the server, for each request.
    pub(crate) cpu_us: f64,
}

impl Plan {
    /// Runs it in a process of its own.
    pub(crate) fn run(&self) -> Load {
        let (kind, limit) = match self.until {
            Until::Elapsed(span) => ("ms", span.as_millis()),
            Until::Key(key) => ("keys", u128::from(key)),
        };
        let output = Command::new(std::env::current_exe().expect("own path"))
            .arg("load")
            .arg(self.server_at.to_word())
            .args([&self.server.to_string(), self.act.as_str(), &self.connections.to_string()])
            .args([&self.keys.to_string(), kind, &limit.to_string()])
            .stderr(Stdio::inherit())
            .output()
            .expect("a load process");
        assert!(output.status.success(), "the load process failed");
        let text = String::from_utf8(output.stdout).expect("figures");
        let figures: Vec<f64> = text.split_whitespace().map(|word| word.parse().expect("a figure")).collect();
        let [per_second, p50_us, p99_us, cpu_us] = figures[..] else { panic!("four figures") };
        Load { per_second, p50_us, p99_us, cpu_us }
    }
}

pub(crate) fn run_as_process(words: &[String]) {
    let [address, server, act, connections, keys, kind, limit] = words else { panic!("seven words") };
    let number = |word: &String| word.parse::<u32>().expect("a number");
    let until = match kind.as_str() {
        "ms" => Until::Elapsed(Duration::from_millis(number(limit).into())),
        _ => Until::Key(number(limit)),
    };
    process::settle_on(process::Core::Client);
    let plan = Plan {
        server_at: Address::parse(address),
        server: number(server),
        act: Act::parse(act),
        connections: number(connections) as usize,
        keys: number(keys),
        until,
    };
    let load = match plan.act {
        Act::Handshake => handshake::run(&plan),
        _ => Callers::connect(&plan).run(&plan),
    };
    println!("{} {} {} {}", load.per_second, load.p50_us, load.p99_us, load.cpu_us);
}

struct Callers {
    epoll: Epoll,
    callers: Vec<Caller>,
    requests: Template,
    proofs: Option<Template>,
    keys: Keys,
}

impl Callers {
    fn connect(plan: &Plan) -> Self {
        let epoll = Epoll::new(EpollCreateFlags::empty()).expect("epoll");
        let connector = plan.server_at.connector();
        let callers = (0..plan.connections).map(|at| {
            let caller = Caller::connect(&connector, plan.act.speaks_http());
            let event = EpollEvent::new(EpollFlags::EPOLLIN, at as u64);
            epoll.add(&caller.line, event).expect("epoll");
            caller
        });
        let callers = callers.collect();
        let keys = match plan.until {
            Until::Elapsed(_) => {
                Keys::Random(0x9E37_79B9_7F4A_7C15 ^ u64::from(std::process::id()), plan.keys)
            }
            Until::Key(end) => Keys::Each(0..end),
        };
        Self {
            epoll,
            callers,
            requests: plan.act.request(plan.keys),
            proofs: plan.act.proof(plan.keys),
            keys,
        }
    }

    fn run(mut self, plan: &Plan) -> Load {
        let mut waiting = 0;
        for at in 0..self.callers.len() {
            waiting += usize::from(self.ask(at, Instant::now()));
        }
        let (span, warm_up) = match plan.until {
            Until::Elapsed(span) => (span, span / 5),
            Until::Key(_) => (Duration::from_secs(3600), Duration::ZERO),
        };
        let mut begun = Instant::now();
        let mut warm = false;
        let mut cpu = process::cpu(plan.server);
        let mut waits: Vec<u32> = Vec::with_capacity(1 << 20);
        let mut answers = 0_u64;
        let mut events = [EpollEvent::empty(); 64];
        while waiting > 0 {
            let ready = self.epoll.wait(&mut events, EpollTimeout::NONE).expect("epoll");
            for event in &events[..ready] {
                let at = event.data() as usize;
                if !self.callers[at].receive() {
                    continue;
                }
                let now = Instant::now();
                waits.push((now - self.callers[at].asked_at).as_nanos() as u32);
                answers += 1;
                self.look(at, answers);
                waiting -= usize::from(!self.ask(at, now));
            }
            let elapsed = begun.elapsed();
            if !warm && elapsed >= warm_up {
                (warm, begun, cpu) = (true, Instant::now(), process::cpu(plan.server));
                waits.clear();
            } else if elapsed >= span {
                break;
            }
        }
        sum_up(&mut waits, begun.elapsed(), process::cpu(plan.server) - cpu)
    }

    /// Sends the next request, if there is one.
    fn ask(&mut self, at: usize, now: Instant) -> bool {
        let Some(key) = self.keys.next() else { return false };
        let caller = &mut self.callers[at];
        (caller.key, caller.asked_at) = (key, now);
        caller.line.write_all(self.requests.of(key)).expect("the server takes the request");
        true
    }

    /// Whether the first answers, and a few of the others, are what was asked for.
    fn look(&mut self, at: usize, answers: u64) {
        let caller = &self.callers[at];
        let sample = answers.is_multiple_of(1024) || answers <= self.callers.len() as u64;
        let Some(proofs) = self.proofs.as_mut().filter(|_| sample) else { return };
        let proof = proofs.of(caller.key);
        let found = caller.answer().windows(proof.len()).any(|window| window == proof);
        assert!(found, "an answer is not the one that was asked for");
    }
}

enum Keys {
    Each(std::ops::Range<u32>),
    Random(u64, u32),
}

impl Keys {
    fn next(&mut self) -> Option<u32> {
        match self {
            Self::Each(keys) => keys.next(),
            Self::Random(state, keys) => {
                // xorshift64 (Marsaglia 2003): good enough to miss caches.
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                Some((*state >> 32) as u32 % *keys)
            }
        }
    }
}

pub(crate) fn sum_up(waits: &mut [u32], elapsed: Duration, cpu: Duration) -> Load {
    waits.sort_unstable();
    let count = waits.len().max(1);
    let at = |share: usize| waits.get(count * share / 100).map_or(0.0, |nanos| f64::from(*nanos) / 1e3);
    Load {
        per_second: count as f64 / elapsed.as_secs_f64(),
        p50_us: at(50),
        p99_us: at(99),
        cpu_us: cpu.as_secs_f64() * 1e6 / count as f64,
    }
}

struct Caller {
    line: Line,
    http: bool,
    key: u32,
    asked_at: Instant,
    buffer: Vec<u8>,
    filled: usize,
    shape: Option<Shape>,
}

/// How the last answer was laid out; the next is mostly the same.
#[derive(Clone, Copy)]
struct Shape {
    head: usize,
    length_at: usize,
    digits: usize,
    total: usize,
}

impl Caller {
    fn connect(connector: &Connector, http: bool) -> Self {
        Self {
            line: connector.connect(),
            http,
            key: 0,
            asked_at: Instant::now(),
            buffer: vec![0; 64 * 1024],
            filled: 0,
            shape: None,
        }
    }

    /// Takes what has come; whether the answer is whole.
    fn receive(&mut self) -> bool {
        if self.shape.is_some_and(|shape| shape.total == self.filled) {
            self.filled = 0;
        }
        let read = loop {
            match self.line.read(&mut self.buffer[self.filled..]) {
                Ok(read) => break read,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => panic!("the connection failed: {why}"),
            }
        };
        self.filled += read;
        let came = &self.buffer[..self.filled];
        let shape = self.shape.filter(|shape| shape.fits(came));
        let shape = shape.or_else(|| if self.http { Shape::of_http(came) } else { Shape::of_resp(came) });
        self.shape = shape;
        match shape {
            Some(shape) if shape.total == self.filled => true,
            Some(shape) if shape.total > self.filled => {
                self.buffer.resize(self.buffer.len().max(shape.total), 0);
                false
            }
            Some(_) => panic!("more came than was asked for"),
            None => false,
        }
    }

    fn answer(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

impl Shape {
    fn fits(&self, came: &[u8]) -> bool {
        came.len() == self.total && self.head >= 4 && &came[self.head - 4..self.head] == b"\r\n\r\n" && {
            let length = &came[self.length_at..self.length_at + self.digits];
            decimal(length) == Some(self.total - self.head) && came.starts_with(b"HTTP/1.1 2")
        }
    }

    fn of_http(came: &[u8]) -> Option<Self> {
        let head = came.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&came[..head]).to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 2"), "not a success: {}", String::from_utf8_lossy(came));
        let length_at = text.find("content-length: ").expect("answers have a length") + 16;
        let digits = text[length_at..].find('\r').expect("a line end");
        let length = decimal(&came[length_at..length_at + digits]).expect("a length");
        Some(Self { head, length_at, digits, total: head + length })
    }

    fn of_resp(came: &[u8]) -> Option<Self> {
        let line = came.windows(2).position(|window| window == b"\r\n")?;
        let total = match came[0] {
            b'$' => line + 2 + decimal(&came[1..line]).expect("a value") + 2,
            b'+' => line + 2,
            _ => panic!("not a success: {}", String::from_utf8_lossy(came)),
        };
        Some(Self { head: 0, length_at: 0, digits: 0, total })
    }
}

fn decimal(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0, |number: usize, digit| match digit {
        b'0'..=b'9' => Some(number * 10 + usize::from(digit - b'0')),
        _ => None,
    })
}
