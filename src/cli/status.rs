//! `status` and `doctor`: what runs, what is wrong.
//!
//! Never says ready of a daemon that does not say so itself.

use tokenkeep_client::Request;
use tokenkeep_client::wire::{DoctorOut, Finding, PrincipalOut, Status};

use super::Session;
use super::failure::Failure;
use super::output::Exit;

impl Session {
    pub(super) async fn status(&mut self) -> Result<Exit, Failure> {
        let status = self.client.status().await?;
        self.screen.show(&status, lines);
        Ok(if status.ready { Exit::Done } else { Exit::Daemon })
    }

    pub(super) async fn doctor(&mut self) -> Result<Exit, Failure> {
        let doctor: DoctorOut = self.client.send(&Request::get("/admin/v1/doctor")).await?.read()?;
        self.screen.show(&doctor, |doctor| doctor.findings.iter().flat_map(finding).collect());
        let failed = doctor.findings.iter().any(|finding| finding.level == "fail");
        Ok(if failed { Exit::Refused } else { Exit::Done })
    }
}

fn lines(status: &Status) -> Vec<String> {
    let ready = if status.ready { "ready" } else { "not ready" };
    let you = &status.principal;
    let (store, audit) = (&status.store, &status.audit);
    let mut lines = vec![
        format!("tokenkeepd   {}, {ready}", status.version),
        format!("vault        {}", status.vault_id),
        format!("environment  {}", status.environment),
        format!("you          {} ({}){}", you.name, you.proof, process(you)),
        format!(
            "store        {}, {} records, sequence {}, index {}",
            with_reason(&store.state, store.reason.as_deref()),
            store.records,
            store.sequence,
            store.index
        ),
        format!(
            "audit        {}, sequence {}",
            with_reason(&audit.state, audit.reason.as_deref()),
            audit.sequence
        ),
    ];
    if let Some(quarantine) = &status.quarantine {
        let (reason, since) = (&quarantine.reason, quarantine.since);
        lines.push(format!("QUARANTINE   this store may be a copy ({reason}, since {since})"));
    }
    if !status.lacks.is_empty() {
        lines.push(format!("LACKS        {}: a build for tests only", status.lacks.join(", ")));
    }
    lines.extend(status.key_pages.as_ref().map(|pages| format!("keys         in {pages} memory")));
    let locked = |is_locked| if is_locked { "locked" } else { "not locked: the swap can take it" };
    lines.extend(status.locked_memory.map(|is_locked| format!("memory       {}", locked(is_locked))));
    lines
}

fn process(you: &PrincipalOut) -> String {
    let part = |name: &str, number: Option<u32>| number.map(|number| format!(", {name} {number}"));
    [part("uid", you.uid), part("pid", you.pid)].into_iter().flatten().collect()
}

pub(super) fn finding(finding: &Finding) -> Vec<String> {
    let mut lines = vec![format!("{:<4}  {}: {}", finding.level, finding.check, finding.detail)];
    lines.extend(finding.mend.as_ref().map(|mend| format!("      mend: {mend}")));
    lines
}

fn with_reason(state: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| state.to_owned(), |reason| format!("{state} ({reason})"))
}
