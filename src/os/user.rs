//! Users of this host, by name or number (passwd(5), through NSS).
//!
//! Never guesses: a name that does not resolve is an error, not somebody else.

use std::fmt;

use nix::unistd::{User, geteuid};

/// Why there is no user id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserError {
    /// Neither a name nor a number that a user can have.
    Invalid,
    /// The user database does not answer.
    Unreadable(String),
    /// There is no such user on this host.
    Unknown,
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid => f.write_str("neither a user name nor a user id"),
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
    if name_or_uid.bytes().all(|b| b.is_ascii_digit()) {
        // The highest is (uid_t) -1, which means "no change" to chown(2) and is nobody.
        return name_or_uid.parse().ok().filter(|&uid| uid != u32::MAX).ok_or(UserError::Invalid);
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
}
