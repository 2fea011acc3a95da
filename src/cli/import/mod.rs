//! `import`: what a team sealed by itself, with Fernet and its own key list, moves in.
//!
//! The hard problem: 100,000 credentials that cannot be replaced, on their way from one store to another, and either
//! end may die. The answer: a row is one durable change by itself, what is there already is found unchanged, so the
//! way to go on after anything is to run the same command again.
//!
//! The key list is read here and goes nowhere; tokens lie open in this process only between the two stores.
//!
//! Never writes anything in a dry run; never takes a row half.

pub mod ciphertext;
pub mod field;
pub mod item;
mod part;
pub mod plain;
mod progress;
pub mod row;
pub mod source;
mod tally;
pub mod when;
pub mod wrong;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use tokenkeep_client::import::{Different, ImportOut, MissingOrg, Mode, Terms};
use tokenkeep_client::problem::{Code, Problem};
use tokenkeep_client::{Client, Error, Request};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;

use self::field::Names;
use self::part::{Packed, Packer, Part};
use self::progress::Progress;
use self::source::{Source, Unreadable};
use self::tally::{Tally, WrongRow};
use self::wrong::Wrong;
use super::Session;
use super::failure::Failure;
use super::output::Exit;
use crate::crypto::key_list::RootKeys;
use crate::os::{hardening, private_file};

/// Requests under way at once: while one waits for the disk, another is worked on.
const UNDER_WAY: usize = 3;
/// For one request: a thousand rows, and a daemon that is restarted meanwhile.
const DEADLINE: Duration = Duration::from_secs(120);
/// So long a daemon may take to come back.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest key list: more than a list of 64 keys with comments.
const KEY_LIST_MOST: usize = 64 << 10;

/// Imports Fernet ciphertexts with the key list they were made with; --dry-run first
#[derive(Args)]
#[command(
    after_help = "A row is a connection: org, provider, name, sealed access token, and what else there is. A dry run\n\
    says what would be done and writes nothing. What is there already is left as it is, so an import that was cut\n\
    short goes on when it is run again. docs/moving-in.md has recipes."
)]
pub(super) struct Command {
    /// The input; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The list of Fernet keys, one a line, that the ciphertexts were made with (as MultiFernet); mode 0600
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// What the input is, where the name of the file does not tell
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// Says what would be done, and writes nothing
    #[arg(long)]
    dry_run: bool,
    /// Creates orgs that do not exist; refuses their rows otherwise
    #[arg(long)]
    create_orgs: bool,
    /// Replaces connections that are there with another token set; refuses such rows otherwise
    #[arg(long)]
    replace_different: bool,
    #[command(flatten)]
    names: Names,
}

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// With a header, as COPY … TO STDOUT (FORMAT csv, HEADER) writes it
    Csv,
    /// One JSON object a line
    Jsonl,
}

type Answer = JoinHandle<Result<ImportOut, Error>>;

impl Command {
    fn terms(&self) -> Terms {
        Terms {
            mode: if self.dry_run { Mode::DryRun } else { Mode::Write },
            different: if self.replace_different { Different::Replace } else { Different::Refuse },
            missing_org: if self.create_orgs { MissingOrg::Create } else { MissingOrg::Refuse },
        }
    }

    fn form(&self) -> Result<Form, Failure> {
        if let Some(form) = self.format {
            return Ok(form);
        }
        match self.file.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Form::Csv),
            Some("jsonl" | "ndjson") => Ok(Form::Jsonl),
            _ => Err(Failure::usage("the name of the input does not tell what it is")
                .mend("say --format csv or --format jsonl")),
        }
    }

    fn input(&self) -> Result<Box<dyn Read + Send>, Failure> {
        if self.file == Path::new("-") {
            if io::stdin().is_terminal() {
                return Err(Failure::usage("stdin is a terminal").mend("pipe the rows in, or name a file"));
            }
            return Ok(Box::new(io::stdin()));
        }
        let file =
            File::open(&self.file).map_err(|error| Unreadable::Io(error.kind()).failure(&self.file))?;
        Ok(Box::new(file))
    }
}

