//! What the daemon still needs from outside once it has booted, as rules for the sandbox, and the entry into it.
//!
//! The hard problem: whatever is read again later (the configuration, certificates, the key list) may be another file
//! then, and must still be read. The answer: the directory in which a file is named is left open for reading, never
//! the file alone; where the name leads through a link to a neighbour (`..data`), that neighbour's directory too.
//!
//! Never leaves open what only the boot needs: programs, the user database, listening on a port.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::{Config, ConfigError, Demand};
use super::exit::Exit;
use super::failure::Failure;
use super::{alerts, providers, root_keys};
use crate::crypto::root_key::Reach;
use crate::crypto::root_key::credential::DIRECTORY_VARIABLE;
use crate::net::outbound::Door;
use crate::net::server::Key;
use crate::os::private_file;
use crate::os::sandbox::{self, FileWall, OnForbidden, Outbound, Rules};

/// What the kernel says of itself: who calls (`/proc/PID/cgroup`), how many processors there are and may be used, what
/// the swap lies on. Of other processes, Landlock hides what ptrace(2) would be needed for.
const KERNEL: [&str; 4] =
    ["/proc", "/sys/devices/system/cpu", "/sys/devices/virtual/block", "/sys/fs/cgroup"];

/// What a resolver reads (getaddrinfo(3), gai.conf(5), nsswitch.conf(5), resolv.conf(5)).
const RESOLVER: [&str; 5] =
    ["/etc/gai.conf", "/etc/host.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf"];

/// A resolver gives up sooner.
const PATIENCE: Duration = Duration::from_secs(60);

/// The walls that stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walls {
    /// Around files and system calls.
    Both(FileWall, OnForbidden),
    /// None, in a build that is made to show what they are for.
    None,
}

/// Puts the walls up. From here on, whatever thread comes.
pub(super) fn enter(config: &Config, rules: &Rules) -> Result<Walls, Failure> {
    if cfg!(feature = "dangerous-without-sandbox") {
        return Ok(Walls::None);
    }
    let wall = sandbox::enter(rules, PATIENCE).map_err(|why| Failure::new(Exit::Fault, &why))?;
    if wall == FileWall::Absent && config.sandbox.landlock == Demand::Required {
        let what = "the kernel has no Landlock, or a container hides it; it keeps the daemon to its own files; let the \
                    container have landlock_create_ruleset and the like, add landlock to lsm= on the \
                    kernel's command line, or set landlock = \"preferred\" in [sandbox]";
        return Err(Failure::new(Exit::Unsafe, &what));
    }
    Ok(Walls::Both(wall, rules.on_forbidden))
}

/// The rules. `configuration` is the directory of the file; `sockets` are those that the daemon made, and removes.
///
/// # Errors
/// The audit directory cannot be made: later it could not be either.
pub fn rules(
    config: &Config,
    configuration: PathBuf,
    sockets: impl IntoIterator<Item = PathBuf>,
    on_forbidden: OnForbidden,
) -> Result<Rules, ConfigError> {
    let mut read: Vec<PathBuf> = KERNEL.iter().map(PathBuf::from).collect();
    read.push(configuration);
    read.extend(of_mtls(config).iter().flat_map(|file| around(file)));
    let bucket = config.backup.as_ref().and_then(|backup| backup.place.bucket());
    let of_backups = bucket.map_or_else(Reach::default, |bucket| bucket.reach(&config.door));
    let reach =
        root_keys::reach(config).and(providers::reach(config)).and(alerts::reach(config)).and(of_backups);
    read.extend(reach.files.iter().flat_map(|file| around(file)));
    let outbound = match config.door {
        Door::Direct if !reach.ports.is_empty() => {
            read.extend(RESOLVER.iter().flat_map(|file| behind(Path::new(file))));
            Outbound::Ports(reach.ports)
        }
        Door::Direct | Door::Egress(_) => Outbound::None,
    };
    Ok(Rules {
        written: written(config)?,
        read,
        cleared: sockets.into_iter().filter_map(|socket| socket.parent().map(Path::to_owned)).collect(),
        outbound,
        on_forbidden,
    })
}

fn written(config: &Config) -> Result<Vec<PathBuf>, ConfigError> {
    let (state, audit) = (&config.state_directory, &config.audit.directory);
    let mut written = vec![state.clone()];
    if !audit.starts_with(state) {
        private_file::create_directory(audit)?;
        written.push(audit.clone());
    }
    written.extend(config.backup.as_ref().and_then(|backup| backup.place.directory()).map(Path::to_owned));
    Ok(written)
}

fn credentials() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from).filter(|directory| directory.is_absolute())
}

fn of_mtls(config: &Config) -> Vec<PathBuf> {
    let sources = config.listen.mtls.as_ref().and_then(|mtls| mtls.sources(credentials()));
    sources.map_or_else(Vec::new, |sources| {
        let (Key::Credential(key) | Key::File(key)) = sources.key;
        [sources.certificate, key, sources.client_ca].into_iter().chain(sources.crl).collect()
    })
}

/// The directories in which this file is looked for, whatever takes its place.
fn around(file: &Path) -> Vec<PathBuf> {
    let directory =
        |path: &Path| path.parent().filter(|parent| *parent != Path::new("/")).map(Path::to_owned);
    // Everything is in the root directory: there, the file as it is has to do.
    let mut open = vec![directory(file).unwrap_or_else(|| file.to_owned())];
    open.extend(file.ancestors().filter(|path| leads_to_neighbour(path)).filter_map(directory));
    open.extend(file.canonicalize().ok().as_deref().and_then(directory));
    open
}

/// Whether it is a link that is made to be turned to another directory beside it, as Kubernetes makes it.
fn leads_to_neighbour(path: &Path) -> bool {
    fs::read_link(path).is_ok_and(|target| target.components().count() == 1 && target.file_name().is_some())
}

/// A file in `/etc`, and where it leads elsewhere, the directory there. One that is replaced in `/etc` itself is not
/// seen until the next start: to open all of `/etc` for it would be too much.
fn behind(file: &Path) -> Vec<PathBuf> {
    let real = file.canonicalize().ok();
    let elsewhere = real.as_deref().and_then(Path::parent).filter(|parent| Some(*parent) != file.parent());
    std::iter::once(file).chain(elsewhere).map(Path::to_owned).collect()
}
