//! The recipe of the daemon: from a command line to a vault that serves, and back to a process that has ended.
//!
//! Never serves without the root key, and needs its source no more once it has it.

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::application_keys::{self, ApplicationKeyError};
use super::config::{AuditSync, Config, ConfigError, DEFAULT_FILE};
use super::exit::Exit;
use super::mtls::{self, MtlsDoor};
use super::root_keys::{self, RootKeyError};
use super::{examination, logging};
use crate::audit;
use crate::clock::SystemClock;
use crate::crypto::key_list::RootKeys;
use crate::domain::provider::Providers;
use crate::os::lock::{Lock, LockError};
use crate::os::socket::{Audience, BoundSocket, SocketError, listen_at};
use crate::os::{hardening, private_file, user};
use crate::service::rotation::Rotation;
use crate::store::embedded::{self, EmbeddedStore};
use crate::store::{State, Store};
use crate::transport::admin::AdminServices;
use crate::transport::application::Application;
use crate::transport::listener::{Door, Entrance, Listener, Places, accept};
use crate::transport::pulse::Deadlines;
use crate::vault::Vault;
use crate::vault::application_keys::ApplicationKeys;
use crate::vault::header::HeaderError;
use crate::vault::open::{OpenError, Options};
use crate::vault::request_id::RequestIds;

/// How long connections may take to end when the daemon is asked to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// Admins are few; their places are their own, so that a flood of applications never locks them out.
const ADMIN_PLACES: Places = Places { all: 64, user: 64 };

/// The daemon that keeps OAuth tokens.
#[derive(Debug, Parser)]
#[command(name = "tokenkeepd", version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// For development: a vault in DIR that lets your own user do everything; made where there is none.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    dev: Option<PathBuf>,
    /// Reads the configuration and the root key, says what it found, and ends.
    #[arg(long)]
    check: bool,
}

/// Why the daemon ends otherwise than asked: the code, and one line that says what to do.
struct Failure {
    exit: Exit,
    line: String,
}

impl Failure {
    fn new(exit: Exit, why: &dyn Display) -> Self {
        Self { exit, line: why.to_string() }
    }
}

/// Runs the daemon to its end.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Exit {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(shown) => {
            let usage = shown.use_stderr();
            drop(shown.print());
            return if usage { Exit::Usage } else { Exit::Stopped };
        }
    };
    match boot_and_serve(&arguments) {
        Ok(()) => Exit::Stopped,
        Err(failure) => {
            tracing::error!(exit = failure.exit.code(), "{}", failure.line);
            say(&format!("{}: {}", failure.exit.reason(), failure.line));
            failure.exit
        }
    }
}

