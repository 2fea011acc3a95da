//! `tokenkeep-doorman`: tells a daemon that sees no other users and no other processes who calls.
//!
//! The hard problem: whoever is believed about callers is worth as much as the daemon. The answer: it has no
//! configuration, no network, no state and no secret; it answers the one user who owns its socket; and all that it is
//! sent is a descriptor.
//!
//! Never reads from or writes to what it is shown; heeds nothing of its environment.

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Parser;

use crate::daemon::command_line;
use crate::daemon::exit::Exit;
use crate::os::activation::Handed;
use crate::os::peer;
use crate::os::service_manager::ServiceManager;
use crate::os::socket::{Audience, listen_at};
use crate::os::{crash, doorman, environment, hardening};

/// Connections at once: the daemon has one.
const MOST: usize = 8;

/// After a connection could not be accepted: out of descriptors, say.
const PAUSE: Duration = Duration::from_millis(50);

/// Tells tokenkeepd who calls, where the daemon cannot see it itself. Its socket is the service manager's.
#[derive(Debug, Parser)]
#[command(name = "tokenkeep-doorman", version)]
struct Arguments {
    /// Where to listen, where no service manager hands a socket over.
    #[arg(long, value_name = "SOCKET")]
    socket: Option<PathBuf>,
    /// Prints the manual, and ends.
    #[arg(long)]
    man: bool,
}

/// Runs the program to its end.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Exit {
    crash::tell_by_place();
    let arguments: Arguments = match command_line::read(arguments, |arguments: &Arguments| arguments.man) {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    let manager = ServiceManager::of_environment();
    let (exit, why) = match serve(arguments.socket, &manager) {
        Ok(never) => match never {},
        Err(ended) => ended,
    };
    let line = format!("{}: {why}", exit.reason());
    manager.status(&line);
    say(&line);
    exit
}

/// What there is none of.
enum Never {}

fn serve(socket: Option<PathBuf>, manager: &ServiceManager) -> Result<Never, (Exit, String)> {
    let wrong = |why: &dyn std::fmt::Display| (Exit::Configuration, why.to_string());
    let mut handed = Handed::of_environment().map_err(|why| wrong(&why))?;
    environment::forget();
    hardening::harden().map_err(|why| (Exit::Unsafe, why.to_string()))?;
    let found = handed.unix("doorman", socket.as_deref(), Audience::Owner).map_err(|why| wrong(&why))?;
    handed.end().map_err(|why| wrong(&why))?;
    let (listener, path) = match (found, socket) {
        (Some(found), _) => found,
        (None, Some(path)) => (listen_at(&path, Audience::Owner).map_err(|why| wrong(&why))?.0, path),
        (None, None) => {
            return Err(wrong(&"no service manager has handed over a socket; name one with --socket"));
        }
    };
    let owner = peer::owner_of(&path).map_err(|why| wrong(&why))?;
    listener.set_nonblocking(false).map_err(|why| (Exit::Fault, why.to_string()))?;
    manager.ready("says who calls");
    answer(&listener, owner)
}

fn answer(listener: &UnixListener, owner: u32) -> Result<Never, (Exit, String)> {
    let places = Arc::new(());
    loop {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(PAUSE);
            continue;
        };
        if !peer::uid_of(&stream).is_ok_and(|uid| uid == owner) {
            say("a caller was turned away: not the owner of the socket");
            continue;
        }
        if Arc::strong_count(&places) <= MOST {
            let place = Arc::clone(&places);
            let speak = move || {
                let _place = place;
                testify(stream);
            };
            drop(thread::Builder::new().name("testimony".into()).spawn(speak));
        }
    }
}

/// Until the daemon has heard enough.
fn testify(mut stream: UnixStream) {
    while doorman::testify(&mut stream).is_ok() {}
}

fn say(line: &str) {
    drop(std::io::stderr().write_all(format!("tokenkeep-doorman: {line}\n").as_bytes()));
}
