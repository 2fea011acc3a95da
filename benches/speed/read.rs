//! Token reads over both doors, and handshakes, against a bare HTTP server that gives the same bytes over the same door.
//!
//! Never reads a key twice in a row: the keys are random among all that the vault keeps.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Extent;
use super::address::Address;
use super::bare;
use super::daemon::Daemon;
use super::least;
use super::load::{Load, Plan, Until};
use super::process::{self, Server};
use super::report::{Table, against, median};
use super::request::{Act, BATCH, ORGS};

/// Connections, and the first goal there.
const CROWDS: [(usize, Option<f64>); 3] = [(1, None), (8, Some(0.5)), (64, Some(0.35))];
const CROWDS_OF_MTLS: [(usize, Option<f64>); 2] = [(8, Some(0.55)), (64, Some(0.55))];
/// Tokens a second of a batch against single reads.
const BATCH_GOAL: f64 = 5.0;

/// Redis without a disk, where it is installed.
fn start_redis(directory: &Path) -> Option<(Server, PathBuf)> {
    let installed = Command::new("redis-server").arg("--version").output();
    if !installed.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let socket = directory.join("redis.sock");
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket);
    command.arg("--dir").arg(directory).stderr(Stdio::null());
    Some((Server::start_with_socket(command, &socket), socket))
}

/// One server in the contest.
struct Candidate {
    name: String,
    plan: Plan,
    loads: Vec<Load>,
}

impl Candidate {
    fn median(&self, figure: fn(&Load) -> f64) -> f64 {
        median(self.loads.iter().map(figure).collect())
    }

    fn per_second(&self) -> f64 {
        self.median(|load| load.per_second)
    }
}

/// Measures and prints.
pub(crate) fn measure(extent: Extent) {
    let daemon = Daemon::start();
    daemon.fill(extent.keys);
    over_the_socket(&daemon, extent);
    over_mtls(&daemon, extent);
    handshakes(&daemon, extent);
    daemon.stop();
}

fn over_the_socket(daemon: &Daemon, extent: Extent) {
    let read = daemon.plan(Act::Read, 1, extent.keys, Until::Elapsed(extent.turn));
    let answer = daemon.answer(&read.server_at, extent.keys);
    let directory = daemon.sockets();
    let at = |flavour| Address::Unix(directory.join(format!("bare-{flavour}")));
    let bares = bare::FLAVOURS
        .map(|flavour| (flavour, at(flavour), bare::start(directory, &at(flavour), flavour, &answer)));
    let least_at = Address::Unix(directory.join("least"));
    let least_vault = least::start(directory, &least_at, extent.keys, &answer);
    let redis = start_redis(directory).map(|(server, socket)| (server, Address::Unix(socket)));
    if let Some((server, socket)) = &redis {
        let fill = Plan { server_at: socket.clone(), server: server.id(), act: Act::Set, ..read.clone() };
        Plan { connections: 64, until: Until::Key(extent.keys), ..fill }.run();
    }
    let mut table = table_of_reads("the Unix socket", &answer, extent);
    for (connections, goal) in CROWDS {
        let mut contest = contestants(&read, &bares);
        contest.push(least_candidate(&read, &least_at, &least_vault));
        contest.extend(redis.iter().map(|(server, socket)| Candidate {
            name: "redis GET".into(),
            plan: Plan { server_at: socket.clone(), server: server.id(), act: Act::Get, ..read.clone() },
            loads: vec![],
        }));
        contest.push(Candidate {
            name: format!("tokenkeepd, batch of {BATCH}"),
            plan: Plan { act: Act::Batch, ..read.clone() },
            loads: vec![],
        });
        run(&mut contest, connections, extent.rounds);
        fill_rows(&mut table, &contest, connections, goal);
    }
    table.print();
}

fn over_mtls(daemon: &Daemon, extent: Extent) {
    let (door, certificates) = daemon.mtls();
    let read = daemon.plan(Act::Read, 1, extent.keys, Until::Elapsed(extent.turn));
    let read = Plan { server_at: door.clone(), ..read };
    let answer = daemon.answer(door, extent.keys);
    let bares = bares_over_mtls(certificates, &answer);
    let least_at = Address::Tls(process::free_port(), certificates.to_owned());
    let least_vault = least::start(certificates, &least_at, extent.keys, &answer);
    let mut table = table_of_reads("mTLS, kept alive", &answer, extent);
    for (connections, goal) in CROWDS_OF_MTLS {
        let mut contest = contestants(&read, &bares);
        contest.push(least_candidate(&read, &least_at, &least_vault));
        run(&mut contest, connections, extent.rounds);
        fill_rows(&mut table, &contest, connections, goal);
    }
    table.print();
}

