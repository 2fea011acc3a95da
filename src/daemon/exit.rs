//! How the daemon ends: the exit codes of the contract (sysexits.h where it has one that fits).
//!
//! Service managers act on them: only what waiting may mend is worth a restart (docs/exit-codes.md).
//!
//! Never a code that is not listed here.

use std::process::ExitCode;

/// An exit code, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Stopped as asked.
    Stopped = 0,
    /// The command line is wrong (`EX_USAGE`).
    Usage = 64,
    /// The root key is wrong or incomplete (`EX_DATAERR`).
    RootKeyWrong = 65,
    /// The root key is not to be had (`EX_UNAVAILABLE`).
    RootKeyAbsent = 69,
    /// A fault of ours (`EX_SOFTWARE`).
    Fault = 70,
    /// The storage is damaged or failing (`EX_IOERR`).
    Storage = 74,
    /// Refused for safety: permissions, limits, swap, the root user (`EX_NOPERM`).
    Unsafe = 77,
    /// The configuration is wrong (`EX_CONFIG`).
    Configuration = 78,
}

impl Exit {
    /// Every code there is.
    pub const ALL: &'static [Self] = &[
        Self::Stopped,
        Self::Usage,
        Self::RootKeyWrong,
        Self::RootKeyAbsent,
        Self::Fault,
        Self::Storage,
        Self::Unsafe,
        Self::Configuration,
    ];

    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Why, in words.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Stopped => "stopped as asked",
            Self::Usage => "wrong command line",
            Self::RootKeyWrong => "root key wrong or incomplete",
            Self::RootKeyAbsent => "root key not to be had",
            Self::Fault => "a fault of tokenkeep itself",
            Self::Storage => "storage damaged or failing",
            Self::Unsafe => "refused for safety",
            Self::Configuration => "wrong configuration",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page and the code are one list.
    #[test]
    fn every_code_is_documented() {
        let page = include_str!("../../docs/exit-codes.md");
        let documented =
            page.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit());
        assert_eq!(documented.count(), Exit::ALL.len());
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.reason());
            assert!(page.contains(&row), "docs/exit-codes.md lacks: {row}");
        }
    }
}
