//! Users of this host, by name or number (passwd(5), through NSS).
//!
//! The hard problem: NSS loads whatever library the host has set up, and inside the sandbox nothing is loaded. The
//! answer: names are asked for at start, and what was learnt then is remembered.
//!
//! Never guesses: a name that does not resolve is an error, not somebody else.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use nix::unistd::{User, geteuid};

/// Why there is no user id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserError {
    /// Neither a name nor a number that a user can have.
    Invalid,
    /// Nobody had asked for it when the daemon started, and nobody can be asked any more.
    TooLate,
    /// The user database does not answer.
    Unreadable(String),
    /// There is no such user on this host.
    Unknown,
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid => f.write_str("neither a user name nor a user id"),
            Self::TooLate => f.write_str("a user of whom nothing was asked when the daemon started"),
            Self::Unreadable(why) => write!(f, "the user database does not answer: {why}"),
            Self::Unknown => f.write_str("there is no such user on this host"),
        }
    }
}

impl std::error::Error for UserError {}

/// The id of the user with this name, or with this number. A number needs no entry in the user database:
/// systemd's dynamic users and users of other containers have none.
///
/// # Errors
/// See [`UserError`].
pub fn resolve(name_or_uid: &str) -> Result<u32, UserError> {
    if let Some(uid) = number(name_or_uid) {
        return uid;
    }
    if name_or_uid.contains('\0') {
        return Err(UserError::Invalid);
    }
    match User::from_name(name_or_uid) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err(UserError::Unknown),
        Err(error) => Err(UserError::Unreadable(error.desc().to_owned())),
    }
}

/// The number, where it is one.
fn number(name_or_uid: &str) -> Option<Result<u32, UserError>> {
    // The highest is (uid_t) -1, which means "no change" to chown(2) and is nobody.
    let parse = || name_or_uid.parse().ok().filter(|&uid| uid != u32::MAX).ok_or(UserError::Invalid);
    name_or_uid.bytes().all(|b| b.is_ascii_digit()).then(parse)
}

/// The users that were asked for while they could be.
#[derive(Debug, Default)]
pub struct Users {
    known: Mutex<BTreeMap<String, u32>>,
}

impl Users {
    /// As [`resolve`], and remembers it.
    ///
    /// # Errors
    /// See [`UserError`].
    pub fn learn(&self, name_or_uid: &str) -> Result<u32, UserError> {
        let uid = resolve(name_or_uid)?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name_or_uid.to_owned(), uid);
        Ok(uid)
    }

    /// A number, or what was learnt.
    ///
    /// # Errors
    /// `TooLate` for any other name.
    pub fn recall(&self, name_or_uid: &str) -> Result<u32, UserError> {
        match number(name_or_uid) {
            Some(uid) => uid,
            None => {
                let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.get(name_or_uid).copied().ok_or(UserError::TooLate)
            }
        }
    }
}

/// The user that this process acts as.
#[must_use]
pub fn effective() -> u32 {
    geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_resolve_and_nothing_else_does() {
        assert_eq!(resolve("root"), Ok(0));
        assert_eq!(resolve("4294967294"), Ok(4_294_967_294));
        assert_eq!(resolve("4294967295"), Err(UserError::Invalid));
        assert_eq!(resolve("99999999999"), Err(UserError::Invalid));
        assert_eq!(resolve(""), Err(UserError::Invalid));
        assert_eq!(resolve("no-such-user-here"), Err(UserError::Unknown));
        assert_eq!(resolve("a\0b"), Err(UserError::Invalid));
    }

    #[test]
    fn what_was_learnt_is_recalled_and_nothing_else() {
        let users = Users::default();
        assert_eq!(users.recall("root"), Err(UserError::TooLate));
        assert_eq!(users.learn("root"), Ok(0));
        assert_eq!((users.recall("root"), users.recall("1207")), (Ok(0), Ok(1207)));
        assert_eq!(users.recall("daemon"), Err(UserError::TooLate));
    }
}
