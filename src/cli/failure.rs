//! What went wrong, what to do, and the exit code that goes with it.
//!
//! The client says whose fault it is; this is the one place where that becomes words for an admin.
//!
//! Never carries bytes of the input.

use std::io;
use std::path::Path;

use serde::Serialize;
use tokenkeep_client::problem::{Code, Problem};
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

    /// Whether the daemon refused with this code.
    pub(super) fn is(&self, code: Code) -> bool {
        self.code == code.as_str()
    }

    /// Says what to do.
    pub(super) fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: mend.into(), ..self }
    }

    /// Says what to do besides.
    pub(super) fn mend_also(self, mend: impl Into<String>) -> Self {
        let mends = [self.mend, mend.into()];
        let mend = mends.iter().filter(|mend| !mend.is_empty()).cloned().collect::<Vec<_>>().join("; ");
        Self { mend, ..self }
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

    fn of_problem(problem: &Problem, exit: Exit) -> Self {
        let detail = if problem.detail.is_empty() { &problem.title } else { &problem.detail };
        Self {
            exit,
            code: problem.code.clone(),
            detail: detail.clone(),
            mend: mend(Code::parse(&problem.code)).into(),
            request_id: Some(problem.request_id.clone()).filter(|id| !id.is_empty()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Busy { retry_after: Some(wait), problem } => Self::of_problem(&problem, Exit::Refused)
                .mend(format!("run it again in {} seconds", wait.as_secs())),
            Error::Busy { retry_after: None, problem } => {
                Self::of_problem(&problem, Exit::Refused).mend("run it again a little later")
            }
            Error::Caller(problem) | Error::Owner { problem, .. } => {
                Self::of_problem(&problem, Exit::Refused)
            }
            Error::Provider(problem) => Self::of_problem(&problem, Exit::Refused)
                .mend("see the provider's status page, then run it again"),
            Error::Transport(transport) => Self::from(transport),
            Error::Vault(problem) => Self::of_problem(&problem, Exit::Daemon),
        }
    }
}

impl From<Transport> for Failure {
    fn from(transport: Transport) -> Self {
        let look = "if it was, see whether the change was made before you run it again; `tokenkeep audit tail` shows it";
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
            Transport::Handshake(_) => Self::daemon("handshake", transport.to_string())
                .mend("see that the certificates are valid and of the CA that the other side knows"),
            Transport::Lost => Self::daemon("lost", transport.to_string()).mend(look),
            Transport::Protocol(_) | Transport::TooLarge(_) => Self::daemon("protocol", transport.to_string())
                .mend("see that the socket is tokenkeepd's and that both are of one version"),
            Transport::Silent => Self::daemon("silent", transport.to_string()).mend(look),
        }
    }
}

/// What to do about a code of the contract.
fn mend(code: Option<Code>) -> &'static str {
    match code {
        Some(Code::AlreadyExists) => "choose another name, or leave it as it is",
        Some(Code::AuditUnavailable) => {
            "see that the audit directory can be written and has room; `tokenkeep doctor` says more"
        }
        Some(Code::ClientMisconfigured) => {
            "mend client_id or client_secret of this [[provider]] and reload the daemon"
        }
        Some(Code::Conflict | Code::PreconditionFailed) => {
            "look at what is stored now (show), then decide anew"
        }
        Some(Code::ConsentRequired) => "record the org's consent with `tokenkeep consent record`",
        Some(Code::CrossOrg | Code::Forbidden) => {
            "have the configuration of the daemon allow it, or ask someone who may"
        }
        Some(Code::ForwardedRequest) => "speak to the socket itself, not through a proxy",
        Some(Code::Integrity) => {
            "run `tokenkeep doctor` and `tokenkeep audit verify`; restore the record from a backup"
        }
        Some(Code::NeedsReauth | Code::OutcomeUnknown) => "have the owner of the connection connect again",
        Some(Code::NotFound) => "see what there is with the list command",
        Some(Code::NotReady) => "`tokenkeep status` says why; run it again when the daemon is ready",
        Some(Code::ProviderError | Code::ProviderTimeout) => {
            "see how the provider is; the daemon asks again by itself"
        }
        Some(Code::Quarantined) => {
            "this store may be a copy; where it is the one, release the connection: `tokenkeep connection release`"
        }
        Some(Code::RateLimited | Code::RefreshInProgress) => "wait, then run it again",
        Some(Code::ScopeNotAllowed) => {
            "ask the provider for fewer scopes, or extend allowed_scopes in its configuration"
        }
        Some(Code::StorageFull) => "make room on the file system of the state directory",
        Some(Code::TooLarge) => "an access token may have 16 KiB, a secret 64 KiB",
        Some(Code::Unauthenticated) => "run this as a user that the configuration names as admin",
        Some(Code::UnknownProvider) => "configure the provider, or see that its id is spelt right",
        // The first is for the daemon's log to explain; the others mean that this program and the daemon differ.
        Some(
            Code::Internal
            | Code::HeadersTooLarge
            | Code::InvalidRequest
            | Code::MethodNotAllowed
            | Code::NotAcceptable
            | Code::UnsupportedMediaType,
        )
        | None => "the daemon's log says more under the same request id; see that both are of one version",
    }
}
