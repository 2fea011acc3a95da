//! The process that tries one thing: it takes the daemon's rules upon itself, then tries, and says what came of it.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokenkeep::daemon::config::Config;
use tokenkeep::daemon::sandbox;
use tokenkeep::os::sandbox::{self as walls, FileWall, OnForbidden, Rules, SandboxError};
use tokenkeep::os::{resolver, user};

use crate::attempts::{self, Attempt, Needs};
use crate::crash;
use crate::room::{Room, Surroundings};

/// Which code tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// That which put up the walls.
    Boot,
    /// A thread of the runtime that takes what blocks, made by one of its workers.
    Blocking,
    /// A worker of the runtime.
    Worker,
}

pub(crate) const PLACES: &[Place] = &[Place::Boot, Place::Blocking, Place::Worker];

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Blocking => "blocking",
            Self::Worker => "worker",
        }
    }
}

/// `NAME PLACE MODE` and the surroundings.
pub(crate) fn attempt(arguments: &[String]) -> ExitCode {
    let [name, place, mode, rest @ ..] = arguments else { panic!("more arguments") };
    let around = Surroundings::of(rest);
    if crash::happens(name) {
        return ExitCode::SUCCESS;
    }
    let attempt = attempts::named(name);
    let on_forbidden = if mode == "tell" { OnForbidden::Tell } else { OnForbidden::End };
    let rules = rules(&around, attempt.needs, on_forbidden);
    resolver::keep_to_files_and_dns();
    // As the daemon does, which reads its keys on one that ends before: what tokio makes once is made then.
    drop(tokio::runtime::Builder::new_current_thread().enable_all().build());
    let wall = walls::enter(&rules, Duration::from_secs(1)).expect("walls");
    if wall == FileWall::Absent && attempt.needs_landlock() {
        println!("the kernel has no Landlock");
        return ExitCode::SUCCESS;
    }
    match from(place, move || (attempt.act)(&around)) {
        Ok(()) => println!("done"),
        Err(errno) => println!("refused {errno}"),
    }
    ExitCode::SUCCESS
}

type Outcome = Result<(), i32>;

fn from(place: &str, act: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    if place == Place::Boot.name() {
        return act();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let is_worker = place == Place::Worker.name();
    let task = runtime.spawn(async move {
        if is_worker { act() } else { tokio::task::spawn_blocking(act).await.expect("an end") }
    });
    runtime.block_on(task).expect("an end")
}

/// Those of a daemon with this configuration.
fn rules(around: &Surroundings, needs: Needs, on_forbidden: OnForbidden) -> Rules {
    let key = around.at("keys/..data/root.key");
    let root_key = match needs {
        Needs::Calls | Needs::Files => {
            format!("source = \"file\"\npath = \"{}\"", key.display())
        }
        Needs::Network => format!(
            "source = \"openbao\"\naddress = \"http://127.0.0.1:{}\"\npath = \"x\"\ntoken = {{ file = \"{}\" }}",
            around.configured,
            key.display()
        ),
    };
    let text = format!(
        "environment = \"development\"\nstate_directory = \"{}\"\n[root_key]\n{root_key}\n",
        around.state().display()
    );
    let config =
        Config::parse(text.as_bytes(), Path::new("t.toml"), &user::resolve).expect("a configuration");
    sandbox::rules(&config, around.at("etc"), [], on_forbidden).expect("rules")
}

/// A thread that is there already would stay outside.
pub(crate) fn refuses_company() {
    let room = Room::new();
    let around = Surroundings::of(&room.arguments());
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || stopped.recv());
    let rules = rules(&around, Needs::Calls, OnForbidden::End);
    let refused = walls::enter(&rules, Duration::from_millis(50));
    assert!(matches!(refused, Err(SandboxError::Threads(2))), "{refused:?}");
    drop(stop);
    drop(other.join());
    // Nothing was put up halfway.
    std::process::Command::new("true").status().expect("a program is run");
}

impl Attempt {
    fn needs_landlock(&self) -> bool {
        self.needs != Needs::Calls
    }
}
