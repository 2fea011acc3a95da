//! The audit log and the host, looked at by an admin.

use std::sync::Arc;

use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{AuditBreak, AuditVerifyOut, Finding, Page};

use crate::audit::{Filter, ReadError};
use crate::domain::action::Action;
use crate::vault::Vault;
use crate::vault::ask::Ask;
use crate::vault::caller::Caller;
use crate::vault::refusal::Refusal;
use crate::vault::request_id::RequestId;

/// Which entries are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entries {
    /// The newest ones.
    Last(usize),
    /// Those that match, after a sequence.
    Matching {
        /// What they must say.
        filter: Filter,
        /// Where the last page ended.
        after: u64,
        /// At most so many.
        most: usize,
    },
}

/// Reads entries of the audit log, oldest first.
///
/// # Errors
/// The door's; `audit_unavailable` where the log cannot be read.
pub async fn entries(
    vault: &Arc<Vault>,
    caller: &Caller,
    request: RequestId,
    wanted: Entries,
) -> Result<Page<serde_json::Value>, Refusal> {
    let permit = vault.admit(caller, Ask::new(&request, Action::AuditRead).on("entries"))?;
    let log = Arc::clone(vault.audit());
    let read = apart(move || match wanted {
        Entries::Last(count) => log.last(count),
        Entries::Matching { filter, after, most } => log.query(&filter, after, most),
    });
    let read = read.await.and_then(|page| {
        let page = page.map_err(|why| {
            tracing::error!(%why, "the audit log could not be read");
            Refusal::new(
                Code::AuditUnavailable,
                "the audit log cannot be read; audit verify says where it breaks",
            )
        })?;
        let items = page.entries.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>();
        let items = items.map_err(|why| Refusal::integrity("audit entry", &why))?;
        Ok(Page { items, next: page.next.map(|sequence| sequence.to_string()) })
    });
    permit.settle(read, |_| None).await
}

/// Verifies the whole audit log.
///
/// # Errors
/// The door's. A break is a result, not an error.
pub async fn verify(
    vault: &Arc<Vault>,
    caller: &Caller,
    request: RequestId,
) -> Result<AuditVerifyOut, Refusal> {
    let permit = vault.admit(caller, Ask::new(&request, Action::AuditRead).on("verify"))?;
    let log = Arc::clone(vault.audit());
    let verified = apart(move || log.verify()).await.map(|verified| match verified {
        Ok(whole) => {
            AuditVerifyOut { intact: true, entries: whole.entries, files: whole.files, first_break: None }
        }
        Err(found) => AuditVerifyOut {
            intact: false,
            entries: found.entries,
            files: found.files,
            first_break: Some(describe(found.error)),
        },
    });
    permit.settle(verified, |_| None).await
}

fn describe(error: ReadError) -> AuditBreak {
    match error {
        ReadError::Damaged(found) => AuditBreak {
            file: found.file,
            line: found.line,
            kind: found.kind.as_str().to_owned(),
            detail: found.detail,
        },
        ReadError::Unreadable(file, why) => {
            AuditBreak { file, line: 0, kind: "unreadable".to_owned(), detail: why.to_string() }
        }
    }
}

/// Looks at the host.
///
/// # Errors
/// The door's.
pub async fn examine(
    vault: &Vault,
    caller: &Caller,
    request: RequestId,
    look: &(dyn Fn() -> Vec<Finding> + Send + Sync),
) -> Result<Vec<Finding>, Refusal> {
    let permit = vault.admit(caller, Ask::new(&request, Action::StatusRead).on("host"))?;
    let mut findings = look();
    findings.push(vault.examine_quarantine());
    findings.extend(vault.examine_store());
    permit.settle(Ok(findings), |_| None).await
}

/// Reading many files must not hold up those who are served.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|why| {
        tracing::error!(%why, "reading the audit log did not end");
        Refusal::new(Code::Internal, "reading the audit log did not end")
    })
}