fn boot_and_serve(arguments: &Arguments) -> Result<(), Failure> {
    hardening::harden().map_err(|why| Failure::new(Exit::Unsafe, &why))?;
    let config = match &arguments.dev {
        Some(directory) => Config::development(directory),
        None => Config::load(&arguments.config),
    };
    let config = config.map_err(|why| Failure::new(why.exit(), &why))?;
    let own_uid = user::effective();
    config.judge_user(own_uid).map_err(|why| Failure::new(why.exit(), &why))?;
    logging::begin(&config.log);
    if arguments.check {
        return check(&config);
    }
    let _lock = own_state(&config)?;
    let sockets = Sockets::bind(&config)?;
    let root_keys = root_keys::await_at_boot(&config).map_err(|why| of_root_key(&why))?;
    let application_keys =
        application_keys::read(&config, &root_keys).map_err(|why| of_application_key(&why))?;
    let keys = Keys { root: root_keys, application: application_keys };
    let runtime = runtime()?;
    let served = runtime.block_on(serve(&config, arguments.dev.is_some(), keys, own_uid, sockets));
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

fn check(config: &Config) -> Result<(), Failure> {
    config.listen.mtls.as_ref().map(mtls::read).transpose().map_err(of_mtls)?;
    let keys = root_keys::await_at_boot(config).map_err(|why| of_root_key(&why))?;
    application_keys::read(config, &keys).map_err(|why| of_application_key(&why))?;
    say(&format!(
        "the configuration is fine: environment {}, {} clients, {} providers, {} root keys",
        config.environment,
        config.policy.clients().len(),
        config.providers.len(),
        keys.iter().count()
    ));
    Ok(())
}

fn own_state(config: &Config) -> Result<Lock, Failure> {
    private_file::create_directory(&config.state_directory).map_err(|why| {
        let why = ConfigError::from(why);
        Failure::new(why.exit(), &why)
    })?;
    Lock::take(&config.state_directory.join("lock")).map_err(|why| {
        let exit = if matches!(why, LockError::Held(_)) { Exit::Configuration } else { Exit::Storage };
        Failure::new(exit, &why)
    })
}

/// The keys that are read at boot.
struct Keys {
    root: RootKeys,
    application: ApplicationKeys,
}

struct Sockets {
    application: (std::os::unix::net::UnixListener, BoundSocket),
    admin: (std::os::unix::net::UnixListener, BoundSocket),
    mtls: Option<MtlsDoor>,
}

impl Sockets {
    fn bind(config: &Config) -> Result<Self, Failure> {
        let refused = |why: SocketError| {
            let exit = if matches!(why, SocketError::LooseDirectory(_)) {
                Exit::Unsafe
            } else {
                Exit::Configuration
            };
            Failure::new(exit, &why)
        };
        Ok(Self {
            application: listen_at(&config.listen.unix, Audience::Everyone).map_err(refused)?,
            admin: listen_at(&config.listen.admin, Audience::Owner).map_err(refused)?,
            mtls: config.listen.mtls.as_ref().map(MtlsDoor::open).transpose().map_err(of_mtls)?,
        })
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    // On one core, threads only get in each other's way.
    let mut builder = match std::thread::available_parallelism() {
        Ok(cores) if cores.get() > 1 => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    builder
        .enable_all()
        .thread_name("tokenkeepd")
        .build()
        .map_err(|why| Failure::new(Exit::Fault, &format_args!("the runtime does not start: {why}")))
}

async fn serve(
    config: &Config,
    development: bool,
    keys: Keys,
    own_uid: u32,
    sockets: Sockets,
) -> Result<(), Failure> {
    let options = Options {
        state_directory: config.state_directory.clone(),
        audit_directory: config.audit.directory.clone(),
        audit_sync: match config.audit.sync {
            AuditSync::Always => audit::Sync::Always,
            AuditSync::Interval(span) => audit::Sync::Interval(span),
        },
        environment: config.environment.clone(),
        root_keys: keys.root,
        application_keys: keys.application,
        policy: config.policy.clone(),
        providers: if config.any_provider {
            Providers::Any
        } else {
            Providers::Named(config.providers.clone())
        },
        own_uid,
        clock: Arc::new(SystemClock),
    };
    let (vault, store) = Vault::open(options).await.map_err(|why| of_open(&why))?;
    let (stop, stopping) = watch::channel(false);
    let mut listeners = listen(config, &vault, &sockets, &stopping)?;
    let (terminate, interrupt) = (signals(SignalKind::terminate())?, signals(SignalKind::interrupt())?);
    tell_ready(config, development, sockets.mtls.as_ref());
    let keeping = sockets.mtls.as_ref().map(|door| tokio::spawn(mtls::keep(Arc::clone(&door.tls))));
    let ended = until_told(terminate, interrupt, &store, &mut listeners).await;
    keeping.inspect(tokio::task::JoinHandle::abort);
    stop.send_replace(true);
    let drained = tokio::time::timeout(DRAIN, async { while listeners.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!("connections were cut: they did not end in time");
    }
    close(&vault, store, sockets).await;
    ended
}

fn listen(
    config: &Config,
    vault: &Arc<Vault>,
    sockets: &Sockets,
    stopping: &watch::Receiver<bool>,
) -> Result<JoinSet<std::io::Result<()>>, Failure> {
    let ticks = |span: Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX).max(1);
    let limits = &config.limits;
    let application = Arc::new(Application {
        vault: Arc::clone(vault),
        admin: AdminServices {
            rotation: Rotation::new(Arc::clone(vault), root_keys::reader(config)),
            examine: examination::of(config, sockets.mtls.as_ref().map(|door| Arc::clone(&door.tls))),
        },
        request_ids: RequestIds::new(),
        body_deadline: limits.body_deadline,
    });
    let deadlines = Deadlines {
        header: ticks(limits.header_deadline),
        idle: ticks(limits.idle_deadline),
        request: ticks(limits.body_deadline).saturating_mul(6),
    };
    let mut listeners = JoinSet::new();
    let places = Places { all: limits.connections, user: limits.connections_per_user };
    let mut doors = vec![
        (sockets.application.0.try_clone().map(|socket| Door::Unix(socket, Entrance::Application)), places),
        (sockets.admin.0.try_clone().map(|socket| Door::Unix(socket, Entrance::Admin)), ADMIN_PLACES),
    ];
    doors.extend(sockets.mtls.as_ref().map(|door| {
        (door.socket.try_clone().map(|socket| Door::Mtls(socket, Arc::clone(&door.tls))), places)
    }));
    for (door, places) in doors {
        let door = door.map_err(|why| Failure::new(Exit::Fault, &why))?;
        let listener = Listener { door, places, deadlines, application: Arc::clone(&application) };
        listeners.spawn(accept(listener, stopping.clone()));
    }
    Ok(listeners)
}

fn signals(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind).map_err(|why| Failure::new(Exit::Fault, &why))
}

fn tell_ready(config: &Config, development: bool, mtls: Option<&MtlsDoor>) {
    tracing::info!(environment = config.environment, "ready");
    let (socket, admin) = (config.listen.unix.display(), config.listen.admin.display());
    let mut line = format!("tokenkeepd is ready: socket {socket}, admin socket {admin}");
    if let Some(address) = mtls.and_then(MtlsDoor::address) {
        line.push_str(&format!(", mTLS {address}"));
    }
    if development {
        line.push_str(
            "; FOR DEVELOPMENT ONLY: your user may do everything, and the root key lies beside the data",
        );
    }
    line.push('\n');
    drop(std::io::stdout().write_all(line.as_bytes()));
}

/// Waits for a signal, or for a store that may not go on.
async fn until_told(
    mut terminate: tokio::signal::unix::Signal,
    mut interrupt: tokio::signal::unix::Signal,
    store: &EmbeddedStore,
    listeners: &mut JoinSet<std::io::Result<()>>,
) -> Result<(), Failure> {
    let mut state = store.watch();
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        failed = state.wait_for(|state| matches!(state, State::Failed(_))) => {
            let why = match failed.as_deref() {
                Ok(State::Failed(why)) => why.clone(),
                _ => "its thread is gone".to_owned(),
            };
            Err(Failure::new(Exit::Storage, &format_args!("the store has failed: {why}; mend the disk and start again")))
        }
        Some(_) = listeners.join_next() => {
            Err(Failure::new(Exit::Fault, &"a listener ended by itself"))
        }
    }
}

async fn close(vault: &Arc<Vault>, store: Arc<EmbeddedStore>, sockets: Sockets) {
    if let Err(why) = vault.record_run("stop").await {
        tracing::warn!(%why, "the stop could not be recorded");
    }
    let audit = Arc::clone(vault.audit());
    let closed = tokio::task::spawn_blocking(move || {
        store.close();
        audit.close();
    });
    drop(closed.await);
    for (listener, file) in [sockets.application, sockets.admin] {
        drop(listener);
        if let Err(why) = file.remove() {
            tracing::warn!(%why, "a socket file could not be removed");
        }
    }
    tracing::info!("stopped");
}

fn of_root_key(why: &RootKeyError) -> Failure {
    let exit = match why {
        RootKeyError::Absent(_) => Exit::RootKeyAbsent,
        RootKeyError::Refused(_) => Exit::Unsafe,
        RootKeyError::NotAList(_) => Exit::RootKeyWrong,
        RootKeyError::Unusable(_) => Exit::Configuration,
    };
    Failure::new(exit, why)
}

fn of_application_key(why: &ApplicationKeyError) -> Failure {
    Failure::new(why.exit(), why)
}

fn of_mtls((exit, why): mtls::Fault) -> Failure {
    Failure::new(exit, &why)
}

fn of_open(why: &OpenError) -> Failure {
    let exit = match why {
        OpenError::Header(HeaderError::ForeignEnvironment { .. }) => Exit::Configuration,
        OpenError::Header(HeaderError::RootKeyMissing(_)) | OpenError::RootKeyMissing { .. } => {
            Exit::RootKeyWrong
        }
        OpenError::Audit(audit::OpenError::Insecure(_)) | OpenError::Header(HeaderError::Insecure(_)) => {
            Exit::Unsafe
        }
        OpenError::Store(embedded::OpenError::Busy(_)) => Exit::Configuration,
        OpenError::Audit(_)
        | OpenError::AuditCutOff(_)
        | OpenError::AuditUnavailable(_)
        | OpenError::AuditUnreadable(_)
        | OpenError::Header(_)
        | OpenError::LogMissing(_)
        | OpenError::Store(_)
        | OpenError::Unreadable => Exit::Storage,
    };
    Failure::new(exit, why)
}

/// One line on stderr, for whoever started the daemon.
fn say(line: &str) {
    drop(std::io::stderr().write_all(format!("tokenkeepd: {line}\n").as_bytes()));
}
