//! The engine over a real vault and a provider that does as it is told, in hours that pass in seconds.
//!
//! The hard problem: the store has threads of its own, and a clock that runs on while they work measures nothing. The
//! answer: time moves by the test alone, a second at a time, and not before everything that is under way has ended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod issuer;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use tokenkeep_client::wire::{ConnectionOut, ConnectionState, TokenSet};
use tokio::task::JoinSet;

use super::*;
use crate::clock::{Clock, ManualClock, SteadyClock, Turn};
use crate::crypto::key_list::RootKeys;
use crate::domain::policy::Policy;
use crate::domain::provider::Providers;
use crate::domain::rate::Rate;
use crate::store::Store;
use crate::store::embedded::EmbeddedStore;
use crate::vault::application_keys::ApplicationKeys;
use crate::vault::caller::Caller;
use crate::vault::connections::Condition;
use crate::vault::open::Options;
use crate::vault::open_orgs::Bounds;
use issuer::{Answers, Issuer};

const KEY: &[u8] = b"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
const CONNECTIONS: usize = 1000;

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_284_000)
}

/// A vault, its engine, and the time.
struct World {
    _directory: TempDir,
    /// What passes, whatever the time of day.
    passed: Arc<ManualClock>,
    clock: Arc<SteadyClock>,
    /// By how much the time of day is wrong.
    set_by: Mutex<Duration>,
    turns: Mutex<Vec<Turn>>,
    issuer: Issuer,
    vault: Arc<Vault>,
    store: Arc<EmbeddedStore>,
    caller: Arc<Caller>,
    requests: RequestIds,
    refresh: Refresh,
}

impl World {
    async fn new(settings: &Settings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let passed = Arc::new(ManualClock::at(start()));
        let counted = Arc::clone(&passed);
        let counted = move || counted.now().duration_since(UNIX_EPOCH).unwrap();
        let clock = Arc::new(SteadyClock::new(start(), Box::new(counted)));
        let issuer = Issuer::start();
        let (vault, store) = open(directory.path(), &clock, &issuer).await;
        let refresh = Refresh::of(&vault, Door::Direct, settings);
        let caller = Arc::new(vault.task("tests"));
        let (requests, org) = (RequestIds::new(), org());
        vault.create_org(&caller, requests.next(), org).await.unwrap();
        let (set_by, turns) = Default::default();
        Self {
            _directory: directory,
            passed,
            clock,
            set_by,
            turns,
            issuer,
            vault,
            store,
            caller,
            requests,
            refresh,
        }
    }

