//! Shipping: what the vault has written since the last part goes out as the next one.
//!
//! The hard problem: two logs that witness each other are copied while they are written, and the copy must open. The
//! answer: the audit log is taken first and the journal after it, so each change that the copy of the log speaks of is in
//! the copy of the journal; what a restore finds beyond that, it cuts off.
//!
//! Never a part whose manifest stands there before its objects were read back.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use tokenkeep_client::moment::Moment;

use super::BackupError;
use super::course::Course;
use super::journal::{Position, Reached};
use super::manifest::{self, Holds, Journal, Manifest, Object};
use super::repository::{Reader, Repository, RepositoryError};
use crate::crypto::age::{self, Recipient};
use crate::crypto::digest::Measured;
use crate::crypto::{hex, random};
use crate::store::snapshot::Snapshot;
use crate::vault::Vault;

/// What is shipped, and where to.
pub(super) struct Shipping<'a> {
    pub(super) vault: &'a Vault,
    pub(super) state: &'a Path,
    pub(super) repository: &'a dyn Repository,
    pub(super) recipients: &'a [Recipient],
}

/// Objects of a part, on their way.
struct Part<'a> {
    shipping: &'a Shipping<'a>,
    folder: String,
    number: u64,
    recipients: Vec<Recipient>,
    objects: Vec<Object>,
}

/// What an object is made of.
struct Of {
    holds: Holds,
    file: String,
    from: u64,
}

impl Shipping<'_> {
    pub(super) fn root_keys_in_use(&self) -> Result<Vec<String>, BackupError> {
        self.vault.root_keys_in_use().map_err(|why| BackupError::Io(why.detail.into_owned()))
    }

    /// The folder of a set.
    pub(super) fn folder(&self, set: &str) -> String {
        format!("{}/{set}", hex::encode(&self.vault.backup_keys().vault_id))
    }

    /// Ships what there is after the last part of the set; none where there is nothing. The course goes on only where all
    /// of it is there; whoever has it keeps it.
    pub(super) fn ship(
        &self,
        course: &mut Course,
        beginning: Option<&Beginning>,
        now: Moment,
    ) -> Result<Option<Manifest>, BackupError> {
        let snapshot = beginning.and_then(|beginning| beginning.snapshot.as_ref());
        let mut next = course.clone();
        next.part += 1;
        let drill = course.recipient().ok_or_else(|| BackupError::Damaged("backup.json".into()))?;
        let mut part = Part {
            shipping: self,
            folder: self.folder(&course.set),
            number: next.part,
            recipients: self.recipients.iter().copied().chain([drill]).collect(),
            objects: Vec::new(),
        };
        if let Some(snapshot) = snapshot {
            part.add_snapshot(snapshot)?;
        }
        part.add_header(&mut next)?;
        part.add_audit(&mut next)?;
        part.add_journal(&mut next, snapshot)?;
        if part.objects.is_empty() {
            return Ok(None);
        }
        let org_keys = beginning.and_then(|beginning| beginning.org_keys.clone());
        let manifest = self.manifest(&mut next, part, org_keys, now)?;
        next.shipped_at = now;
        *course = next;
        Ok(Some(manifest))
    }

    fn manifest(
        &self,
        next: &mut Course,
        part: Part<'_>,
        org_keys: Option<String>,
        now: Moment,
    ) -> Result<Manifest, BackupError> {
        let keys = self.vault.backup_keys();
        // What an earlier part needs is still needed for a moment before this one.
        next.root_keys.extend(self.root_keys_in_use()?);
        let manifest = Manifest {
            format: manifest::FORMAT,
            vault_id: hex::encode(&keys.vault_id),
            environment: self.vault.environment_and_incarnation().0,
            incarnation: next.incarnation,
            set: next.set.clone(),
            part: next.part,
            made_at: now,
            before: next.before.clone(),
            journal: next.journal.clone(),
            audit: next.audit.clone(),
            recipients: part.recipients.iter().map(ToString::to_string).collect(),
            root_keys: next.root_keys.iter().cloned().collect(),
            org_keys,
            objects: part.objects,
        };
        let (text, tag) = manifest.encode(&keys.manifests);
        let name = format!("{}/{}", part.folder, manifest::name(next.part));
        let file = spool(self.state)?;
        (&file).write_all(&text).map_err(BackupError::spool)?;
        self.repository.put(&name, &file, text.len() as u64).map_err(|why| match why {
            // An earlier try that was not known to come through, or another daemon's: a set of its own goes on from here.
            RepositoryError::AlreadyThere(_) => BackupError::Damaged(format!("{name} is there already")),
            why => why.into(),
        })?;
        let there = super::repository::read_small(self.repository, &name, manifest::LONGEST)?;
        if there != text {
            return Err(BackupError::Damaged(format!("{name} is not what was written there")));
        }
        next.before = tag;
        Ok(manifest)
    }
}

