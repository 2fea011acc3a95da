//! What comes in beside the arguments: secrets from stdin or a file, the environment, a yes.
//!
//! A secret is read into one buffer of its largest size, so that no growth leaves a copy behind, and typed
//! nowhere: a terminal would show it.
//!
//! Never reads without a cap.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use super::failure::Failure;
use super::output::complain;

/// Where a secret is read from.
#[derive(Args)]
pub(super) struct Source {
    /// Reads it from FILE; from stdin where left out
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// A yes given in advance.
#[derive(Args)]
pub(super) struct Consent {
    /// Does not ask again
    #[arg(long)]
    yes: bool,
}

impl Source {
    /// Reads all of it, `most` bytes at most.
    pub(super) fn read(&self, most: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let read = match &self.file {
            Some(path) => File::open(path).and_then(|file| read_capped(file, most)),
            None if io::stdin().is_terminal() => {
                return Err(Failure::usage("stdin is a terminal, which would show what is typed")
                    .mend("pipe the value in, or name a file with --file"));
            }
            None => stdin().and_then(|file| read_capped(file, most)),
        };
        let bytes = read.map_err(|error| self.failure(&error))?;
        if bytes.len() > most {
            return Err(Failure::here("too_large", format!("the input has more than {most} bytes"))
                .mend("see that it is the right input"));
        }
        if bytes.is_empty() {
            return Err(Failure::here("empty", "the input is empty")
                .mend("see that the command before the pipe succeeded; nothing was stored"));
        }
        Ok(bytes)
    }

    fn failure(&self, error: &io::Error) -> Failure {
        let name = self.file.as_deref().unwrap_or(Path::new("stdin")).display();
        Failure::here("input", format!("{name} cannot be read: {}", error.kind()))
    }
}

impl Consent {
    /// Asks on the terminal whether to do what cannot be undone.
    pub(super) fn confirm(&self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Failure::usage(format!("{question} Nobody is there to answer"))
                .mend("--yes answers in advance"));
        }
        complain(&format!("{question} [y/N]"));
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(Failure::here("declined", "not confirmed, nothing was changed"))
    }
}

/// The socket that `TOKENKEEP_ADMIN` names.
pub(super) fn socket_of_environment() -> Result<Option<PathBuf>, Failure> {
    let Some(value) = std::env::var_os("TOKENKEEP_ADMIN").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match value.to_str().and_then(|text| text.strip_prefix("unix://")) {
        Some(path) if path.starts_with('/') => Ok(Some(path.into())),
        _ => Err(Failure::usage("TOKENKEEP_ADMIN is not a Unix socket")
            .mend("write it as unix:///run/tokenkeep/admin.sock")),
    }
}

/// A line of stdin, without its end, `most` bytes at most. A terminal may show it: nothing secret is asked for by this.
pub(super) fn line(most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(most));
    let (mut source, mut byte) = (stdin()?.take(most as u64), [0]);
    while source.read(&mut byte)? > 0 && byte != *b"\n" {
        line.push(byte[0]);
    }
    Ok(line)
}

/// stdin without the buffer that the standard library keeps for it: what was read through that stays there until the
/// program ends.
fn stdin() -> io::Result<File> {
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

/// One byte more than `most`, so that too much is noticed.
fn read_capped(source: impl Read, most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room to spare: `read_to_end` grows a full buffer before it looks for the end.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 64));
    source.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
