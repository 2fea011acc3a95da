//! Strangers at the TLS listener: what an allowed reader notices of them, and what they take of the memory.
//!
//! A thousand connections have sent their first flight and nothing more, a thousand more have sent nothing at all;
//! whichever the daemon closes is opened again. None of them has a certificate.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::Extent;
use super::address::Address;
use super::daemon::Daemon;
use super::load::{Load, Plan, Until};
use super::process::{self, Core, Server};
use super::report::{Table, against_ceiling, median};
use super::request::Act;
use super::tls;

/// Of each kind.
const STRANGERS: usize = 1000;
/// The p99 of a reader among strangers, as a multiple of its quiet one.
const CEILING: f64 = 1.5;
/// How often those that were closed are opened again.
const PACE: Duration = Duration::from_millis(500);

/// Measures and prints.
pub(crate) fn measure(extent: Extent) {
    let daemon = Daemon::start();
    daemon.fill(extent.keys);
    let (door, _) = daemon.mtls();
    let over_socket = daemon.plan(Act::Read, 8, extent.keys, Until::Elapsed(extent.turn));
    let over_mtls = Plan { server_at: door.clone(), ..over_socket.clone() };
    let title = format!(
        "8 readers among strangers: {STRANGERS} half-open TLS handshakes and {STRANGERS} idle connections, opened again when closed"
    );
    let columns = [
        "door",
        "p99 against quiet",
        "ceiling",
        "quiet p99 us",
        "p99 us",
        "req/s against quiet",
        "daemon MiB quiet",
        "daemon MiB",
    ];
    let mut table = Table::new(&title, &columns);
    for (name, plan) in [("Unix socket", &over_socket), ("mTLS", &over_mtls)] {
        let (mut quiet, mut flooded) = (Vec::new(), Vec::new());
        let mut memory = [0.0, 0.0];
        // In turns, so that what else the machine does falls on both alike.
        for _ in 0..extent.rounds {
            quiet.push(plan.run());
            memory[0] = f64::max(memory[0], process::resident_mib(plan.server));
            let strangers = start(door);
            flooded.push(plan.run());
            memory[1] = f64::max(memory[1], process::resident_mib(plan.server));
            strangers.stop();
        }
        let of = |loads: &[Load], figure: fn(&Load) -> f64| median(loads.iter().map(figure).collect());
        let [before, after] = [of(&quiet, |load| load.p99_us), of(&flooded, |load| load.p99_us)];
        let [ratio, verdict] = against_ceiling(after / before, CEILING);
        let speed = of(&flooded, |load| load.per_second) / of(&quiet, |load| load.per_second);
        table.row(vec![
            name.into(),
            ratio,
            verdict,
            format!("{before:.0}"),
            format!("{after:.0}"),
            format!("{speed:.2}"),
            format!("{:.0}", memory[0]),
            format!("{:.0}", memory[1]),
        ]);
    }
    table.print();
    daemon.stop();
}

fn start(door: &Address) -> Server {
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.arg("strangers").arg(door.to_word()).stderr(Stdio::inherit());
    Server::start_on(Core::Client, command)
}

pub(crate) fn run_as_process(words: &[String]) {
    let [word] = words else { panic!("one word") };
    let Address::Tls(address, directory) = Address::parse(word) else { panic!("strangers come over TCP") };
    let first_flight = first_flight(&tls::client(&directory));
    let mut strangers: Vec<Stranger> = (0..STRANGERS)
        .flat_map(|_| [Stranger::new(Vec::new()), Stranger::new(first_flight.clone())])
        .collect();
    let mut said = false;
    loop {
        strangers.iter_mut().for_each(|stranger| stranger.see_to(address));
        if !said {
            println!("ready");
            said = true;
        }
        std::thread::sleep(PACE);
    }
}

fn first_flight(config: &Arc<ClientConfig>) -> Vec<u8> {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(Arc::clone(config), name).expect("a session");
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).expect("memory");
    bytes
}

struct Stranger {
    words: Vec<u8>,
    socket: Option<TcpStream>,
}

impl Stranger {
    fn new(words: Vec<u8>) -> Self {
        Self { words, socket: None }
    }

    /// Connects where it is not connected, or no longer.
    fn see_to(&mut self, address: SocketAddr) {
        let mut buffer = [0; 4096];
        let open = self.socket.as_mut().is_some_and(|socket| {
            loop {
                match socket.read(&mut buffer) {
                    Ok(0) => break false,
                    Ok(_) => {}
                    Err(why) => break why.kind() == ErrorKind::WouldBlock,
                }
            }
        });
        if open {
            return;
        }
        self.socket = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok().filter(|socket| {
            let mut writer = socket;
            writer.write_all(&self.words).is_ok() && socket.set_nonblocking(true).is_ok()
        });
    }
}
