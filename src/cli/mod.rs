//! `tokenkeep`, the command line for admins: speaks to the admin socket and prints what it hears.
//!
//! One file a command group; how anything is printed is ruled in `output`, how anything fails in `failure`.
//! Every command is one or a few requests: what an admin may do is decided by the daemon, never here.
//!
//! Never takes a secret as an argument.

mod alert;
mod audit;
mod authorize;
mod backup;
mod connection;
mod consent;
mod escrow;
mod failure;
pub mod import;
mod input;
mod key;
mod key_file;
mod key_of_org;
mod manual;
mod metrics;
mod org;
mod output;
mod page;
mod progress;
mod provider;
mod release;
mod revocation;
mod secret;
mod status;
mod token_set;
mod usage;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokenkeep_client::Client;

use self::failure::Failure;
use self::output::{Exit, Format, Screen};
use crate::os::crash;

/// Where the daemon's package puts the admin socket.
const ADMIN_SOCKET: &str = "/run/tokenkeep/admin.sock";

/// Options that every command takes.
const EVERYWHERE: &str = "Options of every command";

/// Administers tokenkeep, the daemon that keeps OAuth tokens.
#[derive(Parser)]
#[command(name = "tokenkeep", version, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 refused or failed here, 2 the daemon failed or is not ready, 64 usage.\n\
    No secret is ever an argument: values are read from stdin or --file."
)]
struct Args {
    /// The admin socket [default: of TOKENKEEP_ADMIN=unix:///PATH, or /run/tokenkeep/admin.sock]
    #[arg(long, global = true, value_name = "PATH", help_heading = EVERYWHERE)]
    socket: Option<PathBuf>,
    /// Text for people, or a JSON document that only grows
    #[arg(long, global = true, value_enum, value_name = "text|json", default_value_t = Format::Text)]
    #[arg(hide_possible_values = true, help_heading = EVERYWHERE)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Who is told when something breaks
    #[command(subcommand)]
    Alert(alert::Command),
    /// Reads and verifies the audit log
    #[command(subcommand)]
    Audit(audit::Command),
    /// Backups, and the way back from them
    #[command(subcommand)]
    Backup(backup::Command),
    /// Writes what a shell needs to complete this command line
    Completion(manual::Completion),
    /// Connections of an org, without their tokens
    #[command(subcommand)]
    Connection(connection::Command),
    /// What orgs have agreed to
    #[command(subcommand)]
    Consent(consent::Command),
    /// Says what is wrong and how to mend it; exits with 1 where a check fails
    Doctor,
    Import(Box<import::Command>),
    /// Root keys, the keys of orgs, and a way back to them
    #[command(subcommand)]
    Key(key::Command),
    /// Writes the manual
    Man(manual::Manual),
    /// Prints the figures for monitoring, as OpenMetrics text
    Metrics,
    /// Tenants
    #[command(subcommand)]
    Org(org::Command),
    /// Configured OAuth issuers
    #[command(subcommand)]
    Provider(provider::Command),
    /// What is still to be revoked at providers
    #[command(subcommand)]
    Revocation(revocation::Command),
    /// Secrets of an org, without their values
    #[command(subcommand)]
    Secret(secret::Command),
    /// Says what runs; exits with 0 where it is ready, with 2 where it is not
    Status,
}

/// What every command works with.
struct Session {
    client: Client,
    screen: Screen,
}

/// Runs the command line `args`, program name first, on this process's own streams.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    crash::tell_by_place();
    let args: Vec<OsString> = args.into_iter().collect();
    let format = Format::in_args(&args);
    match Args::try_parse_from(args) {
        Ok(args) => start(args).unwrap_or_else(|failure| failure.report(format)),
        Err(error) => usage::answer(&error, format),
    }
    .into()
}

fn start(args: Args) -> Result<Exit, Failure> {
    let socket = match args.socket {
        Some(path) => path,
        None => input::socket_of_environment()?.unwrap_or_else(|| ADMIN_SOCKET.into()),
    };
    // A person waits in front of this: a daemon that is not there is said at once.
    let client = Client::unix(socket).with_patience(Duration::ZERO);
    let mut session = Session { client, screen: Screen::new(args.output) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::here("no_runtime", format!("no event loop: {error}")))?;
    let exit = runtime.block_on(session.perform(args.command))?;
    session.screen.finish()?;
    Ok(exit)
}

impl Session {
    async fn perform(&mut self, command: Command) -> Result<Exit, Failure> {
        match command {
            Command::Alert(command) => self.alert(command).await,
            Command::Audit(command) => self.audit(command).await,
            Command::Backup(command) => self.backup(command).await,
            Command::Completion(asked) => self.completion(&asked),
            Command::Connection(command) => self.connection(command).await,
            Command::Consent(command) => self.consent(command).await,
            Command::Doctor => self.doctor().await,
            Command::Import(command) => self.import(*command).await,
            Command::Key(command) => self.key(command).await,
            Command::Man(asked) => self.manual(&asked),
            Command::Metrics => self.metrics().await,
            Command::Org(command) => self.org(command).await,
            Command::Provider(command) => self.provider(command).await,
            Command::Revocation(command) => self.revocation(&command).await,
            Command::Secret(command) => self.secret(command).await,
            Command::Status => self.status().await,
        }
        .map_err(|failure| match self.client.socket() {
            Some(socket) => failure.at(socket),
            None => failure,
        })
    }
}