/// What a set begins with.
pub(super) struct Beginning {
    /// All there is; none of a store in which nothing ever was.
    pub(super) snapshot: Option<Snapshot>,
    /// How many records are under each org key, sealed: counted before the snapshot, so that what is in there is counted.
    pub(super) org_keys: Option<String>,
}

/// The directory in which an object stands, sealed, before it goes out.
pub(super) const SPOOL: &str = "backup.spool";

/// A file without a name: what is on its way goes with whoever carries it.
fn spool(state: &Path) -> Result<File, BackupError> {
    let directory = state.join(SPOOL);
    let made = match DirBuilder::new().mode(0o700).create(&directory) {
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    };
    made.map_err(|why| BackupError::io(&directory, &why))?;
    let path = directory.join(hex::encode(&random::bytes::<8>()));
    let open = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
    let file = open.map_err(|why| BackupError::io(&path, &why))?;
    std::fs::remove_file(&path).map_err(|why| BackupError::io(&path, &why))?;
    Ok(file)
}

impl Part<'_> {
    fn add_header(&mut self, next: &mut Course) -> Result<(), BackupError> {
        let shipping = self.shipping;
        let text =
            shipping.vault.header_text(shipping.state).map_err(|why| BackupError::Io(why.to_string()))?;
        let mut measured = Measured::new(io::sink());
        measured.write_all(&text).map_err(BackupError::spool)?;
        let (_, _, sum) = measured.finish();
        if sum != next.header {
            let of = Of { holds: Holds::Header, file: crate::vault::header::FILE_NAME.into(), from: 0 };
            self.add(of, |out| out.write_all(&text).map_err(BackupError::spool).map(|()| text.len() as u64))?;
            next.header = sum;
        }
        Ok(())
    }

    fn add_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), BackupError> {
        let path = &snapshot.path;
        let file = format!("{:020}.snapshot", snapshot.at.sequence);
        self.add(Of { holds: Holds::Snapshot, file, from: 0 }, |out| {
            let mut file = File::open(path).map_err(|why| BackupError::io(path, &why))?;
            io::copy(&mut file, out).map_err(|why| BackupError::io(path, &why))
        })
    }

    fn add_audit(&mut self, next: &mut Course) -> Result<(), BackupError> {
        let log = self.shipping.vault.audit();
        let after = next.audit_file.as_ref().map(|(file, offset)| (file.as_str(), *offset));
        let directory = log.directory().to_owned();
        let durable = log.durable_after(after).map_err(|why| BackupError::io(&directory, &why))?;
        for stretch in durable.stretches {
            let path = directory.join(&stretch.file);
            let of = Of { holds: Holds::Audit, file: stretch.file.clone(), from: stretch.from };
            let length = stretch.to - stretch.from;
            self.add(of, |out| {
                let mut copy = || {
                    let mut file = File::open(&path)?;
                    file.seek(SeekFrom::Start(stretch.from))?;
                    io::copy(&mut file.take(length), out)
                };
                copy().map_err(|why| BackupError::io(&path, &why))
            })?;
            next.audit_file = Some((stretch.file, stretch.to));
        }
        next.audit = durable.head.into();
        Ok(())
    }

    fn add_journal(&mut self, next: &mut Course, snapshot: Option<&Snapshot>) -> Result<(), BackupError> {
        let vault = self.shipping.vault;
        let head = vault.journal_head();
        let directory = self.shipping.state.join("journal");
        let mut position = next.position()?;
        while position.is_before(&head) {
            let of =
                Of { holds: Holds::Journal, file: segment_name(position.segment), from: position.offset };
            self.add(of, |out| position.copy(&directory, &vault.backup_keys().journal, &head, out))?;
        }
        // Where nothing came after the snapshot, the head of a segment alone says how the store stands there.
        if let Some(snapshot) = snapshot.filter(|snapshot| snapshot.at == position.reached.mark) {
            let Snapshot { at, written_at, tally, .. } = snapshot;
            position.reached = Reached { mark: *at, written_at: *written_at, tally: *tally };
        }
        next.stand_at(&position);
        Ok(())
    }

    /// Seals what `fill` writes, puts it there, and reads it back. Nothing where it writes nothing.
    fn add(
        &mut self,
        of: Of,
        fill: impl FnOnce(&mut dyn Write) -> Result<u64, BackupError>,
    ) -> Result<(), BackupError> {
        let file = spool(self.shipping.state)?;
        let mut measured = Measured::new(BufWriter::with_capacity(1 << 20, &file));
        let mut sealer = age::seal(&self.recipients, &mut measured)?;
        let bytes = fill(&mut sealer)?;
        sealer.end().map_err(BackupError::spool)?;
        let (mut written, sealed_bytes, sha256) = measured.finish();
        written.flush().map_err(BackupError::spool)?;
        drop(written);
        if bytes == 0 {
            return Ok(());
        }
        let mark = hex::encode(&random::bytes::<4>());
        let holds = match of.holds {
            Holds::Audit => "audit",
            Holds::Header => "header",
            Holds::Journal => "journal",
            Holds::Snapshot => "snapshot",
        };
        let name = format!("{:08}-{:02}-{holds}-{mark}.age", self.number, self.objects.len());
        let whole = format!("{}/{name}", self.folder);
        self.shipping.repository.put(&whole, &file, sealed_bytes)?;
        read_back(self.shipping.repository, &whole, sealed_bytes, &sha256)?;
        let Of { holds, file, from } = of;
        self.objects.push(Object { name, holds, file, from, bytes, sealed_bytes, sha256 });
        Ok(())
    }
}

