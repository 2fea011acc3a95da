//! The recipe of the daemon: from a command line to a vault that serves, and back to a process that has ended.
//!
//! Never serves without the root key, and needs its source no more once it has it.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Parser;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::application_keys;
use super::boot::{Boot, Keys, fetch, furnish, own_state, runtime};
use super::command_line;
use super::config::{AuditSync, Config, DEFAULT_FILE, Limits};
use super::exit::Exit;
use super::failure::{Failure, of_application_key, of_open, of_provider, of_root_key};
use super::logging;
use super::mtls;
use super::reload::{Origin, Place, Reload};
use super::root_keys;
use super::safety::{self, Safety};
use super::sandbox;
use super::signals::{Signals, Told};
use super::sockets::{Doors, Sockets, of_mtls};
use super::watchdog::{Said, Watchdog};
use super::{alerts, examination, progress, providers};
use crate::audit;
use crate::clock::SteadyClock;
use crate::domain::refresh::ANSWER_DEADLINE;
use crate::lacking;
use crate::net::server::TlsServer;
use crate::os::activation::Handed;
use crate::os::doorman::Peers;
use crate::os::sandbox::OnForbidden;
use crate::os::service_manager::ServiceManager;
use crate::os::{boottime, crash, hardening, identity, user};
use crate::service::alerts::Alerts;
use crate::service::authorization::Authorizations;
use crate::service::backup::Backups;
use crate::service::org_rotation::OrgRotation;
use crate::service::providers::Providers;
use crate::service::refresh::Refresh;
use crate::service::revocation::Revoker;
use crate::service::rotation::Rotation;
use crate::service::{boot_lease, idle_keys, scrub, timekeeping};
use crate::store::embedded::{EmbeddedStore, Retention};
use crate::store::{State, Store};
use crate::transport::admin::AdminServices;
use crate::transport::application::Application;
use crate::transport::listener::{Door, Entrance, Listener, Places, accept};
use crate::transport::pulse::Deadlines;
use crate::vault::Vault;
use crate::vault::open::Options;
use crate::vault::request_id::RequestIds;

/// What a connection gets beyond the deadline of a body when the daemon is asked to stop: for the work, the answer,
/// and the second in which it hears of it.
const DRAIN: Duration = Duration::from_secs(5);
/// Where the store or the audit log has failed nothing can be answered for any more: this is for the refusals.
const DRAIN_OF_FAILED: Duration = Duration::from_millis(500);
/// Beyond the drain: for the last syncs.
const CLOSE: Duration = Duration::from_secs(10);
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
    /// As --check, of the file alone: the root key and the certificates may be in credentials, which systemd gives
    /// only to the daemon itself.
    #[arg(long, conflicts_with = "check")]
    check_configuration: bool,
    /// Names each system call that the sandbox forbids on stderr, and refuses it, instead of ending: to find out what
    /// a new kernel or C library needs.
    #[arg(long)]
    sandbox_log: bool,
    /// Where tokenkeep-doorman listens, who says who calls: for a unit that hides other users and processes.
    #[arg(long, value_name = "SOCKET")]
    doorman: Option<PathBuf>,
    /// Prints the manual, and ends.
    #[arg(long)]
    man: bool,
}

/// Runs the daemon to its end.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Exit {
    crash::tell_by_place();
    let arguments: Arguments = match command_line::read(arguments, |arguments: &Arguments| arguments.man) {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    // First of all: they are the environment's, which belongs to every thread and child.
    let manager = Arc::new(ServiceManager::of_environment());
    match boot_and_serve(&arguments, &manager) {
        Ok(()) => Exit::Stopped,
        Err(failure) => {
            tracing::error!(exit = failure.exit.code(), "{}", failure.line);
            let line = format!("{}: {}", failure.exit.reason(), failure.line);
            manager.status(&line);
            say(&line);
            failure.exit
        }
    }
}

