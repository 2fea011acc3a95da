//! A live connection: any bytes, to the real transport over the real vault.
//!
//! The hard problem: any client may send anything, and no bytes may make the daemon panic, hang or tell a token to
//! whom it is not meant for. The answer: who asks is chosen by the first byte, and what may come out is known.
//!
//! Never keeps a vault for long: what the inputs write must not make one run unlike the next.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;
use tokenkeep::audit::Sync;
use tokenkeep::clock::ManualClock;
use tokenkeep::crypto::key_list::RootKeys;
use tokenkeep::domain::policy::{ActionSet, Among, Client, Policy, UnixMatch};
use tokenkeep::domain::provider::Providers;
use tokenkeep::net::connection::ConnectionError;
use tokenkeep::net::outbound::{Door, OutboundError};
use tokenkeep::os::peer::Peer;
use tokenkeep::service::alerts::Alerts;
use tokenkeep::service::authorization::Authorizations;
use tokenkeep::service::oauth::check::Ask;
use tokenkeep::service::org_rotation::OrgRotation;
use tokenkeep::service::providers;
use tokenkeep::service::rotation::Rotation;
use tokenkeep::store::embedded::{Retention, Sizes};
use tokenkeep::transport::admin::AdminServices;
use tokenkeep::transport::application::Application;
use tokenkeep::transport::connection::serve;
use tokenkeep::transport::pulse::Deadlines;
use tokenkeep::transport::standing::Standing;
use tokenkeep::vault::Vault;
use tokenkeep::vault::application_keys::ApplicationKeys;
use tokenkeep::vault::connections::Condition;
use tokenkeep::vault::open::Options;
use tokenkeep::vault::open_orgs::Bounds;
use tokenkeep::vault::request_id::RequestIds;
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::secret::{AccessToken, RefreshToken};
use tokenkeep_client::wire::TokenSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::{ENVIRONMENT, KEY};

/// Inputs that one vault takes.
const INPUTS: u32 = 20_000;
/// Turns of every task in which nothing comes.
const TURNS: u32 = 16;
const ORG: &str = "kept";
const ACCESS_CANARY: &str = "access.CANARY.4f1d";
const REFRESH_CANARY: &str = "refresh.CANARY.93ab";

/// Who may ask, by user id: its orgs, and what it may do there.
const CLIENTS: [(u32, &str, &[&str]); 4] = [
    (1, ORG, &["org:read", "token:read", "refresh-token:read", "connection:read", "connection:list"]),
    (2, ORG, &["org:read", "token:read", "connection:list", "secret:*"]),
    (3, ORG, &["org:read", "connection:read", "connection:list", "secret:*"]),
    (4, "scratch", &["org:*", "connection:*", "token:read", "refresh-token:read", "secret:*"]),
];
/// It comes through the admin socket. Nobody is configured for the last user, 5.
const ADMIN: u32 = 0;
const USERS: u8 = 6;

struct Daemon {
    application: Arc<Application>,
    inputs: u32,
    runtime: Runtime,
    _directory: TempDir,
}

thread_local! {
    static DAEMON: RefCell<Option<Daemon>> = const { RefCell::new(None) };
}

/// Whatever is sent, the daemon answers or hangs up, and no token goes to whom it is not meant for.
pub fn connection(data: &[u8]) {
    let Some((who, sent)) = data.split_first() else { return };
    let uid = u32::from(who % USERS);
    DAEMON.with_borrow_mut(|daemon| {
        if daemon.as_ref().is_none_or(|daemon| daemon.inputs == INPUTS) {
            *daemon = None;
            *daemon = Some(Daemon::start());
        }
        let daemon = daemon.as_mut().expect("it was started");
        daemon.inputs += 1;
        let before = daemon.head();
        let answers = daemon.talk(uid, sent);
        judge(uid, sent, &answers, daemon.head() > before);
    });
}

fn judge(uid: u32, sent: &[u8], answers: &[u8], recorded: bool) {
    // HTTP/2 packs paths: what was asked cannot be seen.
    let packed = sent.starts_with(b"PRI * HTTP/2.0");
    let asked = |path: &[u8]| packed || holds(sent, path);
    if holds(answers, ACCESS_CANARY.as_bytes()) {
        assert!(matches!(uid, 1 | 2), "the access token went to user {uid}");
        assert!(asked(b"/token") || asked(b"/refresh"), "the access token went out unasked");
        assert!(recorded, "the access token went out unrecorded");
    }
    if holds(answers, REFRESH_CANARY.as_bytes()) {
        assert_eq!(uid, 1, "the refresh token went to user {uid}");
        assert!(asked(b"/refresh-token"), "the refresh token went out unasked");
        assert!(recorded, "the refresh token went out unrecorded");
    }
}

fn holds(bytes: &[u8], piece: &[u8]) -> bool {
    bytes.windows(piece.len()).any(|window| window == piece)
}

