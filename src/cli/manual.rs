//! `completion`, `man`: what the shell and the manual know of the command line, made from the command line itself.
//!
//! Never kept by hand: a second list of commands would be wrong by the next one.

use std::path::PathBuf;

use clap::{Args as Arguments, CommandFactory};
use clap_complete::Shell;

use super::failure::Failure;
use super::output::Exit;
use super::{Args, Session};

#[derive(Arguments)]
pub(super) struct Completion {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Arguments)]
pub(super) struct Manual {
    /// Writes a page for each command into this directory, instead of the first one to stdout
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Session {
    pub(super) fn completion(&mut self, asked: &Completion) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(asked.shell, &mut Args::command(), "tokenkeep", &mut script);
        self.screen.page(&script);
        Ok(Exit::Done)
    }

    pub(super) fn manual(&mut self, asked: &Manual) -> Result<Exit, Failure> {
        let command = Args::command();
        let Some(directory) = &asked.directory else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).map_err(|why| unwritten(&why))?;
            self.screen.page(&page);
            return Ok(Exit::Done);
        };
        clap_mangen::generate_to(command, directory).map_err(|why| unwritten(&why))?;
        Ok(Exit::Done)
    }
}

fn unwritten(why: &std::io::Error) -> Failure {
    Failure::here("not_written", format!("the manual could not be written: {why}"))
}
