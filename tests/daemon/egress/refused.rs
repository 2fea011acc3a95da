//! What egress does not do, and that it goes on afterwards.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::{fs, thread};

use nix::sys::signal::Signal;

use super::WayOut;
use super::way_out::{answer, peer, program};
use crate::kit::configuration::other_uid;
use crate::kit::{is_root, poll, skip};

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn only_what_is_named_is_connected() {
    let (listener, port) = listener();
    let (_other, other_port) = self::listener();
    let way = WayOut::to(&format!("https://127.0.0.1:{port}"));
    assert_eq!(peer(way.ask(&format!("127.0.0.1:{port}\n"))), listener.local_addr().unwrap());
    for other in [
        format!("127.0.0.1:{other_port}\n"),
        format!("localhost:{port}\n"),
        format!("127.0.0.2:{port}\n"),
        format!("[::ffff:127.0.0.1]:{port}\n"),
        "evil.example:443\n".to_owned(),
    ] {
        let (code, connection) = way.ask(&other);
        assert_eq!((code, connection.is_none()), (Some('n'), true), "{other}");
    }
    // Nobody asked a resolver for what is not named.
    way.says("evil.example: tokenkeep-egress finds it in no configuration");
}

#[test]
fn what_is_no_request_is_told_so_and_read_no_further() {
    let (_listener, port) = listener();
    let way = WayOut::to(&format!("https://127.0.0.1:{port}"));
    for line in [
        "\n".to_owned(),
        "127.0.0.1\n".to_owned(),
        format!("https://127.0.0.1:{port}\n"),
        format!("127.0.0.1:{port}\n127.0.0.1:{port}\n"),
        format!("127.0.0.1:{port}\r\n"),
        "a".repeat(100_000),
    ] {
        assert_eq!(way.ask(&line).0, Some('?'), "{}", &line[..line.len().min(40)]);
    }
    let silent = way.connect();
    assert_eq!(answer(&silent).0, Some('?'), "its time is over");
    assert_eq!(way.ask(&format!("127.0.0.1:{port}\n")).0, Some('+'));
    assert!(!way.said().contains("https://"), "{}", way.said());
}

#[test]
fn a_flood_is_told_so_and_the_next_is_answered() {
    let (_listener, port) = listener();
    let way = WayOut::to(&format!("https://127.0.0.1:{port}"));
    // They ask for nothing, for as long as they may.
    let held: Vec<_> = (0..32).map(|_| way.connect()).collect();
    poll("no place to be left", || (way.ask(&format!("127.0.0.1:{port}\n")).0 == Some('b')).then_some(()));
    let mut flood = Vec::new();
    for _ in 0..8 {
        let socket = way.socket();
        flood.push(thread::spawn(move || {
            for _ in 0..100 {
                drop(std::os::unix::net::UnixStream::connect(&socket));
            }
        }));
    }
    flood.into_iter().for_each(|thread| thread.join().unwrap());
    drop(held);
    poll("a place", || (way.ask(&format!("127.0.0.1:{port}\n")).0 == Some('+')).then_some(()));
}

#[test]
fn another_user_is_not_answered() {
    if !is_root() {
        return skip("another user asks egress: needs root");
    }
    let (_listener, port) = listener();
    let mut way = WayOut::stopped();
    way.configure(&format!("https://127.0.0.1:{port}"));
    // The service manager gives it to the daemon's user, who is another one here. Its mode is loosened afterwards: the
    // kernel would not even let root's neighbours in.
    let listener = std::os::unix::net::UnixListener::bind(way.socket()).unwrap();
    fs::set_permissions(way.socket(), fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(way.socket(), Some(other_uid()), None).unwrap();
    fs::set_permissions(way.room(), fs::Permissions::from_mode(0o711)).unwrap();
    way.start_handed(listener.into());
    fs::set_permissions(way.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(way.ask(&format!("127.0.0.1:{port}\n")).0, None, "root is another user too");
    way.says("not the owner of the socket");
    let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
                  s.sendall(sys.argv[2].encode())\nprint(s.recv(1))";
    let id = other_uid().to_string();
    let asked = Command::new("setpriv")
        .args(["--reuid", &id, "--regid", &id, "--clear-groups", "/usr/bin/python3", "-c", script])
        .arg(way.socket())
        .arg(format!("127.0.0.1:{port}\n"))
        .current_dir("/")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), "b'+'", "{asked:?}");
}

#[test]
fn a_new_configuration_is_taken_or_the_old_one_stands() {
    let ((_one, first), (_two, second)) = (listener(), listener());
    let way = WayOut::to(&format!("https://127.0.0.1:{first}"));
    way.configure(&format!("https://127.0.0.1:{second}"));
    way.signal(Signal::SIGHUP);
    way.says("reloaded");
    assert_eq!(way.ask(&format!("127.0.0.1:{first}\n")).0, Some('n'));
    assert_eq!(way.ask(&format!("127.0.0.1:{second}\n")).0, Some('+'));
    way.configure("http://evil.example");
    way.signal(Signal::SIGHUP);
    way.says("the last reload was refused: ");
    assert_eq!(way.ask(&format!("127.0.0.1:{second}\n")).0, Some('+'));
}

#[test]
fn without_a_way_out_in_the_configuration_it_does_not_start() {
    let way = WayOut::stopped();
    way.configure("https://bao.example");
    let file = way.configuration_file();
    let run = |words: &[&str]| program().args(words).arg(&file).output().unwrap();
    let checked = run(&["--check", "--config"]);
    assert_eq!((checked.status.code(), &*checked.stdout), (Some(0), &b"bao.example:443\n"[..]));
    let text = fs::read_to_string(&file).unwrap().replace(&way.section(), "");
    crate::kit::vault::write_private(&file, text.as_bytes());
    let ended = run(&["--config"]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(78), "{said}");
    assert!(said.contains("there is no [egress]"), "{said}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(run(&["--config"]).status.code(), Some(77), "a file that others can change");
    assert_eq!(run(&["--nonsense", "--config"]).status.code(), Some(64));
    drop(way.room().join("egress.sock").metadata().unwrap_err());
    std::io::stdout().flush().unwrap();
}
