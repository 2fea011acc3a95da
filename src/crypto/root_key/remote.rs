//! What every remote secret manager has in common: how it is asked, and what it means when nobody answers.
//!
//! Never says anything about an answer: that is for those who know the manager.

use std::path::Path;

use zeroize::Zeroizing;

use super::SourceError;
use crate::net::connection::ConnectionError;
use crate::net::outbound::{Answer, Deadlines, Door, Endpoint, OutboundError, Request, Roots};
use crate::os::private_file::{self, PrivateFileError};

/// A key list of the longest kind, twice escaped, with what stands around it.
const LONGEST_ANSWER: usize = 256 * 1024;

/// Tokens that say who we are: JSON Web Tokens of a cluster have about 2 KiB.
const LONGEST_TOKEN: usize = 32 * 1024;

/// Gives a variable of the environment; one that is empty counts as not set.
pub type Variables = dyn Fn(&str) -> Option<Zeroizing<String>> + Send + Sync;

/// The variables of this process. What stands in one is there for as long as the process is.
#[must_use]
pub fn environment(name: &str) -> Option<Zeroizing<String>> {
    std::env::var(name).ok().map(Zeroizing::new).filter(|value| !value.is_empty())
}

/// Asks, and says what it means when there is no answer.
pub(super) fn ask(
    door: &Door,
    endpoint: &Endpoint,
    roots: &Roots,
    request: Request,
    deadlines: Deadlines,
) -> Result<Answer, SourceError> {
    door.exchange(endpoint, roots, request, LONGEST_ANSWER, deadlines)
        .map_err(|why| unanswered(endpoint, &why))
}

/// Why nobody answered, and the mend.
pub(super) fn unanswered(endpoint: &Endpoint, why: &OutboundError) -> SourceError {
    let what = format!("{endpoint} {why}");
    let mend = match why {
        OutboundError::Deadline(_) => NOT_REACHED,
        OutboundError::Unconnected(why) => of_connection(why),
        OutboundError::Host(_) => "see to the limits of the daemon's process",
        OutboundError::NotHttp | OutboundError::Tls(_) => {
            "see what answers there; the address may lead to another service"
        }
        OutboundError::Roots(_) => "see the setting ca",
        OutboundError::TooLarge(_) => "a key list is one Fernet key a line and nothing else",
        OutboundError::Untimely(_) => "see timedatectl; if the clock is right, renew the certificate",
        OutboundError::Untrusted(_) => {
            "nothing was sent; see who answers there, and name its certificate authority with ca if it has its own"
        }
    };
    let unanswered = match (why.is_unsafe(), why.is_retryable()) {
        (true, _) => SourceError::refused(what, mend),
        (_, true) => SourceError::retryable(what, mend),
        _ => SourceError::unusable(what, mend),
    };
    unanswered.because(why.reason())
}

const NOT_REACHED: &str = "see that it runs, and that the network and its firewalls let the daemon through";

fn of_connection(why: &ConnectionError) -> &'static str {
    match why {
        ConnectionError::ConnectDeadline | ConnectionError::Refused | ConnectionError::Unreachable => {
            NOT_REACHED
        }
        ConnectionError::Busy => "see what asks so much at once",
        ConnectionError::Egress(_) => {
            "see systemctl status tokenkeep-egress.socket, and [egress] in the configuration"
        }
        ConnectionError::Forbidden => {
            "nothing was sent; see who answers for the name; what is on this host is named by its address"
        }
        ConnectionError::Impostor(_) => {
            "nothing was sent; only root and the daemon's user may listen there, and be able to replace the socket"
        }
        ConnectionError::NotNamed => {
            "systemctl reload tokenkeep-egress, which reads the same configuration; see [egress] in docs/configuration.md"
        }
        ConnectionError::ResolveDeadline | ConnectionError::Unresolved => {
            "see that DNS works on this host, and that the name is right"
        }
    }
}

/// A token that an orchestrator puts into a file for us, and renews there. It links it from elsewhere and lets
/// others of the same sandbox read it; that nobody else can change it is what matters.
pub(super) fn projected_token(path: &Path) -> Result<Zeroizing<String>, SourceError> {
    let mend = "see that it is there before the daemon starts, and that nobody but root and the daemon's user can change it";
    let path = path.canonicalize().map_err(|why| {
        SourceError::retryable(format!("the token file {}: {}", path.display(), why.kind()), mend)
    })?;
    let bytes = private_file::read_configuration(&path, LONGEST_TOKEN).map_err(|why| judged(&why))?;
    as_header(&bytes).ok_or_else(|| {
        SourceError::unusable(format!("{} does not hold a token", path.display()), "see what wrote it")
    })
}

/// Whether a file that proves who we are is unsafe or of no use.
pub(super) fn judged(why: &PrivateFileError) -> SourceError {
    let what = why.to_string();
    match why {
        PrivateFileError::Loose(..) | PrivateFileError::Owner(..) => {
            SourceError::refused(what, "then replace what is in it, for others may have read or changed it")
        }
        PrivateFileError::NotRegular(_) => {
            SourceError::refused(what, "name the file itself, not a link to it")
        }
        PrivateFileError::Absent(_) | PrivateFileError::Io(..) | PrivateFileError::TooLarge(..) => {
            SourceError::unusable(
                what,
                "see that it is what it should be, and that the daemon's user can read it",
            )
        }
    }
}

/// The text of a token file, without the line's end; `None` unless it is one line of visible characters.
pub(super) fn as_header(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let token = bytes.trim_ascii();
    let is_visible = !token.is_empty() && token.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let token = std::str::from_utf8(token).ok().filter(|_| is_visible)?;
    Some(Zeroizing::new(token.to_owned()))
}
