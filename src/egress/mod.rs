//! `tokenkeep-egress`: connects to the hosts that the configuration names, and hands the connected socket to the daemon,
//! which needs no network of its own then.
//!
//! The hard problem: what has a network is what is attacked from it, and what has keys must not be that. The answer: the
//! program that has the network has nothing else. It sees no key, no token and no plaintext, for TLS is done in the
//! daemon; it speaks to one user; and it connects to what one file names, read by the daemon's own code.
//!
//! Never reads from or writes to what it has connected; heeds nothing of its environment.

mod allowed;
mod door;
mod log;

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;

use crate::daemon::command_line;
use crate::daemon::config::{Config, ConfigError, DEFAULT_FILE};
use crate::daemon::exit::Exit;
use crate::net::outbound::Door as WayOut;
use crate::os::activation::{ActivationError, Handed};
use crate::os::service_manager::ServiceManager;
use crate::os::signals::{self, Said};
use crate::os::socket::{Audience, BoundSocket, SocketError, listen_at};
use crate::os::{crash, environment, hardening, peer, user};
use allowed::Allowed;
use door::Door;

/// Connects to the hosts that tokenkeepd's configuration names, for a daemon that has no network.
#[derive(Debug, Parser)]
#[command(name = "tokenkeep-egress", version)]
struct Arguments {
    /// The configuration file of tokenkeepd.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Prints where connections may go, and ends.
    #[arg(long)]
    check: bool,
    /// Prints the manual, and ends.
    #[arg(long)]
    man: bool,
}

/// Why it ends: the code, and one line that says what to do.
struct Failure(Exit, String);

/// Runs the program to its end.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Exit {
    crash::tell_by_place();
    let arguments: Arguments = match command_line::read(arguments, |arguments: &Arguments| arguments.man) {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    let manager = ServiceManager::of_environment();
    match boot_and_serve(&arguments, &manager) {
        Ok(()) => Exit::Stopped,
        Err(Failure(exit, why)) => {
            let line = format!("{}: {why}", exit.reason());
            manager.status(&line);
            log::say(&line);
            exit
        }
    }
}

fn boot_and_serve(arguments: &Arguments, manager: &ServiceManager) -> Result<(), Failure> {
    let handed = Handed::of_environment().map_err(of_activation)?;
    environment::forget();
    hardening::harden().map_err(|why| Failure(Exit::Unsafe, why.to_string()))?;
    let (config, socket) = load(&arguments.config)?;
    let allowed = Arc::new(Allowed::new(config.destinations()));
    if arguments.check {
        drop(std::io::stdout().write_all(allowed.to_string().as_bytes()));
        return Ok(());
    }
    let (listener, file) = listener(&socket, handed)?;
    // Nobody else is answered: the service manager gives the socket to the daemon's user (SocketUser=).
    let owner = peer::owner_of(&socket).map_err(|why| Failure(Exit::Fault, why.to_string()))?;
    // Before the first thread: each of them has them held back then.
    let signals = signals::hold().map_err(|why| Failure(Exit::Fault, why.to_string()))?;
    Door::open(listener, owner, Arc::clone(&allowed))
        .map_err(|why| Failure(Exit::Fault, format!("the listener does not start: {why}")))?;
    manager.ready(&status(&allowed));
    log::say(&format!("ready: {}", status(&allowed)));
    while signals.next().map_err(|why| Failure(Exit::Fault, why.to_string()))? == Said::Reload {
        reload(&arguments.config, &socket, &allowed, manager);
    }
    if let Some(file) = file {
        drop(file.remove());
    }
    Ok(())
}

/// The configuration, and where it says that this program listens.
fn load(file: &std::path::Path) -> Result<(Config, PathBuf), Failure> {
    let of = |why: ConfigError| Failure(why.exit(), why.to_string());
    let config = Config::load(file, &user::resolve).map_err(of)?;
    config.judge_user(user::effective()).map_err(of)?;
    match &config.door {
        WayOut::Egress(socket) => {
            let socket = socket.clone();
            Ok((config, socket))
        }
        WayOut::Direct => {
            let what = "there is no [egress], so the daemon connects by itself; add it, or do not start this";
            Err(Failure(Exit::Configuration, format!("{}: {what}", file.display())))
        }
    }
}

fn listener(
    socket: &std::path::Path,
    mut handed: Handed,
) -> Result<(UnixListener, Option<BoundSocket>), Failure> {
    let found = handed.unix("egress", Some(socket), Audience::Owner).map_err(of_activation)?;
    handed.end().map_err(of_activation)?;
    if let Some((listener, _)) = found {
        return Ok((listener, None));
    }
    let made = listen_at(socket, Audience::Owner).map_err(|why| {
        let exit =
            if matches!(why, SocketError::LooseDirectory(_)) { Exit::Unsafe } else { Exit::Configuration };
        Failure(exit, why.to_string())
    })?;
    Ok((made.0, Some(made.1)))
}

fn of_activation(why: ActivationError) -> Failure {
    let exit = match why {
        ActivationError::Loose(_) | ActivationError::Mode(_) => Exit::Unsafe,
        _ => Exit::Configuration,
    };
    Failure(exit, why.to_string())
}

/// Takes the destinations that the configuration names now, or leaves them as they were and says why.
fn reload(file: &std::path::Path, socket: &std::path::Path, allowed: &Allowed, manager: &ServiceManager) {
    manager.reloading();
    let refused = match load(file) {
        Ok((_, elsewhere)) if elsewhere != socket => {
            Some("[egress] cannot change while this runs; restart it".to_owned())
        }
        Ok((config, _)) => {
            allowed.replace(config.destinations());
            None
        }
        Err(Failure(_, why)) => Some(why),
    };
    let remark = refused.map(|why| format!("the last reload was refused: {why}"));
    log::say(remark.as_deref().unwrap_or("reloaded"));
    manager.ready(&[Some(status(allowed)), remark].into_iter().flatten().collect::<Vec<_>>().join("; "));
}

fn status(allowed: &Allowed) -> String {
    format!("connects to {} destinations", allowed.count())
}
