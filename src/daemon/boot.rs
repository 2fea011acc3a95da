//! The steps of starting: what must stand before the daemon serves, each with its own way of failing.
//!
//! The hard problem: what is read at boot (keys, certificates) needs threads and the network, and the walls must stand
//! before any thread that serves is born. The answer: what reads has a runtime of its own, which is gone when it has
//! read.
//!
//! Never serves.

use std::sync::Arc;
use std::time::Duration;

use super::alerts;
use super::application_keys;
use super::config::{Config, ConfigError, Demand};
use super::exit::Exit;
use super::failure::{Failure, of_application_key, of_provider, of_root_key};
use super::logging::Levels;
use super::providers;
use super::reload::Origin;
use super::root_keys;
use super::signals::Signals;
use crate::crypto::key_list::RootKeys;
use crate::os::doorman::Peers;
use crate::os::lock::{Lock, LockError};
use crate::os::service_manager::ServiceManager;
use crate::os::{private_file, resolver};
use crate::room::{self, SecretPages};
use crate::vault::application_keys::ApplicationKeys;

/// Threads for what blocks: admins' queries of the audit log and the reading of keys. Each that uses a key has a secret stack.
const BLOCKING_THREADS: usize = 32;

/// What the daemon has before it has a thread.
pub(super) struct Boot {
    pub(super) origin: Origin,
    pub(super) config: Config,
    pub(super) levels: Levels,
    pub(super) own_uid: u32,
    pub(super) manager: Arc<ServiceManager>,
    pub(super) peers: Arc<Peers>,
    /// Asked before the walls stand.
    pub(super) machine: String,
}

/// Before the first key: the pages in which keys stand.
pub(super) fn furnish(config: &Config) -> Result<(), Failure> {
    let wanted = match config.memory.secret_pages {
        Demand::Preferred => SecretPages::Preferred,
        Demand::Required => SecretPages::Required,
    };
    let kind = room::furnish(wanted).map_err(|why| Failure::new(Exit::Unsafe, &why))?;
    if kind != room::Kind::Secret {
        tracing::warn!(pages = kind.as_str(), "keys stand in memory that root can read");
    }
    Ok(())
}

/// The state directory, made where there is none, and ours alone from here on.
pub(super) fn own_state(config: &Config) -> Result<Lock, Failure> {
    private_file::create_directory(&config.state_directory).map_err(|why| {
        let why = ConfigError::from(why);
        Failure::new(why.exit(), &why)
    })?;
    Lock::take(&config.state_directory.join("lock")).map_err(|why| {
        let exit = if matches!(why, LockError::Held(_)) { Exit::Configuration } else { Exit::Storage };
        Failure::new(exit, &why)
    })
}

/// Its threads are born where this is called: within the walls.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    // On one core, threads only get in each other's way.
    let mut builder = match std::thread::available_parallelism() {
        Ok(cores) if cores.get() > 1 => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    builder
        .enable_all()
        .thread_name("tokenkeepd")
        .max_blocking_threads(BLOCKING_THREADS)
        // A thread that sleeps has its registers in every core.
        .on_thread_park(room::clear_registers)
        .build()
        .map_err(|why| of_runtime(&why))
}

/// Reads the keys, on threads that are gone when this returns; none where the daemon was told to stop meanwhile.
pub(super) fn fetch(boot: &Boot) -> Result<Option<(Keys, Signals)>, Failure> {
    resolver::keep_to_files_and_dns();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| of_runtime(&why))?;
    let fetched = runtime.block_on(async {
        let mut signals = Signals::catch().map_err(|why| Failure::new(Exit::Fault, &why))?;
        // From here on they are kept for whoever asks next: also between this runtime and the one that serves.
        tokio::select! {
            keys = await_keys(boot) => Ok(Some((keys?, signals))),
            () = signals.stop() => Ok(None),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    fetched
}

fn of_runtime(why: &std::io::Error) -> Failure {
    Failure::new(Exit::Fault, &format_args!("the runtime does not start: {why}"))
}

/// The keys that are read at boot.
pub(super) struct Keys {
    pub(super) root: RootKeys,
    pub(super) application: ApplicationKeys,
}

async fn await_keys(boot: &Boot) -> Result<Keys, Failure> {
    let (config, manager) = (boot.config.clone(), Arc::clone(&boot.manager));
    let waited = tokio::task::spawn_blocking(move || {
        let root = root_keys::await_at_boot(&config, &manager).map_err(|why| of_root_key(&why))?;
        let application = application_keys::read(&config, &root).map_err(|why| of_application_key(&why))?;
        providers::examine(&config).map_err(|why| of_provider(&why))?;
        alerts::examine(&config).map_err(|why| alerts::failure(&why))?;
        Ok(Keys { root, application })
    });
    let fault = |_| Failure::new(Exit::Fault, &"the reading of the keys did not end");
    waited.await.map_err(fault)?
}
