//! `backup`: sets of a vault; made, listed and verified by the daemon, and put back without it.
//!
//! A restore runs here, with an age identity and the root keys at hand; the daemon of the vault may be gone for good.
//!
//! Never takes a key as an argument, and never talks to a provider.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use serde::Serialize;
use tokenkeep_client::Request;
use tokenkeep_client::moment::Moment;
use tokenkeep_client::problem::Code;
use tokenkeep_client::wire::{BackupRun, BackupSet, BackupsOut};
use zeroize::Zeroizing;

use super::Session;
use super::escrow;
use super::failure::Failure;
use super::input::Source;
use super::output::Exit;
use crate::crypto::age::Identity;
use crate::crypto::root_key::aws;
use crate::net::outbound::{Door, Endpoint, Roots};
use crate::os::private_file;
use crate::service::backup::BackupError;
use crate::service::backup::repository::Repository;
use crate::service::backup::repository::directory::Directory;
use crate::service::backup::repository::s3;
use crate::service::backup::restore::{Restored, Step, Wanted, restore};

/// How often a task is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// What to do where there are none.
const CONFIGURE: &str =
    "give the configuration a [backup] with a place and recipients, and restart the daemon: docs/backup.md";
/// Far more than a key list or a file of identities has.
const LONGEST_KEYS: usize = escrow::LONGEST;

/// What to do with backups.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Begins a new set, and waits for it
    Create,
    /// Restores the newest set beside the state, opens every record, compares it with the live store
    Drill,
    /// Lists the sets there are
    List,
    /// Puts a vault back into an empty directory, as it was at a second; needs no daemon
    Restore(Box<Restore>),
    /// Reads every object of every set, and holds it against the manifests
    Verify,
}

/// Where from, where to.
#[derive(Args)]
pub(super) struct Restore {
    /// Where the backups are: a directory, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR|URL")]
    from: String,
    /// The region of the bucket
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Where S3 is, unless at the usual place of the region
    #[arg(long, value_name = "URL", requires = "region")]
    endpoint: Option<String>,
    /// Certificate authorities that are trusted there, PEM [default: the host's]
    #[arg(long, value_name = "FILE", requires = "region")]
    ca: Option<PathBuf>,
    /// A file of age-keygen with the identity of a recipient
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// Becomes the state directory: empty, or not there
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Becomes the audit directory [default: audit in the state directory]
    #[arg(long, value_name = "DIR")]
    audit: Option<PathBuf>,
    /// The last second that is wanted, like 2026-11-22T08:15:00Z [default: all there is]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Moment>,
    /// The set [default: the newest that had begun by then]
    #[arg(long, value_name = "NAME")]
    set: Option<String>,
    /// The vault, where backups of several are there
    #[arg(long, value_name = "ID")]
    vault: Option<String>,
    /// The key list of the vault, or its escrow (tokenkeep key escrow)
    #[command(flatten)]
    root_keys: Source,
}

fn moment(text: &str) -> Result<Moment, String> {
    Moment::parse(text).ok_or_else(|| "not a moment; write it as 2026-11-22T08:15:00Z".to_owned())
}

#[derive(Serialize)]
struct RestoredOut {
    vault: String,
    set: String,
    sequence: u64,
    written_at: Option<Moment>,
    audit_entries: u64,
    erased_orgs: u64,
    orgs: u64,
    records: u64,
    values: u64,
    bytes: u64,
}

impl Session {
    pub(super) async fn backup(&mut self, command: Command) -> Result<Exit, Failure> {
        match command {
            Command::Create => self.backup_task("create", "/admin/v1/backups").await,
            Command::Drill => self.backup_task("drill", "/admin/v1/backups/drill").await,
            Command::Verify => self.backup_task("verify", "/admin/v1/backups/verify").await,
            Command::List => self.list_backups().await,
            Command::Restore(wanted) => self.restore(&wanted),
        }
    }

    async fn list_backups(&mut self) -> Result<Exit, Failure> {
        let list = self.backups().await?;
        let head = ["SET", "FROM", "TO", "PARTS", "BYTES", "CHANGE", "RECORDS"];
        self.screen.show_table(&list, head, |list| list.items.iter().map(row).collect());
        if let Some(behind) = list.behind_seconds {
            self.screen.note(format!("note: {}; {behind} s of changes are not shipped yet", list.repository));
        }
        Ok(Exit::Done)
    }

    /// Has the daemon do it, and waits until it has ended.
    async fn backup_task(&mut self, what: &str, path: &'static str) -> Result<Exit, Failure> {
        let before = self.backup_run(what).await?.map_or(0, |run| run.number);
        self.client.send(&Request::post(path, Zeroizing::default())).await?.success()?;
        let run = loop {
            match self.backup_run(what).await? {
                Some(run) if run.number > before => break run,
                _ => tokio::time::sleep(LOOK).await,
            }
        };
        if let Some(why) = &run.error {
            return Err(Failure::here("backup_failed", format!("{what}: {why}"))
                .mend("see tokenkeep doctor, and docs/backup.md"));
        }
        self.screen.show(&run, |run| vec![format!("{}; {} ms", run.detail, run.took_ms)]);
        Ok(Exit::Done)
    }

    async fn backup_run(&self, what: &str) -> Result<Option<BackupRun>, Failure> {
        Ok(self.backups().await?.last.into_iter().find(|run| run.what == what))
    }

    async fn backups(&self) -> Result<BackupsOut, Failure> {
        let answer = self.client.send(&Request::get("/admin/v1/backups")).await?;
        answer.read().map_err(|why| {
            let failure = Failure::from(why);
            if failure.is(Code::NotFound) { failure.mend(CONFIGURE) } else { failure }
        })
    }

