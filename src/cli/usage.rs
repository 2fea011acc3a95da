//! A command line that does not parse: says what is wrong without repeating it.
//!
//! clap quotes the argument it stumbles over. Somebody who types a secret as an argument would find it in
//! the terminal, in the log of a script, in a bug report: so the sentences are made here, from the parts of
//! the error that are names of ours.
//!
//! Never repeats a value.

use std::error::Error as _;
use std::io::Write;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::failure::Failure;
use super::output::{Exit, Format};

/// Prints help or says what is wrong.
pub(super) fn answer(error: &Error, format: Format) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // `| head` may have seen enough.
            drop(write!(std::io::stdout(), "{}", error.render()));
            Exit::Done
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if format == Format::Text => {
            drop(write!(std::io::stderr(), "{}", error.render()));
            Exit::Usage
        }
        kind => Failure::usage(sentence(error, kind)).mend(mend(error)).report(format),
    }
}

fn sentence(error: &Error, kind: ErrorKind) -> String {
    let named = name_of(error);
    match kind {
        ErrorKind::UnknownArgument => match named {
            Some(option) => format!("there is no option {option}"),
            None => "one argument too many; it is not repeated here, it might be a secret".into(),
        },
        ErrorKind::InvalidSubcommand => "there is no such command".into(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a command is missing".into()
        }
        ErrorKind::InvalidValue => match strings(error, ContextKind::ValidValue) {
            valid if valid.is_empty() => format!("{} lacks its value", named.unwrap_or_default()),
            valid => format!("{} is one of {}", named.unwrap_or_default(), valid.join(", ")),
        },
        ErrorKind::ValueValidation => {
            let rule = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{}: {rule}", named.unwrap_or_default())
        }
        ErrorKind::MissingRequiredArgument => {
            format!("missing: {}", strings(error, ContextKind::InvalidArg).join(", "))
        }
        ErrorKind::ArgumentConflict => {
            let other = strings(error, ContextKind::PriorArg).join(", ");
            format!("{} does not go together with {other}", named.unwrap_or_default())
        }
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8".into(),
        _ => "the command line cannot be read".into(),
    }
}

fn mend(error: &Error) -> String {
    for (kind, what) in [
        (ContextKind::SuggestedArg, "did you mean"),
        (ContextKind::SuggestedSubcommand, "did you mean"),
        (ContextKind::ValidSubcommand, "the commands are"),
    ] {
        let names = strings(error, kind);
        if !names.is_empty() {
            return format!("{what} {}", names.join(", "));
        }
    }
    "--help shows how; values of secrets are read from stdin or --file".into()
}

/// The option or the placeholder that the error is about; nothing that was typed but the name of an option.
fn name_of(error: &Error) -> Option<String> {
    let named = strings(error, ContextKind::InvalidArg).into_iter().next()?;
    match error.kind() {
        // What was typed: an unknown option by its name, anything else not at all.
        ErrorKind::UnknownArgument => named.starts_with("--").then_some(named),
        _ => Some(named),
    }
}

fn strings(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(one)) => vec![one.clone()],
        Some(ContextValue::Strings(many)) => many.clone(),
        _ => Vec::new(),
    }
}