impl Session {
    pub(super) async fn import(&mut self, command: Command) -> Result<Exit, Failure> {
        harden()?;
        let form = command.form()?;
        let keys = key_list(&command.key_file)?;
        let input = command.input()?;
        // A daemon that is not there is said at once; one that goes away later is waited for.
        self.client.ready().await?;
        let terms = command.terms();
        let tally = Tally::new(terms.mode, &keys);
        let (give, parts) = channel(1);
        let names = command.names.clone();
        std::thread::spawn(move || {
            let source = match form {
                Form::Csv => Source::table(input, names.clone()),
                Form::Jsonl => Ok(Source::lines(input, names.clone())),
            };
            match source {
                Ok(source) => Packer::new(source, names, keys, terms).run(&give),
                // Who takes nothing any more needs no reason.
                Err(why) => drop(give.blocking_send(Err(why))),
            }
        });
        let client = self.client.clone().with_deadline(DEADLINE).with_patience(PATIENCE);
        let progress = Progress::new(&self.screen);
        let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        let [Ok(interrupt), Ok(terminate)] = signals else {
            return Err(Failure::here("no_signals", "signals cannot be waited for"));
        };
        let import =
            Import { client, tally, progress, under_way: VecDeque::new(), parts, interrupt, terminate };
        self.conduct(import, &command.file).await
    }

    async fn conduct(&mut self, mut import: Import, file: &Path) -> Result<Exit, Failure> {
        let begun = Instant::now();
        let ended = import.run(self).await;
        import.progress.end();
        let rows = import.tally.all.rows;
        let went_on_to = import.tally.last_line;
        let stopped = match ended {
            Ok(()) => None,
            Err(Stop::Interrupted) => {
                import.tally.interrupted = true;
                let failure = Failure::here("interrupted", format!("interrupted after line {went_on_to}"));
                Some(
                    failure
                        .mend("run the same command again to go on: what is there already is left as it is"),
                )
            }
            Err(Stop::Failed(failure)) => Some(failure),
            Err(Stop::Unreadable(why)) => Some(why.failure(file)),
        };
        if stopped.is_none() || rows > 0 {
            let summary = import.tally.into_summary();
            self.screen.show(&summary, |summary| summary.lines());
            let seconds = begun.elapsed().as_secs_f64();
            // A rate for people: what is lost beyond 2^52 rows does not show.
            let rate = rows as f64 / seconds.max(0.001);
            self.screen.note(format!("note: {rows} rows in {seconds:.1} s, {rate:.0} a second"));
            return match stopped {
                Some(failure) => Err(failure),
                None => Ok(if summary.all_in() { Exit::Done } else { Exit::Refused }),
            };
        }
        stopped.map_or(Ok(Exit::Done), Err)
    }
}

/// An import under way.
struct Import {
    client: Client,
    tally: Tally,
    progress: Progress,
    /// In the order of the input.
    under_way: VecDeque<(Part, Answer)>,
    parts: Receiver<Packed>,
    interrupt: Signal,
    terminate: Signal,
}

/// Why an import ends before its input.
enum Stop {
    Failed(Failure),
    Interrupted,
    Unreadable(Unreadable),
}

/// What happens next.
enum Next {
    Answered(Box<Part>, Result<ImportOut, Error>),
    Interrupted,
    Read(Option<Packed>),
}

impl Import {
    /// Sends part after part, a few at once, and settles them in the order of the input.
    async fn run(&mut self, session: &mut Session) -> Result<(), Stop> {
        let mut reading = Ok(true);
        loop {
            let goes_on = matches!(reading, Ok(true)) && self.under_way.len() < UNDER_WAY;
            if !goes_on && self.under_way.is_empty() {
                return reading.map(drop);
            }
            match self.next(goes_on).await {
                Next::Answered(part, answer) => self.settle(&part, answer, session)?,
                // The second time, at once.
                Next::Interrupted if matches!(reading, Err(Stop::Interrupted)) => return reading.map(drop),
                Next::Interrupted => reading = Err(Stop::Interrupted),
                Next::Read(Some(Ok(Some(part)))) => self.send(part),
                Next::Read(Some(Ok(None))) => reading = Ok(false),
                Next::Read(Some(Err(why))) => reading = Err(Stop::Unreadable(why)),
                Next::Read(None) => {
                    let failure =
                        Failure::here("internal", "the input was not read to its end, by a fault of ours");
                    reading = Err(self.stopped(failure));
                }
            }
        }
    }

