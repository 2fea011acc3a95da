//! What is left of a disk when its power goes: what is durable, and of the rest some.
//!
//! Never leaves more than was written, nor less than was synced.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File as RealFile, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::model::{BLOCK, Block, Bytes, Disk, File, Id, ROOT, Tree};
use crate::chance::Chance;

const SECTOR: usize = 512;

/// How names that were not synced survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Each by itself: what POSIX allows.
    Free,
    /// All up to one, as a file system does it that keeps a journal of its own.
    Kept,
}

/// What survives beyond what is durable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Survival {
    /// Of what was not synced, in a hundred.
    pub(crate) share: u64,
    pub(crate) order: Order,
    /// Blocks may be there in part, sector by sector.
    pub(crate) torn: bool,
}

impl Survival {
    fn spares(&self, chance: &mut Chance) -> bool {
        chance.below(100) < self.share
    }

    /// Any of the versions; all that there is survives as it was last.
    fn some<'a, T>(&self, versions: &'a [(usize, T)], chance: &mut Chance) -> Option<&'a T> {
        let (newest, _) = (versions.last()?, ());
        if self.share == 100 {
            return Some(&newest.1);
        }
        if !self.spares(chance) {
            return None;
        }
        let any = chance.below(versions.len() as u64) as usize;
        Some(if chance.once_in(2) { &newest.1 } else { &versions[any].1 })
    }

    fn tree(&self, disk: &Disk, chance: &mut Chance) -> Tree {
        let mut tree = disk.durable.clone();
        let count = disk.changes.len() as u64;
        let upto = match self.share {
            0 => 0,
            100 => count,
            _ => chance.below(count + 1),
        };
        for (at, (_, change)) in disk.changes.iter().enumerate() {
            let survives = match self.order {
                Order::Free => self.spares(chance),
                Order::Kept => (at as u64) < upto,
            };
            if survives {
                change.apply(&mut tree);
            }
        }
        tree
    }

    fn block(&self, block: &Block, chance: &mut Chance) -> Bytes {
        let Some(chosen) = self.some(&block.versions, chance) else { return block.durable.clone() };
        if !self.torn || self.share == 100 || !chance.once_in(4) {
            return chosen.clone();
        }
        let plain = |bytes: &Bytes| bytes.as_deref().copied().unwrap_or([0; BLOCK]);
        let (mut mixed, chosen) = (plain(&block.durable), plain(chosen));
        for at in (0..BLOCK).step_by(SECTOR) {
            if chance.once_in(2) {
                mixed[at..at + SECTOR].copy_from_slice(&chosen[at..at + SECTOR]);
            }
        }
        (mixed != [0; BLOCK]).then(|| std::rc::Rc::new(mixed))
    }

    /// Makes the directory `to` hold what is left, and writes beside it who its files are.
    pub(crate) fn build(&self, disk: &Disk, chance: &mut Chance, to: &Path, identities: &Path) {
        let tree = self.tree(disk, chance);
        let mut built = Built { survival: *self, disk, tree, chance, identities: HashMap::new() };
        built.directory(ROOT, to);
        let mut file = RealFile::create(identities).unwrap();
        for (here, (inode, born)) in built.identities {
            let pair: Vec<u8> = [here, inode, born].iter().flat_map(|number| number.to_le_bytes()).collect();
            file.write_all(&pair).unwrap();
        }
    }
}

struct Built<'a> {
    survival: Survival,
    disk: &'a Disk,
    tree: Tree,
    chance: &'a mut Chance,
    identities: HashMap<u64, (u64, u64)>,
}

impl Built<'_> {
    fn directory(&mut self, id: Id, path: &Path) {
        if id != ROOT {
            DirBuilder::new().mode(0o700).create(path).unwrap();
        }
        self.identify(id, path);
        let names = self.tree.get(&id).cloned().unwrap_or_default();
        for (name, object) in names {
            let path = path.join(name);
            match &self.disk.objects[object].file {
                None => self.directory(object, &path),
                Some(file) => {
                    self.file(file, &path);
                    self.identify(object, &path);
                }
            }
        }
    }

    fn file(&mut self, file: &File, path: &Path) {
        let real = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
        let length = self.survival.some(&file.lengths, self.chance).copied().unwrap_or(file.length);
        for (number, block) in &file.blocks {
            let Some(bytes) = self.survival.block(block, self.chance) else { continue };
            let at = number * BLOCK as u64;
            let there = length.saturating_sub(at).min(BLOCK as u64) as usize;
            real.write_all_at(&bytes[..there], at).unwrap();
        }
        real.set_len(length).unwrap();
    }

    fn identify(&mut self, id: Id, path: &Path) {
        let object = &self.disk.objects[id];
        self.identities.insert(fs::metadata(path).unwrap().ino(), (object.inode, object.born));
    }
}
