//! Names that lead where they should not, resolvers and hosts that never answer: in a network of its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use super::WayOut;
use super::way_out::{peer, program};
use crate::kit::{Configuration, TestVault, is_root, poll, skip};
use crate::root_key::reconfigure;

/// A network that ends with it.
struct World {
    process: Child,
    said: PathBuf,
}

impl World {
    /// # Errors
    /// Why it cannot be had here.
    fn begin(room: &std::path::Path) -> Result<Self, String> {
        if !is_root() {
            return Err("a network of its own needs root".to_owned());
        }
        let said = room.join("world.out");
        let log = |name: &str| fs::File::create(room.join(name)).expect("a file");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/egress/world.py");
        let process = Command::new("unshare")
            .args(["--net", "--mount", "/usr/bin/python3", script])
            .arg(room)
            .stdin(Stdio::piped())
            .stdout(log("world.out"))
            .stderr(log("world.err"))
            .spawn()
            .map_err(|why| format!("unshare: {why}"))?;
        let mut world = Self { process, said };
        let ready = poll("the world", || {
            let ended = world.process.try_wait().expect("wait").is_some();
            (ended || world.said().contains("ready\n")).then_some(!ended)
        });
        let why = || fs::read_to_string(room.join("world.err")).unwrap_or_default();
        if ready { Ok(world) } else { Err(format!("no network of its own: {}", why())) }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// How often the address of this name was asked for.
    fn asked(&self, name: &str) -> usize {
        self.said().lines().filter(|line| **line == format!("{name} A")).count()
    }

    /// The words that start something in it.
    fn enter(&self) -> Vec<String> {
        let pid = self.process.id().to_string();
        ["nsenter", "-t", &pid, "--net", "--mount", "--"].map(str::to_owned).to_vec()
    }

    /// A way out of it.
    fn way_out(&self) -> WayOut {
        let mut way = WayOut::stopped();
        way.configure("https://bao.example:8200");
        let mut words = self.enter().into_iter();
        let mut command = Command::new(words.next().expect("a program"));
        let inner = program();
        command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(words).arg(inner.get_program()).arg("--config").arg(way.configuration_file());
        way.run(command);
        way
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What egress says of this host, which the configuration names.
fn asked(way: &WayOut, host: &str, port: u16) -> (Option<char>, Option<std::net::TcpStream>) {
    let before = way.said().matches("reloaded").count();
    way.configure(&format!("https://{host}:{port}"));
    way.signal(Signal::SIGHUP);
    poll("the reload", || (way.said().matches("reloaded").count() > before).then_some(()));
    way.ask(&format!("{host}:{port}\n"))
}

#[test]
fn an_answer_that_changes_is_not_asked_for_twice_and_one_that_leads_home_is_refused() {
    let room = tempfile::tempdir().unwrap();
    let world = match World::begin(room.path()) {
        Ok(world) => world,
        Err(why) => return skip(&why),
    };
    let way = world.way_out();
    for then in ["127-0-0-1", "169-254-169-254"] {
        let name = format!("first-10-9-9-1-then-{then}.example");
        assert_eq!(peer(asked(&way, &name, 8200)).to_string(), "10.9.9.1:8200");
        assert_eq!(world.asked(&name), 1, "one look-up, and a connection to what it gave");
        assert_eq!(
            way.ask(&format!("{name}:8200\n")).0,
            Some('f'),
            "what the next look-up gives is judged too"
        );
    }
    for evil in [
        "a-127-0-0-1",
        "a-0-0-0-0",
        "a-169-254-169-254",
        "a-255-255-255-255",
        "a-224-0-0-1",
        // Half of it is fine.
        "a-10-9-9-1-and-127-0-0-1",
        // ::1, ::ffff:127.0.0.1, 64:ff9b::127.0.0.1, fe80::1
        "a6-00000000000000000000000000000001",
        "a6-00000000000000000000ffff7f000001",
        "a6-0064ff9b00000000000000007f000001",
        "a6-fe800000000000000000000000000001",
    ] {
        let (code, connection) = asked(&way, &format!("{evil}.example"), 8200);
        assert_eq!((code, connection.is_none()), (Some('f'), true), "{evil}: {}", way.said());
    }
    // Named as an address it is meant.
    assert_eq!(peer(asked(&way, "127.0.0.1", 8200)).to_string(), "127.0.0.1:8200");
    assert_eq!(asked(&way, "a6-.example", 8200).0, Some('x'), "no address at all");
}

#[test]
fn who_never_answers_is_given_up_and_holds_nobody_up() {
    let room = tempfile::tempdir().unwrap();
    let world = match World::begin(room.path()) {
        Ok(world) => world,
        Err(why) => return skip(&why),
    };
    let way = world.way_out();
    for (host, port, code) in [("stall.example", 8200, 'd'), ("a-10-9-9-1.example", 8201, 'c')] {
        way.configure(&format!("https://{host}:{port}"));
        way.signal(Signal::SIGHUP);
        let line = format!("{host}:{port}\n");
        poll("the reload", || (way.ask("nobody.example:1\n").0 == Some('n')).then_some(()));
        let told = poll("the configuration", || {
            let told = std::thread::scope(|scope| {
                let slow = scope.spawn(|| way.ask(&line).0);
                // Others are answered meanwhile, at once.
                assert_eq!(way.ask("nobody.example:1\n").0, Some('n'));
                slow.join().unwrap()
            });
            (told != Some('n')).then_some(told)
        });
        assert_eq!(told, Some(code), "{}", way.said());
    }
}

#[test]
fn a_daemon_that_connects_by_itself_goes_by_the_same_rules() {
    let room = tempfile::tempdir().unwrap();
    let world = match World::begin(room.path()) {
        Ok(world) => world,
        Err(why) => return skip(&why),
    };
    let mut vault = TestVault::stopped(Configuration::default());
    let token = vault.room().join("token");
    crate::kit::vault::write_private(&token, b"hvs.none");
    for (host, code, words) in [
        ("a-127-0-0-1.example", 77, "the name leads to this host"),
        ("a-169-254-169-254.example", 77, "the name leads to this host"),
        ("a6-.example", 69, "the name does not resolve"),
        ("stall.example", 69, "the resolver does not answer"),
    ] {
        let root_key = format!(
            "source = \"openbao\"\naddress = \"https://{host}:8200\"\npath = \"a\"\nwait = \"0s\"\n\
             ca = \"{}\"\ntoken = {{ file = \"{}\" }}",
            write_ca(&vault).display(),
            token.display()
        );
        reconfigure(&mut vault, &root_key, &[]);
        vault.dowry.before = world.enter();
        vault.start_in_vain_as_configured().with(code, &[words]);
    }
}

fn write_ca(vault: &TestVault) -> PathBuf {
    crate::root_key::tls::write(vault.room(), "localhost");
    vault.room().join("ca.pem")
}