fn boot_and_serve(arguments: &Arguments, manager: &Arc<ServiceManager>) -> Result<(), Failure> {
    let handed = Handed::of_environment().map_err(|why| Failure::new(Exit::Configuration, &why))?;
    hardening::harden().map_err(|why| Failure::new(Exit::Unsafe, &why))?;
    let place = match &arguments.dev {
        Some(directory) => Place::Development(directory.clone()),
        None => Place::File(arguments.config.clone()),
    };
    let origin = Origin { place, users: Arc::default() };
    let config = origin.load().map_err(|why| Failure::new(why.exit(), &why))?;
    let own_uid = user::effective();
    config.judge_build(lacking::parts()).map_err(|why| Failure::new(why.exit(), &why))?;
    config.judge_user(own_uid).map_err(|why| Failure::new(why.exit(), &why))?;
    let levels = logging::begin(&config.log).map_err(|why| Failure::new(Exit::Configuration, &why))?;
    if !arguments.check_configuration {
        furnish(&config)?;
    }
    if arguments.check || arguments.check_configuration {
        return check(&config, arguments.check.then_some(manager));
    }
    let memory = safety::secure_memory(&config)?;
    let _lock = own_state(&config)?;
    let sockets = Sockets::open(&config, handed)?;
    let peers = Arc::new(Peers::new(arguments.doorman.clone()));
    let boot = Boot {
        origin,
        config,
        levels,
        own_uid,
        manager: Arc::clone(manager),
        peers,
        machine: identity::machine(),
    };
    let Some((keys, signals)) = fetch(&boot)? else {
        let (listeners, files) = sockets.part();
        drop(listeners);
        files.remove();
        return Ok(());
    };
    let on_forbidden = if arguments.sandbox_log { OnForbidden::Tell } else { OnForbidden::End };
    let rules = sandbox::rules(&boot.config, boot.origin.directory(), sockets.made(), on_forbidden)
        .map_err(|why| Failure::new(why.exit(), &why))?;
    let safety = Safety { memory, walls: sandbox::enter(&boot.config, &rules)? };
    // Its threads are born within the walls.
    let runtime = runtime()?;
    let served = runtime.block_on(serve(boot, keys, sockets, signals, safety));
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

/// Says what it found; with the root keys, where there is somebody to tell of the wait for them.
fn check(config: &Config, waits: Option<&Arc<ServiceManager>>) -> Result<(), Failure> {
    let keys = match waits {
        Some(manager) => {
            config.listen.mtls.as_ref().map(mtls::read).transpose().map_err(of_mtls)?;
            let keys = root_keys::await_at_boot(config, manager).map_err(|why| of_root_key(&why))?;
            application_keys::read(config, &keys).map_err(|why| of_application_key(&why))?;
            providers::examine(config).map_err(|why| of_provider(&why))?;
            alerts::examine(config).map_err(|why| alerts::failure(&why))?;
            format!(", {} root keys", keys.iter().count())
        }
        None => String::new(),
    };
    say(&format!(
        "the configuration is fine: environment {}, {} clients, {} providers{keys}",
        config.environment,
        config.policy.clients().len(),
        config.providers.len(),
    ));
    Ok(())
}

async fn serve(
    boot: Boot,
    keys: Keys,
    sockets: Sockets,
    mut signals: Signals,
    safety: Safety,
) -> Result<(), Failure> {
    let Boot { origin, config, levels, own_uid, manager, peers, machine } = boot;
    let served = Config { listen: sockets.found(&config.listen), ..config.clone() };
    let clock = Arc::new(SteadyClock::new(SystemTime::now(), Box::new(boottime::since_boot)));
    let options = Options { machine, ..options(&config, keys, own_uid, &manager, Arc::clone(&clock)) };
    let (vault, store) = Vault::open(options).await.map_err(|why| of_open(&why))?;
    let alerts = Alerts::new(Arc::clone(&vault), config.door.clone());
    alerts.tell_to(config.alerts.webhook.clone(), config.alerts.waiting);
    vault.tell_of_quarantine().await;
    let refresh = Refresh::of(&vault, config.door.clone(), &config.refresh);
    let revoker = Revoker::of(&vault, config.door.clone());
    let authorizations = Authorizations::of(&vault, config.door.clone());
    let (stop, stopping) = watch::channel(false);
    let ready = ready_line(&sockets, origin.is_development());
    let (doors, files) = sockets.part();
    let tls = doors.mtls.as_ref().map(|door| Arc::clone(&door.tls));
    let backups = backups(&config, &vault, &store);
    let beside = (&alerts, &authorizations, backups.clone());
    let application = application(&served, safety, &vault, beside, tls.clone());
    let org_rotation = Arc::clone(&application.admin.org_rotation);
    let mut listeners = listen(&served.limits, &application, doors, &peers, &stopping);
    let (say_beside, said) = watch::channel(Said { phase: "serving", remark: None });
    let watchdog = Watchdog {
        manager: Arc::clone(&manager),
        vault: Arc::clone(&vault),
        store: Arc::clone(&store),
        said,
    };
    tell_ready(&config, &ready, &manager, &watchdog);
    let watching = manager.listens().then(|| tokio::spawn(watchdog.clone().run()));
    let keeping = tls.clone().map(|tls| tokio::spawn(mtls::keep(tls)));
    let forgetting = Some(tokio::spawn(idle_keys::let_go(Arc::clone(&vault))));
    let scrubbing = Some(tokio::spawn(scrub::run(Arc::clone(&vault), config.store.scrub_per_second)));
    let leasing = Some(tokio::spawn(boot_lease::keep(Arc::clone(&vault))));
    let recovering = {
        let refresh = refresh.clone();
        tokio::spawn(async move { refresh.recover().await })
    };
    let counting = {
        let vault = Arc::clone(&vault);
        tokio::spawn(async move { vault.take_census().await })
    };
    org_rotation.resume();
    let telling = tokio::spawn(Arc::clone(&alerts).run());
    let backing_up = backups.map(|backups| tokio::spawn(backups.run()));
    let ahead = tokio::spawn(refresh.clone().work_ahead());
    let revoking = tokio::spawn(async move { revoker.run().await });
    let sweeping = {
        let authorizations = authorizations.clone();
        tokio::spawn(async move { authorizations.sweep().await })
    };
    let keeping_time = tokio::spawn(timekeeping::watch(clock, refresh.clone()));
    let drain_deadline = config.limits.body_deadline + DRAIN;
    let mut reload = Reload { origin, config, vault: Arc::clone(&vault), tls, levels, alerts, own_uid };
    let ended = loop {
        match until_told(&mut signals, (&store, &vault), &mut listeners).await {
            Ok(Told::Reload) => {
                manager.reloading();
                let remark =
                    reload.run().await.err().map(|why| format!("the last reload was refused: {why}"));
                match &remark {
                    None => tracing::info!("reloaded"),
                    Some(remark) => tracing::error!("{remark}"),
                }
                say_beside.send_modify(|said| said.remark = remark);
                manager.ready(&watchdog.status());
            }
            Ok(Told::Stop) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    let drain_deadline = if has_failed(&ended) { DRAIN_OF_FAILED } else { drain_deadline };
    say_beside.send_modify(|said| said.phase = "draining");
    manager.stopping(
        "draining: requests in flight are answered first",
        drain_deadline + ANSWER_DEADLINE + CLOSE,
    );
    stop.send_replace(true);
    drain(&mut listeners, &mut signals, drain_deadline).await;
    // What is closed does not answer.
    let tasks = [watching, keeping, forgetting, leasing, backing_up, scrubbing];
    let also = [counting, recovering, ahead, keeping_time, telling, revoking, sweeping];
    for task in tasks.into_iter().flatten().chain(also) {
        task.abort();
    }
    listeners.shutdown().await;
    // Where the store takes nothing more, nothing can land. Without the audit log it can: the next start writes the entry.
    let landing = if is_poisoned(&store) { Duration::ZERO } else { ANSWER_DEADLINE };
    refresh.land(landing).await;
    authorizations.land(landing).await;
    org_rotation.land(landing).await;
    close(&vault, store).await;
    files.remove();
    tracing::info!("stopped");
    ended
}

fn options(
    config: &Config,
    keys: Keys,
    own_uid: u32,
    manager: &Arc<ServiceManager>,
    clock: Arc<SteadyClock>,
) -> Options {
    Options {
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
        providers: config.who_may_hold_tokens(),
        org_keys: config.limits.org_keys,
        machine: String::new(),
        own_uid,
        clock,
        store: config.store.sizes,
        retention: match config.backup {
            Some(_) => Retention::BackedUp,
            None => Retention::Covered,
        },
        progress: progress::of_index(Arc::clone(manager)),
    }
}

fn backups(config: &Config, vault: &Arc<Vault>, store: &Arc<EmbeddedStore>) -> Option<Arc<Backups>> {
    let settings = config.backup.clone()?;
    let repository = settings.place.repository(&config.door)?;
    Some(Backups::new((vault, store), &config.state_directory, settings, repository))
}

fn application(
    config: &Config,
    safety: Safety,
    vault: &Arc<Vault>,
    (alerts, authorizations, backups): (&Arc<Alerts>, &Authorizations, Option<Arc<Backups>>),
    tls: Option<Arc<TlsServer>>,
) -> Arc<Application> {
    let look = examination::of(config, safety, tls);
    let of_backups = backups.clone();
    let examine = move || {
        let backups = of_backups.iter().flat_map(|backups| backups.examine());
        look().into_iter().chain(backups).collect()
    };
    Arc::new(Application {
        vault: Arc::clone(vault),
        authorizations: authorizations.clone(),
        admin: AdminServices {
            rotation: Rotation::new(Arc::clone(vault), root_keys::reader(config)),
            org_rotation: OrgRotation::new(Arc::clone(vault), backups.clone()),
            providers: Providers::new(Arc::clone(vault), providers::asking(&config.door)),
            alerts: Arc::clone(alerts),
            backups,
            examine: Box::new(examine),
        },
        request_ids: RequestIds::new(),
        body_deadline: config.limits.body_deadline,
    })
}

fn listen(
    limits: &Limits,
    application: &Arc<Application>,
    doors: Doors,
    peers: &Arc<Peers>,
    stopping: &watch::Receiver<bool>,
) -> JoinSet<std::io::Result<()>> {
    let ticks = |span: Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX).max(1);
    let deadlines = Deadlines {
        header: ticks(limits.header_deadline),
        idle: ticks(limits.idle_deadline),
        request: ticks(limits.body_deadline).saturating_mul(6),
    };
    let mut listeners = JoinSet::new();
    let places = Places { all: limits.connections, user: limits.connections_per_user };
    let local = [
        (Door::Unix(doors.application, Entrance::Application, Arc::clone(peers)), places),
        (Door::Unix(doors.admin, Entrance::Admin, Arc::clone(peers)), ADMIN_PLACES),
    ];
    let remote = doors.mtls.map(|door| (Door::Mtls(door.socket, door.tls), places));
    for (door, places) in local.into_iter().chain(remote) {
        let listener = Listener { door, places, deadlines, application: Arc::clone(application) };
        listeners.spawn(accept(listener, stopping.clone()));
    }
    listeners
}

fn ready_line(sockets: &Sockets, development: bool) -> String {
    let (socket, admin) = (sockets.application.path.display(), sockets.admin.path.display());
    let mut line = format!("tokenkeepd is ready: socket {socket}, admin socket {admin}");
    if let Some(address) = sockets.mtls.as_ref().and_then(mtls::MtlsDoor::address) {
        line.push_str(&format!(", mTLS {address}"));
    }
    if development {
        line.push_str(
            "; FOR DEVELOPMENT ONLY: your user may do everything, and the root key lies beside the data",
        );
    }
    let lacking = lacking::parts();
    if !lacking.is_empty() {
        line.push_str(&format!("; FOR TESTS ONLY: this build lacks {}", lacking.join(", ")));
    }
    line.push('\n');
    line
}

fn tell_ready(config: &Config, line: &str, manager: &ServiceManager, watchdog: &Watchdog) {
    tracing::info!(environment = config.environment, "ready");
    let lacking = lacking::parts();
    if !lacking.is_empty() {
        tracing::warn!(lacks = lacking.join(", "), "this build is for tests only");
    }
    drop(std::io::stdout().write_all(line.as_bytes()));
    manager.ready(&watchdog.status());
}

fn has_failed(ended: &Result<(), Failure>) -> bool {
    ended.as_ref().is_err_and(|failure| failure.exit == Exit::Storage)
}

fn is_poisoned(store: &EmbeddedStore) -> bool {
    matches!(store.health().state, State::Failed(_))
}

/// Waits for a signal, or for a store or an audit log that may not go on.
async fn until_told(
    signals: &mut Signals,
    (store, vault): (&EmbeddedStore, &Vault),
    listeners: &mut JoinSet<std::io::Result<()>>,
) -> Result<Told, Failure> {
    let mut state = store.watch();
    tokio::select! {
        told = signals.next() => Ok(told),
        failed = state.wait_for(|state| matches!(state, State::Failed(_))) => {
            let why = match failed.as_deref() {
                Ok(State::Failed(why)) => why.clone(),
                _ => "its thread is gone".to_owned(),
            };
            Err(Failure::new(Exit::Storage, &format_args!("the store has failed: {why}; mend the disk and start again")))
        }
        why = vault.audit().device_failure() => {
            let why = format!("the audit log has failed: {why}; mend the disk and start again");
            Err(Failure::new(Exit::Storage, &why))
        }
        Some(_) = listeners.join_next() => {
            Err(Failure::new(Exit::Fault, &"a listener ended by itself"))
        }
    }
}

/// Nobody is let in any more; who is in gets its answers, for so long, or until somebody is in a hurry.
async fn drain(listeners: &mut JoinSet<std::io::Result<()>>, signals: &mut Signals, deadline: Duration) {
    tokio::select! {
        () = async { while listeners.join_next().await.is_some() {} } => {}
        () = tokio::time::sleep(deadline) => tracing::warn!("connections were cut: they did not end in time"),
        () = signals.stop() => tracing::warn!("connections were cut: told to stop once more"),
    }
}

async fn close(vault: &Arc<Vault>, store: Arc<EmbeddedStore>) {
    if let Err(why) = vault.record_run("stop").await {
        tracing::warn!(%why, "the stop could not be recorded");
    }
    let audit = Arc::clone(vault.audit());
    let closed = tokio::task::spawn_blocking(move || {
        store.close();
        audit.close();
    });
    drop(closed.await);
}

/// One line on stderr, for whoever started the daemon.
fn say(line: &str) {
    drop(std::io::stderr().write_all(format!("tokenkeepd: {line}\n").as_bytes()));
}
