//! Writing a snapshot: under a name of no meaning, synced bit by bit, and named only once it was read back from the disk.
//!
//! The hard problem: a gigabyte that is synced at once makes every commit beside it wait. The answer: it is synced every
//! few mebibytes as it grows, so the disk never has more than that of it before it.
//!
//! Read back is what the disk has made of it: the checksum of each block, the digest of each record, which must add up to what the journal
//! says, and the last MAC, which is the one that was written. The MACs in between were made a moment ago, from the same bytes.
//!
//! Never leaves a file under the name of a snapshot that was not verified.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::format::{self, BLOCK, Head};
use super::{DRAFT, Reader, Snapshot, Told, UNDERWAY, count, path};
use crate::crypto::mac::MAC_LENGTH;
use crate::os::durable;
use crate::os::space;
use crate::store::Key;
use crate::store::device::Device;
use crate::store::index::tally::Digester;
use crate::store::journal::segment::Identity;
use crate::store::journal::walk::Trouble;

/// Bytes between two syncs.
const SYNC: u64 = 4 << 20;

/// A snapshot in the making.
pub(crate) struct Writer<'a> {
    identity: &'a Identity,
    device: &'a dyn Device,
    directory: &'a Path,
    name: &'static str,
    file: File,
    head: Head,
    block: Vec<u8>,
    records: u32,
    mac: [u8; MAC_LENGTH],
    offset: u64,
    unsynced: u64,
}

impl<'a> Writer<'a> {
    /// Begins one in the directory, in the place of what another one has left unfinished there.
    pub(crate) fn begin(
        directory: &'a Path,
        device: &'a dyn Device,
        identity: &'a Identity,
        head: Head,
    ) -> Result<Self, Trouble> {
        Self::begin_as(UNDERWAY, directory, device, identity, head)
    }

    /// Begins what will never be a snapshot, only what one is made from.
    pub(crate) fn begin_draft(
        directory: &'a Path,
        device: &'a dyn Device,
        identity: &'a Identity,
        head: Head,
    ) -> Result<Self, Trouble> {
        Self::begin_as(DRAFT, directory, device, identity, head)
    }

    fn begin_as(
        name: &'static str,
        directory: &'a Path,
        device: &'a dyn Device,
        identity: &'a Identity,
        head: Head,
    ) -> Result<Self, Trouble> {
        let (bytes, mac) = format::encode_head(identity, &head);
        let underway = directory.join(name);
        let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&underway);
        let file = opened.map_err(|error| Trouble::Io { file: underway, error })?;
        let mut block = Vec::with_capacity(2 * BLOCK);
        format::begin(&mut block);
        let (records, offset, unsynced) = (0, 0, 0);
        let mut writer =
            Self { identity, device, directory, name, file, head, block, records, mac, offset, unsynced };
        writer.write(&bytes)?;
        Ok(writer)
    }

    /// Adds a record, whose key comes after all those before.
    pub(crate) fn put(&mut self, key: &Key, revision: u64, value: &[u8]) -> Result<(), Trouble> {
        format::put(&mut self.block, key, revision, value);
        self.records += 1;
        if self.block.len() >= BLOCK { self.close_block() } else { Ok(()) }
    }

    fn close_block(&mut self) -> Result<(), Trouble> {
        let mut block = std::mem::take(&mut self.block);
        self.mac = format::seal(self.identity, &self.mac, self.records, &mut block);
        self.write(&block)?;
        format::begin(&mut block);
        (self.block, self.records) = (block, 0);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.device.write_at(&self.file, bytes, self.offset).map_err(|error| self.failed(error))?;
        self.offset += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC {
            self.unsynced = 0;
            self.device.sync(&self.file).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// Ends a draft; where it is.
    pub(crate) fn leave(mut self) -> Result<PathBuf, Trouble> {
        if self.records > 0 {
            self.close_block()?;
        }
        self.close_block()?;
        Ok(self.underway())
    }

    /// Ends it, reads it back from the disk, and gives it its name. `read` is told how that goes.
    pub(crate) fn finish(mut self, digester: &Digester, read: &mut Told<'_>) -> Result<Snapshot, Trouble> {
        if self.records > 0 {
            self.close_block()?;
        }
        self.close_block()?;
        // Its length too, before its name: a name may be durable before what it names (fsync(2)).
        self.file.sync_all().map_err(|error| self.failed(error))?;
        space::forget_cached(&self.file);
        // What was read back stays in the kernel's cache: from now on records are read from here.
        let mut reader = Reader::open_own(&self.underway(), self.identity)?;
        count(&mut reader, digester, read)?;
        let found = reader.snapshot().clone();
        let is_same = found.at == self.head.at && found.tally == self.head.tally && *reader.mac() == self.mac;
        if !is_same || found.bytes != self.offset {
            return Err(Trouble::Damaged {
                file: self.underway(),
                offset: 0,
                what: "what was read back is another snapshot".into(),
            });
        }
        let named = path(self.directory, self.head.at.sequence);
        fs::rename(self.underway(), &named).map_err(|error| self.failed(error))?;
        durable::sync_name(&self.file, &named).map_err(|error| self.failed(error))?;
        Ok(Snapshot { path: named, ..found })
    }

    fn failed(&self, error: io::Error) -> Trouble {
        Trouble::Io { file: self.underway(), error }
    }

    fn underway(&self) -> PathBuf {
        self.directory.join(self.name)
    }
}
