//! Root keys from the output of a program: the command line of any secret manager.
//!
//! Never through a shell, never with the daemon's environment (`os::exec` says what the program gets).

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{LONGEST_LIST, Reach, RootKeySource, SourceError};
use crate::os::exec::{self, ExecError};

/// The program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecSource {
    program: PathBuf,
    arguments: Vec<String>,
    deadline: Duration,
}

impl ExecSource {
    /// The program with its arguments; killed when it has not ended after `deadline`.
    ///
    /// # Errors
    /// The program's path is relative.
    pub fn new(program: PathBuf, arguments: Vec<String>, deadline: Duration) -> Result<Self, SourceError> {
        if program.is_absolute() {
            return Ok(Self { program, arguments, deadline });
        }
        Err(judged(&ExecError::NotAbsolute))
    }
}

impl RootKeySource for ExecSource {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, SourceError> {
        let output = exec::output_of(&self.program, &self.arguments, self.deadline, LONGEST_LIST);
        output.map_err(|error| match error {
            ExecError::Failed(_) | ExecError::Io(_) | ExecError::TimedOut(_) => SourceError::retryable(
                error.to_string(),
                format!(
                    "run {} as the daemon's user, in / and with PATH alone in its environment, to see why",
                    self.program.display()
                ),
            ),
            error => judged(&error),
        })
    }

    /// Nothing: no program is run from within a sandbox.
    fn reach(&self) -> Reach {
        Reach::default()
    }

    fn describe(&self) -> String {
        format!("output of {}", self.program.display())
    }
}

fn judged(error: &ExecError) -> SourceError {
    let what = error.to_string();
    let mend = match error {
        ExecError::Loose(_) => {
            return SourceError::refused(what, "whoever can change it gets the root keys");
        }
        ExecError::NotAbsolute => "write its path from the root directory on",
        ExecError::OutputTooLarge(_) => "it must write the key list, one Fernet key a line, and nothing else",
        _ => "install it, or correct the path",
    };
    SourceError::unusable(what, mend)
}