    fn restore(&mut self, wanted: &Restore) -> Result<Exit, Failure> {
        escrow::harden()?;
        let identities = identities(&wanted.identity)?;
        let identities: Vec<&Identity> = identities.iter().collect();
        let root_keys = escrow::root_keys(&wanted.root_keys.read(LONGEST_KEYS)?, &identities)?;
        let repository = wanted.repository()?;
        let audit = wanted.audit.clone().unwrap_or_else(|| wanted.into.join("audit"));
        let asked = Wanted {
            repository: &*repository,
            vault: wanted.vault.as_deref(),
            set: wanted.set.as_deref(),
            at: wanted.at,
            identities: &identities,
            root_keys: &root_keys,
            state: &wanted.into,
            audit: &audit,
        };
        let bar = super::progress::Bar::new(self.screen.is_text());
        // A thread of its own: whatever asks a bucket has a runtime of its own too.
        let work = || restore(&asked, SystemTime::now().into(), &mut |step| bar.show(&words(step)));
        let restored = std::thread::scope(|scope| scope.spawn(work).join());
        let unended = |_| Err(BackupError::Io("the restore did not end".into()));
        let restored = restored.unwrap_or_else(unended);
        bar.end();
        self.screen.show(&out(restored.map_err(|why| of(&why))?), lines);
        self.screen
            .note(format!("note: {} comes up in quarantine; see docs/restore.md", wanted.into.display()));
        Ok(Exit::Done)
    }
}

impl Restore {
    fn repository(&self) -> Result<Box<dyn Repository>, Failure> {
        let Some(rest) = self.from.strip_prefix("s3://") else {
            return Ok(Box::new(Directory::new(PathBuf::from(&self.from))));
        };
        let unfit = |what: &str| Failure::usage(what.to_owned()).mend("see tokenkeep backup restore --help");
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        if !s3::is_bucket(bucket) || !(prefix.is_empty() || s3::is_prefix(prefix)) {
            return Err(unfit("--from is not s3://BUCKET/PREFIX"));
        }
        let region = self.region.clone().filter(|region| aws::is_region(region));
        let endpoint = self.endpoint.as_deref().map(Endpoint::parse);
        let settings = s3::Settings {
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            region: region.ok_or_else(|| unfit("a bucket needs --region"))?,
            endpoint: endpoint
                .map(|found| found.ok_or_else(|| unfit("--endpoint is no address")))
                .transpose()?,
            sts_endpoint: None,
            roots: self.ca.clone().map_or(Roots::Host, Roots::File),
        };
        let bucket =
            s3::Bucket::new(settings, &Door::Direct).ok_or_else(|| unfit("this region has no endpoint"))?;
        Ok(Box::new(bucket))
    }
}

fn identities(path: &std::path::Path) -> Result<Vec<Identity>, Failure> {
    let text = private_file::read(path, LONGEST_KEYS).map_err(|why| {
        Failure::here("identity", why.to_string()).mend("name a file that only you can read")
    })?;
    let parsed = std::str::from_utf8(&text).ok().and_then(Identity::parse_all);
    parsed.ok_or_else(|| {
        Failure::here("identity", format!("{} holds no identity of age", path.display()))
            .mend("name the file that age-keygen made: AGE-SECRET-KEY-1…, one a line")
    })
}

fn words(step: Step) -> String {
    match step {
        Step::Fetched(done, total) => format!("fetched {done} of {total} bytes"),
        Step::Reading => "reading journal and audit log, link by link".to_owned(),
        Step::Opened(records) => format!("opened {records} records"),
    }
}

fn of(why: &BackupError) -> Failure {
    let mend = match why {
        BackupError::Absent(_) => "see what is there, and name a set with --set or a later time with --at",
        BackupError::Damaged(_) => "nothing was made of it; name another set with --set",
        BackupError::Io(_) | BackupError::NoRoom => "see to it, and run the same command again: it goes on",
        BackupError::Keys(_) => {
            "name the identity of a recipient, and give the key list of this vault, older keys among it"
        }
        BackupError::NotEmpty(_) => "name an empty directory",
        BackupError::Repository(_) => "run the same command again: it goes on",
    };
    Failure::here(why.reason(), why.to_string()).mend(mend)
}

fn out(restored: Restored) -> RestoredOut {
    RestoredOut {
        vault: restored.vault,
        set: restored.set,
        sequence: restored.change.sequence,
        written_at: restored.written_at.and_then(|micros| Moment::from_unix(micros / 1_000_000)),
        audit_entries: restored.entry,
        erased_orgs: restored.erased,
        orgs: restored.proof.orgs,
        records: restored.proof.records,
        values: restored.proof.values,
        bytes: restored.bytes,
    }
}

fn lines(out: &RestoredOut) -> Vec<String> {
    vec![
        format!("set         {}", out.set),
        format!("change      {}, of {}", out.sequence, super::output::or_dash(out.written_at)),
        format!("audit       {} entries", out.audit_entries),
        format!("opened      {} values in {} records of {} orgs", out.values, out.records, out.orgs),
        format!("erased      {} orgs that were deleted later", out.erased_orgs),
    ]
}

fn row(set: &BackupSet) -> [String; 7] {
    [
        set.set.clone(),
        set.begun_at.to_string(),
        set.ended_at.to_string(),
        set.parts.to_string(),
        set.bytes.to_string(),
        set.sequence.to_string(),
        set.records.to_string(),
    ]
}
