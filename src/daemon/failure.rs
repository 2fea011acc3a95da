//! Why the daemon ends otherwise than asked: each fault of starting has one exit code, given here.

use std::fmt::Display;

use super::application_keys::ApplicationKeyError;
use super::exit::Exit;
use super::providers::ProviderError;
use super::root_keys::RootKeyError;
use crate::audit;
use crate::store::embedded;
use crate::vault::header::HeaderError;
use crate::vault::open::OpenError;

/// The code, and one line that says what to do.
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) line: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, why: &dyn Display) -> Self {
        Self { exit, line: why.to_string() }
    }
}

pub(super) fn of_root_key(why: &RootKeyError) -> Failure {
    let exit = match why {
        RootKeyError::Absent(_) => Exit::RootKeyAbsent,
        RootKeyError::Refused(_) => Exit::Unsafe,
        RootKeyError::NotAList(_) => Exit::RootKeyWrong,
        RootKeyError::Unusable(_) => Exit::Configuration,
    };
    Failure::new(exit, why)
}

pub(super) fn of_application_key(why: &ApplicationKeyError) -> Failure {
    Failure::new(why.exit(), why)
}

pub(super) fn of_provider(why: &ProviderError) -> Failure {
    Failure::new(why.exit(), why)
}

pub(super) fn of_open(why: &OpenError) -> Failure {
    let exit = match why {
        OpenError::Header(HeaderError::ForeignEnvironment { .. }) => Exit::Configuration,
        OpenError::Header(HeaderError::RootKeyMissing(_)) | OpenError::RootKeyMissing { .. } => {
            Exit::RootKeyWrong
        }
        OpenError::Audit(audit::OpenError::Insecure(_))
        | OpenError::Header(HeaderError::Insecure(_) | HeaderError::NoRoom) => Exit::Unsafe,
        OpenError::Store(embedded::OpenError::Busy(_)) => Exit::Configuration,
        OpenError::Audit(_)
        | OpenError::AuditCutOff(_)
        | OpenError::AuditUnavailable(_)
        | OpenError::AuditUnreadable(_)
        | OpenError::Header(_)
        | OpenError::LogMissing(_)
        | OpenError::Store(_)
        | OpenError::Unreadable(_) => Exit::Storage,
    };
    Failure::new(exit, why)
}
