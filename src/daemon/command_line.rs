//! The command line of the programs that a service manager starts: read, or answered by what it asked to be shown.
//!
//! Never starts anything.

use std::ffi::OsString;

use clap::Parser;

use super::exit::Exit;

/// What the program was asked to do; or how it ends, when all that it was asked for has been shown.
///
/// # Errors
/// There is nothing to do beyond that: the usage, the version or the manual was shown.
pub fn read<A: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    asks_for_manual: fn(&A) -> bool,
) -> Result<A, Exit> {
    match A::try_parse_from(arguments) {
        Ok(arguments) if asks_for_manual(&arguments) => Err(manual::<A>()),
        Ok(arguments) => Ok(arguments),
        Err(shown) => {
            let is_wrong = shown.use_stderr();
            drop(shown.print());
            Err(if is_wrong { Exit::Usage } else { Exit::Stopped })
        }
    }
}

/// Made from the command line itself, so that it says what that takes.
fn manual<A: Parser>() -> Exit {
    let page = clap_mangen::Man::new(A::command()).section("8").render(&mut std::io::stdout());
    if page.is_ok() { Exit::Stopped } else { Exit::Fault }
}