    /// Each with a token that lives so long.
    async fn fill(&self, life: u64) {
        let mut puts = JoinSet::new();
        for number in 0..CONNECTIONS {
            let (vault, caller, request) = (self.vault.clone(), self.caller.clone(), self.requests.next());
            let set = format!(r#"{{"access_token":"a","refresh_token":"r{number}","expires_in":{life}}}"#);
            let set: TokenSet = serde_json::from_str(&set).unwrap();
            puts.spawn(async move {
                vault.put_connection(&caller, request, org(), id(number), set, Condition::None).await
            });
        }
        while let Some(put) = puts.join_next().await {
            put.unwrap().unwrap();
        }
    }

    fn work(&self) {
        tokio::spawn(self.refresh.clone().work_ahead());
    }

    /// Lets time pass, a second at a time. Gives the calls of each.
    async fn pass(&self, seconds: u64) -> Vec<usize> {
        let mut calls = Vec::new();
        for _ in 0..seconds {
            let before = self.issuer.calls();
            self.passed.advance(Duration::from_secs(1));
            let turn = self.clock.follow(self.time_of_day());
            self.turns.lock().unwrap().extend(turn);
            if matches!(turn, Some(Turn::Taken(_))) {
                self.refresh.requeue().await;
            }
            self.settle().await;
            calls.push(self.issuer.calls() - before);
        }
        calls
    }

    fn time_of_day(&self) -> SystemTime {
        self.passed.now() + *self.set_by.lock().unwrap()
    }

    /// Until nothing is under way. While a thread is waited for, time stands still.
    async fn settle(&self) {
        loop {
            let nap = || std::thread::sleep(Duration::from_micros(300));
            tokio::task::spawn_blocking(nap).await.unwrap();
            let is_idle =
                self.refresh.0.flights().is_empty() && self.refresh.0.ahead.is_idle(self.vault.since_epoch());
            if is_idle {
                return;
            }
        }
    }

    async fn all(&self) -> Vec<ConnectionOut> {
        let mut all = Vec::new();
        for number in 0..CONNECTIONS {
            let (request, id) = (self.requests.next(), id(number));
            all.push(self.vault.show_connection(&self.caller, request, &org(), &id).await.unwrap());
        }
        all
    }

    async fn dead(&self) -> usize {
        self.all().await.iter().filter(|one| one.state != ConnectionState::Active).count()
    }

    /// Waits until each connection has had a new token set. Gives the seconds that it took.
    async fn recovered(&self, most: u64) -> u64 {
        for minute in 1..=most / 60 {
            self.pass(60).await;
            if self.all().await.iter().all(|one| one.generation >= 2) {
                return minute * 60;
            }
        }
        panic!("not all have recovered after {most} s");
    }

    fn close(self) {
        self.store.close();
        self.vault.audit().close();
    }
}

async fn open(
    directory: &Path,
    clock: &Arc<SteadyClock>,
    issuer: &Issuer,
) -> (Arc<Vault>, Arc<EmbeddedStore>) {
    let clock = Arc::<SteadyClock>::clone(clock);
    Vault::open(Options {
        state_directory: directory.to_owned(),
        audit_directory: directory.join("audit"),
        audit_sync: crate::audit::Sync::DEFAULT,
        environment: "test".to_owned(),
        root_keys: RootKeys::parse(KEY).unwrap(),
        policy: Policy::new(Vec::new()).unwrap(),
        providers: Providers::Named(vec![Arc::new(issuer.provider())]),
        application_keys: ApplicationKeys::default(),
        org_keys: Bounds::default(),
        machine: "test".to_owned(),
        own_uid: 1000,
        clock,
        store: crate::store::embedded::Sizes::default(),
        retention: crate::store::embedded::Retention::Covered,
        progress: Box::new(|_| {}),
    })
    .await
    .unwrap()
}

fn org() -> OrgId {
    OrgId::parse("acme").unwrap()
}

fn id(number: usize) -> ConnectionId {
    format!("idp/c{number}").parse().unwrap()
}

/// Counts lines of the log at level `error`, in this thread.
#[derive(Clone, Default)]
struct Alerts(Arc<AtomicUsize>);

impl Alerts {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl tracing::Subscriber for Alerts {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// 1,000 connections are due within a minute and a half, and the provider answers each of them like this for ten minutes.
async fn broken(answers: Answers) {
    let alerts = Alerts::default();
    let _listening = alerts.listen();
    let world = World::new(&Settings::default()).await;
    world.fill(900).await;
    world.work();
    world.pass(560).await;
    assert_eq!(world.issuer.calls(), 0, "nothing is due yet");
    world.issuer.answer(answers);
    world.pass(600).await;
    let (calls, dead) = (world.issuer.calls(), world.dead().await);
    println!("{answers:?}: {calls} calls in 10 minutes, {dead} dead, {} alerts", alerts.count());
    assert!((2..20).contains(&calls), "{calls} calls");
    assert_eq!((dead, alerts.count()), (0, 1));

    world.issuer.answer(Answers::Tokens);
    let took = world.recovered(3600).await;
    println!(
        "mended: all have recovered by themselves after {took} s, {} calls in all",
        world.issuer.calls()
    );
    assert_eq!((world.dead().await, alerts.count()), (0, 1));
    world.close();
}

#[tokio::test]
async fn a_thousand_connections_with_a_broken_secret() {
    broken(Answers::InvalidClient).await;
}

/// As with a client id of another environment: it knows our client, and of each token it says that it is none.
#[tokio::test]
async fn a_thousand_connections_of_which_each_is_refused() {
    broken(Answers::InvalidGrant).await;
}

#[tokio::test]
async fn there_is_no_herd_after_two_hours_without_a_daemon() {
    // As fast as may be: what spreads is the schedule, not the rate.
    let settings = Settings { concurrency: 16, rate: Rate::HIGHEST, ..Settings::default() };
    let world = World::new(&settings).await;
    world.fill(3600).await;
    // Nothing works meanwhile; then a daemon starts over the same vault.
    world.passed.advance(Duration::from_secs(7200));
    let refresh = Refresh::of(&world.vault, Door::Direct, &settings);
    let world = World { refresh, ..world };
    world.refresh.recover().await;
    world.work();
    let calls = world.pass(660).await;
    let most = calls.iter().max().copied().unwrap_or_default();
    let minutes: Vec<usize> = calls.chunks(60).map(|minute| minute.iter().sum()).collect();
    println!("calls of each minute: {minutes:?}; {most} in one second at the most");
    assert_eq!(calls.iter().sum::<usize>(), CONNECTIONS);
    assert!(minutes[..10].iter().all(|minute| (60..=140).contains(minute)), "a tenth of them each");
    assert!(most <= 10, "{most} in one second");
    world.close();
}

#[tokio::test]
async fn a_clock_that_jumps_refreshes_nobody_and_ends_no_token() {
    let world = World::new(&Settings::default()).await;
    world.fill(7200).await;
    world.work();
    *world.set_by.lock().unwrap() = Duration::from_secs(86_400);
    let calls: usize = world.pass(600).await.iter().sum();
    assert_eq!(calls, 0, "it is not followed");
    let token = world.vault.survey_of(&org(), &id(7)).unwrap().unwrap();
    assert!(token.life.expires_at.unwrap() > world.vault.moment(), "and no token has ended");
    assert_eq!(*world.turns.lock().unwrap(), [Turn::Jumped(86_400)]);

    let calls = world.pass(660).await;
    assert_eq!(world.turns.lock().unwrap().last(), Some(&Turn::Taken(86_400)), "unless it stands");
    let minutes: Vec<usize> = calls.chunks(60).map(|minute| minute.iter().sum()).collect();
    println!("calls of each minute after the new time was taken: {minutes:?}");
    assert_eq!(calls.iter().sum::<usize>(), CONNECTIONS);
    assert!(minutes.iter().all(|minute| *minute <= 140), "spread");
    world.close();
}