impl Daemon {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let directory = tempfile::tempdir().expect("a directory");
        let state = directory.path().join("state");
        std::fs::create_dir(&state).expect("a directory");
        let options = Options {
            audit_directory: state.join("audit"),
            state_directory: state,
            audit_sync: Sync::DEFAULT,
            environment: ENVIRONMENT.to_owned(),
            root_keys: root_keys(),
            policy: Policy::new(CLIENTS.map(client).to_vec()).expect("a policy"),
            providers: Providers::Any(Vec::new()),
            application_keys: ApplicationKeys::default(),
            org_keys: Bounds::default(),
            machine: "fuzz".to_owned(),
            own_uid: ADMIN,
            store: Sizes::default(),
            retention: Retention::Covered,
            progress: Box::new(|_| {}),
            clock: Arc::new(ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_700_000_000))),
        };
        let vault = runtime.block_on(async {
            let (vault, _store) = Vault::open(options).await.expect("a vault");
            keep_canaries(&vault).await;
            vault
        });
        // Nobody is asked: no provider has a client here.
        let nobody: Arc<Ask> =
            Arc::new(|_, _, _| Err(OutboundError::Unconnected(ConnectionError::Unresolved)));
        let admin = AdminServices {
            providers: providers::Providers::new(Arc::clone(&vault), nobody),
            rotation: Rotation::new(Arc::clone(&vault), Arc::new(|| Ok(root_keys()))),
            org_rotation: OrgRotation::new(Arc::clone(&vault), None),
            alerts: Alerts::new(Arc::clone(&vault), Door::Direct),
            backups: None,
            examine: Box::new(Vec::new),
        };
        let body_deadline = Duration::from_secs(5);
        let authorizations = Authorizations::of(&vault, Door::Direct);
        let request_ids = RequestIds::new();
        let application = Application { vault, authorizations, admin, request_ids, body_deadline };
        Self { application: Arc::new(application), inputs: 0, runtime, _directory: directory }
    }

    fn head(&self) -> u64 {
        self.application.vault.audit().health().head.sequence
    }

    /// Sends all, reads what comes, and hangs up.
    fn talk(&self, uid: u32, sent: &[u8]) -> Vec<u8> {
        let peer = Peer { uid, gid: uid, pid: 1, unit: None };
        let vault = &self.application.vault;
        let caller = if uid == ADMIN { vault.identify_admin(peer) } else { vault.identify(peer) };
        let deadlines = Deadlines { header: 5, idle: 5, request: 5 };
        self.runtime.block_on(async {
            let (theirs, ours) = tokio::io::duplex(16 * 1024);
            // Goes at the end; the daemon keeps running until then.
            let (_stop, stopping) = watch::channel(false);
            let application = Arc::clone(&self.application);
            let serving = tokio::spawn(serve(
                ours,
                application,
                Arc::new(caller),
                deadlines,
                Standing::Lasting,
                stopping,
            ));
            let (mut read, mut write) = tokio::io::split(theirs);
            let sent = sent.to_vec();
            let sending = tokio::spawn(async move {
                // The daemon may have hung up: that is its right.
                let _sent = write.write_all(&sent).await;
                write
            });
            let answers = read_until_quiet(&mut read, uid).await;
            sending.abort();
            drop((read, sending.await));
            serving.await.expect("the daemon does not panic");
            answers
        })
    }
}

/// Reads until the daemon hangs up, or has nothing more to say: it would wait for the next request for long, and
/// hyper takes the end of what is sent for the wish to hear nothing more.
async fn read_until_quiet(read: &mut ReadHalf<DuplexStream>, uid: u32) -> Vec<u8> {
    // Changes wait for the disk, which is another thread's; all else is done when every task had its turns.
    let changes = matches!(uid, ADMIN | 4);
    let mut answers = Vec::new();
    let mut quiet = 0;
    while quiet < TURNS {
        tokio::select! {
            biased;
            read = read.read_buf(&mut answers) => match read {
                Ok(1..) => quiet = 0,
                _ => break,
            },
            () = turn(changes && quiet + 1 == TURNS) => quiet += 1,
        }
    }
    answers
}

async fn turn(is_long: bool) {
    if is_long {
        tokio::time::sleep(Duration::from_millis(5)).await;
    } else {
        tokio::task::yield_now().await;
    }
}

fn root_keys() -> RootKeys {
    RootKeys::parse(KEY.as_bytes()).expect("a list")
}

fn client((uid, org, words): (u32, &str, &[&str])) -> Client {
    let actions = words.iter().map(|word| ActionSet::parse(word).expect("an action"));
    Client {
        name: format!("client-{uid}"),
        unix: Some(UnixMatch { uid, unit: None }),
        san: None,
        orgs: Among::Only(BTreeSet::from([OrgId::parse(org).expect("an org")])),
        providers: Among::Every,
        allow: actions.fold(ActionSet::default(), ActionSet::union),
        require_pass: false,
        rate: None,
    }
}

async fn keep_canaries(vault: &Arc<Vault>) {
    let (admin, ids) = (vault.task("fuzzing"), RequestIds::new());
    let admin = Arc::new(admin);
    let org = OrgId::parse(ORG).expect("an org");
    let _created = vault.create_org(&admin, ids.next(), org.clone()).await.expect("an org");
    let id: ConnectionId = "github/main".parse().expect("a connection");
    let mut set = TokenSet::new(AccessToken::new(ACCESS_CANARY.to_owned()));
    set.refresh_token = Some(RefreshToken::new(REFRESH_CANARY.to_owned()));
    let put = vault.put_connection(&admin, ids.next(), org, id, set, Condition::None).await;
    assert_eq!(put.expect("a connection").generation, 1);
}
