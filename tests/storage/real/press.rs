//! Writers that go on when they are refused, and count by which answer.
//!
//! Never writes again to a thing of which nobody knows whether the last change was made, before it was looked at.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::daemon::{Daemon, Line, Place};
use crate::ledger::Finding;
use crate::writer::Writer;

/// What is shared by the writers of one trial.
#[derive(Default)]
pub(crate) struct Press {
    /// How often each refusal came, by status and code.
    pub(crate) refusals: Mutex<BTreeMap<String, u64>>,
    pub(crate) findings: Mutex<Vec<String>>,
    /// The fault is over.
    over: AtomicBool,
}

impl Press {
    /// Writes until the daemon is gone.
    pub(crate) fn write(&self, writer: &mut Writer, place: &Place) {
        while let Ok(line) = Line::to(&place.socket()) {
            let Err(refused) = writer.write(line) else { return };
            let refusal = name(&refused);
            *self.refusals.lock().unwrap().entry(refusal.clone()).or_default() += 1;
            if refusal.starts_with("507") {
                thread::sleep(Duration::from_millis(3));
                continue;
            }
            while !self.over.load(Ordering::Relaxed) {
                // It may have ended.
                if Line::to(&place.socket()).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(10));
            }
            let Ok(line) = Line::to(&place.socket()) else { return };
            // It may be killed while it is asked: the next start is asked again.
            let Ok(found) = catch_unwind(AssertUnwindSafe(|| writer.examine(line))) else { return };
            if Line::to(&place.socket()).is_err() {
                return;
            }
            self.findings.lock().unwrap().extend(found.iter().map(ToString::to_string));
        }
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refusals.lock().unwrap().values().sum()
    }

    pub(crate) fn is_over(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// `507 storage_full`, of a refusal.
fn name(refused: &Finding) -> String {
    let what = refused.what.as_str();
    let (before, body) = what.split_at(what.find(" {\"").unwrap_or(what.len()));
    let status = before.rsplit(' ').next().unwrap_or_default();
    let code = body.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next());
    code.map_or_else(|| what.to_owned(), |code| format!("{status} {code}"))
}

/// Whether it takes a change, with what it says otherwise.
pub(crate) fn takes_changes(daemon: &Daemon) -> Result<(), String> {
    let line = Line::to(&daemon.place().socket());
    let asked = line.and_then(|mut line| line.ask("PUT", "/v1/orgs/healed", &[], ""));
    match asked {
        Ok(answer) if answer.status < 300 => Ok(()),
        Ok(answer) => Err(answer.refusal()),
        Err(error) => Err(error.to_string()),
    }
}