    async fn next(&mut self, goes_on: bool) -> Next {
        let answered = async {
            match self.under_way.front_mut() {
                Some((_, answer)) => answer.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Next::Interrupted,
            _ = self.terminate.recv() => Next::Interrupted,
            ended = answered => match self.under_way.pop_front() {
                Some((part, _)) => {
                    let lost = |_| Err(tokenkeep_client::Transport::Lost.into());
                    Next::Answered(Box::new(part), ended.unwrap_or_else(lost))
                }
                None => Next::Read(None),
            },
            part = self.parts.recv(), if goes_on => Next::Read(part),
        }
    }

    fn send(&mut self, mut part: Part) {
        let body = std::mem::take(&mut part.body);
        let client = self.client.clone();
        let is_empty = part.items.is_empty();
        let answer = tokio::spawn(async move {
            if is_empty {
                return Ok(ImportOut { created_orgs: Vec::new(), results: Vec::new() });
            }
            // Sent again where its answer is lost: what the first one stored, the second finds unchanged.
            client.send(&Request::post("/admin/v1/import", body).repeatable()).await?.read()
        });
        self.under_way.push_back((part, answer));
    }

    fn settle(
        &mut self,
        part: &Part,
        answer: Result<ImportOut, Error>,
        session: &mut Session,
    ) -> Result<(), Stop> {
        let out = answer.map_err(|error| self.stopped(Failure::from(error)))?;
        if out.results.len() != part.items.len() {
            let why = tokenkeep_client::Transport::Protocol("an import has not as many answers as rows");
            return Err(self.stopped(Failure::from(why)));
        }
        let mut rows: Vec<_> = part
            .wrong
            .iter()
            .map(|(line, owner, wrong)| (*line, owner.as_ref(), Err(wrong.clone())))
            .collect();
        for ((line, owner), result) in part.items.iter().zip(&out.results) {
            let settled = match (result.outcome, &result.problem) {
                (Some(outcome), _) => Ok(outcome),
                (None, Some(problem)) if is_daemons_fault(problem) => {
                    let error = Error::from(problem.clone());
                    return Err(self.stopped(Failure::from(error)));
                }
                (None, problem) => Err(wrong_of(problem.as_ref())),
            };
            rows.push((*line, Some(owner), settled));
        }
        rows.sort_by_key(|(line, ..)| *line);
        for (line, owner, settled) in rows {
            self.tally.count_row(owner, settled.as_ref().ok().copied());
            if let Err(wrong) = settled {
                self.tell(WrongRow { line, wrong }, session);
            }
        }
        self.tally.count_part(part, out.created_orgs);
        self.progress.advance(self.tally.all.rows, &session.screen);
        Ok(())
    }

    /// In text at once, so that a million of them need no memory; in JSON with the document.
    fn tell(&mut self, row: WrongRow, session: &mut Session) {
        if session.screen.is_text() {
            let line = format!("line {}: {}: {}", row.line, row.wrong.code, row.wrong.detail);
            self.progress.aside(|| session.screen.line(line));
        } else {
            self.tally.keep_wrong(row);
        }
    }

    fn stopped(&self, failure: Failure) -> Stop {
        let line = self.tally.last_line;
        Stop::Failed(failure.mend_also(format!(
            "the rows up to line {line} are settled; run the same command again to go on"
        )))
    }
}

/// A daemon that cannot store refuses every row that follows as well.
fn is_daemons_fault(problem: &Problem) -> bool {
    let one_record = [Some(Code::Integrity), Some(Code::Internal)];
    problem.status >= 500 && !one_record.contains(&Code::parse(&problem.code))
}

fn wrong_of(problem: Option<&Problem>) -> Wrong {
    match problem {
        Some(problem) if problem.code == Code::NotFound.as_str() => {
            Wrong::new("not_found", "there is no such org; --create-orgs creates it")
        }
        Some(problem) if problem.code == Code::AlreadyExists.as_str() => Wrong::new(
            "already_exists",
            "the connection is there with another token set; --replace-different replaces it",
        ),
        Some(problem) => Wrong { code: problem.code.clone().into(), detail: problem.detail.clone().into() },
        None => Wrong::new("no_answer", "the daemon said nothing of this row"),
    }
}

/// Tokens lie open in this process: none of the same user may look into it, and no core is left of it.
fn harden() -> Result<(), Failure> {
    let hardened = hardening::forbid_core_dumps()
        .and_then(|()| hardening::forbid_inspection())
        .and_then(|()| hardening::forbid_new_privileges());
    hardened.map_err(|why| Failure::here("hardening", why.to_string()))
}

fn key_list(path: &Path) -> Result<RootKeys, Failure> {
    let text = private_file::read(path, KEY_LIST_MOST).map_err(|why| {
        Failure::here("key_file", why.to_string())
            .mend("the key list opens every ciphertext: it belongs to you or root, with mode 0600")
    })?;
    RootKeys::parse(&text).map_err(|why| {
        Failure::here("key_file", format!("{}: {why}", path.display()))
            .mend("one Fernet key a line, as MultiFernet takes them; docs/moving-in.md says how to print derived keys")
    })
}