/// The file of a segment, as a restore puts it there.
fn segment_name(first: u64) -> String {
    format!("{first:020}.journal")
}

/// Reads an object, whole, and sees that it is the one that was written.
pub(super) fn read_back(
    repository: &dyn Repository,
    name: &str,
    bytes: u64,
    sha256: &str,
) -> Result<(), BackupError> {
    let mut measured = Measured::new(Reader::new(repository, name));
    io::copy(&mut measured, &mut io::sink()).map_err(|why| BackupError::reading(name, why))?;
    let (_, found, sum) = measured.finish();
    if found == bytes && sum == sha256 {
        return Ok(());
    }
    Err(BackupError::Damaged(format!("{name} is not what was written there")))
}

impl Course {
    fn position(&self) -> Result<Position, BackupError> {
        let Journal { written_at, records, ref digest, .. } = self.journal;
        let unread = || BackupError::Damaged("backup.json".into());
        let mark = self.journal.mark().ok_or_else(unread)?;
        let digest = u128::from_str_radix(digest, 16).map_err(|_| unread())?;
        let tally = crate::store::index::tally::Tally { records, digest };
        let reached = Reached { mark, written_at, tally };
        Ok(Position { segment: self.segment, offset: self.offset, reached })
    }

    fn stand_at(&mut self, position: &Position) {
        let Reached { mark, written_at, tally } = position.reached;
        self.journal = Journal::new(&mark, written_at, &tally);
        (self.segment, self.offset) = (position.segment, position.offset);
    }
}
