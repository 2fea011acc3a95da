//! What went wrong, what to do, and the exit code that goes with it.
//!
//! The client says whose fault it is; this is the one place where that becomes words for an admin.
//!
//! Never carries bytes of the input.

use std::io;
use std::path::Path;

use serde::Serialize;
use tokenkeep_client::problem::Problem;
use tokenkeep_client::{Error, Transport};

use super::output::{Exit, Format, Plain, complain};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    code: String,
    detail: String,
    mend: String,
    request_id: Option<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    detail: &'a str,
    mend: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl Failure {
    /// Failed on this side.
    pub(super) fn here(code: &str, detail: impl Into<String>) -> Self {
        Self {
            exit: Exit::Refused,
            code: code.into(),
            detail: detail.into(),
            mend: String::new(),
            request_id: None,
        }
    }

    /// The command line is wrong.
    pub(super) fn usage(detail: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::here("usage", detail) }
    }

    /// The daemon did not do its part.
    pub(super) fn daemon(code: &str, detail: impl Into<String>) -> Self {
        Self { exit: Exit::Daemon, ..Self::here(code, detail) }
    }

    /// Says what to do.
    pub(super) fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: mend.into(), ..self }
    }

    /// Says which daemon it was, where none was reached.
    pub(super) fn at(self, socket: &Path) -> Self {
        if self.code == "no_daemon" || self.code == "socket_denied" {
            let detail = format!("{} at {}", self.detail, socket.display());
            return Self { detail, ..self };
        }
        self
    }

    /// Prints it and hands on the exit code.
    pub(super) fn report(&self, format: Format) -> Exit {
        match format {
            Format::Json => self.report_json(),
            Format::Text => self.report_text(),
        }
        self.exit
    }

    fn report_json(&self) {
        let error = Body {
            code: &self.code,
            detail: &self.detail,
            mend: &self.mend,
            request_id: self.request_id.as_deref(),
        };
        if let Ok(document) = serde_json::to_string(&Document { error }) {
            complain(&document);
        }
    }

    fn report_text(&self) {
        let request = self.request_id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default();
        complain(&Plain(format!("error: {}{request}", self.detail)));
        if !self.mend.is_empty() {
            complain(&Plain(format!("mend: {}", self.mend)));
        }
    }

    fn of_problem(problem: &Problem, exit: Exit, mend: impl Into<String>) -> Self {
        let detail = if problem.detail.is_empty() { &problem.title } else { &problem.detail };
        Self {
            exit,
            code: problem.code.clone(),
            detail: detail.clone(),
            mend: mend.into(),
            request_id: Some(problem.request_id.clone()).filter(|id| !id.is_empty()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Busy { problem, .. } => {
                let wait = problem.retry_after.map_or_else(String::new, |s| format!(" in {s} seconds"));
                Self::of_problem(&problem, Exit::Refused, format!("run it again{wait}"))
            }
            Error::Caller(problem) => Self::of_problem(&problem, Exit::Refused, refused(&problem.code)),
            Error::Owner { problem, .. } => {
                Self::of_problem(&problem, Exit::Refused, "have the owner of the connection connect again")
            }
            Error::Provider(problem) => {
                Self::of_problem(&problem, Exit::Refused, "see the provider's status page, then run it again")
            }
            Error::Transport(transport) => Self::from(transport),
            Error::Vault(problem) => Self::of_problem(&problem, Exit::Daemon, failed(&problem.code)),
        }
    }
}

impl From<Transport> for Failure {
    fn from(transport: Transport) -> Self {
        let look = "see whether the change was made before you run it again; `tokenkeep audit tail` shows it";
        match transport {
            Transport::Connect(io::ErrorKind::PermissionDenied) => {
                Self::daemon("socket_denied", "you may not open the admin socket")
                    .mend("run this as root or as a member of the group that owns the socket")
            }
            Transport::Connect(kind) => Self::daemon("no_daemon", format!("no daemon answers ({kind})")).mend(
                "start it (systemctl start tokenkeepd), or name its socket with --socket or TOKENKEEP_ADMIN",
            ),
            Transport::Deadline => Self::daemon("deadline", transport.to_string())
                .mend("the daemon is overloaded: see its log, then run it again"),
            Transport::Lost => Self::daemon("lost", transport.to_string()).mend(look),
            Transport::Protocol(_) | Transport::TooLarge(_) => Self::daemon("protocol", transport.to_string())
                .mend("see that the socket is tokenkeepd's and that both are of one version"),
            Transport::Silent => Self::daemon("silent", transport.to_string()).mend(look),
        }
    }
}

/// What to do about a refusal.
fn refused(code: &str) -> &'static str {
    match code {
        "already_exists" => "choose another name, or leave it as it is",
        "conflict" | "precondition_failed" => "look at what is stored now (show), then decide anew",
        "cross_org" | "forbidden" => "have the configuration of the daemon allow it, or ask someone who may",
        "forwarded_request" => "speak to the socket itself, not through a proxy",
        "not_found" => "see what there is with the list command",
        "scope_not_allowed" => {
            "ask the provider for fewer scopes, or extend allowed_scopes in its configuration"
        }
        "too_large" => "an access token may have 16 KiB, a secret 64 KiB",
        "unauthenticated" => "run this as a user that the configuration names as admin",
        "unknown_provider" => "configure the provider, or see that its id is spelt right",
        _ => "change the request: the daemon's log has the same request id",
    }
}

/// What to do about a vault that fails.
fn failed(code: &str) -> &'static str {
    match code {
        "audit_unavailable" => {
            "see that the audit directory can be written and has room; `tokenkeep doctor` says more"
        }
        "integrity" => {
            "run `tokenkeep doctor` and `tokenkeep audit verify`; restore the record from a backup"
        }
        "not_ready" => "`tokenkeep status` says why; run it again when the daemon is ready",
        "storage_full" => "make room on the file system of the state directory",
        _ => "`tokenkeep doctor` and the daemon's log say more",
    }
}