fn handshakes(daemon: &Daemon, extent: Extent) {
    let (door, certificates) = daemon.mtls();
    let plan = daemon.plan(Act::Handshake, 1, extent.keys, Until::Elapsed(extent.turn));
    let plan = Plan { server_at: door.clone(), ..plan };
    let answer = daemon.answer(door, extent.keys);
    let bares = bares_over_mtls(certificates, &answer);
    let title =
        "full mTLS handshakes, each with one request that proves it, hybrid key exchange, no resumption";
    let columns = [
        "callers",
        "server",
        "against bare rustls",
        "handshakes/s",
        "p50 us",
        "p99 us",
        "server CPU us",
        "CPU ratio",
    ];
    let mut table = Table::new(title, &columns);
    for connections in [1, 8] {
        let mut contest = contestants(&plan, &bares);
        for candidate in &mut contest {
            candidate.plan.act = Act::Handshake;
        }
        run(&mut contest, connections, extent.rounds);
        let bare = best_bare(&contest);
        for candidate in &contest {
            let cpu = candidate.median(|load| load.cpu_us);
            table.row(vec![
                connections.to_string(),
                candidate.name.replace("hyper", "rustls"),
                format!("{:.2}", candidate.per_second() / bare.per_second()),
                format!("{:.0}", candidate.per_second()),
                format!("{:.0}", candidate.median(|load| load.p50_us)),
                format!("{:.0}", candidate.median(|load| load.p99_us)),
                format!("{cpu:.0}"),
                format!("{:.2}", bare.median(|load| load.cpu_us) / cpu),
            ]);
        }
    }
    table.print();
}

type Bare = (&'static str, Address, Server);

fn bares_over_mtls(certificates: &Path, answer: &[u8]) -> [Bare; 2] {
    bare::FLAVOURS.map(|flavour| {
        let at = Address::Tls(process::free_port(), certificates.to_owned());
        let server = bare::start(certificates, &at, flavour, answer);
        (flavour, at, server)
    })
}

/// The daemon and the yardsticks.
fn contestants(read: &Plan, bares: &[Bare]) -> Vec<Candidate> {
    let mut contest = vec![Candidate { name: "tokenkeepd".into(), plan: read.clone(), loads: vec![] }];
    contest.extend(bares.iter().map(|(flavour, at, server)| Candidate {
        name: format!("bare hyper, {flavour}"),
        plan: Plan { server_at: at.clone(), server: server.id(), act: Act::Bare, ..read.clone() },
        loads: vec![],
    }));
    contest
}

/// What is left of bare hyper's speed when the work that no vault can spare itself is done.
fn least_candidate(read: &Plan, at: &Address, server: &Server) -> Candidate {
    let plan = Plan { server_at: at.clone(), server: server.id(), ..read.clone() };
    Candidate { name: "least vault".into(), plan, loads: vec![] }
}

fn best_bare(contest: &[Candidate]) -> &Candidate {
    let bares = contest.iter().filter(|candidate| candidate.name.starts_with("bare"));
    bares.max_by(|a, b| a.per_second().total_cmp(&b.per_second())).expect("there are two")
}

fn table_of_reads(door: &str, answer: &[u8], extent: Extent) -> Table {
    let columns = [
        "connections",
        "server",
        "against bare hyper",
        "goal",
        "req/s",
        "p50 us",
        "p99 us",
        "server CPU us",
        "CPU ratio",
    ];
    let title = format!(
        "token read over {door}: {} connections in {ORGS} orgs, answers of {} bytes, audit on",
        extent.keys,
        answer.len()
    );
    Table::new(&title, &columns)
}

/// In turns, so that what else the machine does falls on all alike.
fn run(contest: &mut [Candidate], connections: usize, rounds: usize) {
    for _ in 0..rounds {
        for candidate in contest.iter_mut() {
            candidate.loads.push(Plan { connections, ..candidate.plan.clone() }.run());
        }
    }
}

fn fill_rows(table: &mut Table, contest: &[Candidate], connections: usize, goal: Option<f64>) {
    let bare = best_bare(contest);
    for candidate in contest {
        let per_second = candidate.per_second();
        let cpu = candidate.median(|load| load.cpu_us);
        let [ratio, verdict] = match candidate.plan.act {
            Act::Batch => {
                let ratio = per_second * BATCH as f64 / contest[0].per_second();
                let [ratio, verdict] = against(ratio, (connections == 8).then_some(BATCH_GOAL));
                [format!("tokens/s {ratio} x single"), verdict]
            }
            _ => against(per_second / bare.per_second(), goal.filter(|_| candidate.name == "tokenkeepd")),
        };
        table.row(vec![
            connections.to_string(),
            candidate.name.clone(),
            ratio,
            verdict,
            format!("{per_second:.0}"),
            format!("{:.1}", candidate.median(|load| load.p50_us)),
            format!("{:.1}", candidate.median(|load| load.p99_us)),
            format!("{cpu:.2}"),
            format!("{:.2}", bare.median(|load| load.cpu_us) / cpu),
        ]);
    }
}
